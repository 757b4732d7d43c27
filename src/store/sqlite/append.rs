//! One arrival inside the writer's transaction: is it news, which document does it tell of, and what is stored.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::columns;
use super::documents::{self, Known};
use super::identity::{self, Mint};
use super::outbox::{self, News};
use super::registry::Audience;
use super::usage::Changes;
use crate::domain::{DocumentId, Epoch, Event, EventId, EventJson, Timestamp};
use crate::store::{AppendOutcome, DUPLICATE_WINDOW, DuplicateRule, NewEvent, RawRequest, Seal};

/// How far back a clock may step without being believed.
const JITTER: Duration = Duration::from_secs(10);

/// How far the log has come. The writer goes back to a copy when a transaction fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// The last sequence.
    pub(super) head: i64,
    /// The last document's number.
    pub(super) document: i64,
    /// The last event's time: see [`time`].
    pub(super) time: Timestamp,
    /// The last delivery.
    pub(super) delivery: i64,
}

/// What this store's ids are made of: stays the same over all arrivals.
#[derive(Clone, Copy)]
pub(super) struct Naming {
    pub(super) epoch: Epoch,
    pub(super) mint: Mint,
}

/// An arrival and whose it is.
#[derive(Clone, Copy)]
pub(super) struct Coming<'a> {
    pub(super) arrival: &'a NewEvent,
    pub(super) audience: &'a Audience,
    pub(super) seal: &'a dyn Seal,
}

/// Stores an arrival and queues its deliveries, unless it is a repeat of something in the database: also of
/// something that came earlier in the same transaction.
pub(super) fn append(
    db: &Connection,
    naming: Naming,
    at: &mut Position,
    changes: &mut Changes,
    coming: Coming<'_>,
) -> rusqlite::Result<AppendOutcome> {
    let (client, arrival) = (coming.audience.number, coming.arrival);
    let known = documents::by_vendor(db, client, arrival.vendor, &arrival.update.vendor_id)?;
    let key = match &arrival.duplicate_rule {
        DuplicateRule::SameKey(key) => Some(identity::repeat_key(client, arrival.vendor, key)),
        DuplicateRule::SameStatus | DuplicateRule::KnownDocument => None,
    };
    let repeated = match (key, &known) {
        (Some(key), _) => said_before(db, client, &key, arrival.now)?,
        (None, Some(known))
            if arrival.duplicate_rule == DuplicateRule::KnownDocument || known.status == arrival.update.status =>
        {
            Some((known.last_seq, known.clone()))
        }
        (None, _) => None,
    };
    if let Some((sequence, known)) = repeated {
        let id = EventId { epoch: naming.epoch, sequence: columns::unsigned(sequence) };
        outbox::reroute(db, at, changes, (coming, &known))?;
        return Ok(AppendOutcome::Duplicate { id, document: known.uuid, status: known.status });
    }
    let (number, document) = match &known {
        Some(known) => (known.number, known.uuid),
        None => name(db, naming.mint, at, (client, arrival))?,
    };
    let stored = Stored {
        client,
        sequence: at.head.saturating_add(1),
        number,
        document,
        time: time(arrival.now, at.time),
        title: arrival.update.title.as_deref().or(known.as_ref().and_then(|known| known.title.as_deref())),
    };
    let json = stored.draft(arrival).encode();
    let bytes = columns::size(json.len()).saturating_add(arrival.raw.as_ref().map_or(0, weight));
    db.prepare_cached(
        "INSERT INTO event (client, seq, document, prev, status, time, bytes, json) VALUES (?1,?2,?3,?4,?5,?6,?7,?8)",
    )?
    .execute(params![
        client,
        stored.sequence,
        document.uuid().as_bytes(),
        known.as_ref().map_or(0, |known| known.last_seq),
        arrival.update.status.as_str(),
        stored.time.millis(),
        bytes,
        &json[..],
    ])?;
    if let Some(raw) = &arrival.raw {
        db.prepare_cached("INSERT INTO raw (seq, client, method, query, headers, body) VALUES (?1,?2,?3,?4,?5,?6)")?
            .execute(params![stored.sequence, client, raw.method, raw.query, columns::headers(raw), &raw.body[..]])?;
    }
    if let Some(key) = key {
        db.prepare_cached("INSERT INTO dedup (seq, time, client, document, key) VALUES (?1,?2,?3,?4,?5)")?
            .execute(params![stored.sequence, stored.time.millis(), client, number, key])?;
    }
    stored.keep_state(db, arrival, known.is_some())?;
    let news = News { sequence: stored.sequence, document: number, uuid: document, status: arrival.update.status };
    outbox::queue(db, at, changes, (coming, news, known.as_ref().is_some_and(|known| known.routed)))?;
    changes.add(client, bytes);
    at.head = stored.sequence;
    at.time = stored.time;
    Ok(AppendOutcome::Stored(Arc::new(Event {
        id: EventId { epoch: naming.epoch, sequence: columns::unsigned(stored.sequence) },
        client: arrival.client.clone(),
        document,
        status: arrival.update.status,
        json,
    })))
}

