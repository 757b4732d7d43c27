//! The writer: the one thread that changes the database. It takes the queued commands, commits them in one transaction,
//! and only then replies. After each transaction it does one slice of background work, which delays the next batch by a
//! few milliseconds at most, unless pruning has to keep up with the load.

mod append;
mod apply_entries;
mod batch;
mod batch_context;
pub(super) mod bulk_update;
mod change_error;
mod channel_timeout;
pub(super) mod checkpoint;
pub(super) mod command;
mod deduplication;
mod deliveries;
#[cfg(test)]
mod faults;
mod give_up;
pub(super) mod jobs;
pub(super) mod notification_edit;
pub(super) mod registry_change;
pub(super) mod slice;

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::mpsc;

pub(super) use self::apply_entries::RepeatedPanics;
use self::channel_timeout::receive_until;
use self::checkpoint::{Checkpointer, WalSize};
use self::command::entry::{PlacedEntry, SliceEntry};
use self::command::pending::WriterReplication;
use self::command::{BatchItem, ReplySender, WriterCommand, send};
use self::jobs::{Jobs, Leadership};
use self::registry_change::{RegistryChange, RemainingWork};
use self::slice::{Slice, SliceResult};
use super::database_file::run_marker::RunMarker;
use super::panics::contain;
use super::retention::SliceBudget;
use super::tables::identity::{LogCounters, LogIdentity};
use super::tables::journal::JournalMark;
use super::tables::write_tx::{Committed, TxError, WriteTx};
use super::threads::EndSignal;
use super::{CommitReport, OnCommit, Shared};
use crate::domain::Timestamp;
use crate::store::{LogChange, Retention, Seal, StoreError};

/// Commands in the queue. While it is full the senders wait.
pub(super) const MAX_QUEUED_COMMANDS: usize = 1024;

/// The same in a cluster, where one command holds up to 32 entries.
pub(super) const MAX_QUEUED_ENTRIES: usize = 8;

/// Commands in one transaction.
const MAX_BATCH_COMMANDS: usize = 512;

/// Bytes of requests in one transaction, about: more would not fit SQLite's page cache and be written twice.
const MAX_BATCH_BYTES: usize = 8 << 20;

/// While commands arrive, a slice of work that can wait is followed by a pause of its duration times this factor: few
/// commands meet a slice, and the disk is left to them.
const PAUSE_FACTOR: u32 = 4;

/// Rows that a slice removes or reads in a cluster, about, where the clocks of the nodes must not decide.
const WORK_PER_PROPOSED_SLICE: usize = 512;

/// Commands arrive if the last one came within this time.
const QUIET_AFTER: Duration = Duration::from_millis(100);

/// The state of the writer thread.
pub(super) struct Writer {
    pub(super) db: Connection,
    pub(super) shared: Arc<Shared>,
    pub(super) identity: LogIdentity,
    /// The counters of the last commit.
    pub(super) counters: LogCounters,
    pub(super) retention: Retention,
    pub(super) jobs: Jobs,
    pub(super) checkpointer: Checkpointer,
    pub(super) marker: RunMarker,
    pub(super) seal: Arc<dyn Seal>,
    pub(super) on_commit: Option<OnCommit>,
    /// Whether the last transaction failed: only a change is logged.
    pub(super) is_failing: bool,
    /// When the last command came.
    pub(super) last_command: Instant,
    /// Before this time only urgent background work is done.
    pub(super) pause_until: Instant,
    /// The cluster, if this is one of its nodes.
    pub(super) replication: Option<WriterReplication>,
    /// Entries of the journal that wait to be applied.
    pub(super) entries: VecDeque<PlacedEntry>,
    /// The panics of the first of them.
    pub(super) panics: RepeatedPanics,
    /// The journal and the last entry that was applied.
    pub(super) mark: JournalMark,
    /// Held while the file is open for writing.
    pub(super) lock: File,
}

