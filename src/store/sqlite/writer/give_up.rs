//! Gives pending deliveries up, slice by slice: those whose retry schedule has ended, and the oldest ones of a client
//! that has more than its limits allow. Each becomes a dead letter with an attempt that says why.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::domain::{ClientId, QueueKey, Target, Timestamp};
use crate::store::sqlite::retention::client_pass::{ClientPass, next_with_deliveries};
use crate::store::sqlite::tables::document_fifo::{self, DEAD, DocumentFifo, PENDING, Settlement, TargetRow};
use crate::store::sqlite::tables::write_tx::{ClientPending, WriteTx};
use crate::store::sqlite::tables::{columns, deliveries};
use crate::store::{Attempt, GivenUp, Retention};

/// Deliveries that a slice reads of one notification. More than one batch of the writer can add, so that the limits
/// hold under constant load.
const DELIVERIES_PER_SLICE: usize = 1_100;

/// Work of a client without rows to read, in rows: bounds a slice over many clients.
const WORK_PER_CLIENT: usize = 4;

/// A creation time further ahead was set by a wrong clock.
const MAX_SKEW: Duration = Duration::from_secs(24 * 3600);

/// Gives up what is older than the retry schedule, of all clients.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ExpirySweep {
    now: Timestamp,
    clients: ClientPass,
    /// Within the present client: the notification, and the last id that was read. Without a notification, a client
    /// begins.
    position: Position,
    given_up: u64,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Position {
    notification: Option<i64>,
    after: i64,
}

/// Gives up the oldest pending deliveries of a client until it is within its limits.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct LimitSweep {
    /// The client's number.
    pub(crate) client: i64,
    pub(crate) now: Timestamp,
    pub(crate) given_up: u64,
}

/// A pending delivery.
struct PendingRow {
    id: i64,
    target: TargetRow,
    document: i64,
    is_head: bool,
    bytes: i64,
    size: i64,
    created: Timestamp,
    /// When it was last retried by hand.
    restarted: Option<Timestamp>,
}

impl ExpirySweep {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { now, clients: ClientPass::default(), position: Position::default(), given_up: 0 }
    }

    /// One slice; true at the end.
    pub(super) fn slice(&mut self, tx: &mut WriteTx<'_>, bounds: &Retention) -> rusqlite::Result<bool> {
        let mut work = 0;
        while work < DELIVERIES_PER_SLICE {
            work += WORK_PER_CLIENT;
            let Some(notification) = self.position.notification else {
                let next = self.clients.advance(|after| next_with_deliveries(&tx.db, after))?;
                let Some(client) = next else { return Ok(true) };
                self.position = Position { notification: next_notification(&tx.db, client, -1)?, after: 0 };
                continue;
            };
            let client = self.clients.present();
            let rows = pending(&tx.db, client, notification, self.position.after)?;
            work += rows.len();
            let is_last = rows.len() < DELIVERIES_PER_SLICE;
            let last = rows.last().map_or(0, |row| row.id);
            let reached_young = self.expire(tx, bounds, rows)?;
            if !is_last && !reached_young {
                self.position = Position { notification: Some(notification), after: last };
                continue;
            }
            self.position = Position { notification: next_notification(&tx.db, client, notification)?, after: 0 };
        }
        Ok(false)
    }

    /// Gives up those of the rows that have expired. True if it has met one that is too young, and so are all after it:
    /// ids grow with the time. Times of manual retries and times in the future say nothing about the rows after them.
    fn expire(&mut self, tx: &mut WriteTx<'_>, bounds: &Retention, rows: Vec<PendingRow>) -> rusqlite::Result<bool> {
        let cutoff = self.now.minus(bounds.max_pending_age);
        for row in rows {
            if row.restarted.unwrap_or(row.created) < cutoff {
                give_up(tx, &row, GivenUp::Expired, self.now)?;
                self.given_up += 1;
            } else if row.restarted.is_none() && row.created <= self.now.plus(MAX_SKEW) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }
}

