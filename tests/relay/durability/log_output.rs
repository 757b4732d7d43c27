//! A log that cannot be written: its lines are dropped and counted, and the relay goes on.

use std::fs::File;
use std::io::{self, Write};
use std::process::Stdio;

use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id};
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
