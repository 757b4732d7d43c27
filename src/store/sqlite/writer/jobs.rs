//! The background work of the writer: bulk updates, erasing, pruning, returning free pages. Each slice is a transaction
//! of its own, short enough that the commands between two slices are hardly delayed.

use std::collections::VecDeque;

use rusqlite::Connection;

use super::bulk_update::{BulkUpdate, RemovedNotification};
use super::checkpoint::WalSpace;
use super::command::{CommandOutput, CommandReply, ReplySender, send};
use super::give_up::{ExpirySweep, LimitSweep};
use super::slice::{Slice, SliceResult};
use crate::domain::Timestamp;
use crate::store::sqlite::OnGivenUp;
use crate::store::sqlite::panics::contain;
use crate::store::sqlite::registry_cache::RegistryCache;
use crate::store::sqlite::retention::excess::Excess;
use crate::store::sqlite::retention::{Prune, SliceBudget, erase, free_pages};
use crate::store::sqlite::tables::columns;
use crate::store::sqlite::tables::write_tx::{HistoryChange, TxError};
use crate::store::{PrunedRows, Retention, StoreError};

/// The queues of background work, each in order of arrival. Bulk updates come first, because a caller waits for them;
/// then what exceeds the bounds of the history, because it grows with every batch; then erasing, then pruning. When
/// they have removed much, the free pages are returned to the file system.
pub(crate) struct Jobs {
    bulk_updates: VecDeque<BulkJob>,
    /// Histories that exceed their bounds.
    excess: Excess,
    /// Numbers of removed clients.
    erasing: VecDeque<i64>,
    pruning: VecDeque<PruneJob>,
    /// Whether free pages are being returned.
    returning: bool,
    /// Removed by the retention since the last pass of pruning ended.
    removed: PrunedRows,
    on_given_up: Option<OnGivenUp>,
    /// Whether this node removes what exceeds the bounds.
    leadership: Leadership,
    /// The job whose slice is being done.
    running: Option<Running>,
}

/// Who does the background work that no caller waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leadership {
    /// The only node.
    Alone,
    /// This node of a cluster, since this revision of the lease.
    Leader(u64),
    /// Another node.
    Follower,
}

/// What waits for the result of a slice.
enum Running {
    Bulk(BulkJob),
    Prune(ReplySender<PrunedRows>),
    Other,
}

struct BulkJob {
    update: BulkUpdate,
    /// `None` if nothing waits for the update, or after the reply.
    reply: Option<CommandReply>,
}

struct PruneJob {
    prune: Prune,
    reply: ReplySender<PrunedRows>,
}

impl Jobs {
    /// With the work that the previous run did not complete.
    pub(crate) fn load(
        db: &Connection,
        bounds: &Retention,
        on_given_up: Option<OnGivenUp>,
        leadership: Leadership,
    ) -> rusqlite::Result<Self> {
        let mut jobs = Self {
            bulk_updates: VecDeque::new(),
            excess: Excess::default(),
            erasing: VecDeque::new(),
            pruning: VecDeque::new(),
            returning: false,
            removed: PrunedRows::default(),
            on_given_up,
            leadership,
            running: None,
        };
        if jobs.leads() {
            jobs.excess = Excess::load(db, bounds)?;
            jobs.resume(db)?;
        }
        jobs.returning = free_pages::are_many(db)?;
        Ok(jobs)
    }

    /// Begins or ends the work that only the leader does. After an error it begins with the next pass of pruning.
    pub(super) fn set_leadership(&mut self, leadership: Leadership, db: &Connection, bounds: &Retention) {
        self.leadership = leadership;
        if self.leads() {
            let loaded = Excess::load(db, bounds).map(|excess| self.excess = excess);
            if let Err(error) = loaded.and_then(|()| self.resume(db)) {
                tracing::warn!(%error, "cannot resume background work yet; retrying with the next pruning");
            }
            return;
        }
        self.excess = Excess::default();
        self.erasing.clear();
        for job in self.pruning.drain(..) {
            send(job.reply, Ok(PrunedRows::default()));
        }
        // The next leader begins these, and completes the removal of notifications. What a caller has begun goes on
        // here, also after the reply.
        let is_resumed = |job: &BulkJob| job.reply.is_none() && matches!(job.update, BulkUpdate::FailPending(_));
        self.bulk_updates.retain(|job| !job.update.belongs_to_leader() && !is_resumed(job));
    }

