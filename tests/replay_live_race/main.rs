//! Replay joined to live, under fire: real store, pump, hub and followers, with a ring so small that everybody falls
//! off it. No sockets here: what is proven is that no event is missed, repeated or out of order, whoever joins when.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "what goes wrong around a test fails that test; its tasks are joined by the test itself"
)]

mod fixture;
mod stream_end;
mod subscribe_race;

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use docrelay::domain::{ClientId, EventId, Status, Timestamp};
use docrelay::stream::hub::{Fields, Filter, Framing};
use docrelay::stream::{FollowRequest, Turn};
use tokio::task::JoinSet;
use tokio::time::timeout;

use fixture::{CLIENTS, Setting, ids};

const ROUNDS: usize = 200;
const FOLLOWERS: usize = 10;

/// What one round asked for and saw.
struct Round {
    client: usize,
    /// The position it began after; `None` for live only.
    after: Option<u64>,
    /// What had been acknowledged before it joined: a live stream has all that comes later.
    before: u64,
    only: Option<Status>,
    seen: Vec<u64>,
}

/// Events in the order of the log, by client: what was acknowledged.
type Acknowledged = Arc<[Mutex<Vec<(u64, Status)>>; 2]>;

#[test]
fn replay_joins_live_without_gap_duplicate_or_reorder() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let setting = Setting::open(8).await;
        let acknowledged: Acknowledged = Arc::default();
        let done = Arc::new(AtomicBool::new(false));
        let mut publishers = JoinSet::new();
        for number in 0..6 {
            publishers.spawn(publish(setting.clone(), number, acknowledged.clone(), done.clone()));
        }
        let mut followers = JoinSet::new();
        for number in 0..FOLLOWERS {
            followers.spawn(follow_and_leave(setting.clone(), number, acknowledged.clone()));
        }
        let mut rounds = Vec::new();
        while let Some(of_one) = followers.join_next().await {
            rounds.extend(of_one.expect("a follower"));
        }
        done.store(true, Ordering::SeqCst);
        publishers.join_all().await;
        assert_eq!(rounds.len(), ROUNDS);
        let truth = [0, 1].map(|client| {
            let mut all = acknowledged[client].lock().expect("a list").clone();
            all.sort_by_key(|(sequence, _)| *sequence);
            all
        });
        rounds.iter().for_each(|round| check(round, &truth[round.client]));
        let events: usize = truth.iter().map(Vec::len).sum();
        let seen: usize = rounds.iter().map(|round| round.seen.len()).sum();
        let replayed = setting.metrics.replay_events.get();
        eprintln!("{ROUNDS} rounds saw {seen} of {events} events, {replayed} of them read from the log");
        assert!(replayed > 0 && (replayed as usize) < seen * 10, "both ways were taken");
        assert_eq!((setting.hub.followers(), setting.hub.clients()), (0, 0));
    });
}

#[track_caller]
fn check(round: &Round, truth: &[(u64, Status)]) {
    let wanted = |status: Status| round.only.is_none_or(|only| only == status);
    let first = *round.seen.first().expect("a round sees something");
    let last = *round.seen.last().expect("a round sees something");
    let from = match round.after {
        Some(position) => position + 1,
        None => {
            let missed = truth.iter().any(|(s, status)| *s > round.before && *s < first && wanted(*status));
            assert!(!missed || round.before < first, "a live stream began before it was joined");
            first
        }
    };
    let expected: Vec<u64> =
        truth.iter().filter(|(s, status)| (from..=last).contains(s) && wanted(*status)).map(|(s, _)| *s).collect();
    assert_eq!(round.seen, expected, "after {:?}", round.after);
}

/// Appends flat out, for both clients in turn.
async fn publish(setting: Setting, number: usize, acknowledged: Acknowledged, done: Arc<AtomicBool>) {
    let mut count = 0;
    while !done.load(Ordering::SeqCst) {
        count += 1;
        let client = (number + count) % 2;
        let status = Status::ALL[count % 3];
        let sequence = setting.append(client, status, &format!("{number}-{count}")).await;
        acknowledged[client].lock().expect("a list").push((sequence, status));
    }
}

/// Joins, reads, drops and resumes, again and again.
async fn follow_and_leave(setting: Setting, number: usize, acknowledged: Acknowledged) -> Vec<Round> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS / FOLLOWERS {
        let client = fastrand::usize(..2);
        let known: Vec<u64> = acknowledged[client].lock().expect("a list").iter().map(|(s, _)| *s).collect();
        let before = known.iter().copied().max().unwrap_or(0);
        let after = match fastrand::u8(..4) {
            0 => None,
            1 => Some(0),
            _ => known.len().checked_sub(1).map(|last| known[last.saturating_sub(fastrand::usize(..60))]),
        };
        let only = (fastrand::u8(..3) == 0).then(|| Status::ALL[fastrand::usize(..3)]);
        let slow = number.is_multiple_of(3);
        let mut round = Round { client, after, before, only, seen: Vec::new() };
        let mut position = after;
        for _ in 0..fastrand::usize(1..5) {
            leg(&setting, &mut round, position, slow).await;
            position = round.seen.last().copied().or(position);
        }
        rounds.push(round);
    }
    rounds
}

/// One connection: from a position until it has had enough.
async fn leg(setting: &Setting, round: &mut Round, position: Option<u64>, slow: bool) {
    let request = FollowRequest {
        client: CLIENTS[round.client].parse::<ClientId>().expect("a name"),
        last_event_id: match position {
            // The first of a log: what was asked for as the beginning.
            Some(0) => Some("earliest".to_owned()),
            position => position.map(|sequence| EventId { epoch: setting.store.log.epoch(), sequence }.to_string()),
        },
        filter: Filter { statuses: round.only.map(|only| vec![only]), ..Filter::default() },
        fields: if fastrand::bool() { Fields::All } else { Fields::Gini },
        framing: Framing::Bare,
        expires: Timestamp::now().plus(Duration::from_secs(3600)),
        now: Timestamp::now(),
    };
    let mut follower = setting.relay.follow(request).expect("room");
    let enough = round.seen.len() + fastrand::usize(1..120);
    while round.seen.len() < enough {
        // Whoever drops a follower while it waits has lost nothing.
        let turn = match timeout(Duration::from_micros(fastrand::u64(1..2000)), follower.next()).await {
            Ok(turn) => turn,
            Err(_) => continue,
        };
        match turn {
            Turn::Write(out) => round.seen.extend(ids(out)),
            Turn::End(_, why) => panic!("the stream ended: {why:?}"),
        }
        if slow {
            timeout(Duration::from_millis(fastrand::u64(1..4)), pending::<()>()).await.ok();
        }
    }
}
