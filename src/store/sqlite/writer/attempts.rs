//! Commands on one delivery: recording an attempt, and a retry by hand.

use rusqlite::OptionalExtension;

use super::batch_tx::ApplyError;
use crate::domain::{Disposition, QueueKey, Target, Timestamp};
use crate::store::sqlite::registry_cache::ClientTargets;
use crate::store::sqlite::tables::document_fifo::{
    self, DEAD, DELIVERED, DocumentFifo, PENDING, QueueRow, SettledDelivery, Settlement,
};
use crate::store::sqlite::tables::write_tx::WriteTx;
use crate::store::sqlite::tables::{columns, deliveries};
use crate::store::{AttemptRecord, StoreError};

const UNKNOWN_DELIVERY: StoreError = StoreError::NotFound("delivery");

/// Stores the attempt, sets the delivery's new state, and releases the next one of its document.
pub(super) fn record(tx: &mut WriteTx<'_>, targets: &ClientTargets, record: &AttemptRecord) -> Result<(), ApplyError> {
    let notification = targets.notification_number(&record.queue.target).ok_or(UNKNOWN_DELIVERY)?;
    let queue = QueueRow { client: targets.number, notification, target: record.queue.target.key() };
    let (client, id, now) = (targets.number, columns::signed(record.delivery), record.now);
    let pending = document_fifo::pending(&tx.db, &queue, id)?.ok_or(UNKNOWN_DELIVERY)?;
    let mut bytes = pending.bytes;
    if let Some(attempt) = &record.attempt {
        bytes += deliveries::insert_attempt(&tx.db, id, attempt)?;
    }
    let state = match record.disposition {
        Disposition::Retry(next) => return Ok(document_fifo::set_retry(&tx.db, client, id, bytes, next)?),
        Disposition::Delivered => DELIVERED,
        Disposition::Dead => DEAD,
    };
    document_fifo::settle(tx, &Settlement { client, id, state, bytes, now })?;
    let fifo = DocumentFifo { queue: &queue, document: pending.document };
    if pending.is_head && fifo.release_head(&tx.db, now)? {
        tx.mark_ready(record.queue.clone());
    }
    Ok(())
}

/// Makes a delivery of any state pending, with no failures.
pub(super) fn retry(tx: &mut WriteTx<'_>, targets: &ClientTargets, id: u64, now: Timestamp) -> Result<(), ApplyError> {
    let (client, id) = (targets.number, columns::signed(id));
    let found: Option<(QueueRow, i64, i64, i64)> = tx
        .db
        .prepare_cached(
            "SELECT target, notification, document, state, bytes FROM delivery WHERE client = ?1 AND id = ?2",
        )?
        .query_row([client, id], |row| {
            let queue = QueueRow { client, notification: row.get(1)?, target: row.get(0)? };
            Ok((queue, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .optional()?;
    let (stored, document, state, bytes) = found.ok_or(UNKNOWN_DELIVERY)?;
    let target = Target::from_key(&stored.target).map_err(|_| UNKNOWN_DELIVERY)?;
    // A dead delivery of an earlier notification of this name goes to the present one: its owner asks for that.
    let notification = targets.notification_number(&target).ok_or(StoreError::NotFound("notification"))?;
    if state == PENDING {
        if stored.notification != notification {
            return Err(UNKNOWN_DELIVERY.into());
        }
        document_fifo::reset_retries(&tx.db, client, id, now)?;
    } else {
        let queue = QueueRow { notification, ..stored };
        DocumentFifo { queue: &queue, document }.requeue(tx, SettledDelivery { id, bytes }, now)?;
    }
    tx.mark_ready(QueueKey { client: targets.client.id.clone(), target });
    Ok(())
}
