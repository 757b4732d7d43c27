//! Followers that leave without a word: they are gone from the gauges within seconds, and so is what they held.

use std::time::{Duration, Instant};

use crate::harness::TIMEOUT;
use crate::harness::connection::Connection;
use crate::harness::fixture::Fixture;
use crate::harness::follower::Follower;
use crate::harness::request::Request;

/// Trap 7: half-open connections pile up. Trap 12: what a follower leaves behind.
#[test]
fn abruptly_closed_followers_are_removed_within_seconds() {
    let fixture = Fixture::start();
    let chunked = Request::get("/events/client").bearer(&fixture.token);
    let bare = chunked.clone().http_1_0();
    let mut wires: Vec<Connection> = (0..500)
        .map(|n| {
            let mut wire = Connection::open(fixture.relay.listen);
            wire.write(if n % 5 == 0 { &bare } else { &chunked }.bytes());
            wire
        })
        .collect();
    for wire in &mut wires {
        assert_eq!(wire.read_head().status, 200);
    }
    fixture.relay.wait_for_metric("docrelay_followers", 500);
    let began = Instant::now();
    for (n, wire) in wires.into_iter().enumerate() {
        match n % 3 {
            0 => wire.reset(),
            1 => drop(wire),
            // Half an end: whoever says that it will say nothing more has left, as far as a stream goes.
            _ => wire.shutdown_write(),
        }
    }
    fixture.relay.wait_for_metric("docrelay_followers", 0);
    // The one that asks.
    fixture.relay.wait_for_metric("docrelay_connections", 1);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(fixture.relay.metric("docrelay_disconnects_total{reason=\"closed\"}"), 500, "every end is counted");
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
    let opened = fixture.relay.metric("docrelay_followers_opened_total");
    assert_eq!(fixture.relay.metric("docrelay_disconnects_total{reason=\"closed\"}"), opened);
}

#[test]
fn follower_sending_endless_data_is_disconnected() {
    let fixture = Fixture::start();
    let mut follower = Follower::open(fixture.relay.listen, &Request::get("/events/client").bearer(&fixture.token));
    follower.next(TIMEOUT);
    let mut talker = fixture.write(fixture.stream_request_head() + "\r\n");
    assert_eq!(talker.read_head().status, 200);
    while talker.try_write([b'x'; 4096]).is_ok() {}
    fixture.relay.wait_for_metric("docrelay_followers", 1);
    assert_eq!(fixture.complete(1), follower.next_event().id);
}
