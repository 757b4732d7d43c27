//! The choice of the delivery queues of an event, inside the transaction that stores it. A client without notifications and
//! a document without destinations of its own cost no statement.

use super::batch_tx::BatchTx;
use crate::domain::{Format, QueueKey, Target};
use crate::store::NewEvent;
use crate::store::sqlite::registry_cache::ClientTargets;
use crate::store::sqlite::tables::destinations::{self, DestinationsKey, StoredDestinations};
use crate::store::sqlite::tables::document_fifo::{DocumentFifo, NewDelivery, QueueRow};
use crate::store::sqlite::tables::documents::DocumentRow;
use crate::store::sqlite::tables::events;
use crate::store::sqlite::tables::registry::NotificationRow;

/// Sets the destinations of a new event and queues the event for the notification among them, otherwise for the client's
/// default one, and for the document's callback. `document` is the row after the event.
pub(super) fn new_event(
    tx: &mut BatchTx<'_>,
    targets: &ClientTargets,
    event: &NewEvent,
    document: &DocumentRow,
) -> rusqlite::Result<()> {
    set_destinations(tx, targets, event, document)?;
    let destinations = match document.has_destinations || event.destinations.is_some() {
        true => destinations::get(tx.db(), targets.number, document.number)?,
        false => StoredDestinations::default(),
    };
    let named = destinations.notification.and_then(|name| targets.notification(&name));
    let notification = named.or_else(|| targets.default_notification()).map(Destination::notification);
    for destination in notification.into_iter().chain(destinations.callback.map(Destination::callback)) {
        if destination.format.supports(document.status) {
            destination.push(tx, targets, event, document)?;
        }
    }
    Ok(())
}

/// Sets the destinations of a duplicate and queues the document's latest event for the new ones, if it is retained and
/// has not been queued there before.
pub(super) fn changed_destinations(
    tx: &mut BatchTx<'_>,
    targets: &ClientTargets,
    event: &NewEvent,
    document: &DocumentRow,
) -> rusqlite::Result<()> {
    let Some(destinations) = &event.destinations else { return Ok(()) };
    set_destinations(tx, targets, event, document)?;
    if !events::exists(tx.db(), targets.number, document.last_seq)? {
        return Ok(());
    }
    let named = destinations.notification.as_ref().and_then(|name| targets.notification(name));
    let callback = destinations.callback.as_ref().and_then(|callback| Some((Target::of(callback)?, callback.format)));
    let notification = named.map(Destination::notification);
    for destination in notification.into_iter().chain(callback.map(Destination::callback)) {
        let queue = destination.queue(targets);
        let fifo = DocumentFifo { queue: &queue, document: document.number };
        if destination.format.supports(document.status) && !fifo.contains_latest(tx.db(), document.last_seq)? {
            destination.push(tx, targets, event, document)?;
        }
    }
    Ok(())
}

fn set_destinations(
    tx: &BatchTx<'_>,
    targets: &ClientTargets,
    event: &NewEvent,
    document: &DocumentRow,
) -> rusqlite::Result<()> {
    let Some(destinations) = &event.destinations else { return Ok(()) };
    let key = DestinationsKey { client: targets.number, owner: &targets.client, document: document.number };
    destinations::set(tx.db(), tx.context.seal, key, destinations)
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

    fn queue(&self, targets: &ClientTargets) -> QueueRow {
        QueueRow { client: targets.number, notification: self.notification, target: self.target.key() }
    }

    /// Queues the document's latest event.
    fn push(
        self,
        tx: &mut BatchTx<'_>,
        targets: &ClientTargets,
        event: &NewEvent,
        document: &DocumentRow,
    ) -> rusqlite::Result<()> {
        let queue = self.queue(targets);
        let id = tx.counters.delivery.saturating_add(1);
        let new = NewDelivery { id, sequence: document.last_seq, document: document.uuid, now: event.now };
        DocumentFifo { queue: &queue, document: document.number }.push(&mut tx.write, &new)?;
        tx.counters.delivery = id;
        tx.write.mark_ready(QueueKey { client: event.client.clone(), target: self.target });
        Ok(())
    }
}
