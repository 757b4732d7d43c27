//! Applies the entries of the journal. Each entry is applied once, in the journal's order, in the transaction that stores its
//! position. A disk error stops the applying, and the writer tries again: a node may be behind, but never skips.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::batch::{self, apply_all, new_events};
use super::batch_context::{BatchContext, BatchTx};
use super::command::entry::{EntryBody, EntrySeal, PlacedEntry, SliceEntry};
use super::command::pending::Waiting;
use super::command::{BatchCommand, CommandOutput, ReplySender, send};
use super::registry_change::{RegistryChange, RemainingWork};
use super::{MAX_BATCH_BYTES, MAX_BATCH_COMMANDS, Writer};
use crate::domain::SharedEvent;
use crate::store::sqlite::CommitReport;
use crate::store::sqlite::retention::SliceBudget;
use crate::store::sqlite::tables::columns;
use crate::store::sqlite::tables::identity::LogCounters;
use crate::store::sqlite::tables::journal::{self, JournalMark, ProposalKey};
use crate::store::sqlite::tables::write_tx::{Committed, WriteTx};
use crate::store::{CommittedBatch, StoreError};

/// Time until an entry is tried again that could not be applied.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// The results of a batch entry's commands; `None` for an entry that was applied before.
type EntryResults = Option<Vec<Result<CommandOutput, StoreError>>>;

/// What a transaction over several batch entries has changed.
struct AppliedBatches {
    results: Vec<EntryResults>,
    counters: LogCounters,
    mark: JournalMark,
    committed: Committed,
}

impl Writer {
    /// Applies the entries that wait. After a disk error it tries again until the store is closed.
    pub(super) fn apply_waiting(&mut self) {
        while !self.entries.is_empty() {
            if self.apply_first().is_err() {
                if self.shared.tails.is_closing() {
                    return;
                }
                std::thread::sleep(RETRY_INTERVAL);
            }
        }
    }

    /// Applies the first entries that share a transaction. After an error they wait as before.
    pub(in crate::store::sqlite) fn apply_first(&mut self) -> Result<(), StoreError> {
        let Some(first) = self.entries.front() else { return Ok(()) };
        let applied = match &first.entry.body {
            EntryBody::Batch { .. } => self.apply_batches().map_err(|error| columns::unavailable(&error)),
            EntryBody::Registry(change) => self.apply_registry(first.entry.key, (**change).clone()),
            EntryBody::Slice(slice) => {
                self.apply_slice(first.entry.key, (**slice).clone()).map_err(|error| columns::unavailable(&error))
            }
        };
        self.log_change(applied.as_ref().err());
        applied
    }

    /// Applies the batches at the front, as many as fit into one transaction.
    fn apply_batches(&mut self) -> rusqlite::Result<()> {
        let started = Instant::now();
        let (mut commands, mut bytes, mut count) = (0, 0_usize, 0);
        for placed in &self.entries {
            let EntryBody::Batch { commands: batch, .. } = &placed.entry.body else { break };
            if count > 0 && (commands + batch.len() > MAX_BATCH_COMMANDS || bytes > MAX_BATCH_BYTES) {
                break;
            }
            commands += batch.len();
            bytes += batch.iter().map(BatchCommand::weight).sum::<usize>();
            count += 1;
        }
        let applied = self.commit_batches(count)?;
        self.counters = applied.counters;
        self.mark = applied.mark;
        self.shared.head.store(columns::unsigned(self.counters.head), Ordering::Release);
        self.note_committed(applied.committed, self.counters.time);
        let entries: Vec<PlacedEntry> = self.entries.drain(..count).collect();
        let mut events: Vec<SharedEvent> = Vec::new();
        for (placed, results) in entries.into_iter().zip(applied.results) {
            let Some(results) = results else { continue };
            events.extend(new_events(&results));
            if let Some(Waiting::Batch(replies)) = self.take_waiting(placed.entry.key) {
                batch::reply(replies.into_iter(), results);
            }
        }
        self.publish_position();
        let size = self.check_log();
        self.last_command = Instant::now();
        self.report(CommitReport {
            commands,
            events: events.len(),
            duration: started.elapsed(),
            queued: 0,
            wal_bytes: size.bytes,
            wal_over_limit: size.is_over_limit,
            committed: true,
        });
        if !events.is_empty() {
            self.shared.tails.push(&CommittedBatch { events });
        }
        Ok(())
    }

    /// One transaction over the first entries.
    fn commit_batches(&mut self, count: usize) -> rusqlite::Result<AppliedBatches> {
        let mut mark = self.mark;
        let seals: Vec<EntrySeal<'_>> = (self.entries.iter().take(count))
            .map(|placed| EntrySeal { seal: &*self.seal, salt: placed.entry.salt })
            .collect();
        let context = |bounds, seal| BatchContext {
            registry: &self.shared.registry,
            identity: self.identity,
            retention: bounds,
            seal,
        };
        let mut tx = BatchTx {
            write: WriteTx::begin(&mut self.db)?,
            counters: self.counters,
            context: context(&self.retention, &*self.seal),
        };
        let mut results = Vec::with_capacity(count);
        for (placed, seal) in self.entries.iter().take(count).zip(&seals) {
            let EntryBody::Batch { commands, bounds } = &placed.entry.body else { continue };
            mark.position = placed.position;
            if journal::is_applied(tx.db(), placed.entry.key)? {
                results.push(None);
                continue;
            }
            tx.context = context(bounds.as_deref().unwrap_or(&self.retention), seal);
            results.push(Some(apply_all(&mut tx, commands.iter())?));
            journal::set_applied(tx.db(), placed.entry.key, placed.position)?;
        }
        if tx.counters != self.counters {
            tx.counters.save(tx.db())?;
        }
        journal::save(tx.db(), mark)?;
        let counters = tx.counters;
        Ok(AppliedBatches { results, counters, mark, committed: tx.write.commit()? })
    }

