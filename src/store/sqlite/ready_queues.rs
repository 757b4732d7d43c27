//! The delivery queues that changed since the last call of `ready`. Does not depend on SQL.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::domain::QueueKey;

/// A set, and so bounded by the number of queues: a slow reader gets each changed queue once.
pub(super) struct ReadyQueues {
    queues: Mutex<BTreeSet<QueueKey>>,
    /// Notified after the set has grown.
    added: watch::Sender<()>,
}

impl ReadyQueues {
    /// With the queues that already have pending deliveries.
    pub(super) fn new(pending: impl Iterator<Item = QueueKey>) -> Self {
        Self { queues: Mutex::new(pending.collect()), added: watch::Sender::new(()) }
    }

    /// Adds queues and wakes the waiting reader. To be called after the commit: before, the reader would find nothing.
    pub(super) fn add(&self, queues: BTreeSet<QueueKey>) {
        if !queues.is_empty() {
            self.queues.lock().unwrap_or_else(PoisonError::into_inner).extend(queues);
            self.added.send_replace(());
        }
    }

    /// Waits for queues and takes all of them. Cancellation safe: they are taken in the poll that returns them.
    pub(super) async fn next(&self) -> Vec<QueueKey> {
        // Subscribed before the first look, so that no addition is missed.
        let mut added = self.added.subscribe();
        loop {
            let queues = std::mem::take(&mut *self.queues.lock().unwrap_or_else(PoisonError::into_inner));
            // The sender lives as long as this borrow of it.
            if !queues.is_empty() || added.changed().await.is_err() {
                return queues.into_iter().collect();
            }
        }
    }
}
