//! Deliveries inside the writer's transaction: an event is queued for its destinations in the transaction that stores
//! it, the result of each attempt is recorded, and a delivery is retried by hand. A client without notifications and a
//! document without destinations of its own cost no statement.

use rusqlite::OptionalExtension;

use super::batch_context::{ApplyError, BatchTx};
use crate::domain::{Disposition, Format, QueueKey, Target, Timestamp};
use crate::store::sqlite::registry_cache::ClientTargets;
use crate::store::sqlite::tables::destinations::{self, DestinationsKey, StoredDestinations};
use crate::store::sqlite::tables::document_fifo::{
    self, DEAD, DELIVERED, DocumentFifo, NewDelivery, PENDING, Settlement, TargetRow,
};
use crate::store::sqlite::tables::documents::DocumentRow;
use crate::store::sqlite::tables::registry::NotificationRow;
use crate::store::sqlite::tables::write_tx::{SettledDelivery, WriteTx};
use crate::store::sqlite::tables::{columns, deliveries, events};
use crate::store::{AttemptRecord, NewEvent, RecordEffect, StoreError};

const UNKNOWN_DELIVERY: StoreError = StoreError::NotFound("delivery");

/// The latest event of a document.
#[derive(Clone, Copy)]
pub(super) struct LatestEvent<'a> {
    pub(super) document: &'a DocumentRow,
    /// Bytes of the event with its request.
    pub(super) size: i64,
}

/// Sets the destinations of a new event and queues the event for the notification among them, otherwise for the
/// client's default one, and for the document's callback. The document is the row after the event.
pub(super) fn enqueue(
    tx: &mut BatchTx<'_>,
    targets: &ClientTargets,
    event: &NewEvent,
    latest: LatestEvent<'_>,
) -> rusqlite::Result<()> {
    let document = latest.document;
    set_destinations(tx, targets, event, document)?;
    let destinations = match document.has_destinations || event.destinations.is_some() {
        true => destinations::get(tx.db(), targets.number, document.number)?,
        false => StoredDestinations::default(),
    };
    let named = destinations.notification.and_then(|name| targets.notification(&name));
    let notification = named.or_else(|| targets.default_notification()).map(Destination::notification);
    for destination in notification.into_iter().chain(destinations.callback.map(Destination::callback)) {
        if destination.format.supports(document.status) {
            destination.push(tx, targets, event, latest)?;
        }
    }
    Ok(())
}

/// Sets the destinations of a duplicate and queues the document's latest event for the new ones, if it is retained and
/// has not been queued there before.
pub(super) fn enqueue_for_new_destinations(
    tx: &mut BatchTx<'_>,
    targets: &ClientTargets,
    event: &NewEvent,
    document: &DocumentRow,
) -> rusqlite::Result<()> {
    let Some(destinations) = &event.destinations else { return Ok(()) };
    set_destinations(tx, targets, event, document)?;
    let Some(size) = events::size(tx.db(), targets.number, document.last_seq)? else { return Ok(()) };
    let named = destinations.notification.as_ref().and_then(|name| targets.notification(name));
    let callback = destinations.callback.as_ref().and_then(|callback| Some((Target::of(callback)?, callback.format)));
    let notification = named.map(Destination::notification);
    for destination in notification.into_iter().chain(callback.map(Destination::callback)) {
        let target = destination.target_row(targets);
        let fifo = DocumentFifo { target: &target, document: document.number };
        if destination.format.supports(document.status) && !fifo.contains_latest(tx.db(), document.last_seq)? {
            destination.push(tx, targets, event, LatestEvent { document, size })?;
        }
    }
    Ok(())
}

/// Stores the attempt, sets the delivery's new state, and releases the next one of its document. A failure that belongs
/// to an earlier position in the retry schedule does not change the state.
pub(super) fn record_attempt(
    tx: &mut WriteTx<'_>,
    targets: &ClientTargets,
    record: &AttemptRecord,
) -> Result<RecordEffect, ApplyError> {
    let queue = targets.queue_row(&record.queue.target).ok_or(UNKNOWN_DELIVERY)?;
    let (client, id, now) = (targets.number, columns::signed(record.delivery), record.now);
    let pending = document_fifo::pending(&tx.db, &queue, id)?.ok_or(UNKNOWN_DELIVERY)?;
    let is_superseded = pending.schedule != record.schedule;
    let mut bytes = pending.bytes;
    if let Some(attempt) = &record.attempt {
        if is_superseded && deliveries::contains_attempt(&tx.db, id, attempt.time)? {
            return Ok(RecordEffect::Superseded);
        }
        bytes += deliveries::insert_attempt(tx, client, id, attempt)?;
    }
    let state = match record.disposition {
        Disposition::Delivered => DELIVERED,
        Disposition::Retry(_) | Disposition::Dead if is_superseded => {
            document_fifo::set_bytes(&tx.db, client, id, bytes)?;
            return Ok(RecordEffect::Superseded);
        }
        Disposition::Retry(next) => {
            document_fifo::set_retry(&tx.db, client, id, bytes, next)?;
            return Ok(RecordEffect::Applied);
        }
        Disposition::Dead => DEAD,
    };
    document_fifo::settle(tx, &Settlement { client, id, state, bytes, now })?;
    let fifo = DocumentFifo { target: &pending.target, document: pending.document };
    if pending.is_head && fifo.release_head(&tx.db, now)? {
        tx.mark_ready(record.queue.clone());
    }
    Ok(RecordEffect::Applied)
}

