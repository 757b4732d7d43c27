//! What connects the writer with the cluster: the proposals of this node whose entries were not applied yet, with the
//! receivers of their results, whether entries can be applied at present, and the channel of its slices.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::entry::SliceEntry;
use super::{CommandReply, ReplySender};
use crate::store::StoreError;
use crate::store::sqlite::comparison::DigestThread;

/// What the writer needs of the cluster.
pub(crate) struct WriterReplication {
    /// The proposals of this node that wait for their entries.
    pub(crate) pending: Arc<Pending>,
    /// Distinguishes the proposals of this process from all others.
    pub(crate) proposer: i64,
    /// At most one slice is under way.
    pub(crate) slices: mpsc::Sender<Box<SliceEntry>>,
    /// The position of the last applied entry.
    pub(crate) applied: watch::Sender<u64>,
    pub(crate) digests: DigestThread,
}

/// The receivers of an entry's results.
pub(crate) enum Waiting {
    /// One for each command of a batch.
    Batch(Vec<CommandReply>),
    Registry(ReplySender<()>),
    /// The writer's background work.
    Slice,
    /// Nothing waits for a comparison mark.
    Comparison,
}

impl Waiting {
    /// Replies that nothing was applied. True if the writer has to end a slice of its background work.
    pub(crate) fn refuse(self, error: &StoreError) -> bool {
        match self {
            Self::Batch(replies) => replies.into_iter().for_each(|reply| reply.send(Err(error.clone()))),
            // The receiver may be gone.
            Self::Registry(reply) => drop(reply.send(Err(error.clone()))),
            Self::Slice => return true,
            Self::Comparison => {}
        }
        false
    }
}

/// The proposals of this node.
#[derive(Default)]
pub(crate) struct Pending {
    /// The proposals that are not applied yet, by counter, which grows with the time.
    waiting: Mutex<BTreeMap<i64, PendingEntry>>,
    /// Why the writer cannot apply entries, such as a full disk; `None` normally.
    failure: watch::Sender<Option<StoreError>>,
}

struct PendingEntry {
    waiting: Waiting,
    since: Instant,
}

impl Pending {
    pub(crate) fn insert(&self, counter: i64, waiting: Waiting) {
        self.lock().insert(counter, PendingEntry { waiting, since: Instant::now() });
    }

    /// When the oldest of the proposals was made.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.lock().first_key_value().map(|(_, entry)| entry.since)
    }

    /// Gives all proposals up.
    pub(crate) fn remove_all(&self) -> Vec<Waiting> {
        receivers(std::mem::take(&mut *self.lock()))
    }

    /// Gives the proposals up that were made at least so long ago.
    pub(crate) fn remove_older(&self, age: Duration) -> Vec<Waiting> {
        let mut all = self.lock();
        let first_later = all.iter().find(|(_, entry)| entry.since.elapsed() < age).map(|(counter, _)| *counter);
        let later = first_later.map(|counter| all.split_off(&counter)).unwrap_or_default();
        receivers(std::mem::replace(&mut *all, later))
    }

    /// Why this node proposes nothing at present: its writer cannot apply entries.
    pub(crate) fn failure(&self) -> Option<StoreError> {
        self.failure.borrow().clone()
    }

    pub(crate) fn set_failure(&self, failure: Option<StoreError>) {
        self.failure.send_replace(failure);
    }

    pub(crate) fn failures(&self) -> watch::Receiver<Option<StoreError>> {
        self.failure.subscribe()
    }

    /// Whether the entry can still be applied.
    pub(crate) fn contains(&self, counter: i64) -> bool {
        self.lock().contains_key(&counter)
    }

    /// Gives a proposal up.
    pub(crate) fn remove(&self, counter: i64) -> Option<Waiting> {
        self.lock().remove(&counter).map(|entry| entry.waiting)
    }

    /// The receivers of the entry with this counter, and those of earlier entries, which can no longer be applied.
    pub(crate) fn take(&self, counter: i64) -> (Option<Waiting>, Vec<Waiting>) {
        let mut all = self.lock();
        let later = all.split_off(&counter.saturating_add(1));
        let mut earlier = std::mem::replace(&mut *all, later);
        let own = earlier.remove(&counter).map(|entry| entry.waiting);
        (own, receivers(earlier))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i64, PendingEntry>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn receivers(entries: BTreeMap<i64, PendingEntry>) -> Vec<Waiting> {
    entries.into_values().map(|entry| entry.waiting).collect()
}
