//! Applies the entries of the journal. Each entry is applied once, in the journal's order, in the transaction that
//! stores its position. A disk error stops the applying, and the writer tries again: a node may be behind, but never
//! skips. An error that the entry itself causes is the same on every node: its command is refused, and the nodes go on.
//! So is a command that panics repeatedly; the first panics are repeated at once, and no sender notices them.

mod comparison;
mod entry_error;
mod registry;
mod repeated_panics;
mod retries;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use self::entry_error::EntryError;
use self::repeated_panics::PANIC_DELAYS;
pub(in crate::store::sqlite) use self::repeated_panics::RepeatedPanics;
use super::batch::{self, CommandResult, apply_all, apply_each, new_events};
use super::batch_context::{BatchContext, BatchTx};
use super::command::BatchCommand;
use super::command::entry::{EntryBody, EntrySeal, PlacedEntry, SliceEntry};
use super::command::pending::Waiting;
use super::{MAX_BATCH_BYTES, MAX_BATCH_COMMANDS, Writer};
use crate::domain::SharedEvent;
use crate::store::sqlite::CommitReport;
use crate::store::sqlite::panics::{Panicked, contain};
use crate::store::sqlite::retention::SliceBudget;
use crate::store::sqlite::tables::columns;
use crate::store::sqlite::tables::identity::LogCounters;
use crate::store::sqlite::tables::journal::{self, JournalMark, ProposalKey};
use crate::store::sqlite::tables::write_tx::{Committed, TxError, WriteTx};
use crate::store::{LogChange, StoreError};

/// Time until an entry is tried again that could not be applied because of this machine.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// How long the commands of this node wait for entries that are in the journal and cannot be applied here. Then they
/// fail with `Unavailable`, as when the broker does not respond: a vendor sends the webhook again, which is a
/// duplicate.
const FAILURE_REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// The results of a batch entry's commands; `None` for an entry that was applied before.
type EntryResults = Option<Vec<CommandResult>>;

/// What a transaction over several batch entries has changed.
struct AppliedBatches {
    results: Vec<EntryResults>,
    counters: LogCounters,
    mark: JournalMark,
    committed: Committed,
}

impl Writer {
    /// Applies the entries that wait. After a disk error, or one panic after another, it tries again until the store is
    /// closed; meanwhile this node proposes nothing.
    pub(super) fn apply_waiting(&mut self) {
        let mut failing_since: Option<Instant> = None;
        let mut panic_delays = PANIC_DELAYS.into_iter();
        while !self.entries.is_empty() {
            match self.apply_first() {
                Ok(()) => {
                    panic_delays = PANIC_DELAYS.into_iter();
                    self.log_availability(None);
                    if failing_since.take().is_some() {
                        self.set_failure(None);
                    }
                }
                Err(_) if self.shared.tails.is_closing() => return,
                Err(error) => {
                    if let (EntryError::Panicked(_), Some(delay)) = (&error, panic_delays.next()) {
                        std::thread::sleep(delay);
                        continue;
                    }
                    let error = StoreError::from(error);
                    self.log_availability(Some(&error));
                    let since = *failing_since.get_or_insert_with(Instant::now);
                    self.set_failure(Some(error.clone()));
                    if since.elapsed() >= FAILURE_REPLY_TIMEOUT {
                        self.refuse_waiting(&error);
                    }
                    std::thread::sleep(RETRY_INTERVAL);
                }
            }
        }
    }

    fn set_failure(&self, failure: Option<StoreError>) {
        if let Some(replication) = &self.replication {
            replication.pending.set_failure(failure);
        }
    }

    /// Replies to all senders whose entries were not applied.
    fn refuse_waiting(&mut self, error: &StoreError) {
        let waiting = self.replication.as_ref().map(|replication| replication.pending.remove_all()).unwrap_or_default();
        self.refuse_all(waiting, error);
    }

    fn refuse_all(&mut self, all: Vec<Waiting>, error: &StoreError) {
        for waiting in all {
            if waiting.refuse(error) {
                self.jobs.finish(&self.db, &self.retention, Err(error.clone()));
            }
        }
    }

    /// Applies the first entries that share a transaction. After an error they wait as before.
    pub(in crate::store::sqlite) fn apply_first(&mut self) -> Result<(), EntryError> {
        let Some(first) = self.entries.front() else { return Ok(()) };
        let key = first.entry.key;
        match &first.entry.body {
            EntryBody::Batch { .. } => Ok(self.apply_batches()?),
            EntryBody::Registry(change) => self.apply_registry(key, (**change).clone()),
            EntryBody::Slice(slice) => Ok(self.apply_slice(key, (**slice).clone())?),
            EntryBody::Comparison { fence } => Ok(self.apply_comparison(key, *fence)?),
        }
    }

