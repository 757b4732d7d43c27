//! Work on the database, by another program or for another client, delays no client.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rusqlite::Connection as Database;
use rustix::process::{Signal, kill_process};
use serde_json::json;

use super::{Memory, SecondClient, assert_in_some_attempt};
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::{TestRelay, delay, wait_until};

const SENDERS: usize = 8;

/// The lowest limit of a client: the largest body of a request.
const MIN_STORED_BYTES: i64 = 256 << 10;

/// A quiet machine prunes the rows in two rounds.
const MIN_PRUNING_ROUNDS: usize = 1;

/// Posts so many Gini webhooks with so many additional bytes.
fn fill(acme: &TestClient<'_>, events: usize, padding: usize) {
    let hook = acme.add_unverified_hook("gini").path;
    let (blob, listen) = ("x".repeat(padding), acme.relay.listen);
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (hook, blob) = (&hook, &blob);
            scope.spawn(move || {
                let mut connection = Connection::open(listen);
                for event in (sender..events).step_by(SENDERS) {
                    let id = format!("{:08x}-0000-4000-8000-{event:012x}", fastrand::u32(..));
                    let body = json!({"documentId": id, "status": "COMPLETED", "blob": blob}).to_string();
                    assert_eq!(connection.send(&Request::post(hook).json(&body)).status, 200);
                }
            });
        }
    });
}

fn open(relay: &TestRelay) -> Database {
    Database::open(relay.data_dir().join("docrelay.db")).expect("a database")
}

#[test]
fn foreign_reader_of_database_delays_no_second_client() {
    assert_in_some_attempt(|| {
        let relay = TestRelay::allowing_loopback_endpoints();
        let (acme, second) = (TestClient::new(&relay, "acme"), SecondClient::new(&relay));
        // The caches of the database fill with large rows.
        fill(&acme, 100, 250_000);
        let before = second.measure_before();
        let reader = open(&relay);
        reader.execute_batch("BEGIN; SELECT count(*) FROM event;").expect("a snapshot");
        // The write-ahead log cannot be restarted.
        fill(&acme, 300, 250_000);
        let during = second.measure_during();
        drop(reader);
        second.assert_undisturbed(&before, &during, Memory { peak: 96 << 20, after: 96 << 20 });
    });
}

/// Above the bound of the write-ahead log, 256 MiB, with rows of [`LOG_ROW_BYTES`].
const LOG_ROWS: usize = 1_100;
const LOG_ROW_BYTES: usize = 250_000;

#[test]
fn log_that_a_reader_makes_too_long_is_shown_until_the_reader_ends() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    let readiness = || {
        let ready = relay.send_admin(&Request::get("/readyz"));
        assert_eq!(ready.status, 200, "webhooks are accepted: {ready:?}");
        ready.text().to_owned()
    };
    let reader = open(&relay);
    reader.execute_batch("BEGIN; SELECT count(*) FROM event;").expect("a snapshot");
    assert_eq!((readiness().as_str(), relay.metric("docrelay_wal_over_limit")), ("ok\n", 0));
    fill(&acme, LOG_ROWS, LOG_ROW_BYTES);
    let warned = readiness();
    let warning = warned.strip_prefix("ok\nwarning: ").expect(&warned);
    assert!(warning.contains("another program reads the database") && warning.ends_with('\n'), "{warning}");
    assert_eq!(relay.metric("docrelay_wal_over_limit"), 1);
    drop(reader);
    // The checkpoint is tried again after a pause.
    wait_until("the warning ends", || readiness() == "ok\n");
    relay.wait_for_metric("docrelay_wal_over_limit", 0);
}

#[test]
fn erasing_large_client_delays_no_second_client() {
    assert_in_some_attempt(|| {
        let relay = TestRelay::allowing_loopback_endpoints();
        let (acme, second) = (TestClient::new(&relay, "acme"), SecondClient::new(&relay));
        fill(&acme, 40_000, 500);
        let before = second.measure_before();
        relay.remove_client("acme");
        let during = second.measure_during();
        let removed: i64 = open(&relay)
            .query_row("SELECT count(*) FROM client WHERE name IS NULL AND secrets = x''", [], |row| row.get(0))
            .expect("a count");
        assert_eq!(removed, 1, "erasing has ended too early to measure it");
        second.assert_undisturbed(&before, &during, Memory { peak: 64 << 20, after: 64 << 20 });
    });
}

#[test]
fn pruning_large_client_delays_no_second_client() {
    assert_in_some_attempt(|| {
        let relay = TestRelay::allowing_loopback_endpoints();
        let (acme, second) = (TestClient::new(&relay, "acme"), SecondClient::new(&relay));
        fill(&acme, 60_000, 500);
        let before = second.measure_before();
        let limits = json!({"limits": {"storedBytes": MIN_STORED_BYTES}}).to_string();
        let change = Request::new("PATCH", "/admin/clients/acme").bearer(&relay.admin_token()).json(&limits);
        assert_eq!(relay.send_admin(&change).status, 200);
        let database = open(&relay);
        // Documents are removed after their events.
        let during = second.measure_while(|| {
            let bytes: i64 = database
                .query_row("SELECT document_bytes FROM usage WHERE max_bytes IS NOT NULL", [], |row| row.get(0))
                .expect("the bytes of the documents");
            bytes > MIN_STORED_BYTES
        });
        assert!(during.count() >= MIN_PRUNING_ROUNDS, "pruning has ended too early to measure it: {during:?}");
        second.assert_undisturbed(&before, &during, Memory { peak: 64 << 20, after: 64 << 20 });
    });
}

/// Longer than what the comparison allows.
const STALL: Duration = Duration::from_millis(400);

/// What the comparison is worth: it finds a relay whose other client waits.
#[test]
#[should_panic(expected = "webhooks: ")]
fn stalled_relay_fails_the_comparison_with_an_undisturbed_one() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let second = SecondClient::new(&relay);
    let before = second.measure_before();
    let (process, is_measured) = (relay.pid(), AtomicBool::new(false));
    let during = thread::scope(|scope| {
        let is_measured = &is_measured;
        scope.spawn(move || {
            while !is_measured.load(Ordering::Relaxed) {
                kill_process(process, Signal::STOP).expect("a relay to stop");
                delay(STALL);
                kill_process(process, Signal::CONT).expect("a relay to continue");
                delay(STALL / 4);
            }
        });
        let during = second.measure_during();
        is_measured.store(true, Ordering::Relaxed);
        during
    });
    second.assert_undisturbed(&before, &during, Memory { peak: 64 << 20, after: 64 << 20 });
}