    /// Applies the registry change at the front.
    fn apply_registry(&mut self, key: ProposalKey, change: RegistryChange) -> Result<(), StoreError> {
        let Some((mark, salt)) = self.front_mark() else { return Ok(()) };
        let sql = |error: rusqlite::Error| columns::unavailable(&error);
        if journal::is_applied(&self.db, key).map_err(sql)? {
            return self.skip(key, mark).map_err(sql);
        }
        let seal = EntrySeal { seal: &*self.seal, salt };
        let save = |db: &rusqlite::Connection| {
            journal::set_applied(db, key, mark.position)?;
            journal::save(db, mark)
        };
        match change.apply(&mut self.db, &self.shared.registry, &seal, &save) {
            // A disk error, which only this node has.
            Err(error @ StoreError::Unavailable(_)) => Err(error),
            // Refused: the same on every node.
            Err(error) => {
                self.store_position(key, mark).map_err(sql)?;
                self.applied_registry(key, mark, Err(error));
                Ok(())
            }
            Ok(remaining) => {
                self.applied_registry(key, mark, Ok(remaining));
                Ok(())
            }
        }
    }

    fn applied_registry(&mut self, key: ProposalKey, mark: JournalMark, result: Result<RemainingWork, StoreError>) {
        let reply = match self.applied(key, mark) {
            Some(Waiting::Registry(reply)) => Some(reply),
            _ => None,
        };
        self.finish_registry(result, reply);
    }

    fn finish_registry(&mut self, result: Result<RemainingWork, StoreError>, reply: Option<ReplySender<()>>) {
        let done = match result {
            Ok(RemainingWork::EraseClient(number)) => {
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
            Ok(RemainingWork::None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Some(reply) = reply {
            send(reply, done);
        }
    }

    /// Applies the slice at the front.
    fn apply_slice(&mut self, key: ProposalKey, entry: SliceEntry) -> rusqlite::Result<()> {
        let Some((mut mark, _)) = self.front_mark() else { return Ok(()) };
        if journal::is_applied(&self.db, key)? {
            return self.skip(key, mark);
        }
        let SliceEntry { slice, bounds, work, fence } = entry;
        let is_fenced = fence > 0 && fence < mark.fence;
        mark.fence = mark.fence.max(fence);
        let now = slice.now().unwrap_or(self.counters.time);
        let mut tx = WriteTx::begin(&mut self.db)?;
        let result = match is_fenced {
            true => None,
            false => Some(slice.run(&mut tx, &bounds, SliceBudget::work(work))?),
        };
        journal::set_applied(&tx.db, key, mark.position)?;
        journal::save(&tx.db, mark)?;
        let committed = tx.commit()?;
        self.note_committed(committed, now);
        if let Some(Waiting::Slice) = self.applied(key, mark) {
            let result = result.ok_or_else(|| StoreError::Unavailable("another node leads".to_owned()));
            self.jobs.finish(&self.db, &self.retention, result);
        }
        Ok(())
    }

    /// The mark after the entry at the front, and the entry's salt.
    fn front_mark(&self) -> Option<(JournalMark, [u8; 32])> {
        let placed = self.entries.front()?;
        Some((JournalMark { position: placed.position, ..self.mark }, placed.entry.salt))
    }

    /// Skips the entry at the front, which was applied before.
    fn skip(&mut self, key: ProposalKey, mark: JournalMark) -> rusqlite::Result<()> {
        let tx = WriteTx::begin(&mut self.db)?;
        journal::save(&tx.db, mark)?;
        tx.commit()?;
        self.applied(key, mark);
        Ok(())
    }

    /// Stores the position of an entry that changes nothing else.
    fn store_position(&mut self, key: ProposalKey, mark: JournalMark) -> rusqlite::Result<()> {
        let tx = WriteTx::begin(&mut self.db)?;
        journal::set_applied(&tx.db, key, mark.position)?;
        journal::save(&tx.db, mark)?;
        tx.commit()?;
        Ok(())
    }

    /// The entry at the front is applied. Returns who waits for it.
    fn applied(&mut self, key: ProposalKey, mark: JournalMark) -> Option<Waiting> {
        self.entries.pop_front();
        self.mark = mark;
        let waiting = self.take_waiting(key);
        self.publish_position();
        waiting
    }

    /// Who waits for this entry, if it is one of this node's. Earlier proposals of this node will not be applied any more.
    fn take_waiting(&mut self, key: ProposalKey) -> Option<Waiting> {
        let replication = self.replication.as_ref()?;
        if key.proposer != replication.proposer {
            return None;
        }
        let (own, lost) = replication.pending.take(key.counter);
        let error = StoreError::Unavailable("the broker has lost the entry".to_owned());
        for waiting in lost {
            if waiting.refuse(&error) {
                self.jobs.finish(&self.db, &self.retention, Err(error.clone()));
            }
        }
        own
    }

    fn publish_position(&self) {
        if let Some(replication) = &self.replication {
            replication.applied.send_replace(self.mark.position);
        }
    }
}