    /// Applies the batches at the front, as many as fit into one transaction.
    fn apply_batches(&mut self) -> Result<(), TxError> {
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
        let applied = match self.commit_batches(count, apply_all_of) {
            // Alone, so that the result does not depend on the entries that happen to share the transaction, and that
            // those before one that panics are applied.
            Err(error) if error.is_inherent() || matches!(error, TxError::Panicked(_)) => {
                count = 1;
                self.commit_first()?
            }
            applied => applied?,
        };
        self.counters = applied.counters;
        self.mark = applied.mark;
        self.shared.head.store(columns::unsigned(self.counters.head), Ordering::Release);
        self.note_committed(applied.committed, self.counters.time);
        let entries: Vec<PlacedEntry> = self.entries.drain(..count).collect();
        let mut events: Vec<SharedEvent> = Vec::new();
        let mut refused = 0;
        for (placed, results) in entries.into_iter().zip(applied.results) {
            let Some(results) = results else { continue };
            refused += results.iter().filter(|result| matches!(result, Err(StoreError::Inapplicable(_)))).count();
            events.extend(new_events(&results));
            let replies = match self.take_waiting(placed.entry.key) {
                Some(Waiting::Batch(replies)) => replies,
                _ => Vec::new(),
            };
            self.report_retries(&results, &replies);
            batch::reply(replies.into_iter(), results);
        }
        self.publish_position();
        let size = self.check_wal();
        self.last_command = Instant::now();
        self.report(CommitReport {
            refused,
            commands,
            events: events.len(),
            duration: started.elapsed(),
            queued: 0,
            wal_bytes: size.bytes,
            wal_over_limit: size.is_over_limit,
            committed: true,
        });
        if !events.is_empty() {
            self.shared.tails.push(&LogChange::Events(events));
        }
        Ok(())
    }

    /// Applies the first entry without those of its commands that SQLite refuses or that panic repeatedly, or refuses
    /// all of them.
    fn commit_first(&mut self) -> Result<AppliedBatches, TxError> {
        let position = self.entries.front().map_or(0, |placed| placed.position);
        let mut panics = std::mem::take(&mut self.panics);
        let applied = self.commit_batches(1, |tx, commands, results| {
            let panicked = apply_each(tx, commands, results)?;
            Ok(panics.check(position, panicked)?)
        });
        self.panics = panics;
        let applied = match applied {
            Err(error) if error.is_inherent() => self.commit_batches(1, refuse_each)?,
            applied => applied?,
        };
        for result in applied.results.iter().flatten().flatten() {
            if let Err(error @ StoreError::Inapplicable(_)) = result {
                tracing::error!(position, %error, "command of the journal is refused, as on every node");
            }
        }
        Ok(applied)
    }

