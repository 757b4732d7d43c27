//! Streams that the relay ends: expired token, removed client, admin request, shutdown. The last block of the stream
//! tells the reason.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::fixture::Fixture;
use crate::harness::follower::Follower;
use crate::harness::request::Request;
use crate::harness::sse::Block;
use crate::harness::wait_until;

/// Opens the same stream over HTTP/1.1 and HTTP/1.0, which the relay serves in different ways.
#[track_caller]
fn open_both(fixture: &Fixture, token: &str) -> [Follower; 2] {
    let request = Request::get("/events/client").bearer(token);
    [request.clone(), request.http_1_0()].map(|request| Follower::open(fixture.relay.listen, &request))
}

#[track_caller]
fn assert_auth_failed(rest: &[Block]) {
    let last = rest.last().expect("a last block");
    assert_eq!((last.event.as_deref(), last.data.as_deref()), (Some("error"), Some("auth_failed")), "{rest:?}");
    assert!(last.retry.is_some_and(|retry| retry >= 30_000), "{rest:?}");
    assert_eq!(rest.iter().filter(|block| block.data.is_some()).count(), 1, "{rest:?}");
}

#[test]
fn expired_token_ends_stream_within_a_second() {
    let fixture = Fixture::start();
    let expires = jsonwebtoken::get_current_timestamp() + 2;
    let token = fixture.relay.sign_token(&json!({"exp": expires}));
    for mut follower in open_both(&fixture, &token) {
        assert_auth_failed(&follower.read_to_end());
        let now = jsonwebtoken::get_current_timestamp();
        assert!((expires..=expires + 1).contains(&now), "expired at {expires}, ended at {now}");
    }
    let mut again = fixture.relay.follow(&token);
    assert_auth_failed(&again.read_to_end());
    assert_eq!(fixture.relay.metric("docrelay_disconnects_total{reason=\"expired\"}"), 2);
}

#[test]
fn removed_client_ends_only_its_own_streams() {
    let fixture = Fixture::start();
    fixture.relay.add_client("removed");
    let token = fixture.relay.token("removed");
    let mut removed = open_both(&fixture, &token);
    let mut unaffected = fixture.follow();
    fixture.relay.remove_client("removed");
    for follower in &mut removed {
        assert_auth_failed(&follower.read_to_end());
    }
    assert_auth_failed(&fixture.relay.follow_from(&token, "earliest").read_to_end());
    let id = fixture.complete(1);
    assert_eq!(unaffected.next_event().id, id);
    assert_eq!(fixture.relay.metric("docrelay_disconnects_total{reason=\"revoked\"}"), 2);
    // A new client of the same name inherits neither the streams nor their end.
    fixture.relay.add_client("removed");
    let fresh = fixture.relay.sign_token(&json!({"sub": "removed", "iat": jsonwebtoken::get_current_timestamp() + 1}));
    let hook = fixture.relay.add_hook("removed", "gini", &[]).path;
    let mut follower = fixture.relay.follow(&fresh);
    let body = json!({"documentId": "d", "status": "ERROR"}).to_string();
    let response = fixture.relay.send(&Request::post(&hook).json(&body));
    assert_eq!(Some(follower.next_event().id.as_str()), response.header("docrelay-event-id"));
}

#[test]
fn admin_request_ends_exactly_one_stream() {
    let fixture = Fixture::start();
    let mut streams = open_both(&fixture, &fixture.token);
    let list = |fixture: &Fixture| {
        fixture.relay.admin("GET", "/admin/followers").json()["followers"].as_array().expect("a list").clone()
    };
    let id = fixture.complete(1);
    for stream in &mut streams {
        assert_eq!(stream.next_event().id, id);
    }
    // The relay counts a byte after it has written it.
    wait_until("every byte is counted", || list(&fixture).iter().all(|f| f["bytes"].as_u64().is_some_and(|b| b > 100)));
    let listed = list(&fixture);
    assert_eq!(listed.len(), 2);
    for (left, (stream, entry)) in streams.iter_mut().zip(&listed).enumerate() {
        assert_eq!((&entry["client"], &entry["lag"]), (&json!("acme"), &json!(0)));
        let path = format!("/admin/followers/{}", entry["id"].as_str().expect("an id"));
        assert_eq!(fixture.relay.admin("DELETE", &path).status, 204);
        let rest = stream.read_to_end();
        let last = rest.last().expect("a last block");
        assert!(last.data.is_none() && last.retry.is_some_and(|r| r >= 1000) && last.comments.len() == 1, "{rest:?}");
        wait_until("the stream is not listed any more", || list(&fixture).len() == 1 - left);
        assert_eq!(fixture.relay.admin("DELETE", &path).status, 404);
    }
    assert_eq!(fixture.relay.admin("DELETE", "/admin/followers/unknown").status, 404);
    assert_eq!(fixture.relay.metric("docrelay_disconnects_total{reason=\"removed\"}"), 2);
    assert_eq!(
        fixture.relay.send_admin(&Request::new("DELETE", "/admin/followers/1").bearer(&fixture.token)).status,
        401
    );
}

/// Followers must not all reconnect at the same moment after a deployment.
// Rule 9: no herd after a disconnect.
#[test]
fn shutdown_sends_jittered_retry_to_every_stream() {
    let mut fixture = Fixture::start();
    let mut streams: Vec<Follower> = (0..10).flat_map(|_| open_both(&fixture, &fixture.token)).collect();
    let began = Instant::now();
    assert_eq!(fixture.relay.stop().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let retries: Vec<u64> = streams
        .iter_mut()
        .map(|stream| {
            let chunked = stream.head.is_chunked();
            let rest = stream.read_to_end();
            assert!(!chunked || stream.has_last_chunk(), "the last chunk is missing");
            assert!(rest.iter().all(|block| block.data.is_none()), "{rest:?}");
            rest.last().and_then(|block| block.retry).unwrap_or_else(|| panic!("no retry: {rest:?}"))
        })
        .collect();
    assert!(retries.iter().all(|r| (1000..=10_000).contains(r)), "{retries:?}");
    assert!(retries.iter().any(|r| r.abs_diff(retries[0]) > 500), "{retries:?}");
}

#[test]
fn shutdown_does_not_wait_for_stuck_followers() {
    let mut fixture = Fixture::with_config(&[("grace", "6s")]);
    let mut stuck: Vec<_> = open_both(&fixture, &fixture.token).into();
    let mut reading = fixture.follow();
    let blob = "x".repeat(200 << 10);
    let mut number = 0;
    wait_until("both followers are stuck", || {
        number += 1;
        fixture.post(&json!({"documentId": format!("{number}"), "status": "COMPLETED", "blob": blob}));
        reading.next_event();
        let listed = fixture.relay.admin("GET", "/admin/followers").json();
        let behind = |f: &&serde_json::Value| f["lag"].as_u64().is_some_and(|lag| lag > 2);
        listed["followers"].as_array().expect("a list").iter().filter(behind).count() == 2
    });
    let began = Instant::now();
    assert_eq!(fixture.relay.stop().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert!(reading.read_to_end().last().is_some_and(|block| block.retry.is_some()));
    fixture.relay.wait_for_output("stopped");
    stuck.clear();
}
