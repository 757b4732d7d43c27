//! Floods of frames that carry no request: they end their own connection.

use std::time::{Duration, Instant};

use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::fixture::Fixture;
use crate::harness::http2::frames;
use crate::harness::request::Request;
use crate::harness::{TIMEOUT, TestRelay};

#[test]
fn flood_of_each_kind_ends_its_connection() {
    let relay = TestRelay::start();
    let repeat = |frame: Vec<u8>| frame.repeat(20_000);
    for (kind, flood) in [
        ("rapid reset", frames::rapid_resets(20_000)),
        ("settings", repeat(frames::frame(frames::SETTINGS, 0, 0, &[]))),
        ("pings", repeat(frames::frame(frames::PING, 0, 0, &[0; 8]))),
        ("empty data", {
            let head = frames::frame(frames::HEADERS, frames::END_HEADERS, 1, frames::GET_ROOT);
            [head, repeat(frames::frame(frames::DATA, 0, 1, &[]))].concat()
        }),
        ("unknown", repeat(frames::frame(0x42, 0, 0, &[]))),
        ("priorities", repeat(frames::frame(frames::PRIORITY, 0, 1, &[0, 0, 0, 0, 16]))),
        ("window updates", repeat(frames::frame(frames::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))),
        ("continuations", {
            let head = frames::frame(frames::HEADERS, frames::END_STREAM, 1, frames::GET_ROOT);
            [head, repeat(frames::frame(frames::CONTINUATION, 0, 1, &[]))].concat()
        }),
    ] {
        let mut connection = Connection::open(relay.listen);
        // The relay may end the connection in the middle.
        connection.try_write([frames::opening(), flood].concat()).ok();
        assert!(connection.is_closed_by_peer(), "{kind}");
    }
    assert_eq!(Connection::open(relay.listen).send(&Request::get("/.well-known/jwks.json")).status, 200);
    assert!(!relay.output().contains("panicked"), "{}", relay.output());
}

#[test]
fn reader_that_acknowledges_every_event_twice_is_not_a_flood() {
    let fixture = Fixture::with_config(&[]);
    let mut connection = Connection::open(fixture.relay.listen);
    connection.write([frames::opening(), frames::follow(1, &fixture.token)].concat());
    fixture.relay.wait_for_metric("docrelay_followers", 1);
    let acknowledgement = |bytes: usize| {
        let increment = u32::try_from(bytes).expect("small").to_be_bytes();
        [0, 1].map(|stream| frames::frame(frames::WINDOW_UPDATE, 0, stream, &increment)).concat()
    };
    let mut bytes = Vec::new();
    for number in 0..1_000 {
        let id = fixture.complete(number);
        let mut is_read = false;
        while !is_read {
            let ReadOutcome::Bytes(more) = connection.read(TIMEOUT) else {
                panic!("the stream ended at event {number}")
            };
            bytes.extend(more);
            let read = frames::parse(&bytes);
            bytes.drain(..read.iter().map(|frame| 9 + frame.payload.len()).sum::<usize>());
            for frame in read.iter().filter(|frame| frame.kind == frames::DATA) {
                connection.write(acknowledgement(frame.payload.len()));
                is_read |= String::from_utf8_lossy(&frame.payload).contains(&id);
            }
        }
    }
}

/// The header time-out, which ends a connection without a request, is long here, and a stream is open.
#[test]
fn control_frames_end_a_connection_with_an_open_stream_within_two_seconds() {
    let fixture = Fixture::with_config(&[("header_timeout", "60s")]);
    for (kind, frame) in [
        ("settings", frames::frame(frames::SETTINGS, 0, 0, &[])),
        ("pings", frames::frame(frames::PING, 0, 0, &[0; 8])),
        ("unknown", frames::frame(0x42, 0, 0, &[])),
        ("priorities", frames::frame(frames::PRIORITY, 0, 1, &[0, 0, 0, 0, 16])),
        ("window updates of the connection", frames::frame(frames::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("window updates of the stream", frames::frame(frames::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
    ] {
        let mut connection = Connection::open(fixture.relay.listen);
        connection.write([frames::opening(), frames::follow(1, &fixture.token)].concat());
        fixture.relay.wait_for_metric("docrelay_followers", 1);
        let started = Instant::now();
        // Fewer than fill the buffers of the relay with confirmations. The relay may end the connection in the middle.
        connection.try_write(frame.repeat(2_000)).ok();
        assert!(connection.is_closed_by_peer(), "{kind}");
        assert!(started.elapsed() < Duration::from_secs(2), "{kind}: {:?}", started.elapsed());
        fixture.relay.wait_for_metric("docrelay_followers", 0);
    }
}
