//! A batch: commands that share one transaction. All of them are committed, or none is.

use rusqlite::Connection;

use super::append::append;
use super::batch_context::{ApplyError, BatchContext, BatchTx};
use super::command::{BatchCommand, BatchItem, CommandOutput};
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
    let mut results = Vec::with_capacity(items.len());
    for item in items {
        results.push(match apply(&mut tx, &item.command) {
            Ok(output) => Ok(output),
            Err(ApplyError::Refused(error)) => Err(error),
            Err(ApplyError::Sql(error)) => return Err(error),
        });
    }
    // A batch of duplicates has nothing to write. A probe always writes, so that a full or
    // read-only disk is detected.
    if tx.counters != counters || items.iter().any(|item| matches!(item.command, BatchCommand::Probe)) {
        tx.counters.save(tx.db())?;
    }
    let counters = tx.counters;
    Ok(CommittedItems { results, counters, committed: tx.write.commit()? })
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

/// Replies after the commit; returns the new events.
pub(super) fn reply(items: Vec<BatchItem>, results: Vec<Result<CommandOutput, StoreError>>) -> Vec<SharedEvent> {
    let mut events = Vec::with_capacity(items.len());
    for (item, result) in items.into_iter().zip(results) {
        if let Ok(CommandOutput::Appended(AppendOutcome::Stored(event))) = &result {
            events.push(event.clone());
        }
        item.reply.send(result);
    }
    events
}

/// Replies when nothing was stored.
pub(super) fn refuse(items: Vec<BatchItem>, error: &StoreError) {
    for item in items {
        item.reply.send(Err(error.clone()));
    }
}
