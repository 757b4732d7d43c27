//! A store that cannot accept writes: senders get 503 with Retry-After, reads still work, and no acknowledged event is
//! lost. One test for each kind of failure that a test can cause.

use rustix::process::{Resource, Rlimit, prlimit};

use crate::harness::TestRelay;
use crate::harness::client::{Hook, TestClient};
use crate::harness::connection::Connection;
use crate::harness::disk::{self, ReadOnlyFiles, SmallDisk};
use crate::harness::request::Request;
use crate::harness::response::{Response, assert_problem, stored_event_id};
use crate::harness::sse::Event;

/// A webhook of about 3 kB without a target.
pub(super) fn job(n: usize) -> Request {
    Request::post("").json(&format!(r#"{{"documentId":"job-{n}","status":"COMPLETED","pad":"{}"}}"#, "x".repeat(3000)))
}

fn send(relay: &TestRelay, hook: &Hook, n: usize) -> Response {
    relay.send(&job(n).with_target(&hook.path))
}

/// Asserts that every write gets 503 and that reads work.
#[track_caller]
fn assert_unavailable(relay: &TestRelay, acme: &TestClient<'_>, hook: &Hook) {
    let response = send(relay, hook, 1);
    let detail = assert_problem(&response, 503);
    assert!(response.header("retry-after").is_some_and(|s| s.parse::<u32>().is_ok_and(|s| s > 0)), "{response:?}");
    assert!(!detail.contains("docrelay.db") && !detail.contains("SQL"), "the detail reveals internals: {detail}");
    assert_problem(&acme.post("/documents", r#"{"vendor":"ppj","vendorId":"x"}"#), 503);
    assert_problem(&acme.post("/hooks", r#"{"vendor":"ppj"}"#), 503);
    assert_problem(&relay.send(&Request::post(&hook.path).json("{")), 503);
    assert_problem(&relay.send_admin(&Request::get("/readyz")), 503);
    assert_eq!(relay.send_admin(&Request::get("/livez")).status, 200);
    assert_eq!(acme.documents().len(), 1, "reads still work");
}

/// Asserts that a refused message can be sent again and is stored once, and that a crash loses no acknowledged event.
#[track_caller]
fn assert_recovered(relay: &mut TestRelay, hook: &Hook, token: &str, first: &str) {
    assert_eq!(relay.send_admin(&Request::get("/readyz")).status, 200, "{}", relay.output());
    let ids = [1, 2, 1].map(|n| stored_event_id(&send(relay, hook, n)));
    assert_eq!(ids[0], ids[2]);
    let expected = [first, &ids[0], &ids[1]];
    let replay = |relay: &TestRelay| relay.follow_from(token, "earliest").events(3);
    let before: Vec<Event> = replay(relay);
    assert_eq!(before.iter().map(|e| e.id.as_str()).collect::<Vec<_>>(), expected);
    relay.kill();
    relay.restart();
    assert_eq!(replay(relay), before);
    assert_ne!(stored_event_id(&send(relay, hook, 3)), ids[1]);
    relay.wait_for_metric("docrelay_store_head", 4);
}

/// Creates a client and a hook, and stores one event. Returns its id.
pub(super) fn client_with_event(relay: &TestRelay) -> (TestClient<'_>, Hook, String) {
    let acme = TestClient::new(relay, "acme");
    let hook = acme.add_unverified_hook("gini");
    let first = stored_event_id(&send(relay, &hook, 0));
    (acme, hook, first)
}

#[test]
fn file_size_limit_gets_503_until_lifted() {
    let mut relay = TestRelay::start();
    let (acme, hook, first) = client_with_event(&relay);
    let token = acme.token.clone();
    let limit = |bytes| {
        let old = prlimit(Some(relay.pid()), Resource::Fsize, Rlimit { current: bytes, maximum: None });
        old.expect("permission to limit a child process");
    };
    limit(Some(4096));
    assert_unavailable(&relay, &acme, &hook);
    limit(None);
    assert_recovered(&mut relay, &hook, &token, &first);
    relay.wait_for_output("store cannot accept events");
    relay.wait_for_output("store accepts events again");
}

#[test]
fn full_disk_gets_503_until_space_is_freed() {
    let mut relay = TestRelay::start();
    relay.stop();
    let Some(_disk) = SmallDisk::mount(&relay.data_dir()) else { return };
    relay.restart();
    let (acme, hook, first) = client_with_event(&relay);
    let token = acme.token.clone();
    let filler = disk::fill(&relay.data_dir());
    assert_unavailable(&relay, &acme, &hook);
    std::fs::remove_file(filler).expect("removed");
    assert_recovered(&mut relay, &hook, &token, &first);
    relay.stop();
}

#[test]
fn read_only_database_gets_503_until_writable() {
    let mut relay = TestRelay::start();
    let (acme, hook, first) = client_with_event(&relay);
    let token = acme.token.clone();
    let files = ["docrelay.db", "docrelay.db-wal"].map(|name| relay.data_dir().join(name));
    let Some(read_only) = ReadOnlyFiles::make(&files) else { return };
    assert_unavailable(&relay, &acme, &hook);
    drop(read_only);
    assert_recovered(&mut relay, &hook, &token, &first);
}

// Rule 36: alive and ready are two probes.
#[test]
fn locked_database_gets_503_until_unlocked() {
    let mut relay = TestRelay::start();
    let (acme, hook, first) = client_with_event(&relay);
    let token = acme.token.clone();
    let other = rusqlite::Connection::open(relay.data_dir().join("docrelay.db")).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
    assert_unavailable(&relay, &acme, &hook);
    other.execute_batch("ROLLBACK").expect("the lock is released");
    assert_recovered(&mut relay, &hook, &token, &first);
}

#[test]
fn senders_beyond_writer_queue_capacity_all_get_responses() {
    let relay = TestRelay::start();
    let (acme, hook, _) = client_with_event(&relay);
    let other = rusqlite::Connection::open(relay.data_dir().join("docrelay.db")).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
    let mut connections: Vec<Connection> = (0..1500).map(|_| Connection::open(relay.listen)).collect();
    let send = |connections: &mut [Connection]| {
        connections
            .iter_mut()
            .enumerate()
            .for_each(|(n, connection)| connection.write(job(n + 1).with_target(&hook.path).bytes()));
    };
    send(&mut connections);
    for connection in &mut connections {
        assert_problem(&connection.read_response(), 503);
    }
    assert_eq!(acme.documents().len(), 1);
    other.execute_batch("ROLLBACK").expect("the lock is released");
    send(&mut connections);
    let mut ids: Vec<String> =
        connections.iter_mut().map(|connection| stored_event_id(&connection.read_response())).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), connections.len());
    relay.wait_for_metric("docrelay_store_head", 1501);
}
