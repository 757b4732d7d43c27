//! Power cuts: the relay dies, and of its unflushed changes only a random part is left. Everything that it has
//! acknowledged or streamed is there after the next start, once and under the same id.
//!
//! `POWER_CUTS` sets the number of cuts of the largest test, on which the others depend. `POWER_CUT_SEED` repeats a run
//! as far as its timing allows; each test prints its seed when it fails.

mod changes;
mod disk;
mod first_start;
mod journal;
mod mutation;
mod node;
mod recovered;
mod seal_rotation;
mod storage;

use std::thread;
use std::time::{Duration, Instant};

use changes::Changes;
use disk::Disk;

use super::load::{Acknowledged, Load, Progress, all_events};
use crate::harness::client::TestClient;
use crate::harness::follower::{Follower, Next};
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::request::Request;
use crate::harness::response::{stored_event_id, string_at};
use crate::harness::sse::Block;
use crate::harness::{TIMEOUT, TestRelay, delay};

const DATABASE: &str = "docrelay.db";
const WRITE_AHEAD_LOG: &str = "docrelay.db-wal";

/// A write-ahead log of this size was checkpointed at least once.
const CHECKPOINT_BYTES: i64 = 33_000_000;

/// Between two requests for metrics, which take time from the senders.
const METRIC_INTERVAL: Duration = Duration::from_millis(20);

/// When the relay dies.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// After this number of responses.
    Responses(usize),
    /// With a change or flush of any file.
    Change(usize),
    /// With a write to the database file, which a checkpoint does.
    DatabaseWrite(usize),
    /// Soon after the write-ahead log was restarted, which overwrites it.
    LogRestart,
    /// After a regular stop, which completes a checkpoint.
    Stop,
}

/// A relay on a disk that loses what is not flushed.
struct Machine {
    relay: TestRelay,
    disk: Disk,
    token: String,
    hook: String,
    acknowledged: Acknowledged,
    /// Other acknowledged changes, if a test makes them.
    changes: Option<Changes>,
    pending: Vec<String>,
    round: usize,
    /// Additional bytes of each webhook.
    padding: usize,
    tally: Tally,
}

/// What the cuts of a test met.
#[derive(Debug, Default)]
struct Tally {
    cuts: usize,
    /// Cuts during the start.
    during_start: usize,
    /// Cuts with unflushed writes to the database file.
    during_checkpoint: usize,
    /// Unflushed changes in all.
    unflushed_changes: usize,
    /// Events that a follower has seen before a cut.
    streamed: usize,
    /// Acknowledged states of other objects before the cuts.
    changes: usize,
}

/// The number of cuts of the largest test.
fn cuts() -> usize {
    std::env::var("POWER_CUTS").map_or(75, |cuts| cuts.parse().expect("a number in POWER_CUTS"))
}

