//! Replay and live events under load: a real store, dispatch, hub and followers, with a ring so small that every
//! follower lags. No event may be missed, duplicated or reordered, whenever a follower subscribes. No sockets are
//! involved.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a failure of the fixture fails the test, which joins its own tasks"
)]

mod fixture;
mod idle_replay;
mod stream_end;
mod subscribe_race;

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use docrelay::domain::{EventId, Status, Timestamp};
use docrelay::stream::hub::{Fields, Filter, Framing};
use docrelay::stream::{FollowRequest, StartPosition, StreamAction};
use tokio::task::JoinSet;
use tokio::time::timeout;

use fixture::{CLIENTS, Fixture, client_ref, ids};

const ROUNDS: usize = 200;
const FOLLOWERS: usize = 10;

/// What one round requested and received.
struct Round {
    client: usize,
    /// The position to start after; `None` for live events only.
    after: Option<u64>,
    /// The newest acknowledged sequence before it subscribed: a live stream has every later event.
    before: u64,
    only: Option<Status>,
    seen: Vec<u64>,
}

/// Acknowledged events in log order, by client.
type Acknowledged = Arc<[Mutex<Vec<(u64, Status)>>; 2]>;

// Rule 2: replays are paged and join the live events.
#[test]
fn replay_joins_live_without_gap_duplicate_or_reorder() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let fixture = Fixture::open(8).await;
        let acknowledged: Acknowledged = Arc::default();
        let done = Arc::new(AtomicBool::new(false));
        let mut publishers = JoinSet::new();
        for number in 0..6 {
            publishers.spawn(publish(fixture.clone(), number, acknowledged.clone(), done.clone()));
        }
        let mut followers = JoinSet::new();
        for number in 0..FOLLOWERS {
            followers.spawn(follow_and_leave(fixture.clone(), number, acknowledged.clone()));
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
        let replayed = fixture.metrics.replay_events.get();
        eprintln!("{ROUNDS} rounds saw {seen} of {events} events, {replayed} of them read from the log");
        assert!(replayed > 0 && (replayed as usize) < seen * 10, "events came from the log and from the ring");
        assert_eq!((fixture.hub.followers(), fixture.hub.clients()), (0, 0));
    });
}

#[track_caller]
fn check(round: &Round, truth: &[(u64, Status)]) {
    let wanted = |status: Status| round.only.is_none_or(|only| only == status);
    let first = *round.seen.first().expect("a round receives an event");
    let last = *round.seen.last().expect("a round receives an event");
    let from = match round.after {
        Some(position) => position + 1,
        None => {
            let missed = truth.iter().any(|(s, status)| *s > round.before && *s < first && wanted(*status));
            assert!(!missed || round.before < first, "a live stream missed an event after it was subscribed");
            first
        }
    };
    let expected: Vec<u64> =
        truth.iter().filter(|(s, status)| (from..=last).contains(s) && wanted(*status)).map(|(s, _)| *s).collect();
    assert_eq!(round.seen, expected, "after {:?}", round.after);
}

/// Appends at full speed, alternating between the clients.
async fn publish(fixture: Fixture, number: usize, acknowledged: Acknowledged, done: Arc<AtomicBool>) {
    let mut count = 0;
    while !done.load(Ordering::SeqCst) {
        count += 1;
        let client = (number + count) % 2;
        let status = Status::ALL[count % 3];
        let sequence = fixture.append(client, status, &format!("{number}-{count}")).await;
        acknowledged[client].lock().expect("a list").push((sequence, status));
    }
}

/// Subscribes, reads, drops the follower and resumes, in rounds.
async fn follow_and_leave(fixture: Fixture, number: usize, acknowledged: Acknowledged) -> Vec<Round> {
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
            leg(&fixture, &mut round, position, slow).await;
            position = round.seen.last().copied().or(position);
        }
        rounds.push(round);
    }
    rounds
}

/// One connection: reads a random number of events after a position.
async fn leg(fixture: &Fixture, round: &mut Round, position: Option<u64>, slow: bool) {
    let request = FollowRequest {
        client: client_ref(CLIENTS[round.client]),
        start: match position {
            None => StartPosition::Live,
            Some(0) => StartPosition::Earliest,
            Some(sequence) => StartPosition::After(EventId { epoch: fixture.store.log.epoch(), sequence }),
        },
        filter: Filter { statuses: round.only.map(|only| vec![only]), ..Filter::default() },
        fields: if fastrand::bool() { Fields::All } else { Fields::Gini },
        framing: Framing::Bare,
        expires: Timestamp::now().plus(Duration::from_secs(3600)),
        revoked: Arc::default(),
        now: Timestamp::now(),
    };
    let mut follower = fixture.relay.follow(request).expect("room");
    let enough = round.seen.len() + fastrand::usize(1..120);
    while round.seen.len() < enough {
        // Cancelling `next_action` while it waits loses no event.
        let action = match timeout(Duration::from_micros(fastrand::u64(1..2000)), follower.next_action()).await {
            Ok(action) => action,
            Err(_) => continue,
        };
        match action {
            StreamAction::Write(out) => round.seen.extend(ids(out)),
            StreamAction::End { reason, .. } => panic!("the stream ended: {reason:?}"),
        }
        if slow {
            timeout(Duration::from_millis(fastrand::u64(1..4)), pending::<()>()).await.ok();
        }
    }
}
