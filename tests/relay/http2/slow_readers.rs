//! Clients that do not read: flow control stops their streams, and the relay resets these alone.

use std::time::Duration;

use h2::client::Builder;
use serde_json::json;

use crate::harness::fixture::Fixture;
use crate::harness::http2::Http2Connection;
use crate::harness::request::Request;
use crate::harness::tls::TlsFixture;
use crate::harness::{TestRelay, wait_until};

/// Size of a large field, in bytes.
const BLOB_BYTES: usize = 200 << 10;

const STALLED: &str = "docrelay_disconnects_total{reason=\"stalled\"}";

// Rule 7: dead and stalled connections end.
#[test]
fn follower_without_window_is_reset_alone_as_stalled() {
    let fixture = Fixture::with_config(&[("write_timeout", "1s")]);
    let follow = Request::get("/events/client").bearer(&fixture.token);
    let mut settings = Builder::new();
    // A connection window for all, and small ones for each stream.
    settings.initial_window_size(64 << 10).initial_connection_window_size(16 << 20);
    let mut connection = Http2Connection::open_with(fixture.relay.listen, &settings);
    let mut stalled = connection.open_stream(&follow);
    let mut quick = connection.open_stream(&follow);
    let mut number = 0;
    wait_until("the stalled follower is disconnected", || {
        number += 1;
        let blob = "x".repeat(BLOB_BYTES);
        let id = fixture.post(&json!({"documentId": format!("{number}"), "status": "COMPLETED", "blob": blob}));
        assert_eq!(connection.events(&mut quick, 1)[0].id, id);
        fixture.relay.metric("docrelay_followers") == 1
    });
    assert_eq!(fixture.relay.metric(STALLED), 1);
    let end = connection.read_to_end(&mut stalled);
    assert_eq!(end.expect_err("a reset").reason(), Some(h2::Reason::CANCEL));
    let id = fixture.complete(1);
    assert_eq!(connection.events(&mut quick, 1)[0].id, id);
}

// Rule 7: dead and stalled connections end.
#[test]
fn followers_of_a_connection_that_is_not_read_are_stalled() {
    let fixture = TlsFixture::with_config(&[("write_timeout", "1s")]);
    let mut connection = Http2Connection::open_tls(fixture.relay.listen, &fixture.client);
    let follow = Request::get("/events/client").bearer(&fixture.token);
    let streams = [connection.open_stream(&follow), connection.open_stream(&follow)];
    let mut number = 0;
    wait_until("both followers are disconnected", || {
        number += 1;
        let blob = "x".repeat(BLOB_BYTES);
        fixture.post(&json!({"documentId": format!("{number}"), "status": "COMPLETED", "blob": blob}));
        fixture.relay.metric("docrelay_followers") == 0
    });
    assert_eq!(fixture.relay.metric(STALLED), 2);
    drop(streams);
}

#[test]
fn slow_follower_over_http_2_costs_no_memory_and_loses_nothing() {
    const EVENTS: usize = 150;
    let fixture = Fixture::with_config(&[("write_timeout", "60s")]);
    let blob = "x".repeat(BLOB_BYTES);
    let post =
        |number: usize| fixture.post(&json!({"documentId": format!("{number}"), "status": "COMPLETED", "blob": blob}));
    let mut quick = fixture.follow();
    // Fills the ring and the caches of the database before the measurement.
    for number in 0..150 {
        let id = post(number);
        assert_eq!(quick.next_event().id, id);
    }
    let mut connection = Http2Connection::open(fixture.relay.listen);
    let mut slow = connection.open_stream(&Request::get("/events/client").bearer(&fixture.token));
    let before = fixture.relay.resident_bytes();
    let (mut sent, mut peak) = (Vec::new(), 0);
    for number in 0..EVENTS {
        sent.push(post(1000 + number));
        assert_eq!(quick.next_event().id, sent[number]);
        peak = peak.max(fixture.relay.resident_bytes());
    }
    let (published, grown) = (EVENTS * BLOB_BYTES, peak.saturating_sub(before));
    eprintln!("{} KiB published, {} KiB more", published >> 10, grown >> 10);
    assert!(grown < 8 << 20, "grew by {} KiB from {} KiB", grown >> 10, before >> 10);
    assert!(fixture.relay.metric("docrelay_follower_lag") > 100, "the follower lags behind");
    let seen: Vec<String> = connection.events(&mut slow, EVENTS).into_iter().map(|event| event.id).collect();
    assert_eq!(seen, sent);
}

#[test]
fn response_that_is_not_read_is_reset_and_counted() {
    let relay = TestRelay::with_config(&[("response_timeout", "1s")]);
    let mut settings = Builder::new();
    settings.initial_window_size(1000);
    let mut connection = Http2Connection::open_with(relay.listen, &settings);
    let mut page = connection.open_stream(&Request::get("/docs"));
    connection.run_for(Duration::from_millis(100));
    relay.wait_for_metric("docrelay_slow_responses_total", 1);
    let end = connection.read_to_end(&mut page);
    assert_eq!(end.expect_err("a reset").reason(), Some(h2::Reason::CANCEL));
    assert_eq!(connection.send(&Request::get("/.well-known/jwks.json")).status, 200);
}
