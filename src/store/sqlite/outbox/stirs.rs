//! Which lanes have changed since they were last asked for. Knows nothing of SQL.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::store::QueueKey;

/// A set, so that it is bounded by the number of lanes: a caller that is slow hears of each only once.
pub(in crate::store::sqlite) struct Stirs {
    lanes: Mutex<BTreeSet<QueueKey>>,
    /// Rung after the set has grown.
    bell: watch::Sender<()>,
}

impl Stirs {
    /// With those in which something is pending from before.
    pub(in crate::store::sqlite) fn new(lanes: impl Iterator<Item = QueueKey>) -> Self {
        Self { lanes: Mutex::new(lanes.collect()), bell: watch::Sender::new(()) }
    }

    /// Names these to whoever waits. Only for what is committed: a reader would find nothing.
    pub(in crate::store::sqlite) fn add(&self, stirred: BTreeSet<QueueKey>) {
        if !stirred.is_empty() {
            self.lanes.lock().unwrap_or_else(PoisonError::into_inner).extend(stirred);
            self.bell.send_replace(());
        }
    }

    /// Waits until there are any. They are taken in the same breath in which they are answered, so that nothing is lost
    /// when the future is dropped before.
    pub(super) async fn next(&self) -> Vec<QueueKey> {
        // Before the first look: what is added after it rings.
        let mut bell = self.bell.subscribe();
        loop {
            let lanes = std::mem::take(&mut *self.lanes.lock().unwrap_or_else(PoisonError::into_inner));
            // The sender lives as long as this borrow of it.
            if !lanes.is_empty() || bell.changed().await.is_err() {
                return lanes.into_iter().collect();
            }
        }
    }
}
