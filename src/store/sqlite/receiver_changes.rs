//! What other nodes have done for the owners of receivers, and the delivery worker has not seen yet. Its memory is
//! bounded: beyond it, any receiver counts as changed.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::store::ReceiverChange;

const MAX_CHANGES: usize = 1_024;

#[derive(Default)]
pub(super) struct ReceiverChanges {
    changes: Mutex<BTreeSet<ReceiverChange>>,
    changed: watch::Sender<()>,
}

impl ReceiverChanges {
    /// To be called after the commit.
    pub(super) fn add(&self, change: ReceiverChange) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if changes.len() >= MAX_CHANGES {
            changes.clear();
            changes.insert(ReceiverChange::Any);
        }
        changes.insert(change);
        drop(changes);
        self.changed.send_replace(());
    }

    /// Waits until there are changes, and takes them.
    pub(super) async fn take(&self) -> Vec<ReceiverChange> {
        let mut changed = self.changed.subscribe();
        loop {
            let changes = std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner));
            if !changes.is_empty() {
                return changes.into_iter().collect();
            }
            // The sender lives as long as this borrow of it.
            changed.changed().await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn changes_beyond_the_bound_count_as_any() {
        let changes = ReceiverChanges::default();
        assert!(changes.take().now_or_never().is_none());
        let client = |number: usize| ReceiverChange::ClientRemoved(format!("c{number}").parse().expect("an id"));
        changes.add(client(0));
        changes.add(client(0));
        assert_eq!(changes.take().await, [client(0)]);
        (0..MAX_CHANGES + 3).for_each(|number| changes.add(client(number)));
        let taken = changes.take().await;
        assert!(taken.len() <= 4 && taken.contains(&ReceiverChange::Any), "{taken:?}");
        assert!(changes.take().now_or_never().is_none());
    }
}
