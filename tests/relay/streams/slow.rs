//! Readers that do not read: they cost nobody else anything, lose nothing when they read on, and are sent away when
//! they accept no byte for the write time-out.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use super::scene::Scene;
use crate::support::sse::Follower;
use crate::support::wire::{Request, Wire};

const BLOB: usize = 200 << 10;

/// An event with a body near the bound; its id.
#[track_caller]
fn tell_much(scene: &Scene, number: usize, blob: &str) -> String {
    scene.say(&json!({"documentId": format!("large {number}"), "status": "COMPLETED", "blob": blob}))
}

/// Resident memory of the relay, in bytes.
#[track_caller]
fn resident(scene: &Scene) -> usize {
    let card = fs::read_to_string(scene.relay.data().join("relay.json")).expect("the card");
    let pid = serde_json::from_str::<serde_json::Value>(&card).expect("JSON")["pid"].as_u64().expect("a pid");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")).expect("VmRSS");
    line.trim().parse::<usize>().expect("a number") * 1024
}

/// Trap 2: replay pushed through the live buffer. Trap 8: an unbounded queue per slow reader. Trap 11: memory that is
/// not given back.
#[test]
fn a_reader_that_pauses_costs_no_memory_delays_nobody_and_loses_nothing() {
    const EVENTS: usize = 320;
    let scene = Scene::with(&[("write_timeout", "60s")]);
    let blob = "x".repeat(BLOB);
    let mut quick = scene.follow();
    // The database's caches fill up first, without anybody slow.
    for number in 0..200 {
        let told = tell_much(&scene, number, &blob);
        assert_eq!(quick.event().id, told);
    }
    let before = resident(&scene);
    let mut slow = [scene.follow(), scene.query("status=COMPLETED")];
    let mut told = Vec::new();
    let (mut most, mut slowest) = (0, Duration::ZERO);
    for number in 0..EVENTS {
        let began = Instant::now();
        told.push(tell_much(&scene, 1000 + number, &blob));
        assert_eq!(quick.event().id, told[number]);
        slowest = slowest.max(began.elapsed());
        most = most.max(resident(&scene));
    }
    assert_eq!(scene.metric("docrelay_followers"), 3);
    assert!(scene.metric("docrelay_follower_lag") > 100, "the slow ones are behind");
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
fn a_reader_that_accepts_no_byte_is_disconnected_as_stalled() {
    let scene = Scene::with(&[("write_timeout", "1s")]);
    let blob = "x".repeat(BLOB);
    let request = Request::get("/events/client").bearer(&scene.token);
    let stalled: Vec<Wire> = [request.clone(), request.http_1_0()]
        .iter()
        .map(|request| {
            let mut wire = scene.raw(request.bytes());
            assert_eq!(wire.head().status, 200);
            wire
        })
        .collect();
    let mut quick = scene.follow();
    let mut number = 0;
    super::scene::wait_until("both stalled readers are gone", || {
        number += 1;
        let told = tell_much(&scene, number, &blob);
        assert_eq!(quick.event().id, told);
        scene.metric("docrelay_followers") == 1
    });
    assert_eq!(scene.metric("docrelay_disconnects_total{reason=\"stalled\"}"), 2);
    assert_eq!(scene.metric("docrelay_disconnects_total{reason=\"closed\"}"), 0);
    scene.relay.wait_until_said("reason=\"stalled\"");
    drop(stalled);
}

#[test]
fn a_reader_that_stalls_with_everything_in_the_kernels_buffers_is_stalled_too() {
    let scene = Scene::with(&[("write_timeout", "1s"), ("idle_interval", "60s")]);
    let mut wire = Wire::connect(scene.relay.listen);
    wire.keep_little();
    wire.send(Request::get("/events/client").bearer(&scene.token).bytes());
    assert_eq!(wire.head().status, 200);
    tell_much(&scene, 1, &"x".repeat(BLOB));
    scene.wait_for_metric("docrelay_followers", 0);
    assert_eq!(scene.metric("docrelay_disconnects_total{reason=\"stalled\"}"), 1);
}

#[test]
fn a_stuck_reader_cannot_outlive_its_token_its_client_or_the_administrators_patience() {
    let scene = Scene::with(&[("write_timeout", "60s")]);
    let blob = "x".repeat(BLOB);
    let expires = jsonwebtoken::get_current_timestamp() + 3;
    let short = scene.forge(&json!({"exp": expires}));
    let stuck = [scene.relay.follow(&short), scene.follow()];
    let mut quick = scene.follow();
    let lag = |at: usize| {
        let list = scene.admin("GET", "/admin/followers").json();
        let entry = list["followers"][at].clone();
        (entry["id"].as_str().unwrap_or_default().to_owned(), entry["lag"].as_u64().unwrap_or_default())
    };
    let mut number = 0;
    super::scene::wait_until("both are stuck", || {
        number += 1;
        tell_much(&scene, number, &blob);
        quick.event();
        lag(1).1 > 2 || scene.metric("docrelay_disconnects_total{reason=\"expired\"}") > 0
    });
    scene.wait_for_metric("docrelay_disconnects_total{reason=\"expired\"}", 1);
    let late = jsonwebtoken::get_current_timestamp().saturating_sub(expires);
    assert!(late <= 5, "{late} s after its expiry");
    let (id, _) = lag(0);
    let began = Instant::now();
    assert_eq!(scene.admin("DELETE", &format!("/admin/followers/{id}")).status, 204);
    scene.wait_for_metric("docrelay_followers", 1);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(scene.metric("docrelay_disconnects_total{reason=\"removed\"}"), 1);
    drop::<[Follower; 2]>(stuck);
}