/// An event's time: the present, but no small step back behind the last event. A larger one is believed: otherwise a
/// clock that was ahead once would have stopped time for that long.
fn time(now: Timestamp, last: Timestamp) -> Timestamp {
    if now.until(last) <= JITTER { now.max(last) } else { now }
}

/// The bytes that a request takes up, near enough for the bounds.
pub(super) fn weight(raw: &RawRequest) -> i64 {
    let headers: usize = raw.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    columns::size(raw.body.len() + headers + raw.query.as_ref().map_or(0, String::len))
}

/// An event on its way into the tables.
struct Stored<'a> {
    client: i64,
    sequence: i64,
    number: i64,
    document: DocumentId,
    time: Timestamp,
    title: Option<&'a str>,
}

impl Stored<'_> {
    fn draft<'a>(&'a self, arrival: &'a NewEvent) -> EventJson<'a> {
        EventJson {
            document_id: self.document,
            status: arrival.update.status,
            vendor: arrival.vendor,
            vendor_id: &arrival.update.vendor_id,
            time: self.time,
            title: self.title,
            result: arrival.update.result.as_ref(),
            error: arrival.update.error.as_ref(),
            vendor_time: arrival.update.vendor_time,
            labels: &arrival.labels,
        }
    }

    fn keep_state(&self, db: &Connection, arrival: &NewEvent, known: bool) -> rusqlite::Result<()> {
        let (status, time) = (arrival.update.status.as_str(), self.time.millis());
        if known {
            db.prepare_cached(
                "UPDATE document SET status = ?3, title = ?4, updated = ?5, last_seq = ?6 WHERE client = ?1 AND id = ?2",
            )?
            .execute(params![self.client, self.number, status, self.title, time, self.sequence])?;
            return Ok(());
        }
        let vendor_id = &arrival.update.vendor_id;
        db.prepare_cached(
            "INSERT INTO document (client, id, lookup, vendor, vendor_id, uuid, status, title, updated, last_seq)
             VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)",
        )?
        .execute(params![
            self.client,
            self.number,
            identity::lookup(arrival.vendor, vendor_id),
            arrival.vendor.as_str(),
            vendor_id.as_str(),
            self.document.uuid().as_bytes(),
            status,
            self.title,
            time,
            self.sequence,
        ])?;
        Ok(())
    }
}

/// What was stored under this key within the window, and its document's present state. A time in the future, which a
/// clock left that was ahead, lies within the window.
fn said_before(db: &Connection, client: i64, key: &[u8; 16], now: Timestamp) -> rusqlite::Result<Option<(i64, Known)>> {
    let before = db
        .prepare_cached("SELECT seq, time, document FROM dedup WHERE key = ?1")?
        .query_row([key], |row| Ok((row.get(0)?, columns::time(row, 1)?, row.get(2)?)))
        .optional()?;
    let Some((sequence, time, number)) = before else { return Ok(None) };
    if time.until(now) <= DUPLICATE_WINDOW
        && let Some(known) = documents::by_number(db, client, number)?
    {
        return Ok(Some((sequence, known)));
    }
    // Too long ago, and not pruned yet: what comes now takes its place.
    db.prepare_cached("DELETE FROM dedup WHERE seq = ?1")?.execute([sequence])?;
    Ok(None)
}

/// The number and the UUID of a document that is not known yet.
fn name(
    db: &Connection,
    mint: Mint,
    at: &mut Position,
    (client, arrival): (i64, &NewEvent),
) -> rusqlite::Result<(i64, DocumentId)> {
    let own = match arrival.update.vendor_id.as_str().parse::<DocumentId>() {
        // A UUID that this store would mint only later is not the vendor's to give.
        Ok(own) if mint.number(own).is_some_and(|number| number > at.document) => None,
        // Two vendors may name two documents alike: the second gets an id of ours.
        Ok(own) if documents::by_uuid(db, mint, client, own)?.is_some() => None,
        Ok(own) => Some(own),
        Err(_) => None,
    };
    at.document = Mint::next(at.document, time(arrival.now, at.time));
    Ok((at.document, own.unwrap_or_else(|| mint.uuid(at.document))))
}
