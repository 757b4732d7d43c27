//! The bounds that a stream meets: followers in all and per client, heads that never end, connections in all.

use std::time::{Duration, Instant};

use super::scene::{Scene, document};
use crate::support::PATIENCE;
use crate::support::sse::{Follower, Next};
use crate::support::wire::{Answer, Came, Request, Wire};

#[track_caller]
fn assert_sent_away(answer: &Answer) -> u64 {
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
    let text = answer.text();
    let (comment, retry) = text.split_once('\n').expect("two lines");
    assert!(comment.starts_with(": "), "{text:?}");
    let retry = retry.strip_prefix("retry: ").and_then(|r| r.strip_suffix("\n\n")).and_then(|r| r.parse().ok());
    retry.unwrap_or_else(|| panic!("no retry: {text:?}"))
}

#[test]
fn a_follower_too_many_is_told_to_come_back_and_hooks_are_still_taken() {
    let scene = Scene::with(&[("max_followers", "3"), ("max_followers_per_client", "2")]);
    scene.relay.client_add("other");
    scene.relay.client_add("third");
    let (other, third) = (scene.relay.token("other"), scene.relay.token("third"));
    let ask = |token: &str| scene.relay.ask(&Request::get("/events/client").bearer(token));
    let mut ours = [scene.follow(), scene.follow()];
    let retries: Vec<u64> = (0..8).map(|_| assert_sent_away(&ask(&scene.token))).collect();
    assert!(retries.iter().all(|r| *r >= 5_000) && retries.iter().any(|r| *r != retries[0]), "{retries:?}");
    let theirs = scene.relay.follow(&other);
    assert_sent_away(&ask(&third));
    assert_eq!(scene.metric("docrelay_stream_refusals_total{reason=\"followers_per_client\"}"), 8);
    assert_eq!(scene.metric("docrelay_stream_refusals_total{reason=\"followers\"}"), 1);
    // A bad token is told so first, not that there is no room.
    assert!(ask("nonsense").text().contains("auth_failed"));
    let told = scene.tell(1);
    for follower in &mut ours {
        assert_eq!(follower.event().id, told);
    }
    drop(theirs);
    scene.wait_for_metric("docrelay_followers", 2);
    let mut follower = scene.relay.follow(&third);
    assert!(matches!(follower.next(PATIENCE), Next::Block(_)), "a place that was given up is taken again");
}

#[test]
fn half_a_head_is_closed_in_time_however_slowly_it_comes() {
    let scene = Scene::with(&[("header_timeout", "1s")]);
    let half = scene.raw(&scene.head()[..20]);
    let mut trickle = scene.raw("GET /events/client HTTP/1.1\r\n");
    let began = Instant::now();
    // A byte now and then does not buy more time.
    while began.elapsed() < PATIENCE && trickle.read(Duration::from_millis(50)) == Came::Nothing {
        if trickle.try_send("a").is_err() {
            break;
        }
    }
    let took = began.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&took), "{took:?}");
    let mut half = half;
    assert!(half.ends());
    // A connection without any request at all, too.
    assert!(scene.raw("").ends());
    scene.wait_for_metric("docrelay_connections", 1);
}

#[test]
fn too_large_a_head_is_answered_431_and_one_below_the_bound_is_read() {
    let scene = Scene::with(&[("max_header_bytes", "16KiB")]);
    let large = scene.head() + "X-Large: " + &"a".repeat(200_000) + "\r\n\r\n";
    let mut wire = Wire::connect(scene.relay.listen);
    // It may be cut off before all of it is sent.
    wire.try_send(&large).ok();
    let answer = wire.answer(false);
    assert_eq!((answer.status, answer.header("connection")), (431, Some("close")));
    assert!(wire.ends());
    let many = scene.head() + &(0..150).map(|n| format!("X-{n}: a\r\n")).collect::<String>() + "\r\n";
    assert_eq!(scene.raw(many).answer(false).status, 431);
    let fits = scene.head() + "X-Large: " + &"a".repeat(12_000) + "\r\n\r\n";
    assert_eq!(scene.raw(fits).head().status, 200);
    let documents: Vec<String> = (0..250).map(|n| format!("document={}", document(n))).collect();
    assert!(scene.query(&documents.join("&")).head.is_chunked(), "a page may follow hundreds of documents");
}

#[test]
fn connections_beyond_the_bound_wait_and_the_operator_does_not() {
    let scene = Scene::with(&[("max_connections", "4"), ("max_followers", "3"), ("max_followers_per_client", "3")]);
    let mut streams: Vec<Follower> = (0..3).map(|_| scene.follow()).collect();
    scene.wait_for_metric("docrelay_connections", 4);
    let mut last = Wire::connect(scene.relay.listen);
    let page = Request::get("/.well-known/jwks.json");
    assert_eq!(last.ask(&page).status, 200);
    let mut waiting = scene.raw(page.bytes());
    assert_eq!(waiting.read(Duration::from_millis(300)), Came::Nothing);
    assert_eq!(scene.metric("docrelay_followers"), 3);
    streams.pop();
    assert_eq!(waiting.answer(false).status, 200);
}
