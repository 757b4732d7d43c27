//! Followers that leave without a word: they are gone from the gauges within seconds, and so is what they held.

use std::time::{Duration, Instant};

use super::scene::Scene;
use crate::support::sse::Follower;
use crate::support::wire::{Request, Wire};

/// Trap 7: half-open connections pile up. Trap 12: what a follower leaves behind.
#[test]
fn followers_that_leave_abruptly_are_gone_within_seconds() {
    let scene = Scene::start();
    let chunked = Request::get("/events/client").bearer(&scene.token);
    let bare = chunked.clone().http_1_0();
    let mut wires: Vec<Wire> = (0..500)
        .map(|n| {
            let mut wire = Wire::connect(scene.relay.listen);
            wire.send(if n % 5 == 0 { &bare } else { &chunked }.bytes());
            wire
        })
        .collect();
    for wire in &mut wires {
        assert_eq!(wire.head().status, 200);
    }
    scene.wait_for_metric("docrelay_followers", 500);
    let began = Instant::now();
    for (n, wire) in wires.into_iter().enumerate() {
        match n % 3 {
            0 => wire.reset(),
            1 => drop(wire),
            // Half an end: whoever says that it will say nothing more has left, as far as a stream goes.
            _ => wire.finish_sending(),
        }
    }
    scene.wait_for_metric("docrelay_followers", 0);
    // The one that asks.
    scene.wait_for_metric("docrelay_connections", 1);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(scene.metric("docrelay_disconnects_total{reason=\"closed\"}"), 500, "every end is counted");
    assert_eq!(scene.metric("docrelay_followers_opened_total"), 500);
    let list = scene.admin("GET", "/admin/followers").json();
    assert_eq!(list["followers"].as_array().map(Vec::len), Some(0));
    let mut follower = scene.follow();
    assert_eq!(scene.tell(1), follower.event().id);
}

#[test]
fn a_follower_that_leaves_before_its_stream_begins_leaves_nothing() {
    let scene = Scene::start();
    for _ in 0..50 {
        scene.raw(scene.head() + "\r\n").reset();
        drop(scene.raw(scene.head() + "\r\n"));
    }
    scene.wait_for_metric("docrelay_connections", 1);
    scene.wait_for_metric("docrelay_followers", 0);
    let opened = scene.metric("docrelay_followers_opened_total");
    assert_eq!(scene.metric("docrelay_disconnects_total{reason=\"closed\"}"), opened);
}

#[test]
fn a_follower_that_talks_without_end_is_sent_away() {
    let scene = Scene::start();
    let mut follower = Follower::open(scene.relay.listen, &Request::get("/events/client").bearer(&scene.token));
    follower.next(crate::support::PATIENCE);
    let mut talker = scene.raw(scene.head() + "\r\n");
    assert_eq!(talker.head().status, 200);
    while talker.try_send([b'x'; 4096]).is_ok() {}
    scene.wait_for_metric("docrelay_followers", 1);
    assert_eq!(scene.tell(1), follower.event().id);
}
