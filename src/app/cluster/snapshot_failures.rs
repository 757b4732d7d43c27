//! Snapshots that this node cannot make, such as without space on its disk. After [`MAX_FAILURES`] consecutive failures
//! it leaves the leadership to another node for a while: without snapshots the journal is not trimmed, and when it is
//! full no node accepts anything.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::journal::JournalError;
use crate::metrics::Counter;

/// Consecutive failures after which a node leaves the leadership to others.
const MAX_FAILURES: u32 = 3;

/// If no other node can make one either, each leads in turn.
const ABSTENTION: Duration = Duration::from_secs(60);

/// Until when a node leaves the leadership to others. Clones share it.
#[derive(Clone)]
pub(super) struct Abstention(watch::Sender<Option<Instant>>);

impl Abstention {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(super) fn lasts(&self, now: Instant) -> bool {
        self.0.borrow().is_some_and(|end| now < end)
    }
}

/// Counts failures.
pub(super) struct SnapshotFailures {
    counter: Counter,
    in_a_row: u32,
    abstention: Abstention,
}

impl SnapshotFailures {
    pub(super) fn new(counter: Counter, abstention: Abstention) -> Self {
        Self { counter, in_a_row: 0, abstention }
    }

    /// Counts the result of an attempt to make a snapshot.
    pub(super) fn count(&mut self, result: &anyhow::Result<()>, now: Instant) {
        let Err(error) = result else {
            self.in_a_row = 0;
            return;
        };
        self.counter.inc();
        // A broker that does not store it would not store another node's.
        if error.downcast_ref::<JournalError>().is_some() {
            return;
        }
        self.in_a_row += 1;
        if self.in_a_row >= MAX_FAILURES {
            tracing::error!(
                failures = self.in_a_row,
                seconds = ABSTENTION.as_secs(),
                "this node cannot make snapshots of the cluster: leaving the leadership to another node for a while"
            );
            self.in_a_row = 0;
            self.abstention.0.send_replace(Some(now + ABSTENTION));
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::metrics::Metrics;

    fn failures() -> (SnapshotFailures, Abstention) {
        let abstention = Abstention::new();
        (SnapshotFailures::new(Metrics::new("test").cluster_snapshot_failures.clone(), abstention.clone()), abstention)
    }

    #[test]
    fn node_without_disk_space_for_snapshots_abstains_for_a_minute() {
        let (mut failures, abstention) = failures();
        let now = Instant::now();
        let full = || Err(anyhow!("database or disk is full"));
        for result in [full(), full(), Ok(()), full(), full()] {
            failures.count(&result, now);
            assert!(!abstention.lasts(now));
        }
        failures.count(&full(), now);
        assert!(abstention.lasts(now) && !abstention.lasts(now + ABSTENTION));
        assert_eq!(failures.counter.get(), 5);
    }

    #[test]
    fn node_whose_broker_stores_no_snapshot_does_not_abstain() {
        let (mut failures, abstention) = failures();
        let now = Instant::now();
        (0..9).for_each(|_| failures.count(&Err(JournalError::Unavailable("full".into()).into()), now));
        assert!(!abstention.lasts(now));
    }
}
