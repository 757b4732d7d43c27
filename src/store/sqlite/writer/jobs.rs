//! The background work of the writer: bulk updates, erasing, pruning. Each slice is a transaction of its own, sized by what
//! was written before it, so that the commands between two slices are not delayed.

use std::collections::VecDeque;

use rusqlite::Connection;

use super::bulk_update::{BulkUpdate, RemovedNotification};
use super::command::{CommandOutput, CommandReply, ReplySender, send};
use super::give_up::{ExpirySweep, LimitSweep};
use crate::domain::Timestamp;
use crate::store::Retention;
use crate::store::sqlite::OnGivenUp;
use crate::store::sqlite::ready_queues::ReadyQueues;
use crate::store::sqlite::registry_cache::RegistryCache;
use crate::store::sqlite::retention::{self, Prune};
use crate::store::sqlite::tables::columns;
use crate::store::sqlite::tables::write_tx::{Committed, WriteTx};

/// The queues of background work, each in order of arrival. Bulk updates come first, because a caller waits for them; then
/// erasing, then pruning.
pub(crate) struct Jobs {
    bulk_updates: VecDeque<BulkJob>,
    /// Numbers of removed clients.
    erasing: VecDeque<i64>,
    pruning: VecDeque<PruneJob>,
    on_given_up: Option<OnGivenUp>,
}

struct BulkJob {
    update: BulkUpdate,
    /// `None` if nothing waits for the update, or after the reply.
    reply: Option<CommandReply>,
}

struct PruneJob {
    prune: Prune,
    reply: ReplySender<u64>,
}

impl Jobs {
    /// With the work that the previous run did not complete.
    pub(crate) fn load(db: &Connection, on_given_up: Option<OnGivenUp>) -> rusqlite::Result<Self> {
        let mut jobs =
            Self { bulk_updates: VecDeque::new(), erasing: VecDeque::new(), pruning: VecDeque::new(), on_given_up };
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

    /// Fails the pending deliveries of a removed notification. The removal itself is durable already.
    pub(super) fn fail_pending(&mut self, removed: RemovedNotification, reply: ReplySender<()>) {
        self.update(BulkUpdate::FailPending(removed), CommandReply::Done(reply));
    }

    pub(super) fn update(&mut self, update: BulkUpdate, reply: CommandReply) {
        self.bulk_updates.push_back(BulkJob { update, reply: Some(reply) });
    }

    /// Gives up the oldest pending deliveries of a client until it is within its limits.
    pub(super) fn enforce_limit(&mut self, client: i64, now: Timestamp) {
        let is_mine = |job: &BulkJob| matches!(&job.update, BulkUpdate::EnforceLimit(sweep) if sweep.client == client);
        if !self.bulk_updates.iter().any(is_mine) {
            let update = BulkUpdate::EnforceLimit(LimitSweep { client, now, given_up: 0 });
            self.bulk_updates.push_back(BulkJob { update, reply: None });
        }
    }

    /// Gives up expired deliveries and prunes all clients, then replies with the number of removed events. Resumes the
    /// work that a disk error has stopped.
    pub(super) fn prune(&mut self, db: &Connection, cache: &RegistryCache, now: Timestamp, reply: ReplySender<u64>) {
        match self.resume(db).and_then(|()| self.expire_pending(db, now)) {
            Ok(()) => self.pruning.push_back(PruneJob { prune: Prune::new(now, cache.numbers()), reply }),
            Err(error) => send(reply, Err(columns::unavailable(&error))),
        }
    }

    fn resume(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.erasing = retention::removed_clients(db)?.into();
        for removed in RemovedNotification::load(db)? {
            let is_queued = |job: &BulkJob| matches!(&job.update, BulkUpdate::FailPending(queued) if queued.number == removed.number);
            if !self.bulk_updates.iter().any(is_queued) {
                self.bulk_updates.push_back(BulkJob { update: BulkUpdate::FailPending(removed), reply: None });
            }
        }
        Ok(())
    }

    fn expire_pending(&mut self, db: &Connection, now: Timestamp) -> rusqlite::Result<()> {
        if !self.bulk_updates.iter().any(|job| matches!(job.update, BulkUpdate::Expire(_))) {
            let update = BulkUpdate::Expire(ExpirySweep::new(db, now)?);
            self.bulk_updates.push_back(BulkJob { update, reply: None });
        }
        Ok(())
    }

    /// Does about so much work in one transaction. After an error the job is dropped.
    pub(super) fn slice(&mut self, db: &mut Connection, bounds: &Retention, ready: &ReadyQueues, work: usize) {
        if !self.bulk_updates.is_empty() {
            self.slice_bulk_update(db, bounds, ready);
        } else if !self.erasing.is_empty() {
            self.slice_erasing(db);
        } else if !self.pruning.is_empty() {
            self.slice_pruning(db, bounds, work);
        }
    }

    fn slice_bulk_update(&mut self, db: &mut Connection, bounds: &Retention, ready: &ReadyQueues) {
        let Some(mut job) = self.bulk_updates.pop_front() else { return };
        let mut slice = || -> rusqlite::Result<(bool, Committed)> {
            let mut tx = WriteTx::begin(db)?;
            let is_complete = job.update.slice(&mut tx, bounds)?;
            Ok((is_complete, tx.commit()?))
        };
        let (is_complete, Committed { ready: queues, grown }) = match slice() {
            Ok(slice) => slice,
            Err(error) => return job.finish(Err(error)),
        };
        ready.add(queues);
        for pending in grown.iter().filter(|pending| pending.exceeds(bounds)) {
            self.enforce_limit(pending.client, job.update.now());
        }
        if let Some((reason, count)) = job.update.take_given_up() {
            tracing::warn!(count, reason = reason.as_str(), "pending deliveries became dead letters");
            if let Some(on_given_up) = &self.on_given_up {
                on_given_up(reason, count);
            }
        }
        match is_complete {
            true => job.finish(Ok(())),
            // Behind the others, so that a large update does not delay them.
            false => {
                job.reply_early();
                self.bulk_updates.push_back(job);
            }
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
    /// Replies after the first slice, so that the caller does not wait for every delivery of a large queue.
    fn reply_early(&mut self) {
        if self.update.retried().is_none()
            && let Some(reply) = self.reply.take()
        {
            reply.send(Ok(CommandOutput::Done));
        }
    }

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
