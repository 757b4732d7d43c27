//! The limits of requests on HTTP/2: streams at once, heads, bodies, idle connections.

use std::time::{Duration, Instant};

use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::fixture::Fixture;
use crate::harness::http2::{Http2Connection, frames};
use crate::harness::request::Request;
use crate::harness::{TIMEOUT, TestRelay, wait_until};

const PAGE: &str = "/.well-known/jwks.json";

#[test]
fn streams_per_connection_are_bounded_and_followers_count() {
    let fixture = Fixture::with_config(&[("max_concurrent_streams", "3"), ("max_followers_per_client", "2")]);
    let mut connection = Http2Connection::open(fixture.relay.listen);
    assert_eq!(connection.send(&Request::get(PAGE)).status, 200);
    assert_eq!(connection.max_streams(), 3);
    let follow = Request::get("/events/client").bearer(&fixture.token);
    let _open = [connection.open_stream(&follow), connection.open_stream(&follow)];
    let mut third = connection.open_stream(&follow);
    connection.read_to_end(&mut third).expect("an orderly end");
    assert!(third.raw().contains("retry: "), "{:?}", third.raw());
    assert_eq!(fixture.relay.metric("docrelay_followers"), 2);
    // Streams beyond the bound are refused one by one: the others go on.
    let mut raw = Connection::open(fixture.relay.listen);
    let mut flood = frames::opening();
    for stream in 0..10 {
        // Without the end of the request, so that all are open at once.
        flood.extend(frames::frame(frames::HEADERS, frames::END_HEADERS, 2 * stream + 1, frames::GET_ROOT));
    }
    raw.write(flood);
    let started = Instant::now();
    assert_eq!(connection.send(&Request::get(PAGE)).status, 200);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn late_head_ends_the_connection_beside_an_open_stream() {
    let fixture = Fixture::with_config(&[("header_timeout", "1s")]);
    let mut connection = Connection::open(fixture.relay.listen);
    connection.write(frames::opening());
    connection.write(frames::follow(1, &fixture.token));
    fixture.relay.wait_for_metric("docrelay_followers", 1);
    connection.write(frames::frame(frames::HEADERS, frames::END_STREAM, 3, b"\x82"));
    assert!(connection.is_closed_by_peer());
    fixture.relay.wait_for_metric("docrelay_followers", 0);
}

#[test]
fn late_and_large_bodies_and_heads_are_refused() {
    let fixture = Fixture::with_config(&[("body_timeout", "1s"), ("max_body_bytes", "8KiB")]);
    let mut connection = Http2Connection::open(fixture.relay.listen);
    let large = connection.send(&Request::post(&fixture.hook).json(&"x".repeat(9 << 10)));
    assert_eq!(large.status, 413, "{large:?}");
    let late = connection.send_without_end(&Request::post(&fixture.hook).json("{"));
    assert_eq!(late.status, 408, "{late:?}");
    let head = connection.try_send(&Request::get(PAGE).header("x-large", &"x".repeat(64 << 10)));
    assert!(head.is_err() || head.as_ref().is_ok_and(|head| head.status == 431), "{head:?}");
    assert_eq!(Http2Connection::open(fixture.relay.listen).send(&Request::get(PAGE)).status, 200);
}

#[test]
fn idle_connection_ends_after_the_keep_alive_time_out() {
    let relay = TestRelay::with_config(&[("keep_alive_timeout", "1s")]);
    let mut connection = Http2Connection::open(relay.listen);
    for _ in 0..3 {
        assert_eq!(connection.send(&Request::get(PAGE)).status, 200);
    }
    assert!(connection.is_closed_by_peer());
    // A client that confirms nothing does not keep it either.
    let mut silent = Connection::open(relay.listen);
    let flags = frames::END_HEADERS | frames::END_STREAM;
    silent.write([frames::opening(), frames::frame(frames::HEADERS, flags, 1, frames::GET_ROOT)].concat());
    assert!(silent.is_closed_by_peer());
    wait_until("only the connection of the metrics is open", || relay.metric("docrelay_connections") == 1);
}

#[test]
fn more_than_100_headers_get_431_as_on_http_1() {
    let relay = TestRelay::start();
    let with_headers = |count: usize| {
        (0..count).fold(Request::get(PAGE), |request, number| request.header(&format!("x-{number}"), "1"))
    };
    let mut connection = Http2Connection::open(relay.listen);
    for (count, status) in [(90, 200), (101, 431), (400, 431)] {
        assert_eq!(connection.send(&with_headers(count)).status, status, "{count} headers over HTTP/2");
        let over_http_1 = Connection::open(relay.listen).send(&with_headers(count)).status;
        assert_eq!(over_http_1, status, "{count} headers over HTTP/1.1");
    }
}

#[test]
fn requests_beyond_the_bound_of_all_connections_are_refused_and_each_connection_keeps_one() {
    let relay = TestRelay::with_config(&[("max_connections", "4"), ("max_followers", "1")]);
    let mut flood = Connection::open(relay.listen);
    // Requests whose bodies do not come: one of the connection, the four of all connections, and two more.
    let request = |stream| frames::frame(frames::HEADERS, frames::END_HEADERS, stream, frames::POST_OAUTH_TOKEN);
    flood.write([frames::opening(), (0..7).flat_map(|number| request(2 * number + 1)).collect()].concat());
    let refused: Vec<_> =
        (0..7).map(|number| frames::frame(frames::RST_STREAM, 0, 2 * number + 1, &[0, 0, 0, 7])).collect();
    let mut read = Vec::new();
    let count = |read: &[u8]| read.windows(refused[0].len()).filter(|bytes| refused.iter().any(|f| f == bytes)).count();
    while count(&read) < 2 {
        let ReadOutcome::Bytes(bytes) = flood.read(TIMEOUT) else { panic!("no stream is refused: {read:?}") };
        read.extend(bytes);
    }
    assert_eq!(count(&read), 2, "{read:?}");
    let mut other = Http2Connection::open(relay.listen);
    for _ in 0..3 {
        assert_eq!(other.send(&Request::get(PAGE)).status, 200, "its own request");
    }
}
