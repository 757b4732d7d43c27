//! Work on the database, by another program or for another client, delays no client.

use std::thread;

use rusqlite::Connection as Database;
use serde_json::json;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::second_client::{Memory, SecondClient};

const SENDERS: usize = 8;

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
    let relay = TestRelay::allowing_loopback_endpoints();
    let (acme, second) = (TestClient::new(&relay, "acme"), SecondClient::new(&relay));
    // The caches of the database fill with large rows.
    fill(&acme, 100, 250_000);
    let before = second.measure();
    let reader = open(&relay);
    reader.execute_batch("BEGIN; SELECT count(*) FROM event;").expect("a snapshot");
    // The write-ahead log cannot be restarted.
    fill(&acme, 300, 250_000);
    let during = second.measure();
    drop(reader);
    second.assert_undisturbed(&before, &during, Memory { peak: 96 << 20, after: 96 << 20 });
}

#[test]
fn erasing_large_client_delays_no_second_client() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let (acme, second) = (TestClient::new(&relay, "acme"), SecondClient::new(&relay));
    fill(&acme, 40_000, 500);
    let before = second.measure();
    relay.remove_client("acme");
    let during = second.measure();
    let removed: i64 = open(&relay)
        .query_row("SELECT count(*) FROM client WHERE name IS NULL", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(removed, 1, "erasing has ended too early to measure it");
    second.assert_undisturbed(&before, &during, Memory { peak: 64 << 20, after: 64 << 20 });
}
