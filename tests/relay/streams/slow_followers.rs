//! Followers that do not read: they delay no other follower, lose no event when they read on, and are disconnected when
//! they accept no byte within the write timeout.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::connection::Connection;
use crate::harness::fixture::Fixture;
use crate::harness::follower::Follower;
use crate::harness::request::Request;
use crate::harness::wait_until;

/// Size of a large field, in bytes.
const BLOB_BYTES: usize = 200 << 10;

/// Posts a webhook with a body near the size limit. Returns the event id.
#[track_caller]
fn post_large(fixture: &Fixture, number: usize, blob: &str) -> String {
    fixture.post(&json!({"documentId": format!("large {number}"), "status": "COMPLETED", "blob": blob}))
}

/// A replay does not pass through the live buffer, and a slow follower has no unbounded queue.
// Rule 8: no queue grows for a slow follower.
#[test]
fn paused_follower_costs_no_memory_and_loses_nothing() {
    const EVENTS: usize = 320;
    let fixture = Fixture::with_config(&[("write_timeout", "60s")]);
    let blob = "x".repeat(BLOB_BYTES);
    let mut quick = fixture.follow();
    // Fills the caches of the database before the measurement.
    for number in 0..200 {
        let id = post_large(&fixture, number, &blob);
        assert_eq!(quick.next_event().id, id);
    }
    let before = fixture.relay.resident_bytes();
    let mut slow = [fixture.follow(), fixture.follow_with_query("status=COMPLETED")];
    let mut sent = Vec::new();
    let (mut peak, mut slowest) = (0, Duration::ZERO);
    for number in 0..EVENTS {
        let began = Instant::now();
        sent.push(post_large(&fixture, 1000 + number, &blob));
        assert_eq!(quick.next_event().id, sent[number]);
        slowest = slowest.max(began.elapsed());
        peak = peak.max(fixture.relay.resident_bytes());
    }
    assert_eq!(fixture.relay.metric("docrelay_followers"), 3);
    assert!(fixture.relay.metric("docrelay_follower_lag") > 100, "the slow followers lag behind");
    let grown = peak.saturating_sub(before);
    eprintln!(
        "{} MiB published with two slow followers: {} KiB more, slowest delivery {slowest:?}",
        (EVENTS * BLOB_BYTES) >> 20,
        grown >> 10
    );
    assert!(grown < 8 << 20, "grew by {} KiB from {} KiB", grown >> 10, before >> 10);
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    for follower in &mut slow {
        let seen: Vec<String> = follower.events(EVENTS).into_iter().map(|e| e.id).collect();
        assert_eq!(seen, sent);
    }
}

// Rule 7: dead and stalled connections end.
#[test]
fn follower_accepting_no_bytes_is_disconnected_as_stalled() {
    // The ends of streams are logged at debug level.
    let fixture = Fixture::with_config(&[("write_timeout", "1s"), ("log_level", "debug")]);
    let blob = "x".repeat(BLOB_BYTES);
    let request = Request::get("/events/client").bearer(&fixture.token);
    let stalled: Vec<Connection> = [request.clone(), request.http_1_0()]
        .iter()
        .map(|request| {
            let mut connection = fixture.write(request.bytes());
            assert_eq!(connection.read_head().status, 200);
            connection
        })
        .collect();
    let mut quick = fixture.follow();
    let mut number = 0;
    wait_until("both stalled followers are disconnected", || {
        number += 1;
        let id = post_large(&fixture, number, &blob);
        assert_eq!(quick.next_event().id, id);
        fixture.relay.metric("docrelay_followers") == 1
    });
    assert_eq!(fixture.relay.metric("docrelay_disconnects_total{reason=\"stalled\"}"), 2);
    assert_eq!(fixture.relay.metric("docrelay_disconnects_total{reason=\"closed\"}"), 0);
    fixture.relay.wait_for_output("reason=\"stalled\"");
    drop(stalled);
}

// Rule 7: dead and stalled connections end.
#[test]
fn stall_is_detected_with_data_in_kernel_buffers() {
    let fixture = Fixture::with_config(&[("write_timeout", "1s"), ("idle_interval", "60s")]);
    let mut connection = Connection::open(fixture.relay.listen);
    connection.shrink_receive_buffer();
    connection.write(Request::get("/events/client").bearer(&fixture.token).bytes());
    assert_eq!(connection.read_head().status, 200);
    post_large(&fixture, 1, &"x".repeat(BLOB_BYTES));
    fixture.relay.wait_for_metric("docrelay_followers", 0);
    assert_eq!(fixture.relay.metric("docrelay_disconnects_total{reason=\"stalled\"}"), 1);
}

#[test]
fn stuck_follower_ends_with_token_expiry_or_removal() {
    let fixture = Fixture::with_config(&[("write_timeout", "60s")]);
    let blob = "x".repeat(BLOB_BYTES);
    let expires = jsonwebtoken::get_current_timestamp() + 3;
    let short_lived = fixture.relay.sign_token(&json!({"exp": expires}));
    let stuck = [fixture.relay.follow(&short_lived), fixture.follow()];
    let mut quick = fixture.follow();
    let id_and_lag = |at: usize| {
        let list = fixture.relay.admin("GET", "/admin/followers").json();
        let entry = list["followers"][at].clone();
        (entry["id"].as_str().unwrap_or_default().to_owned(), entry["lag"].as_u64().unwrap_or_default())
    };
    let mut number = 0;
    wait_until("both followers are stuck", || {
        number += 1;
        post_large(&fixture, number, &blob);
        quick.next_event();
        id_and_lag(1).1 > 2 || fixture.relay.metric("docrelay_disconnects_total{reason=\"expired\"}") > 0
    });
    fixture.relay.wait_for_metric("docrelay_disconnects_total{reason=\"expired\"}", 1);
    let delay_seconds = jsonwebtoken::get_current_timestamp().saturating_sub(expires);
    assert!(delay_seconds <= 5, "ended {delay_seconds} s after the expiry");
    let (id, _) = id_and_lag(0);
    let began = Instant::now();
    assert_eq!(fixture.relay.admin("DELETE", &format!("/admin/followers/{id}")).status, 204);
    fixture.relay.wait_for_metric("docrelay_followers", 1);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(fixture.relay.metric("docrelay_disconnects_total{reason=\"removed\"}"), 1);
    drop::<[Follower; 2]>(stuck);
}
