//! A batch: commands that share one transaction. All of them are committed, or none is. A command that panics is
//! refused alone: the commands before it and those after it get transactions without it. Whatever follows a commit is
//! not contained: after a panic there the memory could lag behind the database, so it ends the thread.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rusqlite::Connection;

use super::append::append;
use super::batch_context::{ApplyError, BatchContext, BatchTx};
use super::command::{BatchCommand, BatchItem, CommandOutput, CommandReply};
use super::{Writer, deliveries};
use crate::domain::{ClientRef, SharedEvent};
use crate::store::sqlite::CommitReport;
use crate::store::sqlite::panics::{Panicked, contain};
use crate::store::sqlite::registry_cache::ClientTargets;
use crate::store::sqlite::tables::columns;
use crate::store::sqlite::tables::identity::LogCounters;
use crate::store::sqlite::tables::rejects::{self, InsertedReject};
use crate::store::sqlite::tables::write_tx::{Committed, WriteTx};
use crate::store::{AppendOutcome, LogChange, StoreError};

/// The output of a command, or why it is refused.
pub(super) type CommandResult = Result<CommandOutput, StoreError>;

/// What a committed batch has changed.
struct CommittedItems {
    /// One for each command, in order.
    results: Vec<CommandResult>,
    counters: LogCounters,
    /// The queues with new work, the new histories, and the clients with more pending deliveries.
    committed: Committed,
}

/// Why nothing of a batch is stored.
enum BatchError {
    Sql(rusqlite::Error),
    Panicked {
        /// The command that has panicked.
        index: usize,
        panicked: Panicked,
    },
}

impl From<rusqlite::Error> for BatchError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl Writer {
    /// Commits a batch in one transaction, then replies, then pushes the events to the tails.
    pub(super) fn commit(&mut self, mut items: Vec<BatchItem>, queued: usize) {
        while !items.is_empty() {
            let started = Instant::now();
            let context = BatchContext {
                registry: &self.shared.registry,
                identity: self.identity,
                retention: &self.retention,
                seal: &*self.seal,
            };
            let result = apply_and_commit(&mut self.db, context, self.counters, &items);
            let mut report = CommitReport {
                commands: items.len(),
                events: 0,
                duration: started.elapsed(),
                queued,
                wal_bytes: 0,
                wal_over_limit: false,
                committed: result.is_ok(),
                refused: 0,
            };
            let mut rest = Vec::new();
            match result {
                Ok(committed) => report.events = self.publish(items, committed),
                Err(BatchError::Sql(error)) => {
                    let error = columns::unavailable(&error);
                    self.log_availability(Some(&error));
                    refuse(items, &error);
                }
                Err(BatchError::Panicked { index, panicked }) => {
                    rest = items.split_off(index + 1);
                    refuse_panicking(items.pop(), panicked);
                    // They have just succeeded, so each command is applied twice at most.
                    self.commit(items, queued);
                }
            }
            let size = self.check_wal();
            (report.wal_bytes, report.wal_over_limit) = (size.bytes, size.is_over_limit);
            self.report(report);
            items = rest;
        }
    }

    /// Takes a committed batch over into memory, replies, and pushes the events to the tails. Returns their number.
    fn publish(&mut self, items: Vec<BatchItem>, committed: CommittedItems) -> usize {
        self.log_availability(None);
        self.counters = committed.counters;
        self.shared.head.store(columns::unsigned(self.counters.head), Ordering::Release);
        self.note_committed(committed.committed, self.counters.time);
        let events = new_events(&committed.results);
        reply(items.into_iter().map(|item| item.reply), committed.results);
        let count = events.len();
        if count > 0 {
            self.shared.tails.push(&LogChange::Events(events));
        }
        count
    }

    /// Logs when the store begins to refuse, and when it accepts again.
    pub(super) fn log_availability(&mut self, error: Option<&StoreError>) {
        match (error, self.is_failing) {
            (Some(error), false) => {
                tracing::error!(%error, "store cannot accept events: free the disk or make it writable")
            }
            (None, true) => tracing::info!("store accepts events again"),
            _ => {}
        }
        self.is_failing = error.is_some();
    }
}

/// Applies and commits the commands.
///
/// # Errors
/// After an error of SQLite or a panic nothing is stored.
fn apply_and_commit(
    db: &mut Connection,
    context: BatchContext<'_>,
    counters: LogCounters,
    items: &[BatchItem],
) -> Result<CommittedItems, BatchError> {
    let mut tx = BatchTx { write: WriteTx::begin(db)?, counters, context };
    let mut results = Vec::with_capacity(items.len());
    // A panic leaves the transaction and the results half changed, and both are dropped.
    contain("a command", || apply_all(&mut tx, items.iter().map(|item| &item.command), &mut results))
        .map_err(|panicked| BatchError::Panicked { index: results.len(), panicked })??;
    // A batch of duplicates has nothing to write. A probe always writes, so that a full or
    // read-only disk is detected.
    if tx.counters != counters || items.iter().any(|item| matches!(item.command, BatchCommand::Probe)) {
        tx.counters.save(tx.db())?;
    }
    let counters = tx.counters;
    Ok(CommittedItems { results, counters, committed: tx.write.commit()? })
}