impl Writer {
    /// Works until a `Close` command, or until all handles are dropped. A panic drops `_end`, the last parameter,
    /// first: the checkpoint thread ends with this one.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<WriterCommand>, _end: EndSignal) {
        let mut commands = Vec::with_capacity(MAX_BATCH_COMMANDS);
        let mut closing = None;
        while closing.is_none() && self.gather(&mut queue, &mut commands) {
            let mut items = Vec::with_capacity(commands.len());
            let mut bytes: usize = 0;
            for command in commands.drain(..) {
                match command {
                    WriterCommand::Batch(item) => {
                        bytes = bytes.saturating_add(item.command.weight());
                        items.push(item);
                        if bytes > MAX_BATCH_BYTES {
                            self.round(std::mem::take(&mut items), std::mem::take(&mut bytes), queue.len());
                        }
                        continue;
                    }
                    other => {
                        self.round(std::mem::take(&mut items), std::mem::take(&mut bytes), queue.len());
                        closing = self.apply_alone(other);
                    }
                }
                if closing.is_some() {
                    break;
                }
            }
            self.round(items, bytes, queue.len());
        }
        self.finish(queue, closing);
    }

    /// Takes the queued commands; waits for one unless there is background work. Work that waits for a checkpoint goes
    /// on with a command of the checkpoint thread. False when no further command can come.
    fn gather(&self, queue: &mut mpsc::Receiver<WriterCommand>, commands: &mut Vec<WriterCommand>) -> bool {
        if !self.jobs.can_run(self.checkpointer.space()) || self.jobs.is_running() {
            return queue.blocking_recv_many(commands, MAX_BATCH_COMMANDS) > 0;
        }
        if self.is_pausing() {
            return receive_until(queue, commands, self.pause_until);
        }
        while commands.len() < MAX_BATCH_COMMANDS {
            match queue.try_recv() {
                Ok(command) => commands.push(command),
                Err(mpsc::error::TryRecvError::Empty) => return true,
                Err(mpsc::error::TryRecvError::Disconnected) => return !commands.is_empty(),
            }
        }
        true
    }

    /// One transaction for these commands and one for background work.
    fn round(&mut self, items: Vec<BatchItem>, bytes: usize, queued: usize) {
        if !items.is_empty() {
            self.last_command = Instant::now();
        }
        let commands = items.len();
        self.commit(items, queued);
        let budget = if self.is_quiet() { SliceBudget::quiet() } else { SliceBudget::after_batch(commands, bytes) };
        self.background(budget);
    }

    /// One slice of background work, if there is any and the write-ahead log has space for it.
    fn background(&mut self, budget: SliceBudget) {
        if !self.jobs.can_run(self.checkpointer.space()) || self.jobs.is_running() || self.is_pausing() {
            return;
        }
        let started = Instant::now();
        let committed = match self.jobs.next() {
            Some(slice) if self.replication.is_some() => self.propose_slice(slice),
            Some(slice) => self.run_slice(slice, budget),
            None => self.jobs.return_pages(&mut self.db, budget),
        };
        let size = self.check_wal();
        if !self.is_quiet() {
            self.pause_until = Instant::now() + started.elapsed() * PAUSE_FACTOR;
        }
        if self.jobs.is_empty() {
            // The rest of the write-ahead log, which also shortens the file by the pages that were freed at its end.
            self.checkpointer.wake();
        }
        self.report(CommitReport {
            commands: 0,
            events: 0,
            duration: started.elapsed(),
            queued: 0,
            wal_bytes: size.bytes,
            wal_over_limit: size.is_over_limit,
            committed,
            refused: 0,
        });
    }

    /// Does a slice in a transaction of its own; false after an error.
    fn run_slice(&mut self, slice: Slice, budget: SliceBudget) -> bool {
        let now = slice.now().unwrap_or(self.counters.time);
        let run = || -> Result<(SliceResult, Committed), TxError> {
            let mut tx = WriteTx::begin(&mut self.db)?;
            let result = contain("a slice of background work", || slice.run(&mut tx, &self.retention, budget))??;
            Ok((result, tx.commit()?))
        };
        let result = run().map(|(result, committed)| {
            self.note_committed(committed, now);
            result
        });
        let is_ok = result.is_ok();
        self.jobs.finish(&self.db, &self.retention, result.map_err(StoreError::from));
        is_ok
    }

    /// Proposes a slice to the other nodes; its result comes with its entry. False when the store is being closed.
    fn propose_slice(&mut self, slice: Slice) -> bool {
        let fence = if slice.belongs_to_leader() { self.jobs.fence() } else { 0 };
        let entry = SliceEntry { slice, bounds: self.retention.clone(), work: WORK_PER_PROPOSED_SLICE, fence };
        let sent = self.replication.as_ref().map(|replication| replication.slices.try_send(Box::new(entry)).is_ok());
        if sent != Some(true) {
            self.jobs.finish(&self.db, &self.retention, Err(StoreError::Stopped));
        }
        sent == Some(true)
    }

    /// Passes on what has taken effect with a commit.
    fn note_committed(&mut self, committed: Committed, now: Timestamp) {
        self.shared.ready_queues.add(committed.ready);
        self.jobs.check_histories(&committed.histories, &self.retention);
        self.jobs.count_removed_rejects(committed.removed_rejects);
        for pending in committed.grown.iter().filter(|pending| pending.exceeds(&self.retention)) {
            self.jobs.enforce_limit(pending.client, now);
        }
    }

    /// Whether no command has arrived for a while.
    fn is_quiet(&self) -> bool {
        self.last_command.elapsed() >= QUIET_AFTER
    }

    /// Whether background work waits so that commands are not delayed.
    fn is_pausing(&self) -> bool {
        !self.jobs.is_urgent() && Instant::now() < self.pause_until
    }

    /// Checks the write-ahead log after a transaction.
    fn check_wal(&mut self) -> WalSize {
        let size = self.checkpointer.after_commit(&self.db);
        if self.checkpointer.is_held_by_reader()
            && let Some(replication) = &self.replication
        {
            replication.digests.cancel();
        }
        self.shared.wal_over_limit.store(size.is_over_limit, Ordering::Relaxed);
        size
    }

    fn report(&self, report: CommitReport) {
        if let Some(on_commit) = &self.on_commit {
            on_commit(report);
        }
    }

    /// Applies a command that shares no transaction; returns the sender of a `Close` command.
    fn apply_alone(&mut self, command: WriterCommand) -> Option<ReplySender<()>> {
        match command {
            WriterCommand::Batch(item) => self.commit(vec![item], 0),
            WriterCommand::ChangeRegistry(change, reply) => self.change_registry(*change, reply),
            WriterCommand::BulkUpdate(update, reply) => self.jobs.update(update, reply),
            WriterCommand::Prune(now, reply) => {
                // Only whole jobs are added. The reply is dropped with the panic; the next pass is tried in its turn.
                contain("the begin of pruning", || self.jobs.prune(&self.db, now, reply)).ok();
            }
            WriterCommand::RestartWal(done) => {
                let is_restarted = self.checkpointer.restart(&self.db);
                self.check_wal();
                // The checkpoint thread waits for this, unless it is being stopped.
                done.send(is_restarted).ok();
            }
            WriterCommand::CheckpointEnded => {
                self.check_wal();
            }
            WriterCommand::Apply(entries) => {
                self.entries.extend(entries);
                self.apply_waiting();
            }
            WriterCommand::SliceRefused(error) => self.jobs.finish(&self.db, &self.retention, Err(error)),
            WriterCommand::Lead(revision) => {
                let leadership = revision.map_or(Leadership::Follower, Leadership::Leader);
                self.jobs.set_leadership(leadership, &self.db, &self.retention);
            }
            WriterCommand::SetRetention(bounds, reply) => {
                self.retention = *bounds;
                self.jobs.bounds_changed(&self.db, &self.shared.registry, &self.retention);
                send(reply, Ok(()));
            }
            WriterCommand::Close(reply) => return Some(reply),
        }
        None
    }

    fn change_registry(&mut self, change: RegistryChange, reply: ReplySender<()>) {
        let changed = change.apply(&mut self.db, &self.shared.registry, &*self.seal, &|_| Ok(()));
        self.finish_registry(changed.map_err(StoreError::from), Some(reply));
    }

    /// Begins what a change leaves to be done, and replies. On a node, `reply` is missing if no request waits here.
    fn finish_registry(&mut self, changed: Result<RemainingWork, StoreError>, reply: Option<ReplySender<()>>) {
        let done = match changed {
            Ok(RemainingWork::EraseClient(number, client)) => {
                self.shared.tails.push(&LogChange::ClientRemoved(client));
                self.jobs.erase_client(number);
                Ok(())
            }
            Ok(RemainingWork::FailPending(removed)) => {
                // On the node that was asked to; the leader completes what a dead node has begun.
                if let Some(reply) = reply {
                    self.jobs.fail_pending(removed, reply);
                }
                return;
            }
            Ok(RemainingWork::PruneHistory(number)) => {
                self.jobs.check_history(number);
                Ok(())
            }
            Ok(RemainingWork::None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Some(reply) = reply {
            send(reply, done);
        }
    }

    fn finish(mut self, mut queue: mpsc::Receiver<WriterCommand>, closing: Option<ReplySender<()>>) {
        let mut closing = Vec::from_iter(closing);
        queue.close();
        // Commands that come too late are dropped, which replies `Stopped`; further `Close` commands wait for the end.
        while let Ok(command) = queue.try_recv() {
            if let WriterCommand::Close(reply) = command {
                closing.push(reply);
            }
        }
        drop(queue);
        self.shared.tails.end();
        if let Some(replication) = &mut self.replication {
            replication.digests.stop();
        }
        self.checkpointer.stop(&self.db);
        self.marker.write(&self.db);
        if let Err((_, error)) = self.db.close() {
            tracing::warn!(%error, "database not closed cleanly; nothing acknowledged is lost");
        }
        // After the connection, which it must outlive, and before another process may open the file.
        drop(self.checkpointer);
        drop(self.lock);
        for reply in closing {
            send(reply, Ok(()));
        }
    }
}
