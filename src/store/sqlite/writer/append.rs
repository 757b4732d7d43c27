//! Appending an event inside the writer's transaction: the choice of the document, and the rows. Whether the event is a
//! duplicate is decided in `deduplication`, where it is delivered to in `deliveries`.

use std::sync::Arc;

use super::batch_context::BatchTx;
use super::deduplication::{self, Deduplication, Duplicate, KeyRow};
use super::deliveries::{self, LatestEvent};
use crate::domain::{DocumentId, Event, EventId, EventJson};
use crate::store::sqlite::registry_cache::ClientTargets;
use crate::store::sqlite::tables::columns;
use crate::store::sqlite::tables::documents::{self, DocumentRow, DocumentUpdate, NewDocumentRow};
use crate::store::sqlite::tables::events::{self, EventRow};
use crate::store::sqlite::tables::identity::DocumentIds;
use crate::store::{AppendOutcome, NewEvent};

/// Stores an event and queues its deliveries, unless it is a duplicate of a stored event or of an earlier one of the
/// same transaction.
pub(super) fn append(
    tx: &mut BatchTx<'_>,
    targets: &ClientTargets,
    event: &NewEvent,
) -> rusqlite::Result<AppendOutcome> {
    let client = targets.number;
    let (key, known) = match deduplication::check(&mut tx.write, client, event)? {
        Deduplication::Duplicate(duplicate) => return append_duplicate(tx, targets, event, &duplicate),
        Deduplication::New { key, document } => (key, document),
    };
    let is_new = known.is_none();
    let bytes_before =
        known.as_ref().map_or(0, |known| documents::stored_bytes(known.title.as_deref(), &event.update.vendor_id));
    let mut document = known.map_or_else(|| new_document(tx, client, event), Ok)?;
    let previous = document.last_seq;
    let sequence = tx.counters.head.saturating_add(1);
    let time = tx.counters.event_time(event.now);
    let title = event.update.title.as_deref().or(document.title.as_deref());
    let json = EventJson {
        document_id: document.uuid,
        status: event.update.status,
        vendor: event.vendor,
        vendor_id: &event.update.vendor_id,
        time,
        title,
        result: event.update.result.as_ref(),
        error: event.update.error.as_ref(),
        vendor_time: event.update.vendor_time,
        labels: &event.labels,
    }
    .encode();
    let bytes = columns::size(json.len()).saturating_add(event.raw.as_ref().map_or(0, columns::request_bytes));
    let row = EventRow {
        client,
        sequence,
        document: document.uuid,
        previous,
        status: event.update.status,
        time,
        bytes,
        json: &json,
        raw: event.raw.as_ref(),
    };
    events::insert(tx.db(), &row)?;
    if let Some(key) = &key {
        deduplication::insert_key(&mut tx.write, &KeyRow { sequence, time, client, document: document.number, key })?;
    }
    let update =
        DocumentUpdate { number: document.number, status: event.update.status, title, time, last_seq: sequence };
    if is_new {
        let new = NewDocumentRow { uuid: document.uuid, vendor: event.vendor, vendor_id: &event.update.vendor_id };
        documents::insert(tx.db(), client, &new, &update)?;
    } else {
        documents::update(tx.db(), client, &update)?;
    }
    (document.status, document.last_seq) = (event.update.status, sequence);
    deliveries::enqueue(tx, targets, event, LatestEvent { document: &document, size: bytes })?;
    tx.write.usage.event_added(client, bytes);
    let bytes_after = documents::stored_bytes(title, &event.update.vendor_id);
    tx.write.usage.document_changed(client, bytes_after - bytes_before);
    tx.counters.head = sequence;
    tx.counters.time = time;
    Ok(AppendOutcome::Stored(Arc::new(Event {
        id: EventId { epoch: tx.context.identity.epoch, sequence: columns::unsigned(sequence) },
        client: event.client.id.clone(),
        document: document.uuid,
        status: event.update.status,
        json,
    })))
}

/// A duplicate is not stored, but its destinations are.
fn append_duplicate(
    tx: &mut BatchTx<'_>,
    targets: &ClientTargets,
    event: &NewEvent,
    duplicate: &Duplicate,
) -> rusqlite::Result<AppendOutcome> {
    let Duplicate { sequence, document } = duplicate;
    deliveries::enqueue_for_new_destinations(tx, targets, event, document)?;
    let id = EventId { epoch: tx.context.identity.epoch, sequence: columns::unsigned(*sequence) };
    Ok(AppendOutcome::Duplicate { id, document: document.uuid, status: document.status })
}

/// Assigns the number and the UUID of an unknown document: the vendor's own UUID, or one of this store's.
fn new_document(tx: &mut BatchTx<'_>, client: i64, event: &NewEvent) -> rusqlite::Result<DocumentRow> {
    let ids = tx.context.identity.document_ids;
    let vendor_uuid = match event.update.vendor_id.as_str().parse::<DocumentId>() {
        // This store will assign that UUID later.
        Ok(uuid) if ids.number(uuid).is_some_and(|number| number > tx.counters.document) => None,
        // Another vendor's document has that UUID.
        Ok(uuid) if documents::by_uuid(tx.db(), ids, client, uuid)?.is_some() => None,
        Ok(uuid) => Some(uuid),
        Err(_) => None,
    };
    let number = DocumentIds::next_number(tx.counters.document, tx.counters.event_time(event.now));
    tx.counters.document = number;
    Ok(DocumentRow {
        number,
        uuid: vendor_uuid.unwrap_or_else(|| ids.uuid(number)),
        status: event.update.status,
        title: None,
        last_seq: 0,
        has_destinations: false,
    })
}
