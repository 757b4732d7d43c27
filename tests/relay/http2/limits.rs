//! The limits of requests on HTTP/2: streams at once, heads, bodies, idle connections.

use std::net::Ipv4Addr;
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

const RUNNING: &str = "docrelay_http2_requests_running";
const REFUSED: &str = "docrelay_http2_requests_refused_total{reason=\"requests\"}";
const REFUSED_OF_ADDRESS: &str = "docrelay_http2_requests_refused_total{reason=\"requests_per_address\"}";

/// Opens a connection from 127.0.0.`host` with this number of requests whose bodies do not come.
fn pending_requests(relay: &TestRelay, host: u8, count: u32) -> Connection {
    let mut connection = Connection::open_from(Ipv4Addr::new(127, 0, 0, host), relay.listen);
    let request = |stream| frames::frame(frames::HEADERS, frames::END_HEADERS, stream, frames::POST_OAUTH_TOKEN);
    connection.write([frames::opening(), (0..count).flat_map(|number| request(2 * number + 1)).collect()].concat());
    connection
}

/// Reads until this number of the first ten streams is refused.
#[track_caller]
fn read_refusals(connection: &mut Connection, expected: usize) {
    let refused: Vec<_> =
        (0..10).map(|number| frames::frame(frames::RST_STREAM, 0, 2 * number + 1, &[0, 0, 0, 7])).collect();
    let mut read = Vec::new();
    let count = |read: &[u8]| read.windows(refused[0].len()).filter(|bytes| refused.iter().any(|f| f == bytes)).count();
    while count(&read) < expected {
        let ReadOutcome::Bytes(bytes) = connection.read(TIMEOUT) else { panic!("only {} are refused", count(&read)) };
        read.extend(bytes);
    }
    assert_eq!(count(&read), expected);
}

#[test]
fn requests_beyond_the_bound_of_all_connections_are_refused_and_each_connection_keeps_one() {
    let relay = TestRelay::with_config(&[("max_connections", "8"), ("max_followers", "1")]);
    // Of each address, one request of the connection and half of those of all connections.
    let _held: Vec<Connection> = [1, 2].into_iter().map(|host| pending_requests(&relay, host, 5)).collect();
    relay.wait_for_metric(RUNNING, 8);
    let mut third = pending_requests(&relay, 3, 4);
    read_refusals(&mut third, 3);
    assert_eq!((relay.metric(REFUSED), relay.metric(REFUSED_OF_ADDRESS)), (3, 0));
    let mut other = Http2Connection::open(relay.listen);
    for _ in 0..3 {
        assert_eq!(other.send(&Request::get(PAGE)).status, 200, "its own request");
    }
    relay.wait_for_output("HTTP/2 request refused: too many in flight");
}

#[test]
fn address_with_half_of_the_requests_leaves_the_others_to_other_addresses() {
    let relay = TestRelay::with_config(&[("max_connections", "8"), ("max_followers", "1")]);
    let first = pending_requests(&relay, 1, 5);
    relay.wait_for_metric(RUNNING, 4);
    let mut second = pending_requests(&relay, 1, 5);
    read_refusals(&mut second, 4);
    assert_eq!((relay.metric(RUNNING), relay.metric(REFUSED_OF_ADDRESS)), (4, 4));
    let _other = pending_requests(&relay, 2, 5);
    relay.wait_for_metric(RUNNING, 8);
    assert_eq!((relay.metric(REFUSED), relay.metric(REFUSED_OF_ADDRESS)), (0, 4));
    drop(first);
    relay.wait_for_metric(RUNNING, 4);
}
