//! A response that its client reads too slowly is ended.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::delay;
use crate::harness::fixture::{Fixture, document_id};
use crate::harness::request::Request;

const BLOB_BYTES: usize = 200_000;

fn post_large(fixture: &Fixture, number: u32, status: &str, blob: &str) {
    fixture.post(&json!({"documentId": document_id(number), "status": status, "blob": blob}));
}

#[test]
fn response_that_is_read_too_slowly_is_ended() {
    let fixture = Fixture::with_config(&[("response_timeout", "1s")]);
    let blob = "x".repeat(BLOB_BYTES);
    for number in 0..6 {
        post_large(&fixture, 1, ["PENDING", "COMPLETED"][number % 2], &blob);
    }
    let target = format!("/documents/{}/events", document_id(1));
    let mut reader = Connection::open(fixture.relay.listen);
    reader.shrink_receive_buffer();
    // More responses than the buffers of the kernel hold.
    reader.write(Request::get(&target).bearer(&fixture.token).bytes().repeat(12));
    let began = Instant::now();
    let mut read = 0;
    while let ReadOutcome::Bytes(bytes) = reader.read(Duration::from_secs(10)) {
        read += bytes.len();
        assert!(began.elapsed() < Duration::from_secs(20), "still open after {read} bytes");
        // The reader is slow, but never silent.
        delay(Duration::from_millis(20));
    }
    assert!(read < 12 * 6 * BLOB_BYTES, "all responses were sent: {read} bytes");
    fixture.relay.wait_for_metric("docrelay_slow_responses_total", 1);
    // A reader that keeps up is not disturbed.
    let quick = fixture.relay.send(&Request::get(&target).bearer(&fixture.token)).json();
    assert_eq!(quick["events"].as_array().map(Vec::len), Some(6));
}
