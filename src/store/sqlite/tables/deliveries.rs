//! Deliveries with their attempts: inserts of attempts, and the listings. An index groups the ids of a client's
//! deliveries by state and notification: a filtered page is merged from a few such groups.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::write_tx::WriteTx;
use super::{columns, document_fifo};
use crate::domain::{Epoch, EventId, NotificationName, Target, Timestamp};
use crate::store::{Attempt, Delivery, DeliveryQuery, DeliveryState, ListPage, MAX_LIST_BYTES};

/// Bytes of a response's body that are stored.
const MAX_BODY_BYTES: usize = 16 << 10;

/// Attempts of a delivery that are kept beside the first one: the latest. Retries by hand do not limit their number,
/// and `ATTEMPT_BOUNDS` in `schema` keeps the same ones of an older database.
const MAX_LATEST_ATTEMPTS: i64 = 19;

/// Stores an attempt of a pending delivery after the earlier ones, and removes those that are no longer kept; returns
/// by how much the bytes of its attempts grow, which is negative if a larger one was removed.
pub(crate) fn insert_attempt(
    tx: &mut WriteTx<'_>,
    client: i64,
    delivery: i64,
    attempt: &Attempt,
) -> rusqlite::Result<i64> {
    let body = &attempt.response_body[..attempt.response_body.len().min(MAX_BODY_BYTES)];
    let values = params![
        delivery,
        attempt.time.millis(),
        i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX),
        attempt.status,
        body,
        attempt.error,
    ];
    let number: i64 = tx
        .db
        .prepare_cached(
            "INSERT INTO attempt (delivery, number, time, took, status, answer, reason)
             SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM attempt WHERE delivery = ?1
             RETURNING number",
        )?
        .query_row(values, |row| row.get(0))?;
    let mut growth = columns::size(body.len() + attempt.error.as_ref().map_or(0, String::len));
    let last_removed = number - MAX_LATEST_ATTEMPTS;
    if last_removed > 1 {
        let removed: Vec<i64> = tx
            .db
            .prepare_cached(
                "DELETE FROM attempt WHERE delivery = ?1 AND number > 1 AND number <= ?2
                 RETURNING octet_length(answer) + octet_length(coalesce(reason, ''))",
            )?
            .query_map([delivery, last_removed], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        growth -= removed.iter().sum::<i64>();
    }
    tx.usage.attempts_grew(client, growth);
    Ok(growth)
}

/// Whether an attempt of a delivery that began at this time is among those that are kept.
pub(crate) fn contains_attempt(db: &Connection, delivery: i64, time: Timestamp) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM attempt WHERE delivery = ?1 AND time = ?2")?.exists([delivery, time.millis()])
}

