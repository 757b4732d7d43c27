//! The rows of events and their requests: inserts, pages of a client's history, counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns;
use crate::domain::{ClientId, DocumentId, Epoch, Event, EventId, SharedEvent, Status, Timestamp};
use crate::store::{EventCounts, LogPage, MinuteCount, PageLimit, RawRequest};

const MINUTE: Duration = Duration::from_secs(60);

/// A new row.
pub(crate) struct EventRow<'a> {
    pub(crate) client: i64,
    pub(crate) sequence: i64,
    pub(crate) document: DocumentId,
    /// Sequence of the document's event before this one, 0 for none.
    pub(crate) previous: i64,
    pub(crate) status: Status,
    pub(crate) time: Timestamp,
    /// Bytes of the JSON and of the request.
    pub(crate) bytes: i64,
    pub(crate) json: &'a [u8],
    pub(crate) raw: Option<&'a RawRequest>,
}

pub(crate) fn insert(db: &Connection, event: &EventRow<'_>) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO event (client, seq, document, prev, status, time, bytes, json) VALUES (?1,?2,?3,?4,?5,?6,?7,?8)",
    )?
    .execute(params![
        event.client,
        event.sequence,
        event.document.uuid().as_bytes(),
        event.previous,
        event.status.as_str(),
        event.time.millis(),
        event.bytes,
        event.json,
    ])?;
    if let Some(raw) = event.raw {
        db.prepare_cached("INSERT INTO raw (seq, client, method, query, headers, body) VALUES (?1,?2,?3,?4,?5,?6)")?
            .execute(params![
                event.sequence,
                event.client,
                raw.method,
                raw.query,
                columns::headers(raw),
                &raw.body[..]
            ])?;
    }
    Ok(())
}

/// Bytes of an event with its request; `None` after it was pruned.
pub(crate) fn size(db: &Connection, client: i64, sequence: i64) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT bytes FROM event WHERE client = ?1 AND seq = ?2")?
        .query_row([client, sequence], |row| row.get(0))
        .optional()
}

/// Reads the events of one client.
#[derive(Clone)]
pub(crate) struct EventReader {
    pub(crate) epoch: Epoch,
    pub(crate) client: ClientId,
    pub(crate) number: i64,
}

impl EventReader {
    /// An event from the columns `seq, document, status, json`.
    pub(super) fn event(&self, row: &Row<'_>) -> rusqlite::Result<SharedEvent> {
        Ok(Arc::new(Event {
            id: EventId { epoch: self.epoch, sequence: columns::unsigned(row.get(0)?) },
            client: self.client.clone(),
            document: columns::document_id(row, 1)?,
            status: columns::parsed(row, 2)?,
            json: columns::blob(row, 3)?,
        }))
    }

    /// The events after a sequence. All reads use the one snapshot of `db`: the head that ends an uncut page is the
    /// head of a log that holds no further event of this client.
    pub(crate) fn after(&self, db: &Connection, sequence: u64, limit: PageLimit) -> rusqlite::Result<LogPage> {
        let mut page = LogPage {
            events: Vec::new(),
            through: columns::head(db)?,
            pruned_through: columns::unsigned(pruned_through(db, self.number)?),
        };
        let events = limit.events.max(1);
        let mut statement = db.prepare_cached(
            "SELECT seq, document, status, json FROM event WHERE client = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
        )?;
        let mut rows = statement.query(params![self.number, columns::signed(sequence), columns::size(events)])?;
        let mut bytes: usize = 0;
        while let Some(row) = rows.next()? {
            let event = self.event(row)?;
            bytes = bytes.saturating_add(event.json.len());
            let sequence = event.id.sequence;
            page.events.push(event);
            if page.events.len() >= events || bytes > limit.bytes {
                page.through = sequence;
                break;
            }
        }
        Ok(page)
    }

    /// One event; `None` after it was pruned.
    pub(crate) fn get(&self, db: &Connection, sequence: i64) -> rusqlite::Result<Option<SharedEvent>> {
        db.prepare_cached("SELECT seq, document, status, json FROM event WHERE client = ?1 AND seq = ?2")?
            .query_row([self.number, sequence], |row| self.event(row))
            .optional()
    }

    /// Events since a time by minute and status, read backwards from the latest: times grow with the sequences, unless
    /// the clock was set back.
    pub(crate) fn counts(&self, db: &Connection, since: Timestamp, limit: usize) -> rusqlite::Result<EventCounts> {
        let mut statement =
            db.prepare_cached("SELECT time, status FROM event WHERE client = ?1 ORDER BY seq DESC LIMIT ?2")?;
        let mut rows = statement.query([self.number, columns::size(limit.saturating_add(1))])?;
        let mut minutes: BTreeMap<(Timestamp, Status), u64> = BTreeMap::new();
        let head = EventId { epoch: self.epoch, sequence: columns::head(db)? };
        let mut counts = EventCounts { since, minutes: Vec::new(), head };
        let mut rows_read = 0;
        while let Some(row) = rows.next()? {
            let time = columns::time(row, 0)?;
            if time < since {
                break;
            }
            if rows_read == limit {
                // One row more than the limit: its minute, and all earlier ones, are incomplete.
                counts.since = time.minute().plus(MINUTE);
                break;
            }
            rows_read += 1;
            *minutes.entry((time.minute(), columns::parsed(row, 1)?)).or_default() += 1;
        }
        let complete = counts.since.minute();
        let minutes = minutes.into_iter().filter(|((minute, _), _)| *minute >= complete);
        counts.minutes = minutes.map(|((minute, status), count)| MinuteCount { minute, status, count }).collect();
        Ok(counts)
    }

    /// The request of an event.
    pub(crate) fn raw_request(&self, db: &Connection, sequence: u64) -> rusqlite::Result<Option<RawRequest>> {
        db.prepare_cached("SELECT method, query, headers, body FROM raw WHERE seq = ?1 AND client = ?2")?
            .query_row([columns::signed(sequence), self.number], |row| columns::raw_request(row, 0))
            .optional()
    }
}

/// Sequence of the client's last removed event, 0 for none.
pub(super) fn pruned_through(db: &Connection, client: i64) -> rusqlite::Result<i64> {
    let through = db
        .prepare_cached("SELECT pruned_through FROM usage WHERE client = ?1")?
        .query_row([client], |row| row.get(0))
        .optional()?;
    Ok(through.unwrap_or(0))
}

#[cfg(test)]
mod tests;
