//! A store that cannot accept: 503 and try again later, and nothing that was acknowledged is lost by it. Each way in
//! which disks fail that this machine lets a test bring about.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, prlimit};

use crate::harness::client::{Hook, TestClient};
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::{Response, assert_problem, stored_event_id};
use crate::harness::sse::Event;
use crate::harness::{TIMEOUT, TestRelay};

fn job(n: usize) -> Request {
    Request::post("").json(&format!(r#"{{"documentId":"job-{n}","status":"COMPLETED","pad":"{}"}}"#, "x".repeat(3000)))
}

fn send(relay: &TestRelay, hook: &Hook, n: usize) -> Response {
    relay.send(&job(n).with_target(&hook.path))
}

/// While the store is away: everything that needs it is 503, the rest works.
#[track_caller]
fn is_away(relay: &TestRelay, acme: &TestClient<'_>, hook: &Hook) {
    let response = send(relay, hook, 1);
    let why = assert_problem(&response, 503);
    assert!(response.header("retry-after").is_some_and(|s| s.parse::<u32>().is_ok_and(|s| s > 0)), "{response:?}");
    assert!(!why.contains("docrelay.db") && !why.contains("SQL"), "what is wrong is the operator's: {why}");
    assert_problem(&acme.post("/documents", r#"{"vendor":"ppj","vendorId":"x"}"#), 503);
    assert_problem(&acme.post("/hooks", r#"{"vendor":"ppj"}"#), 503);
    assert_problem(&relay.send(&Request::post(&hook.path).json("{")), 503);
    assert_problem(&relay.send_admin(&Request::get("/readyz")), 503);
    assert_eq!(relay.send_admin(&Request::get("/livez")).status, 200);
    assert_eq!(acme.documents().len(), 1, "what is there can be read");
}

/// When it is back: a message that was turned away is stored once, however often it is sent, and everything that was
/// acknowledged is there, after a power cut too.
#[track_caller]
fn is_back(relay: &mut TestRelay, hook: &Hook, token: &str, first: &str) {
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

/// A relay with a client, a hook, and one stored event.
fn prepared(relay: &TestRelay) -> (TestClient<'_>, Hook, String) {
    let acme = TestClient::new(relay, "acme");
    let hook = acme.add_unverified_hook("gini");
    let first = stored_event_id(&send(relay, &hook, 0));
    (acme, hook, first)
}

#[test]
fn file_size_limit_gets_503_until_lifted() {
    let mut relay = TestRelay::start();
    let (acme, hook, first) = prepared(&relay);
    let token = acme.token.clone();
    let limit = |bytes| {
        let old = prlimit(Some(relay.pid()), Resource::Fsize, Rlimit { current: bytes, maximum: None });
        old.expect("the limit of a child of ours");
    };
    limit(Some(4096));
    is_away(&relay, &acme, &hook);
    limit(None);
    is_back(&mut relay, &hook, &token, &first);
    relay.wait_for_output("the store cannot accept");
    relay.wait_for_output("the store accepts again");
}

#[test]
fn full_disk_gets_503_until_space_is_freed() {
    let mut relay = TestRelay::start();
    relay.stop();
    let Some(_disk) = SmallDisk::mount(&relay.data_dir()) else { return };
    relay.restart();
    let (acme, hook, first) = prepared(&relay);
    let token = acme.token.clone();
    let filler = relay.data_dir().join("filler");
    let mut file = std::fs::File::create(&filler).expect("a file");
    while file.write_all(&[0; 4096]).is_ok() {}
    // What is left of the last page.
    while file.write_all(&[0]).is_ok() {}
    is_away(&relay, &acme, &hook);
    std::fs::remove_file(filler).expect("removed");
    drop(file);
    is_back(&mut relay, &hook, &token, &first);
    relay.stop();
}

#[test]
fn read_only_database_gets_503_until_writable() {
    let mut relay = TestRelay::start();
    let (acme, hook, first) = prepared(&relay);
    let token = acme.token.clone();
    let files = ["docrelay.db", "docrelay.db-wal"].map(|name| relay.data_dir().join(name));
    let Some(frozen) = Frozen::freeze(&files) else { return };
    is_away(&relay, &acme, &hook);
    drop(frozen);
    is_back(&mut relay, &hook, &token, &first);
}

#[test]
fn locked_database_gets_503_until_unlocked() {
    let mut relay = TestRelay::start();
    let (acme, hook, first) = prepared(&relay);
    let token = acme.token.clone();
    let stranger = rusqlite::Connection::open(relay.data_dir().join("docrelay.db")).expect("opened");
    stranger.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
    is_away(&relay, &acme, &hook);
    stranger.execute_batch("ROLLBACK").expect("let go");
    is_back(&mut relay, &hook, &token, &first);
}

#[test]
fn senders_beyond_writer_queue_capacity_all_get_responses() {
    let relay = TestRelay::start();
    let (acme, hook, _) = prepared(&relay);
    let stranger = rusqlite::Connection::open(relay.data_dir().join("docrelay.db")).expect("opened");
    stranger.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
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
    stranger.execute_batch("ROLLBACK").expect("let go");
    send(&mut connections);
    let mut ids: Vec<String> =
        connections.iter_mut().map(|connection| stored_event_id(&connection.read_response())).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), connections.len());
    relay.wait_for_metric("docrelay_store_head", 1501);
}

#[test]
fn shutdown_does_not_wait_for_idle_or_unfinished_requests() {
    let mut relay = TestRelay::with_config(&[("grace", "20s"), ("body_timeout", "1h")]);
    let path = {
        let (_, hook, _) = prepared(&relay);
        hook.path
    };
    let resting: Vec<Connection> = (0..20)
        .map(|n| {
            let mut connection = Connection::open(relay.listen);
            stored_event_id(&connection.send(&job(n).with_target(&path)));
            connection
        })
        .collect();
    let began = Instant::now();
    assert_eq!(relay.stop().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(8), "resting senders held it up: {:?}", began.elapsed());
    drop(resting);
    relay.set_config("grace", "2s");
    relay.restart();
    let (mut half, _) = begun(&relay, &path);
    let began = Instant::now();
    assert_eq!(relay.stop().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(half.is_closed_by_peer());
}

#[test]
fn shutdown_fails_readiness_and_completes_running_requests() {
    let mut relay = TestRelay::start();
    let (token, path) = {
        let (acme, hook, _) = prepared(&relay);
        (acme.token.clone(), hook.path)
    };
    let (mut half, rest) = begun(&relay, &path);
    let mut admin = Connection::open(relay.admin_listen);
    assert_eq!(admin.send(&Request::get("/readyz")).status, 200);
    relay.signal(Signal::TERM);
    relay.wait_for_output("stopping");
    let deadline = Instant::now() + TIMEOUT;
    let unready = loop {
        let response = admin.send(&Request::get("/readyz"));
        if response.status != 200 || Instant::now() > deadline {
            break response;
        }
    };
    assert!(assert_problem(&unready, 503).contains("stopping"));
    assert_eq!(admin.send(&Request::get("/livez")).status, 200);
    half.write(rest);
    let id = stored_event_id(&half.read_response());
    assert_eq!(relay.wait().code(), Some(0));
    relay.restart();
    assert_eq!(relay.follow_from(&token, "earliest").events(2)[1].id, id);
}

/// A request that the relay has begun to read, and what is left to be sent of it.
fn begun(relay: &TestRelay, path: &str) -> (Connection, Vec<u8>) {
    let bytes = job(9).header("Expect", "100-continue").with_target(path).bytes();
    let body = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let mut connection = Connection::open(relay.listen);
    connection.write(&bytes[..body]);
    // The relay says this when it waits for the body, and not before.
    assert_eq!(connection.read_head().status, 100);
    connection.write(&bytes[body..body + 10]);
    (connection, bytes[body + 10..].to_vec())
}

/// A disk of four megabytes over a directory, for as long as this lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(over: &Path) -> Option<Self> {
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m,mode=0700", "docrelay-test"]).arg(over).output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        possible(mounted, "mount a small disk").then(|| Self(over.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).output().ok();
    }
}

/// Files that nobody can write to, not even root, for as long as this lives.
struct Frozen(Vec<PathBuf>);

impl Frozen {
    fn freeze(files: &[PathBuf]) -> Option<Self> {
        let frozen = Command::new("chattr").arg("+i").args(files).output();
        let guard = Self(files.to_owned());
        possible(frozen.is_ok_and(|output| output.status.success()), "make a file immutable").then_some(guard)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        Command::new("chattr").arg("-i").args(&self.0).output().ok();
    }
}

/// What needs rights that not everybody has is skipped where they are missing; where everything must be tried, it fails.
fn possible(possible: bool, what: &str) -> bool {
    assert!(possible || std::env::var_os("CI").is_none(), "cannot {what} here");
    if !possible {
        eprintln!("SKIPPED: cannot {what} here (it takes root)");
    }
    possible
}