/// A page, newest first.
pub(crate) fn list(
    db: &Connection,
    epoch: Epoch,
    client: i64,
    query: &DeliveryQuery,
) -> rusqlite::Result<ListPage<Delivery>> {
    let states = query.state.map_or(DeliveryState::ALL.to_vec(), |state| vec![state]);
    // One more than the page has shows whether there is another page.
    let lookahead = query.limit.max(1).saturating_add(1);
    let (before, limit) = (query.before.map_or(i64::MAX, columns::signed), columns::size(lookahead));
    let mut ids: Vec<i64> = Vec::new();
    for state in states.into_iter().map(document_fifo::state_number) {
        for notification in notifications(db, client, state, query)? {
            let found = db
                .prepare_cached(
                    "SELECT id FROM delivery INDEXED BY delivery_state
                     WHERE client = ?1 AND state = ?2 AND notification = ?3 AND id < ?4 ORDER BY id DESC LIMIT ?5",
                )?
                .query_map([client, state, notification, before, limit], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<i64>>>()?;
            ids.extend(found);
        }
    }
    ids.sort_unstable_by(|a, b| b.cmp(a));
    get_page(db, epoch, client, ids, query)
}

/// A page of one document's deliveries, newest first. A document has few enough to scan them all.
pub(crate) fn list_of_document(
    db: &Connection,
    epoch: Epoch,
    client: i64,
    document: i64,
    query: &DeliveryQuery,
) -> rusqlite::Result<ListPage<Delivery>> {
    // One more than the page has shows whether there is another page.
    let lookahead = query.limit.max(1).saturating_add(1);
    let (before, limit) = (query.before.map_or(i64::MAX, columns::signed), columns::size(lookahead));
    let name = query.notification.as_ref().map(NotificationName::as_str);
    let ids = db
        .prepare_cached(
            "SELECT id FROM delivery INDEXED BY delivery_line
             WHERE client = ?1 AND document = ?2 AND (?3 IS NULL OR state = ?3)
             AND (?4 IS NULL OR (notification > 0 AND target = ?4)) AND id < ?5 ORDER BY id DESC LIMIT ?6",
        )?
        .query_map(
            params![client, document, query.state.map(document_fifo::state_number), name, before, limit],
            |row| row.get(0),
        )?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    get_page(db, epoch, client, ids, query)
}

/// The page of the deliveries with these ids, which are in its order.
fn get_page(
    db: &Connection,
    epoch: Epoch,
    client: i64,
    ids: Vec<i64>,
    query: &DeliveryQuery,
) -> rusqlite::Result<ListPage<Delivery>> {
    let (mut page, mut bytes) = (ListPage::empty(), 0);
    for id in ids {
        if page.items.len() >= query.limit.max(1) || bytes > MAX_LIST_BYTES {
            page.next = page.items.last().map(|last: &Delivery| last.id);
            break;
        }
        if let Some(delivery) = get(db, epoch, client, columns::unsigned(id))? {
            bytes += delivery.attempts.iter().map(attempt_bytes).sum::<usize>();
            page.items.push(delivery);
        }
    }
    Ok(page)
}

fn attempt_bytes(attempt: &Attempt) -> usize {
    attempt.response_body.len() + attempt.error.as_ref().map_or(0, String::len)
}

/// One delivery with its attempts.
pub(crate) fn get(db: &Connection, epoch: Epoch, client: i64, id: u64) -> rusqlite::Result<Option<Delivery>> {
    db.prepare_cached("SELECT id, seq, uuid, target, state, created, due FROM delivery WHERE client = ?1 AND id = ?2")?
        .query_row([client, columns::signed(id)], |row| read(db, epoch, row))
        .optional()
}

/// The numbers of the notifications whose deliveries in this state may be on the page, each found by one step of the
/// index. The name of a number never changes.
fn notifications(db: &Connection, client: i64, state: i64, query: &DeliveryQuery) -> rusqlite::Result<Vec<i64>> {
    let mut statement = db.prepare_cached(
        "SELECT notification, target FROM delivery INDEXED BY delivery_state
         WHERE client = ?1 AND state = ?2 AND notification > ?3 ORDER BY notification LIMIT 1",
    )?;
    let (mut numbers, mut last) = (Vec::new(), -1);
    while let Some((number, target)) =
        statement.query_row([client, state, last], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).optional()?
    {
        last = number;
        if query.notification.as_ref().is_none_or(|name| number > 0 && name.as_str() == target) {
            numbers.push(number);
        }
    }
    Ok(numbers)
}

fn read(db: &Connection, epoch: Epoch, row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let id: i64 = row.get(0)?;
    let target = Target::from_key(row.get_ref(3)?.as_str()?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, Box::new(e)))?;
    let attempts = attempts(db, id)?;
    let due: Option<i64> = row.get(6)?;
    Ok(Delivery {
        id: columns::unsigned(id),
        event: EventId { epoch, sequence: columns::unsigned(row.get(1)?) },
        document: columns::document_id(row, 2)?,
        target,
        state: document_fifo::state(row.get(4)?),
        created: columns::time(row, 5)?,
        due: due.map(Timestamp::from_millis),
        attempts,
    })
}

/// The kept attempts, oldest first.
fn attempts(db: &Connection, delivery: i64) -> rusqlite::Result<Vec<Attempt>> {
    db.prepare_cached("SELECT time, took, status, answer, reason FROM attempt WHERE delivery = ?1 ORDER BY number")?
        .query_map([delivery], |row| {
            Ok(Attempt {
                time: columns::time(row, 0)?,
                duration: Duration::from_millis(columns::unsigned(row.get(1)?)),
                status: row.get(2)?,
                response_body: columns::blob(row, 3)?,
                error: row.get(4)?,
            })
        })?
        .collect()
}
