//! A batch: commands that share one transaction. All of them are committed, or none is.

use rusqlite::Connection;

use super::append::append;
use super::batch_context::{ApplyError, BatchContext, BatchTx};
use super::command::{BatchCommand, BatchItem, CommandOutput, CommandReply};
use super::deliveries;
use crate::domain::{ClientRef, SharedEvent};
use crate::store::sqlite::registry_cache::ClientTargets;
use crate::store::sqlite::tables::identity::LogCounters;
use crate::store::sqlite::tables::rejects;
use crate::store::sqlite::tables::write_tx::{Committed, WriteTx};
use crate::store::{AppendOutcome, StoreError};

/// What a committed batch has changed.
pub(super) struct CommittedItems {
    /// One for each command, in order.
    pub(super) results: Vec<Result<CommandOutput, StoreError>>,
    pub(super) counters: LogCounters,
    /// The queues with new work, the new histories, and the clients with more pending deliveries.
    pub(super) committed: Committed,
}

/// Applies and commits the commands.
///
/// # Errors
/// After an error of SQLite nothing is stored.
pub(super) fn commit(
    db: &mut Connection,
    context: BatchContext<'_>,
    counters: LogCounters,
    items: &[BatchItem],
) -> rusqlite::Result<CommittedItems> {
    let mut tx = BatchTx { write: WriteTx::begin(db)?, counters, context };
    let results = apply_all(&mut tx, items.iter().map(|item| &item.command))?;
    // A batch of duplicates has nothing to write. A probe always writes, so that a full or
    // read-only disk is detected.
    if tx.counters != counters || items.iter().any(|item| matches!(item.command, BatchCommand::Probe)) {
        tx.counters.save(tx.db())?;
    }
    let counters = tx.counters;
    Ok(CommittedItems { results, counters, committed: tx.write.commit()? })
}

/// Applies commands; a refused one has written nothing.
///
/// # Errors
/// After an error of SQLite the transaction must not be committed.
pub(super) fn apply_all<'a>(
    tx: &mut BatchTx<'_>,
    commands: impl Iterator<Item = &'a BatchCommand>,
) -> rusqlite::Result<Vec<Result<CommandOutput, StoreError>>> {
    let mut results = Vec::with_capacity(commands.size_hint().0);
    for command in commands {
        results.push(match apply(tx, command) {
            Ok(output) => Ok(output),
            Err(ApplyError::Refused(error)) => Err(error),
            Err(ApplyError::Sql(error)) => return Err(error),
        });
    }
    Ok(results)
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
            CommandOutput::Number(added.ok_or(StoreError::TooMany("unverified rejects"))?)
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
            deliveries::record_attempt(&mut tx.write, &targets, record)?;
            CommandOutput::Done
        }
        BatchCommand::RetryDelivery { client, id, now } => {
            let targets = targets(tx, client)?;
            deliveries::retry(&mut tx.write, &targets, *id, *now)?;
            CommandOutput::Done
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
pub(super) fn new_events(results: &[Result<CommandOutput, StoreError>]) -> Vec<SharedEvent> {
    let new = |result: &Result<CommandOutput, StoreError>| match result {
        Ok(CommandOutput::Appended(AppendOutcome::Stored(event))) => Some(event.clone()),
        _ => None,
    };
    results.iter().filter_map(new).collect()
}

/// Replies after the commit.
pub(super) fn reply(replies: impl Iterator<Item = CommandReply>, results: Vec<Result<CommandOutput, StoreError>>) {
    for (reply, result) in replies.zip(results) {
        reply.send(result);
    }
}

/// Replies when nothing was stored.
pub(super) fn refuse(items: Vec<BatchItem>, error: &StoreError) {
    for item in items {
        item.reply.send(Err(error.clone()));
    }
}
