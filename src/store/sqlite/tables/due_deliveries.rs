//! Reads of the index of due times: the due deliveries of a queue, the queues with pending deliveries, the backlog. The
//! cost depends on the page or on the number of queues, not on the number of deliveries.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::columns;
use super::destinations::{self, DestinationsKey};
use super::document_fifo::QueueRow;
use super::events::EventReader;
use crate::domain::{Client, ClientId, QueueKey, Target, Timestamp};
use crate::store::{Backlog, DueDelivery, DuePage, Seal};

/// Bytes of events and requests on a page; the delivery that exceeds them is the last.
const MAX_PAGE_BYTES: usize = 1 << 20;

/// No retry schedule waits longer: a day and a fifth of jitter.
const MAX_RETRY_WAIT: Duration = Duration::from_secs(29 * 3600);

/// Reads the due deliveries of one queue.
pub(crate) struct DueReader {
    pub(crate) events: EventReader,
    pub(crate) client: Arc<Client>,
    pub(crate) seal: Arc<dyn Seal>,
    pub(crate) queue: QueueRow,
    /// [`DueDelivery::receiver`].
    pub(crate) receiver: Arc<str>,
    pub(crate) now: Timestamp,
}

/// The part of the index that is read in order: first attempts or retries, from a due time on.
struct IndexRange {
    /// 1 for retries, as the index has it.
    retries: i64,
    from: Timestamp,
    /// Deliveries on the page after this range, at most.
    limit: usize,
}

/// A page that is being filled.
struct PageBuilder<'a> {
    page: DuePage,
    bytes: usize,
    except: &'a [u64],
}

impl DueReader {
    /// A page. Each range of the index is read up to the first row that is not part of the page: its due time tells when
    /// the queue is to be read again.
    pub(crate) fn page(&self, db: &Connection, limit: usize, except: &[u64]) -> rusqlite::Result<DuePage> {
        let page = DuePage { deliveries: Vec::new(), next: None };
        let mut builder = PageBuilder { page, bytes: 0, except };
        // One eighth of the page is for retries, however many first attempts wait.
        for (retries, limit) in [(0, limit - limit / 8), (1, limit)] {
            for from in [Timestamp::from_millis(0), self.now.plus(MAX_RETRY_WAIT)] {
                self.add(db, &IndexRange { retries, from, limit }, &mut builder)?;
            }
        }
        Ok(builder.page)
    }

    fn add(&self, db: &Connection, range: &IndexRange, builder: &mut PageBuilder<'_>) -> rusqlite::Result<()> {
        let QueueRow { client, notification, target } = &self.queue;
        // Due times that no schedule can have: a wrong clock has set them, so they count as due.
        let is_implausible = range.from > self.now;
        let mut statement = db.prepare_cached(
            "SELECT id, due, seq, document, tries FROM delivery INDEXED BY delivery_due
             WHERE client = ?1 AND notification = ?2 AND target = ?3 AND (tries > 0) = ?4 AND due IS NOT NULL AND due >= ?5
             ORDER BY due, id",
        )?;
        let mut rows = statement.query(params![client, notification, target, range.retries, range.from.millis()])?;
        while let Some(row) = rows.next()? {
            let (id, due) = (columns::unsigned(row.get(0)?), columns::time(row, 1)?);
            if builder.except.contains(&id) {
                continue;
            }
            let page = &mut builder.page;
            let is_full = page.deliveries.len() >= range.limit || builder.bytes > MAX_PAGE_BYTES;
            if due > self.now && !is_implausible || is_full {
                let due = if is_implausible { self.now } else { due };
                page.next = Some(page.next.map_or(due, |next| next.min(due)));
                break;
            }
            let (sequence, document, failures): (i64, i64, u32) = (row.get(2)?, row.get(3)?, row.get(4)?);
            let delivery = DueDelivery {
                id,
                event: self.events.get(db, sequence)?,
                raw: self.events.raw_request(db, columns::unsigned(sequence))?,
                callback: self.callback(db, document)?,
                receiver: self.receiver.clone(),
                failures,
            };
            builder.bytes += delivery.raw.as_ref().map_or(0, |raw| raw.body.len());
            builder.bytes += delivery.event.as_ref().map_or(0, |event| event.json.len());
            page.deliveries.push(delivery);
        }
        Ok(())
    }

    fn callback(&self, db: &Connection, document: i64) -> rusqlite::Result<Option<crate::domain::Callback>> {
        if self.queue.notification != 0 {
            return Ok(None);
        }
        let key = DestinationsKey { client: self.queue.client, owner: &self.client, document };
        destinations::callback(db, &*self.seal, key, &self.queue.target)
    }
}

/// The pending deliveries of all clients that are not removed.
pub(crate) fn backlog(db: &Connection) -> rusqlite::Result<Backlog> {
    let pending: Option<i64> = db
        .prepare_cached(
            "SELECT sum(pending) FROM usage JOIN client ON client.id = usage.client WHERE name IS NOT NULL",
        )?
        .query_row([], |row| row.get(0))?;
    let oldest_due = pending_queues(db)?.into_iter().map(|queue| queue.earliest_due).min();
    Ok(Backlog { pending: columns::unsigned(pending.unwrap_or(0)), oldest_due })
}

/// A queue with pending deliveries.
pub(crate) struct PendingQueue {
    pub(crate) key: QueueKey,
    earliest_due: Timestamp,
}

/// Every queue with pending deliveries, but not those of removed clients and notifications, which are never sent.
pub(crate) fn pending_queues(db: &Connection) -> rusqlite::Result<Vec<PendingQueue>> {
    let mut next_queue = db.prepare_cached(
        "SELECT client, notification, target FROM delivery INDEXED BY delivery_due
         WHERE due IS NOT NULL AND (client, notification, target) > (?1, ?2, ?3)
         ORDER BY client, notification, target LIMIT 1",
    )?;
    let mut owner = db.prepare_cached(
        "SELECT name FROM client WHERE id = ?1 AND name IS NOT NULL AND
         (?2 = 0 OR EXISTS (SELECT 1 FROM notification WHERE number = ?2 AND removed IS NULL))",
    )?;
    let mut first = db.prepare_cached(
        "SELECT due FROM delivery INDEXED BY delivery_due
         WHERE client = ?1 AND notification = ?2 AND target = ?3 AND (tries > 0) = ?4 AND due IS NOT NULL
         ORDER BY due LIMIT 1",
    )?;
    let mut queues: Vec<PendingQueue> = Vec::new();
    let mut row = QueueRow { client: 0, notification: 0, target: String::new() };
    while let Some(found) = next_queue
        .query_row(params![row.client, row.notification, row.target], |row| {
            Ok(QueueRow { client: row.get(0)?, notification: row.get(1)?, target: row.get(2)? })
        })
        .optional()?
    {
        row = found;
        let name: Option<ClientId> =
            owner.query_row([row.client, row.notification], |row| columns::parsed(row, 0)).optional()?;
        let (Some(client), Ok(target)) = (name, Target::from_key(&row.target)) else { continue };
        let mut earliest = None;
        for retries in [0, 1] {
            let due = first
                .query_row(params![row.client, row.notification, row.target, retries], |row| columns::time(row, 0))
                .optional()?;
            earliest = earliest.into_iter().chain(due).min();
        }
        queues.extend(earliest.map(|earliest_due| PendingQueue { key: QueueKey { client, target }, earliest_due }));
    }
    Ok(queues)
}