fn seed() -> u64 {
    let seed =
        std::env::var("POWER_CUT_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    eprintln!("POWER_CUT_SEED={seed}");
    seed
}

impl Machine {
    /// Starts the relay, and creates a client and a hook.
    #[track_caller]
    fn start(config: &[(&str, &str)]) -> Self {
        Self::with_seed(config, seed())
    }

    #[track_caller]
    fn with_seed(config: &[(&str, &str)], seed: u64) -> Self {
        let mut relay = TestRelay::not_started(config);
        let disk = Disk::new(relay.root(), seed);
        relay.set_environment(disk.environment());
        relay.restart();
        let (token, hook) = {
            let acme = TestClient::new(&relay, "acme");
            (acme.token.clone(), acme.add_unverified_hook("gini").path)
        };
        let (acknowledged, pending, tally) = (Acknowledged::default(), Vec::new(), Tally::default());
        Self { relay, disk, token, hook, acknowledged, changes: None, pending, round: 0, padding: 0, tally }
    }

    /// Starts a relay whose other objects change beside the webhooks.
    #[track_caller]
    fn with_changes() -> Self {
        let mut machine = Self::start(&[("allow_private_endpoints", "127.0.0.0/8")]);
        machine.changes = Some(Changes::new(&machine.acme()));
        machine
    }

    /// The client of the webhooks.
    fn acme(&self) -> TestClient<'_> {
        TestClient::with_token(&self.relay, "acme", self.token.clone())
    }

    /// Sends webhooks until the relay dies, cuts the power, and starts it again. Some of the starts are cut as well.
    ///
    /// # Errors
    /// The relay does not start, or something acknowledged is lost.
    #[track_caller]
    fn cut_under_load(&mut self, death: Death) -> Result<(), String> {
        self.send_until(death)?;
        self.cut();
        while self.disk.rng.u8(0..4) == 0 {
            let count = self.disk.rng.usize(1..12);
            self.disk.kill_after_changes(count);
            if self.relay.try_start().is_ok() {
                self.relay.kill_unless_exited();
            }
            self.tally.during_start += 1;
            self.cut();
        }
        self.relay.try_start()?;
        self.check().map_err(|error| format!("round {}, {death:?}: {error}", self.round))
    }

    fn send_until(&mut self, death: Death) -> Result<(), String> {
        self.round += 1;
        // Nothing is armed yet, so a follower can subscribe.
        let follower = self.relay.follow(&self.token);
        match death {
            Death::Change(count) => self.disk.kill_after_changes(count),
            Death::DatabaseWrite(count) => self.disk.kill_after_writes(count, DATABASE),
            Death::Responses(_) | Death::LogRestart | Death::Stop => {}
        }
        let load = Load {
            to: self.relay.listen,
            path: &self.hook,
            senders: 8,
            round: self.round,
            per_sender: if let Death::Stop = death { 10 } else { usize::MAX },
            padding: self.padding,
            pending: std::mem::take(&mut self.pending),
        };
        let changes = self.changes.as_ref().map(|changes| changes.sender(&self.relay, &self.token, self.round));
        let relay = &mut self.relay;
        let kill = |progress: &Progress| {
            match death {
                Death::Responses(count) => progress.wait_until(|responses| responses >= count),
                Death::LogRestart => wait_for_log_restart(relay, progress),
                Death::Change(_) | Death::DatabaseWrite(_) | Death::Stop => progress.wait_until(|_| false),
            }
            match death {
                Death::Stop => assert_eq!(relay.stop().code(), Some(0)),
                _ => relay.kill_unless_exited(),
            }
        };
        let (result, changes) = thread::scope(|scope| {
            let changing = changes.map(|sender| scope.spawn(|| sender.run()));
            (load.run(kill), changing.map(|thread| thread.join().expect("a sender that ends with its connection")))
        });
        if let (Some(all), Some(changes)) = (&mut self.changes, changes) {
            self.tally.changes += changes.len();
            all.add(changes);
        }
        if let Death::Stop = death {
            self.disk.assert_recorded();
        }
        self.pending = result.pending;
        // An event that a follower has seen must survive, too.
        let streamed = streamed(follower);
        self.tally.streamed += streamed.len();
        for (job, id) in result.acknowledged.into_iter().chain(streamed) {
            self.acknowledged.add(job, id)?;
        }
        Ok(())
    }

    fn cut(&mut self) {
        let losses = self.disk.cut_power();
        self.tally.cuts += 1;
        self.tally.during_checkpoint += usize::from(losses.unflushed_database);
        self.tally.unflushed_changes += losses.unflushed_changes;
    }

    fn check(&self) -> Result<(), String> {
        let error = |error: rusqlite::Error| format!("the database cannot be read: {error}");
        let database = rusqlite::Connection::open(self.relay.data_dir().join(DATABASE)).map_err(error)?;
        let intact: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).map_err(error)?;
        if intact != "ok" {
            return Err(format!("integrity_check: {intact}"));
        }
        let list = self.relay.send(&Request::get("/documents").bearer(&self.token));
        if list.status != 200 {
            return Err(format!("the token is refused, so its key or its client is lost: {}", list.text()));
        }
        let lost = self.changes.as_ref().map(|changes| changes.lost(&self.relay, &self.token));
        if let Some(lost) = lost.into_iter().flatten().next() {
            return Err(lost);
        }
        self.acknowledged.check(all_events(&self.relay, &self.token))
    }

    fn report(&self, started: Instant) {
        let (acknowledged, tally) = (self.acknowledged.len(), &self.tally);
        eprintln!("{acknowledged} webhooks acknowledged, none lost, in {:.1?}: {tally:?}", started.elapsed());
    }
}

/// Waits until the write-ahead log was restarted, and then for some more webhooks.
fn wait_for_log_restart(relay: &TestRelay, progress: &Progress) {
    let (mut largest, mut restarted_at) = (0, usize::MAX);
    progress.wait_until(|responses| {
        delay(METRIC_INTERVAL);
        let bytes = relay.metric("docrelay_wal_bytes");
        largest = largest.max(bytes);
        if largest > CHECKPOINT_BYTES && bytes < largest / 2 {
            restarted_at = restarted_at.min(responses);
        }
        responses > restarted_at.saturating_add(50)
    });
    assert!(restarted_at < usize::MAX, "the log has {largest} bytes and was not restarted");
}