/// Makes a delivery of any state pending, with a new retry schedule. Returns its queue.
pub(super) fn retry(
    tx: &mut WriteTx<'_>,
    targets: &ClientTargets,
    id: u64,
    now: Timestamp,
) -> Result<QueueKey, ApplyError> {
    let (client, id) = (targets.number, columns::signed(id));
    let found: Option<(TargetRow, i64, i64, SettledDelivery)> = tx
        .db
        .prepare_cached(
            "SELECT target, notification, document, state, bytes, size FROM delivery WHERE client = ?1 AND id = ?2",
        )?
        .query_row([client, id], |row| {
            let target = TargetRow { client, notification: row.get(1)?, target: row.get(0)? };
            let settled = SettledDelivery { id, bytes: row.get(4)?, size: row.get(5)? };
            Ok((target, row.get(2)?, row.get(3)?, settled))
        })
        .optional()?;
    let (stored, document, state, delivery) = found.ok_or(UNKNOWN_DELIVERY)?;
    let target = Target::from_key(&stored.target).map_err(|_| UNKNOWN_DELIVERY)?;
    // A dead delivery of an earlier notification of this name goes to the present one: its owner asks for that.
    let queue_target = target.queue_target();
    let notification = targets.notification_number(&queue_target).ok_or(StoreError::NotFound("notification"))?;
    if state == PENDING {
        if stored.notification != notification {
            return Err(UNKNOWN_DELIVERY.into());
        }
        document_fifo::reset_retries(&tx.db, client, id, now)?;
    } else {
        let target = TargetRow { notification, ..stored };
        DocumentFifo { target: &target, document }.requeue(tx, delivery, now)?;
    }
    let queue = QueueKey { client: targets.client.id.clone(), target: queue_target };
    tx.mark_ready(queue.clone());
    Ok(queue)
}

fn set_destinations(
    tx: &mut BatchTx<'_>,
    targets: &ClientTargets,
    event: &NewEvent,
    document: &DocumentRow,
) -> rusqlite::Result<()> {
    let Some(destinations) = &event.destinations else { return Ok(()) };
    let key = DestinationsKey { client: targets.number, owner: &targets.client, document: document.number };
    let growth = destinations::set(tx.db(), tx.context.seal, key, destinations)?;
    tx.write.usage.document_changed(targets.number, growth);
    Ok(())
}

/// A destination of an event.
struct Destination {
    /// The notification's number, 0 for a callback.
    notification: i64,
    target: Target,
    format: Format,
}

impl Destination {
    fn notification(row: &NotificationRow) -> Self {
        let target = Target::Notification(row.notification.name.clone());
        Self { notification: row.number, target, format: row.notification.format }
    }

    fn callback((target, format): (Target, Format)) -> Self {
        Self { notification: 0, target, format }
    }

    fn target_row(&self, targets: &ClientTargets) -> TargetRow {
        TargetRow { client: targets.number, notification: self.notification, target: self.target.key() }
    }

    /// Queues the document's latest event.
    fn push(
        self,
        tx: &mut BatchTx<'_>,
        targets: &ClientTargets,
        event: &NewEvent,
        LatestEvent { document, size }: LatestEvent<'_>,
    ) -> rusqlite::Result<()> {
        let target = self.target_row(targets);
        let id = tx.counters.delivery.saturating_add(1);
        let new = NewDelivery { id, sequence: document.last_seq, size, document: document.uuid, now: event.now };
        DocumentFifo { target: &target, document: document.number }.push(&mut tx.write, &new)?;
        tx.counters.delivery = id;
        tx.write.mark_ready(QueueKey { client: event.client.id.clone(), target: self.target.queue_target() });
        Ok(())
    }
}
