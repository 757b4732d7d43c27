//! Reading events: a stretch of a client's history, a document's history, the request behind an event.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{columns, usage};
use crate::domain::{ClientId, Epoch, Event, EventId, SharedEvent, Status, Timestamp};
use crate::store::{EventCounts, LogPage, PageLimit, RawRequest};

/// Events of one document that its history shows.
const HISTORY: usize = 1_000;

const MINUTE: Duration = Duration::from_secs(60);

/// Whose events are read, by name and by number.
#[derive(Clone)]
pub(super) struct Owner {
    pub(super) epoch: Epoch,
    pub(super) client: ClientId,
    pub(super) number: i64,
}

impl Owner {
    /// `seq, document, status, json` as an event.
    fn event(&self, row: &Row<'_>) -> rusqlite::Result<SharedEvent> {
        Ok(Arc::new(Event {
            id: EventId { epoch: self.epoch, sequence: columns::unsigned(row.get(0)?) },
            client: self.client.clone(),
            document: columns::document(row, 1)?,
            status: columns::word(row, 2)?,
            json: columns::blob(row, 3)?,
        }))
    }

    /// The events after a position. All of it comes from the one snapshot that `db` stands on: the head that ends an
    /// uncut page is the head of the log in which no further event of this client was to be found.
    pub(super) fn after(&self, db: &Connection, sequence: u64, limit: PageLimit) -> rusqlite::Result<LogPage> {
        let mut page = LogPage {
            events: Vec::new(),
            through: columns::head(db)?,
            pruned_through: columns::unsigned(usage::pruned_through(db, self.number)?),
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
            let here = event.id.sequence;
            page.events.push(event);
            if page.events.len() >= events || bytes > limit.bytes {
                page.through = here;
                break;
            }
        }
        Ok(page)
    }

    /// One event, while it is retained.
    pub(super) fn one(&self, db: &Connection, sequence: i64) -> rusqlite::Result<Option<SharedEvent>> {
        db.prepare_cached("SELECT seq, document, status, json FROM event WHERE client = ?1 AND seq = ?2")?
            .query_row([self.number, sequence], |row| self.event(row))
            .optional()
    }

    /// A document's events, oldest first, walked back from its latest one for as long as they are retained.
    pub(super) fn history(&self, db: &Connection, latest: i64) -> rusqlite::Result<Vec<SharedEvent>> {
        let mut events = VecDeque::new();
        let mut next = latest;
        let mut statement =
            db.prepare_cached("SELECT seq, document, status, json, prev FROM event WHERE client = ?1 AND seq = ?2")?;
        while next > 0 && events.len() < HISTORY {
            let found = statement
                .query_row([self.number, next], |row| Ok((self.event(row)?, row.get::<_, i64>(4)?)))
                .optional()?;
            let Some((event, before)) = found else { break };
            // Always earlier: a broken file must not make this turn in circles.
            next = before.min(next - 1);
            events.push_front(event);
        }
        Ok(events.into())
    }

    /// Events since a time by minute and status, walked back from the latest: times grow with the positions, apart from
    /// a clock that was set back.
    pub(super) fn counts(&self, db: &Connection, since: Timestamp, most: usize) -> rusqlite::Result<EventCounts> {
        let mut statement =
            db.prepare_cached("SELECT time, status FROM event WHERE client = ?1 ORDER BY seq DESC LIMIT ?2")?;
        let mut rows = statement.query([self.number, columns::size(most.saturating_add(1))])?;
        let mut minutes: BTreeMap<(Timestamp, Status), u64> = BTreeMap::new();
        let head = EventId { epoch: self.epoch, sequence: columns::head(db)? };
        let mut counts = EventCounts { since, minutes: Vec::new(), head };
        let mut looked_at = 0;
        while let Some(row) = rows.next()? {
            let time = columns::time(row, 0)?;
            if time < since {
                break;
            }
            if looked_at == most {
                // One more than the bound: its minute, and all before it, are not complete.
                counts.since = time.minute().plus(MINUTE);
                break;
            }
            looked_at += 1;
            *minutes.entry((time.minute(), columns::word(row, 1)?)).or_default() += 1;
        }
        let complete = counts.since.minute();
        let minutes = minutes.into_iter().filter(|((minute, _), _)| *minute >= complete);
        counts.minutes = minutes.map(|((minute, status), count)| (minute, status, count)).collect();
        Ok(counts)
    }

    /// The request that an event came in.
    pub(super) fn raw(&self, db: &Connection, sequence: u64) -> rusqlite::Result<Option<RawRequest>> {
        db.prepare_cached("SELECT method, query, headers, body FROM raw WHERE seq = ?1 AND client = ?2")?
            .query_row([columns::signed(sequence), self.number], |row| columns::raw(row, 0))
            .optional()
    }
}