    fn leads(&self) -> bool {
        self.leadership != Leadership::Follower
    }

    /// The revision of the lease under which work is done that no caller waits for; 0 without a cluster.
    pub(super) fn fence(&self) -> u64 {
        match self.leadership {
            Leadership::Leader(revision) => revision,
            Leadership::Alone | Leadership::Follower => 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bulk_updates.is_empty()
            && self.excess.is_empty()
            && self.erasing.is_empty()
            && self.pruning.is_empty()
            && !self.returning
    }

    /// Whether a caller waits for the next work, or it has to keep up with what arrives. Erasing and the return of free
    /// pages can wait.
    pub(super) fn is_urgent(&self) -> bool {
        let is_pruning = self.erasing.is_empty() && !self.pruning.is_empty();
        !self.bulk_updates.is_empty() || !self.excess.is_empty() || is_pruning
    }

    /// Whether there is work that may be done with this space in the write-ahead log. A reader that blocks it stops
    /// all work but bulk updates, because a caller waits for them.
    pub(super) fn can_run(&self, space: WalSpace) -> bool {
        match space {
            WalSpace::Free => !self.is_empty(),
            WalSpace::Full => false,
            WalSpace::Blocked => !self.bulk_updates.is_empty(),
        }
    }

    /// Takes note of the histories that a batch has changed.
    pub(super) fn check_histories(&mut self, changes: &[HistoryChange], bounds: &Retention) {
        if self.leads() {
            self.excess.note(changes, bounds);
        }
    }

    /// Counts the rejects that a batch has removed to make room. In a cluster, each node does the same, and one counts
    /// them.
    pub(super) fn count_removed_rejects(&mut self, number: u64) {
        if self.leads() {
            self.removed.rejects += number;
        }
    }

    /// Looks at all histories again, with other bounds. After an error, a history is looked at when it grows.
    pub(super) fn bounds_changed(&mut self, db: &Connection, cache: &RegistryCache, bounds: &Retention) {
        if !self.leads() {
            return;
        }
        match Excess::load(db, bounds) {
            Ok(excess) => self.excess = excess,
            Err(error) => tracing::warn!(%error, "cannot apply the changed bounds to the stored events yet"),
        }
        for client in cache.numbers() {
            self.excess.add(client);
        }
    }

    /// Removes what exceeds the bounds in a client's history, if anything does.
    pub(super) fn check_history(&mut self, client: i64) {
        if self.leads() {
            self.excess.add(client);
        }
    }

    /// Erases the rows of a removed client.
    pub(super) fn erase_client(&mut self, number: i64) {
        if self.leads() {
            self.excess.remove(number);
            self.erasing.push_back(number);
        }
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
        if self.leads() && !self.bulk_updates.iter().any(is_mine) {
            let update = BulkUpdate::EnforceLimit(LimitSweep { client, now, given_up: 0 });
            self.bulk_updates.push_back(BulkJob { update, reply: None });
        }
    }

    /// Gives up expired deliveries and prunes all clients, then replies with what was removed since the last
    /// reply. Resumes the work that a disk error has stopped.
    pub(super) fn prune(&mut self, db: &Connection, now: Timestamp, reply: ReplySender<PrunedRows>) {
        if !self.leads() {
            return send(reply, Ok(PrunedRows::default()));
        }
        match self.resume(db) {
            Ok(()) => {
                self.expire_pending(now);
                self.pruning.push_back(PruneJob { prune: Prune::new(now), reply });
            }
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

    fn expire_pending(&mut self, now: Timestamp) {
        if !self.bulk_updates.iter().any(|job| matches!(job.update, BulkUpdate::Expire(_))) {
            let update = BulkUpdate::Expire(ExpirySweep::new(now));
            self.bulk_updates.push_back(BulkJob { update, reply: None });
        }
    }

    /// The next slice, or `None` if nothing but the return of free pages is left. Its result must be passed to
    /// [`Jobs::finish`] before the next call.
    pub(super) fn next(&mut self) -> Option<Slice> {
        if let Some(BulkJob { update, reply }) = self.bulk_updates.pop_front() {
            let (copy, slice) = (update.clone(), Slice::Bulk(update));
            self.running = Some(Running::Bulk(BulkJob { update: copy, reply }));
            return Some(slice);
        }
        let (running, slice) = if !self.excess.is_empty() {
            (Running::Other, Slice::Excess(self.excess.next()))
        } else if let Some(client) = self.erasing.front() {
            (Running::Other, Slice::Erase(*client))
        } else if let Some(PruneJob { prune, reply }) = self.pruning.pop_front() {
            (Running::Prune(reply), Slice::Prune(prune))
        } else {
            return None;
        };
        self.running = Some(running);
        Some(slice)
    }

    /// Whether the result of a slice is missing.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Takes the result of the slice that [`Jobs::next`] has returned. After an error its job ends, and the next pass
    /// of pruning begins it again.
    pub(super) fn finish(&mut self, db: &Connection, bounds: &Retention, result: Result<SliceResult, StoreError>) {
        let running = self.running.take();
        match (running, result) {
            (Some(Running::Bulk(job)), Err(error)) => job.finish(Err(error)),
            (Some(Running::Prune(reply)), Err(error)) => {
                self.check_free_pages(db);
                send(reply, Err(error));
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "cannot remove rows yet; retrying with the next batch or pruning");
                self.excess.give_up(bounds);
                self.erasing.clear();
            }
            (running, Ok(result)) => self.advance(db, running, result),
        }
    }

    fn advance(&mut self, db: &Connection, running: Option<Running>, result: SliceResult) {
        self.removed += result.removed;
        if let Some((reason, count)) = result.given_up {
            tracing::warn!(count, reason = reason.as_str(), "pending deliveries became dead letters");
            if let Some(on_given_up) = &self.on_given_up {
                on_given_up(reason, count);
            }
        }
        match (result.slice, running) {
            (Slice::Bulk(update), Some(Running::Bulk(mut job))) => {
                job.update = update;
                match result.is_complete {
                    true => job.finish(Ok(())),
                    // Behind the others, so that a large update does not delay them.
                    false => {
                        job.reply_early();
                        self.bulk_updates.push_back(job);
                    }
                }
            }
            (Slice::Excess(slice), _) => {
                if let Some(excess) = &result.excess {
                    self.excess.finish(&slice, excess);
                }
            }
            (Slice::Erase(client), _) => {
                if result.is_complete {
                    self.erasing.retain(|number| *number != client);
                    self.check_free_pages(db);
                }
            }
            (Slice::Prune(prune), Some(Running::Prune(reply))) => match result.is_complete || !self.leads() {
                false => self.pruning.push_front(PruneJob { prune, reply }),
                true => {
                    self.check_free_pages(db);
                    send(reply, Ok(std::mem::take(&mut self.removed)));
                }
            },
            (Slice::Bulk(_) | Slice::Prune(_), _) => {}
        }
    }

    /// Begins to return free pages if there are many.
    fn check_free_pages(&mut self, db: &Connection) {
        self.returning |= free_pages::are_many(db).unwrap_or(false);
    }

    /// Returns some of the free pages, if there are many; false after an error.
    pub(super) fn return_pages(&mut self, db: &mut Connection, budget: SliceBudget) -> bool {
        if !self.returning {
            return true;
        }
        let result = contain("a slice that returns free pages", || free_pages::return_slice(db, budget));
        let result = result.map_err(TxError::from).and_then(|result| Ok(result?));
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

    fn finish(self, result: Result<(), StoreError>) {
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
            reply.send(result.map(|()| output));
        }
    }
}
