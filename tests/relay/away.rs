//! A store that cannot accept: 503 and try again later, and nothing that was acknowledged is lost by it. Each way in
//! which disks fail that this machine lets a test bring about.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, prlimit};

use crate::support::sse::Event;
use crate::support::tenant::{Hook, Tenant, problem, stored};
use crate::support::wire::{Answer, Request, Wire};
use crate::support::{PATIENCE, TestRelay};

fn job(n: usize) -> Request {
    Request::post("").json(&format!(r#"{{"documentId":"job-{n}","status":"COMPLETED","pad":"{}"}}"#, "x".repeat(3000)))
}

fn send(relay: &TestRelay, hook: &Hook, n: usize) -> Answer {
    relay.ask(&job(n).to(&hook.path))
}

/// While the store is away: everything that needs it is 503, the rest works.
#[track_caller]
fn is_away(relay: &TestRelay, acme: &Tenant<'_>, hook: &Hook) {
    let answer = send(relay, hook, 1);
    let why = problem(&answer, 503);
    assert!(answer.header("retry-after").is_some_and(|s| s.parse::<u32>().is_ok_and(|s| s > 0)), "{answer:?}");
    assert!(!why.contains("docrelay.db") && !why.contains("SQL"), "what is wrong is the operator's: {why}");
    problem(&acme.post("/documents", r#"{"vendor":"ppj","vendorId":"x"}"#), 503);
    problem(&acme.post("/hooks", r#"{"vendor":"ppj"}"#), 503);
    problem(&relay.ask(&Request::post(&hook.path).json("{")), 503);
    problem(&relay.ask_admin(&Request::get("/readyz")), 503);
    assert_eq!(relay.ask_admin(&Request::get("/livez")).status, 200);
    assert_eq!(acme.documents().len(), 1, "what is there can be read");
}

/// When it is back: a message that was turned away is stored once, however often it is sent, and everything that was
/// acknowledged is there, after a power cut too.
#[track_caller]
fn is_back(relay: &mut TestRelay, hook: &Hook, token: &str, first: &str) {
    assert_eq!(relay.ask_admin(&Request::get("/readyz")).status, 200, "{}", relay.said());
    let ids = [1, 2, 1].map(|n| stored(&send(relay, hook, n)));
    assert_eq!(ids[0], ids[2]);
    let expected = [first, &ids[0], &ids[1]];
    let replay = |relay: &TestRelay| relay.follow_from(token, "earliest").events(3);
    let before: Vec<Event> = replay(relay);
    assert_eq!(before.iter().map(|e| e.id.as_str()).collect::<Vec<_>>(), expected);
    relay.kill9();
    relay.restart();
    assert_eq!(replay(relay), before);
    assert_ne!(stored(&send(relay, hook, 3)), ids[1]);
    relay.wait_until_metric("docrelay_store_head", |head| head == 4.0);
}

/// A relay with a client, a hook, and one stored event.
fn prepared(relay: &TestRelay) -> (Tenant<'_>, Hook, String) {
    let acme = Tenant::new(relay, "acme");
    let hook = acme.open_hook("gini");
    let first = stored(&send(relay, &hook, 0));
    (acme, hook, first)
}

#[test]
fn a_file_that_may_not_grow_is_503_until_it_may() {
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
    relay.wait_until_said("the store cannot accept");
    relay.wait_until_said("the store accepts again");
}

#[test]
fn a_full_disk_is_503_until_there_is_room() {
    let mut relay = TestRelay::start();
    relay.stop();
    let Some(_disk) = SmallDisk::mount(&relay.data()) else { return };
    relay.restart();
    let (acme, hook, first) = prepared(&relay);
    let token = acme.token.clone();
    let filler = relay.data().join("filler");
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
fn a_database_that_becomes_read_only_is_503_until_it_is_writable() {
    let mut relay = TestRelay::start();
    let (acme, hook, first) = prepared(&relay);
    let token = acme.token.clone();
    let files = ["docrelay.db", "docrelay.db-wal"].map(|name| relay.data().join(name));
    let Some(frozen) = Frozen::freeze(&files) else { return };
    is_away(&relay, &acme, &hook);
    drop(frozen);
    is_back(&mut relay, &hook, &token, &first);
}

#[test]
fn a_database_that_somebody_else_holds_is_503_until_it_is_let_go() {
    let mut relay = TestRelay::start();
    let (acme, hook, first) = prepared(&relay);
    let token = acme.token.clone();
    let stranger = rusqlite::Connection::open(relay.data().join("docrelay.db")).expect("opened");
    stranger.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
    is_away(&relay, &acme, &hook);
    stranger.execute_batch("ROLLBACK").expect("let go");
    is_back(&mut relay, &hook, &token, &first);
}

#[test]
fn more_senders_than_the_writers_queue_holds_are_all_answered() {
    let relay = TestRelay::start();
    let (acme, hook, _) = prepared(&relay);
    let stranger = rusqlite::Connection::open(relay.data().join("docrelay.db")).expect("opened");
    stranger.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
    let mut wires: Vec<Wire> = (0..1500).map(|_| Wire::connect(relay.listen)).collect();
    let send = |wires: &mut [Wire]| {
        wires.iter_mut().enumerate().for_each(|(n, wire)| wire.send(job(n + 1).to(&hook.path).bytes()));
    };
    send(&mut wires);
    for wire in &mut wires {
        problem(&wire.answer(false), 503);
    }
    assert_eq!(acme.documents().len(), 1);
    stranger.execute_batch("ROLLBACK").expect("let go");
    send(&mut wires);
    let mut ids: Vec<String> = wires.iter_mut().map(|wire| stored(&wire.answer(false))).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), wires.len());
    relay.wait_until_metric("docrelay_store_head", |head| head == 1501.0);
}

#[test]
fn a_stop_waits_for_no_sender_that_never_finishes_and_for_none_that_rests() {
    let mut relay = TestRelay::with(&[("grace", "20s"), ("body_timeout", "1h")]);
    let path = {
        let (_, hook, _) = prepared(&relay);
        hook.path
    };
    let resting: Vec<Wire> = (0..20)
        .map(|n| {
            let mut wire = Wire::connect(relay.listen);
            stored(&wire.ask(&job(n).to(&path)));
            wire
        })
        .collect();
    let began = Instant::now();
    assert_eq!(relay.stop().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(8), "resting senders held it up: {:?}", began.elapsed());
    drop(resting);
    relay.set("grace", "2s");
    relay.restart();
    let (mut half, _) = begun(&relay, &path);
    let began = Instant::now();
    assert_eq!(relay.stop().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(half.ends());
}

#[test]
fn a_relay_that_stops_says_so_and_finishes_what_is_running() {
    let mut relay = TestRelay::start();
    let (token, path) = {
        let (acme, hook, _) = prepared(&relay);
        (acme.token.clone(), hook.path)
    };
    let (mut half, rest) = begun(&relay, &path);
    let mut admin = Wire::connect(relay.admin);
    assert_eq!(admin.ask(&Request::get("/readyz")).status, 200);
    relay.signal(Signal::TERM);
    relay.wait_until_said("stopping");
    let deadline = Instant::now() + PATIENCE;
    let unready = loop {
        let answer = admin.ask(&Request::get("/readyz"));
        if answer.status != 200 || Instant::now() > deadline {
            break answer;
        }
    };
    assert!(problem(&unready, 503).contains("stopping"));
    assert_eq!(admin.ask(&Request::get("/livez")).status, 200);
    half.send(rest);
    let id = stored(&half.answer(false));
    assert_eq!(relay.wait().code(), Some(0));
    relay.restart();
    assert_eq!(relay.follow_from(&token, "earliest").events(2)[1].id, id);
}

/// A request that the relay has begun to read, and what is left to be sent of it.
fn begun(relay: &TestRelay, path: &str) -> (Wire, Vec<u8>) {
    let bytes = job(9).header("Expect", "100-continue").to(path).bytes();
    let body = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let mut wire = Wire::connect(relay.listen);
    wire.send(&bytes[..body]);
    // The relay says this when it waits for the body, and not before.
    assert_eq!(wire.head().status, 100);
    wire.send(&bytes[body..body + 10]);
    (wire, bytes[body + 10..].to_vec())
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
