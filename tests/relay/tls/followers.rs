//! Followers over TLS: the same bytes, ends and time-outs as without it.

use std::time::Duration;

use serde_json::json;

use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::follower::{Follower, Next};
use crate::harness::request::Request;
use crate::harness::tls::TlsFixture;
use crate::harness::{TIMEOUT, wait_until};

/// Size of a large field, in bytes.
const BLOB_BYTES: usize = 200 << 10;

#[track_caller]
fn post_large(fixture: &TlsFixture, number: usize, blob: &str) -> String {
    fixture.post(&json!({"documentId": format!("large {number}"), "status": "COMPLETED", "blob": blob}))
}

#[test]
fn follower_over_tls_gets_replay_live_events_and_idle_lines() {
    let fixture = TlsFixture::with_config(&[("idle_interval", "1s")]);
    let old = [fixture.complete(1), fixture.complete(2)];
    let mut follower = fixture.follow_with_query("last_event_id=earliest");
    assert_eq!(follower.head.header("content-type"), Some("text/event-stream"));
    assert_eq!(follower.event_ids(2), old);
    let live = fixture.complete(3);
    assert_eq!(follower.next_event().id, live);
    assert!(follower.raw().starts_with("\nretry: "), "{}", follower.raw());
    assert!(matches!(follower.next(TIMEOUT), Next::Block(block) if block.data.is_none()), "an idle line");
    let refused = Connection::open_tls(fixture.relay.listen, &fixture.client).send(&Request::get("/events/client"));
    assert!(refused.text().contains("event: error\ndata: auth_required\n"), "{refused:?}");
}

#[test]
fn slow_follower_over_tls_loses_nothing() {
    const EVENTS: usize = 60;
    let fixture = TlsFixture::start();
    let blob = "x".repeat(BLOB_BYTES);
    let mut slow = fixture.follow();
    let sent: Vec<String> = (0..EVENTS).map(|number| post_large(&fixture, number, &blob)).collect();
    assert!(fixture.relay.metric("docrelay_follower_lag") > 0, "the follower lags behind");
    assert_eq!(slow.event_ids(EVENTS), sent);
}

#[test]
fn follower_over_tls_accepting_no_bytes_is_disconnected_as_stalled() {
    let fixture = TlsFixture::with_config(&[("write_timeout", "1s")]);
    let blob = "x".repeat(BLOB_BYTES);
    let mut stalled = fixture.connect();
    stalled.shrink_receive_buffer();
    stalled.write(Request::get("/events/client").bearer(&fixture.token).bytes());
    assert_eq!(stalled.read_head().status, 200);
    let mut quick = fixture.follow();
    let mut number = 0;
    wait_until("the stalled follower is disconnected", || {
        number += 1;
        let id = post_large(&fixture, number, &blob);
        assert_eq!(quick.next_event().id, id);
        fixture.relay.metric("docrelay_followers") == 1
    });
    assert_eq!(fixture.relay.metric("docrelay_disconnects_total{reason=\"stalled\"}"), 1);
}

#[test]
fn follower_over_tls_that_leaves_is_removed() {
    let fixture = TlsFixture::start();
    let followers: Vec<Follower> = (0..3).map(|_| fixture.follow()).collect();
    fixture.relay.wait_for_metric("docrelay_followers", 3);
    drop(followers);
    fixture.relay.wait_for_metric("docrelay_followers", 0);
    let mut abrupt = fixture.connect();
    abrupt.write(Request::get("/events/client").bearer(&fixture.token).bytes());
    assert_eq!(abrupt.read_head().status, 200);
    abrupt.reset();
    fixture.relay.wait_for_metric("docrelay_followers", 0);
    fixture.relay.wait_for_metric("docrelay_connections", 1);
}

#[test]
fn stopping_relay_ends_streams_over_tls_completely() {
    let mut fixture = TlsFixture::start();
    let mut follower = fixture.follow();
    let id = fixture.complete(1);
    assert_eq!(follower.next_event().id, id);
    assert!(fixture.relay.stop().success());
    let last = follower.read_to_end();
    assert!(last.iter().any(|block| block.retry.is_some()), "{last:?}");
    assert!(follower.has_last_chunk());
}

#[test]
fn follower_removed_by_an_administrator_ends_over_tls() {
    let fixture = TlsFixture::start();
    let mut follower = fixture.follow();
    let list = fixture.relay.admin("GET", "/admin/followers").json();
    let id = list["followers"][0]["id"].as_str().expect("one follower").to_owned();
    assert_eq!(fixture.relay.admin("DELETE", &format!("/admin/followers/{id}")).status, 204);
    assert!(follower.ends() && follower.has_last_chunk());
}

#[test]
fn request_time_outs_hold_over_tls() {
    let fixture = TlsFixture::with_config(&[("header_timeout", "1s"), ("body_timeout", "1s")]);
    let mut slow_head = fixture.connect();
    slow_head.write("GET / HTTP/1.1\r\nHost:");
    assert!(slow_head.is_closed_by_peer());
    let mut slow_body = fixture.connect();
    slow_body.write(format!("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{{", fixture.hook));
    assert_eq!(slow_body.read_head().status, 408);
    let mut idle = fixture.connect();
    assert_eq!(idle.read(Duration::from_secs(10)), ReadOutcome::Closed);
}

/// Inside hyper, a follower over TLS would cost about 16 KiB.
#[test]
fn idle_followers_over_tls_leave_hyper() {
    const FOLLOWERS: usize = 500;
    const MAX_BYTES: usize = 13 << 10;
    let fixture = TlsFixture::start();
    let open = |count: usize| -> Vec<Follower> { (0..count).map(|_| fixture.follow()).collect() };
    let first = open(100);
    let before = fixture.relay.resident_bytes();
    let idle = open(FOLLOWERS);
    fixture.relay.wait_for_metric("docrelay_followers", 100 + i64::try_from(FOLLOWERS).expect("small"));
    let each = fixture.relay.resident_bytes().saturating_sub(before) / FOLLOWERS;
    eprintln!("{each} bytes per idle follower over TLS");
    assert!(each < MAX_BYTES, "{each} bytes per idle follower over TLS");
    drop((first, idle));
}
