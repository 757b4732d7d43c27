//! The background work of the writer: bulk updates, erasing, pruning. Each slice is a transaction of its own, sized by what
//! was written before it, so that the commands between two slices are not delayed.

use std::collections::VecDeque;

use rusqlite::Connection;

use super::bulk_update::{BulkUpdate, RemovedNotification};
use super::command::{CommandOutput, CommandReply, ReplySender, send};
use crate::domain::Timestamp;
use crate::store::Retention;
use crate::store::sqlite::ready_queues::ReadyQueues;
use crate::store::sqlite::registry_cache::RegistryCache;
use crate::store::sqlite::retention::{self, Prune};
use crate::store::sqlite::tables::columns;
use crate::store::sqlite::tables::write_tx::WriteTx;

/// The queues of background work, each in order of arrival. Bulk updates come first, because a caller waits for them; then
/// erasing, then pruning.
pub(crate) struct Jobs {
    bulk_updates: VecDeque<BulkJob>,
    /// Numbers of removed clients.
    erasing: VecDeque<i64>,
    pruning: VecDeque<PruneJob>,
}

struct BulkJob {
    update: BulkUpdate,
    /// `None` after a restart.
    reply: Option<CommandReply>,
}

struct PruneJob {
    prune: Prune,
    reply: ReplySender<u64>,
}

impl Jobs {
    /// With the work that the previous run did not complete.
    pub(crate) fn load(db: &Connection) -> rusqlite::Result<Self> {
        let mut jobs = Self { bulk_updates: VecDeque::new(), erasing: VecDeque::new(), pruning: VecDeque::new() };
        jobs.resume(db)?;
        Ok(jobs)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bulk_updates.is_empty() && self.erasing.is_empty() && self.pruning.is_empty()
    }

    /// Erases the rows of a removed client.
    pub(super) fn erase_client(&mut self, number: i64) {
        self.erasing.push_back(number);
    }

    /// Fails the pending deliveries of a removed notification, then replies.
    pub(super) fn fail_pending(&mut self, removed: RemovedNotification, reply: ReplySender<()>) {
        self.update(BulkUpdate::FailPending(removed), CommandReply::Done(reply));
    }

    pub(super) fn update(&mut self, update: BulkUpdate, reply: CommandReply) {
        self.bulk_updates.push_back(BulkJob { update, reply: Some(reply) });
    }

    /// Prunes all clients, then replies with the number of removed events. Resumes the work that a disk error has stopped.
    pub(super) fn prune(&mut self, db: &Connection, cache: &RegistryCache, now: Timestamp, reply: ReplySender<u64>) {
        match self.resume(db) {
            Ok(()) => self.pruning.push_back(PruneJob { prune: Prune::new(now, cache.numbers()), reply }),
            Err(error) => send(reply, Err(columns::unavailable(&error))),
        }
    }

    fn resume(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.erasing = retention::removed_clients(db)?.into();
        let unfinished = BulkUpdate::unfinished(db)?.into_iter();
        self.bulk_updates.extend(unfinished.map(|update| BulkJob { update, reply: None }));
        Ok(())
    }

    /// Does about so much work in one transaction. After an error the job is dropped.
    pub(super) fn slice(&mut self, db: &mut Connection, bounds: &Retention, ready: &ReadyQueues, work: usize) {
        if !self.bulk_updates.is_empty() {
            self.slice_bulk_update(db, ready);
        } else if !self.erasing.is_empty() {
            self.slice_erasing(db);
        } else if !self.pruning.is_empty() {
            self.slice_pruning(db, bounds, work);
        }
    }

    fn slice_bulk_update(&mut self, db: &mut Connection, ready: &ReadyQueues) {
        let Some(job) = self.bulk_updates.front_mut() else { return };
        let mut slice = || -> rusqlite::Result<bool> {
            let mut tx = WriteTx::begin(db)?;
            let is_complete = job.update.slice(&mut tx)?;
            ready.add(tx.commit()?);
            Ok(is_complete)
        };
        let result = slice();
        if let Ok(false) = result {
            return;
        }
        if let Some(job) = self.bulk_updates.pop_front() {
            job.finish(result.map(drop));
        }
    }

    fn slice_erasing(&mut self, db: &mut Connection) {
        let Some(client) = self.erasing.front().copied() else { return };
        let mut slice = || -> rusqlite::Result<bool> {
            let tx = WriteTx::begin(db)?;
            let is_complete = retention::erase_slice(&tx.db, client)?;
            tx.commit()?;
            Ok(is_complete)
        };
        match slice() {
            Ok(false) => {}
            Ok(true) => drop(self.erasing.pop_front()),
            Err(error) => {
                tracing::warn!(%error, "cannot erase a removed client yet; retrying with the next pruning");
                self.erasing.clear();
            }
        }
    }

    fn slice_pruning(&mut self, db: &mut Connection, bounds: &Retention, work: usize) {
        let Some(PruneJob { prune, .. }) = self.pruning.front_mut() else { return };
        let mut slice = || -> rusqlite::Result<bool> {
            let tx = WriteTx::begin(db)?;
            let is_complete = prune.slice(&tx.db, bounds, work)?;
            tx.commit()?;
            Ok(is_complete)
        };
        let result = slice();
        if let Ok(false) = result {
            return;
        }
        if let Some(PruneJob { prune, reply }) = self.pruning.pop_front() {
            send(reply, result.map(|_| prune.removed_events()).map_err(|error| columns::unavailable(&error)));
        }
    }
}

impl BulkJob {
    fn finish(self, result: rusqlite::Result<()>) {
        let result = match (result, &self.update) {
            // The notification is removed in any case.
            (Err(error), BulkUpdate::FailPending(_)) => {
                tracing::warn!(
                    %error,
                    "cannot mark deliveries of a removed notification as dead yet; retrying with the next pruning"
                );
                Ok(())
            }
            (result, _) => result,
        };
        let output = self.update.retried().map_or(CommandOutput::Done, CommandOutput::Number);
        if let Some(reply) = self.reply {
            reply.send(result.map(|()| output).map_err(|error| columns::unavailable(&error)));
        }
    }
}
