//! Shutdown with open connections: running requests are completed, idle and unfinished ones do not delay it.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::store_unavailable::{client_with_event, job};
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id};
use crate::harness::{TIMEOUT, TestRelay};

#[test]
fn shutdown_does_not_wait_for_idle_or_unfinished_requests() {
    let mut relay = TestRelay::with_config(&[("grace", "20s"), ("body_timeout", "1h")]);
    let path = {
        let (_, hook, _) = client_with_event(&relay);
        hook.path
    };
    let idle: Vec<Connection> = (0..20)
        .map(|n| {
            let mut connection = Connection::open(relay.listen);
            stored_event_id(&connection.send(&job(n).with_target(&path)));
            connection
        })
        .collect();
    let began = Instant::now();
    assert_eq!(relay.stop().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(8), "idle connections delay the shutdown: {:?}", began.elapsed());
    drop(idle);
    relay.set_config("grace", "2s");
    relay.restart();
    let (mut unfinished, _) = start_request(&relay, &path);
    let began = Instant::now();
    assert_eq!(relay.stop().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(unfinished.is_closed_by_peer());
}

// Rule 35: one relay per data directory.
// Rule 36: alive and ready are two probes.
#[test]
fn shutdown_fails_readiness_and_completes_running_requests() {
    let mut relay = TestRelay::start();
    let (token, path) = {
        let (acme, hook, _) = client_with_event(&relay);
        (acme.token.clone(), hook.path)
    };
    let (mut unfinished, rest) = start_request(&relay, &path);
    let mut admin = Connection::open(relay.admin_listen);
    assert_eq!(admin.send(&Request::get("/readyz")).status, 200);
    relay.signal(Signal::TERM);
    relay.wait_for_output("stopping");
    let deadline = Instant::now() + TIMEOUT;
    let unready = loop {
        let response = admin.send(&Request::get("/readyz"));
        if response.status != 200 || Instant::now() > deadline {
            break response;
        }
    };
    assert!(assert_problem(&unready, 503).contains("stopping"));
    assert_eq!(admin.send(&Request::get("/livez")).status, 200);
    unfinished.write(rest);
    let id = stored_event_id(&unfinished.read_response());
    assert_eq!(relay.wait().code(), Some(0));
    relay.restart();
    assert_eq!(relay.follow_from(&token, "earliest").events(2)[1].id, id);
}

/// Sends the first part of a request and waits until the relay reads its body. Returns the remaining bytes.
fn start_request(relay: &TestRelay, path: &str) -> (Connection, Vec<u8>) {
    let bytes = job(9).header("Expect", "100-continue").with_target(path).bytes();
    let body = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let mut connection = Connection::open(relay.listen);
    connection.write(&bytes[..body]);
    // The relay sends 100 Continue when it starts to read the body.
    assert_eq!(connection.read_head().status, 100);
    connection.write(&bytes[body..body + 10]);
    (connection, bytes[body + 10..].to_vec())
}