    /// One transaction over the first entries.
    fn commit_batches(
        &mut self,
        count: usize,
        mut apply: impl FnMut(&mut BatchTx<'_>, &[BatchCommand], &mut Vec<CommandResult>) -> Result<(), TxError>,
    ) -> Result<AppliedBatches, TxError> {
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
        contain("a batch of entries", || -> Result<(), TxError> {
            for (placed, seal) in self.entries.iter().take(count).zip(&seals) {
                let EntryBody::Batch { commands, bounds } = &placed.entry.body else { continue };
                mark.position = placed.position;
                if journal::is_applied(tx.db(), placed.entry.key)? {
                    results.push(None);
                    continue;
                }
                tx.context = context(bounds.as_deref().unwrap_or(&self.retention), seal);
                let mut outputs = Vec::with_capacity(commands.len());
                apply(&mut tx, commands, &mut outputs)?;
                results.push(Some(outputs));
                journal::set_applied(tx.db(), placed.entry.key, placed.position)?;
            }
            Ok(())
        })??;
        if tx.counters != self.counters {
            tx.counters.save(tx.db())?;
        }
        journal::save(tx.db(), mark)?;
        let counters = tx.counters;
        Ok(AppliedBatches { results, counters, mark, committed: tx.write.commit()? })
    }

    /// Applies the slice at the front.
    fn apply_slice(&mut self, key: ProposalKey, entry: SliceEntry) -> Result<(), TxError> {
        let fence = entry.fence;
        match self.run_entry(key, entry) {
            Err(TxError::Sql(error)) if columns::is_inherent(&error) => {
                Ok(self.refuse_slice(key, fence, columns::refused(&error))?)
            }
            Err(TxError::Panicked(panicked)) => {
                let error = self.check_panic(panicked)?;
                Ok(self.refuse_slice(key, fence, error)?)
            }
            applied => applied,
        }
    }

    /// The error with which the entry at the front is refused, after it has panicked repeatedly.
    fn check_panic(&mut self, panicked: Panicked) -> Result<StoreError, Panicked> {
        let error = StoreError::Inapplicable(panicked.to_string());
        let position = self.entries.front().map_or(0, |placed| placed.position);
        self.panics.check(position, [(0, panicked)].into())?;
        Ok(error)
    }

    fn refuse_slice(&mut self, key: ProposalKey, fence: u64, error: StoreError) -> rusqlite::Result<()> {
        let Some((mut mark, _)) = self.front_mark() else { return Ok(()) };
        mark.fence = mark.fence.max(fence);
        self.store_position(key, mark)?;
        tracing::error!(position = mark.position, %error, "background work of the journal is refused, as on every node");
        self.report_refused();
        if let Some(Waiting::Slice) = self.applied(key, mark) {
            self.jobs.finish(&self.db, &self.retention, Err(error));
        }
        Ok(())
    }

    /// Reports that an entry without commands of a batch was refused.
    fn report_refused(&mut self) {
        let size = self.check_wal();
        self.report(CommitReport {
            commands: 0,
            events: 0,
            duration: Duration::ZERO,
            queued: 0,
            wal_bytes: size.bytes,
            wal_over_limit: size.is_over_limit,
            committed: true,
            refused: 1,
        });
    }

    fn run_entry(&mut self, key: ProposalKey, entry: SliceEntry) -> Result<(), TxError> {
        let Some((mut mark, _)) = self.front_mark() else { return Ok(()) };
        if journal::is_applied(&self.db, key)? {
            return Ok(self.skip(key, mark)?);
        }
        let SliceEntry { slice, bounds, work, fence } = entry;
        let is_fenced = fence > 0 && fence < mark.fence;
        mark.fence = mark.fence.max(fence);
        let now = slice.now().unwrap_or(self.counters.time);
        let retried = slice.retried_queue().filter(|_| !is_fenced && !self.is_own(key)).cloned();
        let mut tx = WriteTx::begin(&mut self.db)?;
        let result = match is_fenced {
            true => None,
            false => Some(contain("a slice", || slice.run(&mut tx, &bounds, SliceBudget::work(work)))??),
        };
        journal::set_applied(&tx.db, key, mark.position)?;
        journal::save(&tx.db, mark)?;
        let committed = tx.commit()?;
        self.report_retried_queue(retried);
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

    /// The entry at the front is applied. Returns the receivers of its results.
    fn applied(&mut self, key: ProposalKey, mark: JournalMark) -> Option<Waiting> {
        self.entries.pop_front();
        self.mark = mark;
        let waiting = self.take_waiting(key);
        self.publish_position();
        waiting
    }

    /// The receivers of this entry's results, if it is one of this node's. Earlier proposals of this node will not be
    /// applied any more.
    fn take_waiting(&mut self, key: ProposalKey) -> Option<Waiting> {
        let replication = self.replication.as_ref()?;
        if key.proposer != replication.proposer {
            return None;
        }
        let (own, lost) = replication.pending.take(key.counter);
        self.refuse_all(lost, &StoreError::Unavailable("the broker has lost the entry".to_owned()));
        own
    }

    fn publish_position(&self) {
        if let Some(replication) = &self.replication {
            replication.applied.send_replace(self.mark.position);
        }
    }
}

/// Refuses the commands of an entry whose transaction cannot be committed.
fn refuse_each(
    _: &mut BatchTx<'_>,
    commands: &[BatchCommand],
    results: &mut Vec<CommandResult>,
) -> Result<(), TxError> {
    let error = || StoreError::Inapplicable("its entry cannot be committed".to_owned());
    results.extend(commands.iter().map(|_| Err(error())));
    Ok(())
}

/// All commands of an entry, without a way to undo a part of them.
fn apply_all_of(
    tx: &mut BatchTx<'_>,
    commands: &[BatchCommand],
    results: &mut Vec<CommandResult>,
) -> Result<(), TxError> {
    Ok(apply_all(tx, commands.iter(), results)?)
}
