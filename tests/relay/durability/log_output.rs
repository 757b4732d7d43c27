//! A log that cannot be written: its lines are dropped and counted, and the relay goes on.

use std::fs::File;
use std::io::{self, Read, Write};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id};
use crate::harness::second_client::{Memory, SecondClient};
use crate::harness::vendor_bodies::GINI_COMPLETED;
use crate::harness::{TestRelay, spawn_thread, wait_until};

const DROPPED_LINES: &str = "docrelay_log_lines_dropped_total";

/// Stores an event and follows it.
#[track_caller]
fn assert_delivers(relay: &TestRelay, client: &str) {
    let acme = TestClient::new(relay, client);
    let hook = acme.add_unverified_hook("gini").path;
    let mut follower = relay.follow(&acme.token);
    let stored = stored_event_id(&relay.send(&Request::post(&hook).json(GINI_COMPLETED)));
    assert_eq!(follower.next_event().id, stored);
}

#[test]
fn full_stderr_device_drops_log_lines_only() {
    let full = File::options().write(true).open("/dev/full").expect("the device");
    let mut relay = TestRelay::with_stderr(&[("log_level", "debug")], Stdio::from(full));
    assert_delivers(&relay, "acme");
    assert!(relay.metric(DROPPED_LINES) > 0);
    assert_eq!(relay.stop().code(), Some(0));
}

#[test]
fn closed_stderr_pipe_drops_log_lines_only() {
    let (reader, writer) = io::pipe().expect("a pipe");
    let mut relay = TestRelay::with_stderr(&[("log_level", "debug")], Stdio::from(writer));
    drop(reader);
    assert_delivers(&relay, "acme");
    wait_until("a line is dropped", || relay.metric(DROPPED_LINES) > 0);
    assert_eq!(relay.stop().code(), Some(0));
}

#[test]
fn stalled_stderr_reader_delays_neither_webhooks_nor_streams() {
    // The pipe is full before the relay starts, and its reader never reads.
    let (reader, writer) = io::pipe().expect("a pipe");
    let mut filler = writer.try_clone().expect("a second writer");
    spawn_thread("filler", move || while filler.write_all(&[b'x'; 4096]).is_ok() {});
    let mut relay = TestRelay::with_stderr(&[("log_level", "debug")], Stdio::from(writer));
    // More lines than the queue of the log holds.
    let mut connection = Connection::open(relay.listen);
    for _ in 0..10_000 {
        assert_problem(&connection.send(&Request::get("/nothing")), 404);
    }
    assert_delivers(&relay, "acme");
    assert!(relay.metric(DROPPED_LINES) > 1000, "{}", relay.metric(DROPPED_LINES));
    assert_eq!(relay.stop().code(), Some(0), "the relay stops although its log does not");
    drop(reader);
}

#[test]
fn log_reader_that_stops_delays_no_second_client() {
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let config = [("log_level", "debug"), ("allow_private_endpoints", "127.0.0.0/8")];
    let mut relay = TestRelay::with_stderr(&config, Stdio::from(writer));
    let (stalled, ended) = (Arc::new(Mutex::new(())), Arc::new(AtomicBool::new(false)));
    let reading = stalled.clone();
    let log_reader = spawn_thread("log reader", move || {
        let mut lines = vec![0; 64 << 10];
        while reader.read(&mut lines).is_ok_and(|read| read > 0) {
            drop(reading.lock().expect("no panic"));
        }
    });
    {
        let second = SecondClient::new(&relay);
        // Before and during: only the reader of the log makes the difference.
        let (to, end) = (relay.listen, ended.clone());
        let requests = spawn_thread("requests", move || {
            let mut connection = Connection::open(to);
            while !end.load(Ordering::Relaxed) {
                assert_problem(&connection.send(&Request::get("/nothing")), 404);
            }
        });
        let before = second.measure_before();
        let lock = stalled.lock().expect("no panic");
        wait_until("a line is dropped", || relay.metric(DROPPED_LINES) > 0);
        let during = second.measure_during();
        drop(lock);
        ended.store(true, Ordering::Relaxed);
        requests.join().expect("all requests had their response");
        second.assert_undisturbed(&before, &during, Memory { peak: 24 << 20, after: 24 << 20 });
    }
    assert_eq!(relay.stop().code(), Some(0));
    log_reader.join().expect("the end of the log");
}

#[test]
fn error_at_start_is_reported_by_exit_code_without_stderr() {
    let full = File::options().write(true).open("/dev/full").expect("the device");
    let mut command = crate::harness::command::docrelay(&["serve"], &[("grace", "never")]);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(full).status().expect("the command runs");
    assert_eq!(status.code(), Some(2));
}

#[test]
fn leaving_followers_are_logged_at_debug_level_only() {
    for (level, logged) in [("info", false), ("debug", true)] {
        let mut relay = TestRelay::with_config(&[("log_level", level)]);
        let acme = TestClient::new(&relay, "acme");
        for _ in 0..20 {
            drop(relay.follow(&acme.token));
        }
        relay.wait_for_metric("docrelay_followers", 0);
        relay.stop();
        assert_eq!(relay.output().contains("stream ended"), logged, "{level}");
    }
}
