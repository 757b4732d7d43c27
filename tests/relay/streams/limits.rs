//! Limits of streams: followers in total and per client, the size and time of a request head, connections in total.

use std::time::{Duration, Instant};

use crate::harness::TIMEOUT;
use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::fixture::{Fixture, document_id};
use crate::harness::follower::{Follower, Next};
use crate::harness::request::Request;
use crate::harness::response::Response;

/// Asserts that a stream was refused because of a limit. Returns the value of `retry`.
#[track_caller]
fn assert_limited(response: &Response) -> u64 {
    assert_eq!((response.status, response.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(response.header("connection"), Some("close"), "it does not hold a connection that vendors need");
    let text = response.text();
    let (comment, retry) = text.split_once('\n').expect("two lines");
    assert!(comment.starts_with(": "), "{text:?}");
    let retry = retry.strip_prefix("retry: ").and_then(|r| r.strip_suffix("\n\n")).and_then(|r| r.parse().ok());
    retry.unwrap_or_else(|| panic!("no retry: {text:?}"))
}

#[test]
fn follower_limit_sends_retry_and_webhooks_still_work() {
    let fixture = Fixture::with_config(&[("max_followers", "3"), ("max_followers_per_client", "2")]);
    fixture.relay.add_client("other");
    fixture.relay.add_client("third");
    let (other, third) = (fixture.relay.token("other"), fixture.relay.token("third"));
    let open = |token: &str| fixture.relay.send(&Request::get("/events/client").bearer(token));
    let mut ours = [fixture.follow(), fixture.follow()];
    let retries: Vec<u64> = (0..8).map(|_| assert_limited(&open(&fixture.token))).collect();
    assert!(retries.iter().all(|r| *r >= 5_000) && retries.iter().any(|r| *r != retries[0]), "{retries:?}");
    let theirs = fixture.relay.follow(&other);
    let refused = open(&third);
    assert_limited(&refused);
    assert!(refused.text().starts_with(": too many followers (max_followers)\n"), "{refused:?}");
    assert_eq!(fixture.relay.metric("docrelay_stream_refusals_total{reason=\"followers_per_client\"}"), 8);
    assert_eq!(fixture.relay.metric("docrelay_stream_refusals_total{reason=\"followers\"}"), 1);
    // An invalid token is reported before the limit.
    assert!(open("nonsense").text().contains("auth_failed"));
    let id = fixture.complete(1);
    for follower in &mut ours {
        assert_eq!(follower.next_event().id, id);
    }
    drop(theirs);
    fixture.relay.wait_for_metric("docrelay_followers", 2);
    let mut follower = fixture.relay.follow(&third);
    assert!(matches!(follower.next(TIMEOUT), Next::Block(_)), "a closed stream releases its permit");
}

#[test]
fn incomplete_request_head_is_closed_after_header_timeout() {
    let fixture = Fixture::with_config(&[("header_timeout", "1s")]);
    let mut incomplete = fixture.write(&fixture.stream_request_head()[..20]);
    let mut trickle = fixture.write("GET /events/client HTTP/1.1\r\n");
    let began = Instant::now();
    // The timeout covers the whole head, however many bytes arrive.
    while began.elapsed() < TIMEOUT && trickle.read(Duration::from_millis(50)) == ReadOutcome::TimedOut {
        if trickle.try_write("a").is_err() {
            break;
        }
    }
    let elapsed = began.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&elapsed), "{elapsed:?}");
    assert!(incomplete.is_closed_by_peer());
    // The timeout also covers a connection without a request.
    assert!(fixture.write("").is_closed_by_peer());
    fixture.relay.wait_for_metric("docrelay_connections", 1);
}

#[test]
fn oversized_request_head_gets_431() {
    let fixture = Fixture::with_config(&[("max_header_bytes", "16KiB")]);
    let large = fixture.stream_request_head() + "X-Large: " + &"a".repeat(200_000) + "\r\n\r\n";
    let mut connection = Connection::open(fixture.relay.listen);
    // The relay may close the connection before all of the head is sent.
    connection.try_write(&large).ok();
    let response = connection.read_response();
    assert_eq!((response.status, response.header("connection")), (431, Some("close")));
    assert!(connection.is_closed_by_peer());
    let many = fixture.stream_request_head() + &(0..150).map(|n| format!("X-{n}: a\r\n")).collect::<String>() + "\r\n";
    assert_eq!(fixture.write(many).read_response().status, 431);
    let fits = fixture.stream_request_head() + "X-Large: " + &"a".repeat(12_000) + "\r\n\r\n";
    assert_eq!(fixture.write(fits).read_head().status, 200);
    let documents: Vec<String> = (0..250).map(|n| format!("document={}", document_id(n))).collect();
    assert!(
        fixture.follow_with_query(&documents.join("&")).head.is_chunked(),
        "hundreds of documents fit into the limit"
    );
}

#[test]
fn connection_limit_delays_new_connections_but_not_admin() {
    let fixture =
        Fixture::with_config(&[("max_connections", "4"), ("max_followers", "3"), ("max_followers_per_client", "3")]);
    let mut streams: Vec<Follower> = (0..3).map(|_| fixture.follow()).collect();
    fixture.relay.wait_for_metric("docrelay_connections", 4);
    let mut last = Connection::open(fixture.relay.listen);
    let page = Request::get("/.well-known/jwks.json");
    assert_eq!(last.send(&page).status, 200);
    let mut waiting = fixture.write(page.bytes());
    assert_eq!(waiting.read(Duration::from_millis(300)), ReadOutcome::TimedOut);
    assert_eq!(fixture.relay.metric("docrelay_followers"), 3);
    streams.pop();
    assert_eq!(waiting.read_response().status, 200);
}