/// The jobs and ids of the events in a stream whose relay has died.
fn streamed(mut follower: Follower) -> Vec<(String, String)> {
    let mut events = Vec::new();
    loop {
        match follower.next(TIMEOUT) {
            Next::Block(Block { id: Some(id), event: None, data: Some(data), .. }) => {
                let json: serde_json::Value = serde_json::from_str(&data).expect("an event in JSON");
                events.push((string_at(&json, "vendorId"), id));
            }
            Next::Block(_) => {}
            Next::End => return events,
            Next::TimedOut => panic!("the stream of a dead relay does not end"),
        }
    }
}

#[test]
fn power_cuts_under_load_lose_nothing_acknowledged() {
    let (started, mut machine) = (Instant::now(), Machine::with_changes());
    for round in 0..cuts() {
        let rng = &mut machine.disk.rng;
        let death = match round % 5 {
            0 | 1 => Death::Responses(rng.usize(0..150)),
            2 | 3 => Death::Change(rng.usize(1..1_000)),
            _ => Death::Stop,
        };
        machine.cut_under_load(death).unwrap_or_else(|error| panic!("{error}"));
    }
    machine.report(started);
    assert!(machine.acknowledged.len() > 10 * cuts() && machine.tally.streamed > 10 * cuts());
    assert!(machine.tally.changes > cuts(), "{:?}", machine.tally);
}

#[test]
fn power_cuts_during_checkpoints_lose_nothing_acknowledged() {
    let (started, mut machine) = (Instant::now(), Machine::start(&[]));
    machine.padding = 8_000;
    for _ in 0..cuts().div_ceil(5) {
        let writes = machine.disk.rng.usize(1..4_000);
        machine.cut_under_load(Death::DatabaseWrite(writes)).unwrap_or_else(|error| panic!("{error}"));
    }
    machine.report(started);
    assert!(machine.tally.during_checkpoint > 0);
}

#[test]
fn power_cuts_after_log_restart_lose_nothing_acknowledged() {
    let (started, mut machine) = (Instant::now(), Machine::start(&[]));
    machine.padding = 16_000;
    machine.cut_under_load(Death::LogRestart).unwrap_or_else(|error| panic!("{error}"));
    machine.padding = 0;
    for _ in 0..3 {
        let responses = machine.disk.rng.usize(0..150);
        machine.cut_under_load(Death::Responses(responses)).unwrap_or_else(|error| panic!("{error}"));
    }
    machine.report(started);
}

#[test]
fn power_cuts_during_deliveries_lose_no_delivery() {
    let started = Instant::now();
    let receiver = Receiver::start(|_, _| Reply { after: Duration::from_millis(2), ..Reply::status(200) });
    let mut machine = Machine::start(&[("allow_private_endpoints", "127.0.0.0/8")]);
    machine.acme().add_default_notification("standard", &receiver.url("/"));
    for _ in 0..cuts().div_ceil(5) {
        let changes = machine.disk.rng.usize(1..1_500);
        machine.cut_under_load(Death::Change(changes)).unwrap_or_else(|error| panic!("{error}"));
    }
    receiver.wait_until(Duration::from_secs(60), |all| {
        let seen: std::collections::HashSet<_> =
            all.iter().filter_map(|request| request.header("webhook-id")).collect();
        machine.acknowledged.ids().all(|id| seen.contains(format!("msg_{}", id.replace('.', "_")).as_str()))
    });
    let acme = machine.acme();
    acme.wait_for_deliveries("state=pending", |pending| pending.is_empty());
    assert!(acme.deliveries("state=dead").is_empty());
    machine.report(started);
}

// Rule 13: 200 means durable.
#[test]
fn log_is_flushed_before_each_response() {
    let machine = Machine::start(&[]);
    let mut flushes = machine.disk.flushes(WRITE_AHEAD_LOG);
    for n in 0..50 {
        let body = format!(r#"{{"documentId":"job-{n}","status":"COMPLETED"}}"#);
        stored_event_id(&machine.relay.send(&Request::post(&machine.hook).json(&body)));
        let now = machine.disk.flushes(WRITE_AHEAD_LOG);
        assert!(now > flushes, "webhook {n} was acknowledged without a flush");
        flushes = now;
    }
}
