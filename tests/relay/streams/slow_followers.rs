//! Readers that do not read: they cost nobody else anything, lose nothing when they read on, and are sent away when
//! they accept no byte for the write time-out.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::connection::Connection;
use crate::harness::fixture::Fixture;
use crate::harness::follower::Follower;
use crate::harness::request::Request;
use crate::harness::wait_until;

const BLOB: usize = 200 << 10;

/// An event with a body near the bound; its id.
#[track_caller]
fn tell_much(fixture: &Fixture, number: usize, blob: &str) -> String {
    fixture.post(&json!({"documentId": format!("large {number}"), "status": "COMPLETED", "blob": blob}))
}

/// Resident memory of the relay, in bytes.
#[track_caller]
fn resident(fixture: &Fixture) -> usize {
    let card = fs::read_to_string(fixture.relay.data_dir().join("relay.json")).expect("the card");
    let pid = serde_json::from_str::<serde_json::Value>(&card).expect("JSON")["pid"].as_u64().expect("a pid");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")).expect("VmRSS");
    line.trim().parse::<usize>().expect("a number") * 1024
}

/// Trap 2: replay pushed through the live buffer. Trap 8: an unbounded queue per slow reader. Trap 11: memory that is
/// not given back.
#[test]
fn paused_follower_costs_no_memory_and_loses_nothing() {
    const EVENTS: usize = 320;
    let fixture = Fixture::with_config(&[("write_timeout", "60s")]);
    let blob = "x".repeat(BLOB);
    let mut quick = fixture.follow();
    // The database's caches fill up first, without anybody slow.
    for number in 0..200 {
        let told = tell_much(&fixture, number, &blob);
        assert_eq!(quick.next_event().id, told);
    }
    let before = resident(&fixture);
    let mut slow = [fixture.follow(), fixture.follow_with_query("status=COMPLETED")];
    let mut told = Vec::new();
    let (mut most, mut slowest) = (0, Duration::ZERO);
    for number in 0..EVENTS {
        let began = Instant::now();
        told.push(tell_much(&fixture, 1000 + number, &blob));
        assert_eq!(quick.next_event().id, told[number]);
        slowest = slowest.max(began.elapsed());
        most = most.max(resident(&fixture));
    }
    assert_eq!(fixture.relay.metric("docrelay_followers"), 3);
    assert!(fixture.relay.metric("docrelay_follower_lag") > 100, "the slow ones are behind");
    let grown = most.saturating_sub(before);
    eprintln!(
        "{} MiB published past two slow readers: {} KiB more, slowest delivery {slowest:?}",
        (EVENTS * BLOB) >> 20,
        grown >> 10
    );
    assert!(grown < 8 << 20, "grew by {} KiB from {} KiB", grown >> 10, before >> 10);
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    for follower in &mut slow {
        let seen: Vec<String> = follower.events(EVENTS).into_iter().map(|e| e.id).collect();
        assert_eq!(seen, told);
    }
}

/// Publishes until both are stuck, and waits until they are gone.
#[test]
fn follower_accepting_no_bytes_is_disconnected_as_stalled() {
    let fixture = Fixture::with_config(&[("write_timeout", "1s")]);
    let blob = "x".repeat(BLOB);
    let request = Request::get("/events/client").bearer(&fixture.token);
    let stalled: Vec<Connection> = [request.clone(), request.http_1_0()]
        .iter()
        .map(|request| {
            let mut wire = fixture.write(request.bytes());
            assert_eq!(wire.read_head().status, 200);
            wire
        })
        .collect();
    let mut quick = fixture.follow();
    let mut number = 0;
    wait_until("both stalled readers are gone", || {
        number += 1;
        let told = tell_much(&fixture, number, &blob);
        assert_eq!(quick.next_event().id, told);
        fixture.relay.metric("docrelay_followers") == 1
    });
    assert_eq!(fixture.relay.metric("docrelay_disconnects_total{reason=\"stalled\"}"), 2);
    assert_eq!(fixture.relay.metric("docrelay_disconnects_total{reason=\"closed\"}"), 0);
    fixture.relay.wait_for_output("reason=\"stalled\"");
    drop(stalled);
}

#[test]
fn stall_is_detected_with_data_in_kernel_buffers() {
    let fixture = Fixture::with_config(&[("write_timeout", "1s"), ("idle_interval", "60s")]);
    let mut wire = Connection::open(fixture.relay.listen);
    wire.shrink_receive_buffer();
    wire.write(Request::get("/events/client").bearer(&fixture.token).bytes());
    assert_eq!(wire.read_head().status, 200);
    tell_much(&fixture, 1, &"x".repeat(BLOB));
    fixture.relay.wait_for_metric("docrelay_followers", 0);
    assert_eq!(fixture.relay.metric("docrelay_disconnects_total{reason=\"stalled\"}"), 1);
}

#[test]
fn stuck_follower_ends_with_token_expiry_or_removal() {
    let fixture = Fixture::with_config(&[("write_timeout", "60s")]);
    let blob = "x".repeat(BLOB);
    let expires = jsonwebtoken::get_current_timestamp() + 3;
    let short = fixture.relay.sign_token(&json!({"exp": expires}));
    let stuck = [fixture.relay.follow(&short), fixture.follow()];
    let mut quick = fixture.follow();
    let lag = |at: usize| {
        let list = fixture.relay.admin("GET", "/admin/followers").json();
        let entry = list["followers"][at].clone();
        (entry["id"].as_str().unwrap_or_default().to_owned(), entry["lag"].as_u64().unwrap_or_default())
    };
    let mut number = 0;
    wait_until("both are stuck", || {
        number += 1;
        tell_much(&fixture, number, &blob);
        quick.next_event();
        lag(1).1 > 2 || fixture.relay.metric("docrelay_disconnects_total{reason=\"expired\"}") > 0
    });
    fixture.relay.wait_for_metric("docrelay_disconnects_total{reason=\"expired\"}", 1);
    let late = jsonwebtoken::get_current_timestamp().saturating_sub(expires);
    assert!(late <= 5, "{late} s after its expiry");
    let (id, _) = lag(0);
    let began = Instant::now();
    assert_eq!(fixture.relay.admin("DELETE", &format!("/admin/followers/{id}")).status, 204);
    fixture.relay.wait_for_metric("docrelay_followers", 1);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(fixture.relay.metric("docrelay_disconnects_total{reason=\"removed\"}"), 1);
    drop::<[Follower; 2]>(stuck);
}
