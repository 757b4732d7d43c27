//! Lists of large documents: pages are cut by bytes, and clients that read them slowly cost little memory.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::{Memory, SecondClient, assert_in_some_attempt, assert_memory};
use crate::harness::connection::Connection;
use crate::harness::delay;
use crate::harness::fixture::{Fixture, document_id};
use crate::harness::request::Request;
use crate::harness::response::string_at;

const DOCUMENTS: u32 = 600;
const BLOB_BYTES: usize = 200_000;
const MAX_PAGE_BYTES: usize = 3 << 19;

#[test]
fn slow_readers_of_large_document_lists_cost_bounded_memory() {
    assert_in_some_attempt(|| {
        let fixture = Fixture::with_config(&[("allow_private_endpoints", "127.0.0.0/8")]);
        let blob = "x".repeat(BLOB_BYTES);
        for number in 1..=DOCUMENTS {
            fixture.post(&json!({"documentId": document_id(number), "status": "COMPLETED", "blob": blob}));
        }
        // Pages join, and each is bounded. This also fills the caches of the database before the measurement.
        let (mut seen, mut cursor) = (HashSet::new(), String::new());
        loop {
            let request = Request::get(&format!("/documents?limit=1000{cursor}")).bearer(&fixture.token);
            let page = fixture.relay.send(&request);
            assert!(page.body.len() < MAX_PAGE_BYTES, "{} bytes", page.body.len());
            let page = page.json();
            for document in page["documents"].as_array().expect("a list") {
                assert!(seen.insert(string_at(document, "documentId")), "listed twice");
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen.len(), DOCUMENTS as usize);
        let second = SecondClient::new(&fixture.relay);
        let undisturbed = second.measure_before();
        let before = fixture.relay.resident_bytes();
        let mut peak = before;
        let readers: Vec<Connection> = (0..8)
            .map(|_| {
                let mut reader = Connection::open(fixture.relay.listen);
                reader.shrink_receive_buffer();
                reader.write(Request::get("/documents?limit=1000").bearer(&fixture.token).bytes());
                assert_eq!(reader.read_head().status, 200);
                peak = peak.max(fixture.relay.resident_bytes());
                reader
            })
            .collect();
        let grown = peak.saturating_sub(before);
        eprintln!("{} slow readers of {DOCUMENTS} documents: {} KiB more", readers.len(), grown >> 10);
        assert_memory("with slow readers", before, peak, 64 << 20);
        let (listen, ended) = (fixture.relay.listen, AtomicBool::new(false));
        let during = thread::scope(|scope| {
            scope.spawn(|| {
                // One that reads. Not at full speed: in the dev profile the encoding of a page takes a core for a
                // while.
                let mut quick = Connection::open(listen);
                let request = Request::get("/documents?limit=1000").bearer(&fixture.token);
                while !ended.load(Ordering::Relaxed) {
                    assert_eq!(quick.send(&request).status, 200);
                    delay(Duration::from_secs(1));
                }
            });
            let during = second.measure_during();
            ended.store(true, Ordering::Relaxed);
            during
        });
        drop(readers);
        second.assert_undisturbed(&undisturbed, &during, Memory { peak: 64 << 20, after: 32 << 20 });
    });
}
