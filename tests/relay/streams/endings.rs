//! How a stream ends that its reader has not left: the token expires, the client is removed, the administrator or the
//! relay ends it. Whatever it is, it is said in the stream, and soon.

use std::time::{Duration, Instant};

use serde_json::json;

use super::scene::{Scene, wait_until};
use crate::support::sse::{Block, Follower};
use crate::support::wire::Request;

/// The same stream over both ways that the relay has of serving one.
#[track_caller]
fn both(scene: &Scene, token: &str) -> [Follower; 2] {
    let request = Request::get("/events/client").bearer(token);
    [request.clone(), request.http_1_0()].map(|request| Follower::open(scene.relay.listen, &request))
}

#[track_caller]
fn assert_failed(rest: &[Block]) {
    let last = rest.last().expect("a last block");
    assert_eq!((last.event.as_deref(), last.data.as_deref()), (Some("error"), Some("auth_failed")), "{rest:?}");
    assert!(last.retry.is_some_and(|retry| retry >= 30_000), "{rest:?}");
    assert_eq!(rest.iter().filter(|block| block.data.is_some()).count(), 1, "{rest:?}");
}

#[test]
fn a_token_that_expires_ends_its_stream_within_a_second() {
    let scene = Scene::start();
    let expires = jsonwebtoken::get_current_timestamp() + 2;
    let token = scene.forge(&json!({"exp": expires}));
    for mut follower in both(&scene, &token) {
        assert_failed(&follower.rest());
        let now = jsonwebtoken::get_current_timestamp();
        assert!((expires..=expires + 1).contains(&now), "expired at {expires}, ended at {now}");
    }
    let mut again = scene.relay.follow(&token);
    assert_failed(&again.rest());
    assert_eq!(scene.metric("docrelay_disconnects_total{reason=\"expired\"}"), 2);
}

#[test]
fn a_client_that_is_removed_takes_its_streams_along_and_leaves_the_others() {
    let scene = Scene::start();
    scene.relay.client_add("gone");
    let token = scene.relay.token("gone");
    let mut theirs = both(&scene, &token);
    let mut ours = scene.follow();
    assert_eq!(scene.admin("DELETE", "/admin/clients/gone").status, 204);
    for follower in &mut theirs {
        assert_failed(&follower.rest());
    }
    assert_failed(&scene.relay.follow_from(&token, "earliest").rest());
    let told = scene.tell(1);
    assert_eq!(ours.event().id, told);
    assert_eq!(scene.metric("docrelay_disconnects_total{reason=\"revoked\"}"), 2);
    // The name is free again, for somebody else: neither the old streams nor their end are inherited.
    scene.relay.client_add("gone");
    let fresh = scene.forge(&json!({"sub": "gone", "iat": jsonwebtoken::get_current_timestamp() + 1}));
    let hook = scene.relay.hook_add("gone", "gini", &[]).path;
    let mut follower = scene.relay.follow(&fresh);
    let body = json!({"documentId": "d", "status": "ERROR"}).to_string();
    let answer = scene.relay.ask(&Request::post(&hook).json(&body));
    assert_eq!(Some(follower.event().id.as_str()), answer.header("docrelay-event-id"));
}

#[test]
fn the_administrator_ends_one_stream_and_only_that() {
    let scene = Scene::start();
    let mut streams = both(&scene, &scene.token);
    let list =
        |scene: &Scene| scene.admin("GET", "/admin/followers").json()["followers"].as_array().expect("a list").clone();
    let told = scene.tell(1);
    for stream in &mut streams {
        assert_eq!(stream.event().id, told);
    }
    // The byte is counted after it has been read.
    wait_until("every byte is counted", || list(&scene).iter().all(|f| f["bytes"].as_u64().is_some_and(|b| b > 100)));
    let listed = list(&scene);
    assert_eq!(listed.len(), 2);
    for (left, (stream, entry)) in streams.iter_mut().zip(&listed).enumerate() {
        assert_eq!((&entry["client"], &entry["lag"]), (&json!("acme"), &json!(0)));
        let path = format!("/admin/followers/{}", entry["id"].as_str().expect("an id"));
        assert_eq!(scene.admin("DELETE", &path).status, 204);
        let rest = stream.rest();
        let last = rest.last().expect("a last block");
        assert!(last.data.is_none() && last.retry.is_some_and(|r| r >= 1000) && last.comments.len() == 1, "{rest:?}");
        wait_until("it is gone from the list", || list(&scene).len() == 1 - left);
        assert_eq!(scene.admin("DELETE", &path).status, 404);
    }
    assert_eq!(scene.admin("DELETE", "/admin/followers/nobody").status, 404);
    assert_eq!(scene.metric("docrelay_disconnects_total{reason=\"removed\"}"), 2);
    assert_eq!(scene.relay.ask_admin(&Request::new("DELETE", "/admin/followers/1").bearer(&scene.token)).status, 401);
}

/// Trap 9: the reconnect herd after a deploy.
#[test]
fn a_stop_tells_every_stream_when_to_come_back_each_at_another_time() {
    let mut scene = Scene::start();
    let mut streams: Vec<Follower> = (0..10).flat_map(|_| both(&scene, &scene.token)).collect();
    let began = Instant::now();
    assert_eq!(scene.relay.stop().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let retries: Vec<u64> = streams
        .iter_mut()
        .map(|stream| {
            let chunked = stream.head.is_chunked();
            let rest = stream.rest();
            assert!(!chunked || stream.was_closed(), "the closing chunk is missing");
            assert!(rest.iter().all(|block| block.data.is_none()), "{rest:?}");
            rest.last().and_then(|block| block.retry).unwrap_or_else(|| panic!("no retry: {rest:?}"))
        })
        .collect();
    assert!(retries.iter().all(|r| (1000..=10_000).contains(r)), "{retries:?}");
    assert!(retries.iter().any(|r| r.abs_diff(retries[0]) > 500), "{retries:?}");
}

#[test]
fn a_stop_does_not_wait_for_readers_that_accept_nothing() {
    let mut scene = Scene::with(&[("grace", "6s")]);
    let mut stuck: Vec<_> = both(&scene, &scene.token).into();
    let mut reading = scene.follow();
    let blob = "x".repeat(200 << 10);
    // Until both are stuck: what they have been handed does not go out any more.
    let mut told = 0;
    wait_until("both readers are stuck", || {
        told += 1;
        scene.say(&json!({"documentId": format!("{told}"), "status": "COMPLETED", "blob": blob}));
        reading.event();
        let listed = scene.admin("GET", "/admin/followers").json();
        let behind = |f: &&serde_json::Value| f["lag"].as_u64().is_some_and(|lag| lag > 2);
        listed["followers"].as_array().expect("a list").iter().filter(behind).count() == 2
    });
    let began = Instant::now();
    assert_eq!(scene.relay.stop().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert!(reading.rest().last().is_some_and(|block| block.retry.is_some()));
    scene.relay.wait_until_said("stopped");
    stuck.clear();
}