impl LimitSweep {
    /// One slice; true when the client is within its limits.
    pub(super) fn slice(&mut self, tx: &mut WriteTx<'_>, bounds: &Retention) -> rusqlite::Result<bool> {
        let Some(mut usage) = ClientPending::read(&tx.db, self.client)? else { return Ok(true) };
        let mut oldest = Vec::new();
        let mut last = -1;
        while let Some(notification) = next_notification(&tx.db, self.client, last)? {
            oldest.extend(pending(&tx.db, self.client, notification, 0)?);
            last = notification;
        }
        oldest.sort_unstable_by_key(|row| row.id);
        for row in oldest.into_iter().take(DELIVERIES_PER_SLICE) {
            if !usage.exceeds(bounds) {
                return Ok(true);
            }
            give_up(tx, &row, GivenUp::OverLimit, self.now)?;
            usage.number -= 1;
            usage.bytes -= row.size + row.bytes;
            self.given_up += 1;
        }
        // Without rows the counters are wrong, and the next slice would find the same.
        Ok(!usage.exceeds(bounds) || last == -1)
    }
}

/// The first notification number after `last` with pending deliveries; 0 is that of callbacks.
fn next_notification(db: &Connection, client: i64, last: i64) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached(
        "SELECT notification FROM delivery INDEXED BY delivery_state
         WHERE client = ?1 AND state = ?2 AND notification > ?3 ORDER BY notification LIMIT 1",
    )?
    .query_row([client, PENDING, last], |row| row.get(0))
    .optional()
}

/// The oldest pending deliveries of a notification with larger ids than `after`.
fn pending(db: &Connection, client: i64, notification: i64, after: i64) -> rusqlite::Result<Vec<PendingRow>> {
    db.prepare_cached(
        "SELECT id, target, document, due IS NOT NULL, bytes, size, created, restarted
         FROM delivery INDEXED BY delivery_state
         WHERE client = ?1 AND state = ?2 AND notification = ?3 AND id > ?4 ORDER BY id LIMIT ?5",
    )?
    .query_map(params![client, PENDING, notification, after, columns::size(DELIVERIES_PER_SLICE)], |row| {
        Ok(PendingRow {
            id: row.get(0)?,
            target: TargetRow { client, notification, target: row.get(1)? },
            document: row.get(2)?,
            is_head: row.get(3)?,
            bytes: row.get(4)?,
            size: row.get(5)?,
            created: columns::time(row, 6)?,
            restarted: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_millis),
        })
    })?
    .collect()
}

/// Makes a pending delivery dead and releases the next one of its document.
fn give_up(tx: &mut WriteTx<'_>, row: &PendingRow, reason: GivenUp, now: Timestamp) -> rusqlite::Result<()> {
    let error = Some(reason.as_str().to_owned());
    let last = Attempt { time: now, duration: Duration::ZERO, status: None, response_body: Bytes::new(), error };
    let client = row.target.client;
    let bytes = row.bytes + deliveries::insert_attempt(tx, client, row.id, &last)?;
    document_fifo::settle(tx, &Settlement { client, id: row.id, state: DEAD, bytes, now })?;
    let fifo = DocumentFifo { target: &row.target, document: row.document };
    if row.is_head
        && fifo.release_head(&tx.db, now)?
        && let Some(queue) = queue_of(&tx.db, &row.target)?
    {
        tx.mark_ready(queue);
    }
    Ok(())
}

/// `None` for a removed client.
fn queue_of(db: &Connection, target: &TargetRow) -> rusqlite::Result<Option<QueueKey>> {
    let client: Option<ClientId> = db
        .prepare_cached("SELECT name FROM client WHERE id = ?1 AND name IS NOT NULL")?
        .query_row([target.client], |row| columns::parsed(row, 0))
        .optional()?;
    let target = Target::from_key(&target.target).ok().map(|target| target.queue_target());
    Ok(client.zip(target).map(|(client, target)| QueueKey { client, target }))
}
