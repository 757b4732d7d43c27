//! What a storm of clients may cost: concurrent reads are bounded, and memory is given back.

use std::fs;
use std::thread;

use serde_json::json;

use crate::harness::connection::Connection;
use crate::harness::fixture::Fixture;
use crate::harness::request::Request;
use crate::harness::response::stored_event_id;
use crate::harness::wait_until;

/// How often the relay has its database open, and its number of threads.
fn open_databases_and_threads(fixture: &Fixture) -> (usize, usize) {
    let process = format!("/proc/{}", fixture.relay.pid().as_raw_nonzero());
    let descriptors = fs::read_dir(format!("{process}/fd")).expect("its descriptors").flatten();
    let targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    let databases = targets.filter(|target| target.file_name().is_some_and(|name| name == "docrelay.db")).count();
    (databases, fs::read_dir(format!("{process}/task")).expect("its threads").count())
}

// Rule 9: no herd after a disconnect.
#[test]
fn replay_storm_reads_the_log_with_a_bounded_number_of_readers() {
    const EVENTS: usize = 800;
    const FOLLOWERS: usize = 60;
    /// Four readers; `store-writer` and `store-checkpoint` have the file open, too, and connections may be replaced.
    const MAX_DATABASES: usize = 4 + 4;
    let fixture = Fixture::start();
    let blob = "x".repeat(2000);
    thread::scope(|scope| {
        for part in 0..8 {
            let (mut connection, hook, blob) = (Connection::open(fixture.relay.listen), &fixture.hook, &blob);
            scope.spawn(move || {
                for number in 0..EVENTS / 8 {
                    let body = json!({"documentId": format!("{part}-{number}"), "status": "COMPLETED", "blob": blob});
                    stored_event_id(&connection.send(&Request::post(hook).json(&body.to_string())));
                }
            });
        }
    });
    let complete: Vec<String> =
        fixture.follow_with_query("last_event_id=earliest").events(EVENTS).into_iter().map(|event| event.id).collect();
    let (_, threads_before) = open_databases_and_threads(&fixture);
    let (mut databases, mut threads, mut replays) = (0, 0, 0);
    thread::scope(|scope| {
        let followers = (0..FOLLOWERS).map(|_| {
            let (mut follower, complete) = (fixture.follow_with_query("last_event_id=earliest"), &complete);
            scope.spawn(move || {
                let received: Vec<String> = follower.events(EVENTS).into_iter().map(|event| event.id).collect();
                assert!(received == *complete, "each follower gets the whole history in order");
            })
        });
        let followers: Vec<_> = followers.collect();
        while followers.iter().any(|follower| !follower.is_finished()) {
            let now = open_databases_and_threads(&fixture);
            (databases, threads) = (databases.max(now.0), threads.max(now.1));
            replays = replays.max(fixture.relay.metric("docrelay_replays_running"));
        }
    });
    eprintln!(
        "{FOLLOWERS} replays: {replays} at once, {databases} open databases, {threads} threads ({threads_before} before)"
    );
    assert!((1..=MAX_DATABASES).contains(&databases), "{databases}");
    // Far fewer than the followers, however the threads of the readers are run.
    assert!(threads < threads_before + FOLLOWERS / 2, "{threads} threads, {threads_before} before");
    fixture.relay.wait_for_metric("docrelay_replays_running", 0);
}

// Rule 11: memory is given back after a peak.
#[test]
fn memory_of_a_peak_is_given_back() {
    const CONNECTIONS: usize = 600;
    const SENT_BYTES: usize = 240 << 10;
    const MIB: usize = 1 << 20;
    let fixture = Fixture::with_config(&[("body_timeout", "60s")]);
    fixture.complete(1);
    let before = fixture.relay.resident_bytes();
    let head =
        format!("POST {} HTTP/1.1\r\nHost: relay.test\r\nContent-Length: {}\r\n\r\n", fixture.hook, SENT_BYTES + 1);
    let body = vec![b' '; SENT_BYTES];
    let connections: Vec<Connection> = (0..CONNECTIONS)
        .map(|_| {
            let mut connection = fixture.write(&head);
            connection.write(&body);
            connection
        })
        .collect();
    // The relay holds most of the bodies, which are incomplete.
    wait_until("the bodies have arrived", || fixture.relay.resident_bytes() > before + CONNECTIONS * SENT_BYTES / 2);
    let peak = fixture.relay.resident_bytes();
    drop(connections);
    fixture.relay.wait_for_metric("docrelay_connections", 1);
    let mut lowest = usize::MAX;
    wait_until("most of the memory is given back", || {
        fixture.relay.metrics();
        lowest = lowest.min(fixture.relay.resident_bytes());
        lowest < before + (peak - before) / 4
    });
    eprintln!("memory: {} MiB before, {} MiB at the peak, {} MiB after", before / MIB, peak / MIB, lowest / MIB);
}