/// Applies commands and adds their results to `results`; a refused command has written nothing.
///
/// # Errors
/// After an error of SQLite the transaction must not be committed.
pub(super) fn apply_all<'a>(
    tx: &mut BatchTx<'_>,
    commands: impl Iterator<Item = &'a BatchCommand>,
    results: &mut Vec<CommandResult>,
) -> rusqlite::Result<()> {
    for command in commands {
        results.push(match apply(tx, command) {
            Ok(output) => Ok(output),
            Err(ApplyError::Refused(error)) => Err(error),
            Err(ApplyError::Sql(error)) => return Err(error),
        });
    }
    Ok(())
}

/// Applies commands, each on its own: one that SQLite refuses or that panics has written nothing, and the others are
/// applied. Slower than [`apply_all`], with the same result if no command fails. Returns the panics by the place of
/// their commands, which are refused.
///
/// # Errors
/// An error of this machine: the transaction must not be committed.
pub(super) fn apply_each(
    tx: &mut BatchTx<'_>,
    commands: &[BatchCommand],
    results: &mut Vec<CommandResult>,
) -> rusqlite::Result<BTreeMap<usize, Panicked>> {
    let mut panics = BTreeMap::new();
    for (index, command) in commands.iter().enumerate() {
        let (start, counters) = (tx.write.begin_part()?, tx.counters);
        let refused = match contain("a command of an entry", || apply(tx, command)) {
            Ok(Err(ApplyError::Sql(error))) if columns::is_inherent(&error) => columns::refused(&error),
            Ok(Err(ApplyError::Sql(error))) => return Err(error),
            Ok(Err(ApplyError::Refused(error))) => {
                tx.write.keep_part()?;
                results.push(Err(error));
                continue;
            }
            Ok(Ok(output)) => {
                tx.write.keep_part()?;
                results.push(Ok(output));
                continue;
            }
            Err(panicked) => {
                let error = StoreError::Inapplicable(panicked.to_string());
                panics.insert(index, panicked);
                error
            }
        };
        tx.write.undo_part(start)?;
        tx.counters = counters;
        results.push(Err(refused));
    }
    Ok(panics)
}

fn apply(tx: &mut BatchTx<'_>, command: &BatchCommand) -> Result<CommandOutput, ApplyError> {
    Ok(match command {
        BatchCommand::Append(event) => {
            let targets = targets(tx, &event.client)?;
            CommandOutput::Appended(append(tx, &targets, event)?)
        }
        BatchCommand::AddReject { client, reject } => {
            let client = client_number(tx, client)?;
            let added = rejects::insert(tx.db(), client, tx.context.retention, reject)?;
            let InsertedReject { id, removed } = added.ok_or(StoreError::TooMany("unverified rejects"))?;
            tx.write.usage.reject_added(client, rejects::stored_bytes(reject));
            tx.write.usage.rejects_removed(removed);
            CommandOutput::Number(id)
        }
        BatchCommand::RemoveReject { client, id } => {
            let client = client_number(tx, client)?;
            if !rejects::delete(tx.db(), client, *id)? {
                return Err(StoreError::NotFound("reject").into());
            }
            CommandOutput::Done
        }
        BatchCommand::RecordAttempt(record) => {
            let present = tx.context.registry.present_targets(&record.queue.client);
            let targets = present.ok_or(StoreError::NotFound("client"))?;
            CommandOutput::Recorded(deliveries::record_attempt(&mut tx.write, &targets, record)?)
        }
        BatchCommand::RetryDelivery { client, id, now } => {
            let targets = targets(tx, client)?;
            CommandOutput::Retried(deliveries::retry(&mut tx.write, &targets, *id, *now)?)
        }
        BatchCommand::Probe => CommandOutput::Done,
    })
}

fn targets(tx: &BatchTx<'_>, client: &ClientRef) -> Result<ClientTargets, StoreError> {
    tx.context.registry.targets(client).ok_or(StoreError::NotFound("client"))
}

fn client_number(tx: &BatchTx<'_>, client: &ClientRef) -> Result<i64, StoreError> {
    tx.context.registry.number(client).ok_or(StoreError::NotFound("client"))
}

/// The new events among the results.
pub(super) fn new_events(results: &[CommandResult]) -> Vec<SharedEvent> {
    let new = |result: &CommandResult| match result {
        Ok(CommandOutput::Appended(AppendOutcome::Stored(event))) => Some(event.clone()),
        _ => None,
    };
    results.iter().filter_map(new).collect()
}

/// Replies after the commit.
pub(super) fn reply(replies: impl Iterator<Item = CommandReply>, results: Vec<CommandResult>) {
    for (reply, result) in replies.zip(results) {
        reply.send(result);
    }
}

/// Replies when nothing was stored.
fn refuse(items: Vec<BatchItem>, error: &StoreError) {
    for item in items {
        item.reply.send(Err(error.clone()));
    }
}

/// Replies to a command that has panicked.
fn refuse_panicking(item: Option<BatchItem>, panicked: Panicked) {
    if let Some(BatchItem { command, reply }) = item {
        let client = command.client().map(tracing::field::display);
        tracing::error!(client, "command refused because it panics: please report this as a bug");
        reply.send(Err(panicked.into()));
    }
}
