//! Followers that disconnect without notice: the relay releases their resources within seconds.

use std::time::{Duration, Instant};

use crate::harness::connection::Connection;
use crate::harness::fixture::Fixture;
use crate::harness::follower::Follower;
use crate::harness::request::Request;
use crate::harness::{TIMEOUT, wait_until};

/// Half-open connections do not accumulate, and a closed follower leaves nothing behind.
// Rule 7: dead and stalled connections end.
#[test]
fn abruptly_closed_followers_are_removed_within_seconds() {
    let fixture = Fixture::start();
    let chunked = Request::get("/events/client").bearer(&fixture.token);
    let bare = chunked.clone().http_1_0();
    let mut connections: Vec<Connection> = (0..500)
        .map(|n| {
            let mut connection = Connection::open(fixture.relay.listen);
            connection.write(if n % 5 == 0 { &bare } else { &chunked }.bytes());
            connection
        })
        .collect();
    for connection in &mut connections {
        assert_eq!(connection.read_head().status, 200);
    }
    fixture.relay.wait_for_metric("docrelay_followers", 500);
    let began = Instant::now();
    for (n, connection) in connections.into_iter().enumerate() {
        match n % 3 {
            0 => connection.reset(),
            1 => drop(connection),
            // A half-closed connection ends the stream, too.
            _ => connection.shutdown_write(),
        }
    }
    fixture.relay.wait_for_metric("docrelay_followers", 0);
    // The remaining connection is that of the metrics request.
    fixture.relay.wait_for_metric("docrelay_connections", 1);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(
        fixture.relay.metric("docrelay_disconnects_total{reason=\"closed\"}"),
        500,
        "every disconnect is counted"
    );
    assert_eq!(fixture.relay.metric("docrelay_followers_opened_total"), 500);
    let list = fixture.relay.admin("GET", "/admin/followers").json();
    assert_eq!(list["followers"].as_array().map(Vec::len), Some(0));
    let mut follower = fixture.follow();
    assert_eq!(fixture.complete(1), follower.next_event().id);
}

#[test]
fn follower_closed_before_first_byte_leaves_no_entry() {
    let fixture = Fixture::start();
    for _ in 0..50 {
        fixture.write(fixture.stream_request_head() + "\r\n").reset();
        drop(fixture.write(fixture.stream_request_head() + "\r\n"));
    }
    fixture.relay.wait_for_metric("docrelay_connections", 1);
    fixture.relay.wait_for_metric("docrelay_followers", 0);
    // The kernel may still hold connections that the relay has not accepted.
    wait_until("every opened stream is counted as closed", || {
        let opened = fixture.relay.metric("docrelay_followers_opened_total");
        fixture.relay.metric("docrelay_disconnects_total{reason=\"closed\"}") == opened
    });
}

#[test]
fn follower_sending_endless_data_is_disconnected() {
    let fixture = Fixture::start();
    let mut follower = Follower::open(fixture.relay.listen, &Request::get("/events/client").bearer(&fixture.token));
    follower.next(TIMEOUT);
    let mut sender = fixture.write(fixture.stream_request_head() + "\r\n");
    assert_eq!(sender.read_head().status, 200);
    while sender.try_write([b'x'; 4096]).is_ok() {}
    fixture.relay.wait_for_metric("docrelay_followers", 1);
    assert_eq!(fixture.complete(1), follower.next_event().id);
}
