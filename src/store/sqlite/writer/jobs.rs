//! The background work of the writer: bulk updates, erasing, pruning, returning free pages. Each slice is a transaction of its
//! own, short enough that the commands between two slices are hardly delayed.

use std::collections::VecDeque;

use rusqlite::Connection;

use super::bulk_update::{BulkUpdate, RemovedNotification};
use super::checkpoint::LogSpace;
use super::command::{CommandOutput, CommandReply, ReplySender, send};
use super::give_up::{ExpirySweep, LimitSweep};
use crate::domain::Timestamp;
use crate::store::Retention;
use crate::store::sqlite::OnGivenUp;
use crate::store::sqlite::ready_queues::ReadyQueues;
use crate::store::sqlite::registry_cache::RegistryCache;
use crate::store::sqlite::retention::excess::Excess;
use crate::store::sqlite::retention::{Prune, SliceBudget, erase, free_pages};
use crate::store::sqlite::tables::columns;
use crate::store::sqlite::tables::write_tx::{Committed, HistoryChange, WriteTx};

/// The queues of background work, each in order of arrival. Bulk updates come first, because a caller waits for them; then
/// what exceeds the bounds of the history, because it grows with every batch; then erasing, then pruning. When they have removed much, the free pages are returned to the file system.
pub(crate) struct Jobs {
    bulk_updates: VecDeque<BulkJob>,
    /// Histories that exceed their bounds.
    excess: Excess,
    /// Numbers of removed clients.
    erasing: VecDeque<i64>,
    pruning: VecDeque<PruneJob>,
    /// Whether free pages are being returned.
    returning: bool,
    /// Events removed by the retention since the last pass of pruning ended.
    removed_events: u64,
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
    pub(crate) fn load(db: &Connection, bounds: &Retention, on_given_up: Option<OnGivenUp>) -> rusqlite::Result<Self> {
        let mut jobs = Self {
            bulk_updates: VecDeque::new(),
            excess: Excess::load(db, bounds)?,
            erasing: VecDeque::new(),
            pruning: VecDeque::new(),
            returning: false,
            removed_events: 0,
            on_given_up,
        };
        jobs.resume(db)?;
        jobs.returning = free_pages::are_many(db)?;
        Ok(jobs)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bulk_updates.is_empty()
            && self.excess.is_empty()
            && self.erasing.is_empty()
            && self.pruning.is_empty()
            && !self.returning
    }

    /// Whether a caller waits for the next work, or it has to keep up with what arrives. Erasing and the return of free pages can
    /// wait.
    pub(super) fn is_urgent(&self) -> bool {
        let is_pruning = self.erasing.is_empty() && !self.pruning.is_empty();
        !self.bulk_updates.is_empty() || !self.excess.is_empty() || is_pruning
    }

    /// Whether there is work that may be done with this space in the write-ahead log. A reader that blocks the log stops
    /// all work but bulk updates, because a caller waits for them.
    pub(super) fn can_run(&self, space: LogSpace) -> bool {
        match space {
            LogSpace::Free => !self.is_empty(),
            LogSpace::Full => false,
            LogSpace::Blocked => !self.bulk_updates.is_empty(),
        }
    }

