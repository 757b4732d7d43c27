//! The limits of requests on HTTP/2: streams at once, heads, bodies, idle connections.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::fixture::Fixture;
use crate::harness::http2::Http2Connection;
use crate::harness::http2::frames::{self, Frame};
use crate::harness::request::Request;
use crate::harness::{TIMEOUT, TestRelay, wait_until};

const PAGE: &str = "/.well-known/jwks.json";

/// The error code of `RST_STREAM` (RFC 9113, 7).
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];

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
}

// RFC 9113, 5.1.2: a stream beyond the bound is a stream error, and 8.7: REFUSED_STREAM says that nothing was
// processed.
#[test]
fn streams_beyond_the_bound_of_their_connection_are_refused_alone() {
    let fixture = Fixture::with_config(&[("max_concurrent_streams", "3")]);
    let mut connection = pending_requests(&fixture.relay, 1, 10);
    let refused = |streams: &[u32]| -> Vec<Frame> {
        let reset = |stream: &u32| Frame {
            kind: frames::RST_STREAM,
            flags: 0,
            stream: *stream,
            payload: REFUSED_STREAM.into(),
        };
        streams.iter().map(reset).collect()
    };
    let resets = |read: &[Frame]| -> Vec<Frame> {
        read.iter().filter(|frame| frame.kind == frames::RST_STREAM).cloned().collect()
    };
    let read = read_frames(&mut connection, |read| resets(read).len() == 7);
    assert_eq!(resets(&read), refused(&[7, 9, 11, 13, 15, 17, 19]));
    // The bound is reached: one request of the connection, and two of those of all connections. The others were refused
    // before these began.
    fixture.relay.wait_for_metric(RUNNING, 2);
    let head = |stream| frames::frame(frames::HEADERS, frames::END_HEADERS, stream, frames::POST_OAUTH_TOKEN);
    connection.write(head(21));
    let read = read_frames(&mut connection, |read| !resets(read).is_empty());
    assert_eq!(resets(&read), refused(&[21]));
    assert_eq!(fixture.relay.metric(RUNNING), 2);
    // The others go on, and one that ends makes room for another one.
    connection.write(frames::frame(frames::DATA, frames::END_STREAM, 3, b"grant_type=x"));
    let is_answer = |frame: &Frame| frame.stream == 3 && frame.flags & frames::END_STREAM != 0;
    read_frames(&mut connection, |read| read.iter().any(is_answer));
    connection.write([head(23), frames::frame(frames::DATA, frames::END_STREAM, 23, b"grant_type=x")].concat());
    let read = read_frames(&mut connection, |read| read.iter().any(|frame| frame.stream == 23));
    assert!(resets(&read).is_empty(), "{read:?}");
}

#[test]
fn client_that_opens_400_streams_at_once_keeps_those_that_were_accepted() {
    let fixture = Fixture::with_config(&[]);
    let mut connection = Connection::open(fixture.relay.listen);
    connection.write([frames::opening(), frames::follow(1, &fixture.token)].concat());
    fixture.relay.wait_for_metric("docrelay_followers", 1);
    let head = |stream| frames::frame(frames::HEADERS, frames::END_HEADERS, stream, frames::POST_OAUTH_TOKEN);
    connection.write((1..=400).flat_map(|number| head(2 * number + 1)).collect::<Vec<u8>>());
    let is_refusal = |frame: &&Frame| frame.kind == frames::RST_STREAM && frame.payload == REFUSED_STREAM;
    let read = read_frames(&mut connection, |read| read.iter().filter(is_refusal).count() == 400 - 127);
    assert!(read.iter().all(|frame| frame.kind != frames::GOAWAY), "{read:?}");
    let id = fixture.complete(1);
    let has_event = |frame: &Frame| frame.stream == 1 && String::from_utf8_lossy(&frame.payload).contains(&id);
    read_frames(&mut connection, |read| read.iter().any(has_event));
    assert_eq!(fixture.relay.metric("docrelay_followers"), 1);
}

#[test]
fn late_head_ends_the_connection_beside_an_open_stream() {
    let fixture = Fixture::with_config(&[("header_timeout", "1s")]);
    let mut connection = Connection::open(fixture.relay.listen);
    connection.write(frames::opening());
    connection.write(frames::follow(1, &fixture.token));
    fixture.relay.wait_for_metric("docrelay_followers", 1);
    let started = Instant::now();
    connection.write(frames::frame(frames::HEADERS, frames::END_STREAM, 3, b"\x82"));
    assert!(connection.is_closed_by_peer());
    // A ping that is not answered would end it, too, after more than a minute.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
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

/// Reads the next frames until they satisfy the condition.
#[track_caller]
fn read_frames(connection: &mut Connection, is_enough: impl Fn(&[Frame]) -> bool) -> Vec<Frame> {
    let mut bytes = Vec::new();
    loop {
        let read = frames::parse(&bytes);
        if is_enough(&read) {
            return read;
        }
        match connection.read(TIMEOUT) {
            ReadOutcome::Bytes(more) => bytes.extend(more),
            other => panic!("{other:?} after {read:?}"),
        }
    }
}

/// Reads until this number of streams is refused.
#[track_caller]
fn read_refusals(connection: &mut Connection, expected: usize) {
    let is_refusal = |frame: &&Frame| frame.kind == frames::RST_STREAM && frame.payload == REFUSED_STREAM;
    let count = |read: &[Frame]| read.iter().filter(is_refusal).count();
    let read = read_frames(connection, |read| count(read) >= expected);
    assert_eq!(count(&read), expected, "{read:?}");
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
