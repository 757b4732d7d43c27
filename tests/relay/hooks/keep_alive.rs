//! How long a connection may idle between two requests, and how long the head of a request may take.

use std::time::{Duration, Instant};

use crate::harness::client::TestClient;
use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::request::Request;
use crate::harness::response::stored_event_id;
use crate::harness::vendor_bodies::GINI_COMPLETED;
use crate::harness::{TestRelay, delay};

#[test]
fn idle_connection_outlives_the_header_timeout() {
    let relay = TestRelay::with_config(&[("header_timeout", "200ms")]);
    let acme = TestClient::new(&relay, "acme");
    let webhook = Request::post(&acme.add_unverified_hook("gini").path).json(GINI_COMPLETED);
    let mut connection = Connection::open(relay.listen);
    for _ in 0..3 {
        stored_event_id(&connection.send(&webhook));
        // As a proxy that keeps its connections: it sends the next webhook when one comes.
        assert_eq!(connection.read(Duration::from_millis(500)), ReadOutcome::TimedOut);
    }
    stored_event_id(&connection.send(&webhook));
}

#[test]
fn idle_connection_is_closed_after_the_keep_alive_timeout() {
    let relay = TestRelay::with_config(&[("keep_alive_timeout", "300ms")]);
    let mut connection = Connection::open(relay.listen);
    for _ in 0..3 {
        assert_eq!(connection.send(&Request::get("/docs.css")).status, 200);
    }
    let idle_since = Instant::now();
    assert!(connection.is_closed_by_peer());
    assert!((Duration::from_millis(250)..Duration::from_secs(5)).contains(&idle_since.elapsed()));
}

#[test]
fn header_timeout_applies_from_the_first_byte_of_each_request() {
    let relay = TestRelay::with_config(&[("header_timeout", "400ms")]);
    // A connection that never sends a byte is closed, too.
    let mut silent = Connection::open(relay.listen);
    let opened = Instant::now();
    assert!(silent.is_closed_by_peer());
    assert!(opened.elapsed() < Duration::from_secs(5), "{:?}", opened.elapsed());
    let mut connection = Connection::open(relay.listen);
    assert_eq!(connection.send(&Request::get("/docs.css")).status, 200);
    assert_eq!(connection.read(Duration::from_millis(600)), ReadOutcome::TimedOut);
    // Single bytes do not extend the timeout.
    let began = Instant::now();
    for byte in Request::get("/docs.css").header("X-Long", &"x".repeat(1000)).bytes() {
        if connection.try_write([byte]).is_err() || connection.read(Duration::from_millis(20)) == ReadOutcome::Closed {
            assert!(began.elapsed() > Duration::from_millis(350), "{:?}", began.elapsed());
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "the head may take for ever");
    }
    panic!("the head was not refused");
}

#[test]
fn slow_body_and_response_are_not_cut_by_the_keep_alive_timeout() {
    let relay = TestRelay::with_config(&[("keep_alive_timeout", "100ms"), ("header_timeout", "100ms")]);
    let acme = TestClient::new(&relay, "acme");
    let hook = acme.add_unverified_hook("gini").path;
    let mut connection = Connection::open(relay.listen);
    connection
        .write(format!("POST {hook} HTTP/1.1\r\nHost: relay.test\r\nContent-Length: {}\r\n\r\n", GINI_COMPLETED.len()));
    for byte in GINI_COMPLETED.bytes() {
        connection.write([byte]);
        delay(Duration::from_millis(10));
    }
    stored_event_id(&connection.read_response());
    // A stream is no idle connection.
    let mut follower = relay.follow(&acme.token);
    stored_event_id(&relay.send(&Request::post(&hook).json(&GINI_COMPLETED.replace("COMPLETED", "ERROR"))));
    follower.next_event();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let relay = TestRelay::with_config(&[("keep_alive_timeout", "300ms")]);
    let mut connection = Connection::open(relay.listen);
    let requests: Vec<u8> = (0..50).flat_map(|_| Request::get("/docs.css").bytes()).collect();
    connection.write(requests);
    for _ in 0..50 {
        assert_eq!(connection.read_response().status, 200);
    }
    assert!(connection.is_closed_by_peer());
}
