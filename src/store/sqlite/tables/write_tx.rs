//! A write transaction, with the effects that take place at its commit.

use std::collections::BTreeSet;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::usage::UsageChanges;
use crate::domain::QueueKey;

/// Dropping it rolls everything back.
pub(crate) struct WriteTx<'a> {
    pub(crate) db: Transaction<'a>,
    /// Written before the commit.
    pub(crate) usage: UsageChanges,
    ready: BTreeSet<QueueKey>,
}

impl<'a> WriteTx<'a> {
    pub(crate) fn begin(db: &'a mut Connection) -> rusqlite::Result<Self> {
        let db = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Self { db, usage: UsageChanges::default(), ready: BTreeSet::new() })
    }

    /// Marks a queue as changed: its reader looks into it after the commit.
    pub(crate) fn mark_ready(&mut self, queue: QueueKey) {
        self.ready.insert(queue);
    }

    /// Commits; returns the queues that were marked as ready.
    pub(crate) fn commit(self) -> rusqlite::Result<BTreeSet<QueueKey>> {
        self.usage.save(&self.db)?;
        self.db.commit()?;
        Ok(self.ready)
    }
}