    /// Takes note of the histories that a batch has changed.
    pub(super) fn check_histories(&mut self, changes: &[HistoryChange], bounds: &Retention) {
        self.excess.note(changes, bounds);
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

    /// Gives up expired deliveries and prunes all clients, then replies with the number of events that were removed since
    /// the last reply. Resumes the work that a disk error has stopped.
    pub(super) fn prune(&mut self, db: &Connection, cache: &RegistryCache, now: Timestamp, reply: ReplySender<u64>) {
        match self.resume(db).and_then(|()| self.expire_pending(db, now)) {
            Ok(()) => self.pruning.push_back(PruneJob { prune: Prune::new(now, cache.numbers()), reply }),
            Err(error) => send(reply, Err(columns::unavailable(&error))),
        }
    }

    fn resume(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.erasing = erase::removed_clients(db)?.into();
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

    /// One slice in one transaction; false after an error, which ends the job.
    pub(super) fn slice(
        &mut self,
        db: &mut Connection,
        bounds: &Retention,
        ready: &ReadyQueues,
        budget: SliceBudget,
    ) -> bool {
        if !self.bulk_updates.is_empty() {
            self.slice_bulk_update(db, bounds, ready)
        } else if !self.excess.is_empty() {
            self.slice_excess(db, bounds, budget)
        } else if !self.erasing.is_empty() {
            self.slice_erasing(db, budget)
        } else if !self.pruning.is_empty() {
            self.slice_pruning(db, bounds, budget)
        } else {
            self.slice_returning(db, budget)
        }
    }

    fn slice_bulk_update(&mut self, db: &mut Connection, bounds: &Retention, ready: &ReadyQueues) -> bool {
        let Some(mut job) = self.bulk_updates.pop_front() else { return true };
        let mut slice = || -> rusqlite::Result<(bool, Committed)> {
            let mut tx = WriteTx::begin(db)?;
            let is_complete = job.update.slice(&mut tx, bounds)?;
            Ok((is_complete, tx.commit()?))
        };
        let (is_complete, Committed { ready: queues, grown, .. }) = match slice() {
            Ok(slice) => slice,
            Err(error) => {
                job.finish(Err(error));
                return false;
            }
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
        true
    }

    fn slice_excess(&mut self, db: &mut Connection, bounds: &Retention, budget: SliceBudget) -> bool {
        let mut slice = || -> rusqlite::Result<u64> {
            let tx = WriteTx::begin(db)?;
            let removed = self.excess.slice(&tx.db, bounds, budget)?;
            tx.commit()?;
            Ok(removed)
        };
        match slice() {
            Ok(removed) => {
                self.removed_events += removed;
                true
            }
            Err(error) => {
                tracing::warn!(%error, "cannot keep the history within its bounds yet; retrying with the next batch");
                self.excess.give_up(bounds);
                false
            }
        }
    }

    fn slice_erasing(&mut self, db: &mut Connection, budget: SliceBudget) -> bool {
        let Some(client) = self.erasing.front().copied() else { return true };
        let mut slice = || -> rusqlite::Result<bool> {
            let tx = WriteTx::begin(db)?;
            let is_complete = erase::slice(&tx.db, client, budget)?;
            tx.commit()?;
            Ok(is_complete)
        };
        match slice() {
            Ok(false) => true,
            Ok(true) => {
                self.erasing.pop_front();
                self.check_free_pages(db);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "cannot erase a removed client yet; retrying with the next pruning");
                self.erasing.clear();
                false
            }
        }
    }

    fn slice_pruning(&mut self, db: &mut Connection, bounds: &Retention, budget: SliceBudget) -> bool {
        let Some(PruneJob { prune, .. }) = self.pruning.front_mut() else { return true };
        let mut slice = || -> rusqlite::Result<bool> {
            let tx = WriteTx::begin(db)?;
            let is_complete = prune.slice(&tx.db, bounds, budget)?;
            tx.commit()?;
            Ok(is_complete)
        };
        let result = slice();
        if result.is_ok() {
            self.removed_events += prune.removed_events();
        }
        if let Ok(false) = result {
            return true;
        }
        self.check_free_pages(db);
        let is_ok = result.is_ok();
        if let Some(PruneJob { reply, .. }) = self.pruning.pop_front() {
            let removed = if is_ok { std::mem::take(&mut self.removed_events) } else { 0 };
            send(reply, result.map(|_| removed).map_err(|error| columns::unavailable(&error)));
        }
        is_ok
    }

    /// Begins to return free pages if there are many.
    fn check_free_pages(&mut self, db: &Connection) {
        self.returning |= free_pages::are_many(db).unwrap_or(false);
    }

    fn slice_returning(&mut self, db: &mut Connection, budget: SliceBudget) -> bool {
        let result = free_pages::return_slice(db, budget);
        if let Err(error) = &result {
            tracing::warn!(%error, "cannot return free pages of the database yet; retrying after the next pruning");
        }
        self.returning = matches!(result, Ok(false));
        result.is_ok()
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
