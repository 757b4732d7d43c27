//! Reads of the indexes of due times: the due deliveries of a queue, what an attempt needs, the queues with pending
//! deliveries, the backlog. The cost depends on the page, neither on the number of deliveries nor on that of queues.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns;
use super::destinations::{self, DestinationsKey};
use super::document_fifo::{PENDING, QueueRow};
use super::events::EventReader;
use crate::domain::{Client, Target, Timestamp};
use crate::store::{Backlog, DeliveryContent, DueDelivery, DuePage, SchedulePosition, Seal};

/// No retry schedule waits longer: a day and a fifth of jitter.
const MAX_RETRY_WAIT: Duration = Duration::from_secs(29 * 3600);

/// The reciprocal of the share of a page that is reserved for retries: at least one delivery, if the page has two.
const RETRY_SHARE: usize = 8;

/// Due times of removed clients that [`backlog`] skips at most.
const MAX_SKIPPED: usize = 1_000;

/// The due deliveries of one kind, first attempts or retries.
struct Candidates {
    /// In order of their due times.
    due: Vec<(Timestamp, DueDelivery)>,
    /// The earliest due time of those that are not in `due`.
    later: Option<Timestamp>,
}

impl Candidates {
    /// Moves the first `count` to the page, and returns the earliest due time of the others.
    fn take(self, count: usize, page: &mut Vec<DueDelivery>) -> Option<Timestamp> {
        let cut = self.due.get(count).map(|(due, _)| *due);
        page.extend(self.due.into_iter().take(count).map(|(_, delivery)| delivery));
        cut.into_iter().chain(self.later).min()
    }
}

/// The due deliveries that a page may have.
pub(crate) struct DueRange<'a> {
    pub(crate) queue: &'a QueueRow,
    pub(crate) now: Timestamp,
    pub(crate) limit: usize,
    pub(crate) except: &'a [u64],
}

/// A page of the due deliveries of a queue.
pub(crate) fn page(db: &Connection, range: &DueRange<'_>) -> rusqlite::Result<DuePage> {
    let limit = range.limit;
    let first = candidates(db, range, 0)?;
    let retries = candidates(db, range, 1)?;
    let share = (limit / RETRY_SHARE).max(usize::from(limit > 1));
    let retry_count = retries.due.len().min(share.max(limit.saturating_sub(first.due.len())));
    let mut deliveries = Vec::new();
    let next = first.take(limit - retry_count, &mut deliveries);
    let next = next.into_iter().chain(retries.take(retry_count, &mut deliveries)).min();
    Ok(DuePage { deliveries, next })
}

/// Reads the first attempts (0) or retries (1) up to the first row that does not belong to the page.
fn candidates(db: &Connection, range: &DueRange<'_>, retries: i64) -> rusqlite::Result<Candidates> {
    let DueRange { queue: QueueRow { client, notification, queue }, now, limit, except } = *range;
    let mut found = Candidates { due: Vec::new(), later: None };
    let mut statement = db.prepare_cached(
        "SELECT id, due, tries, size FROM delivery INDEXED BY delivery_due
         WHERE client = ?1 AND notification = ?2 AND queue = ?3 AND (tries > 0) = ?4 AND due IS NOT NULL AND due >= ?5
         ORDER BY due, id",
    )?;
    // Due times that no schedule can have were set by a wrong clock, so they count as due. A first attempt never waits:
    // its due time may be that of another node, whose clock is ahead.
    let implausible = now.plus(MAX_RETRY_WAIT);
    let beginnings = [Timestamp::from_millis(0), implausible];
    for from in beginnings.into_iter().take(if retries == 0 { 1 } else { 2 }) {
        let mut rows = statement.query(params![client, notification, queue, retries, from.millis()])?;
        while let Some(row) = rows.next()? {
            let (id, due) = (columns::unsigned(row.get(0)?), columns::time(row, 1)?);
            if except.contains(&id) {
                continue;
            }
            let counts_as = if retries == 0 {
                due.min(now)
            } else if from == implausible {
                now
            } else {
                due
            };
            if counts_as > now || found.due.len() >= limit {
                found.later = Some(found.later.map_or(counts_as, |later| later.min(counts_as)));
                break;
            }
            let delivery = DueDelivery { id, failures: row.get(2)?, bytes: columns::unsigned(row.get(3)?) };
            found.due.push((counts_as, delivery));
        }
    }
    Ok(found)
}

/// Reads what an attempt of a delivery needs.
pub(crate) struct ContentReader {
    pub(crate) events: EventReader,
    pub(crate) client: Arc<Client>,
    pub(crate) seal: Arc<dyn Seal>,
    pub(crate) queue: QueueRow,
    /// [`DeliveryContent::receiver`].
    pub(crate) receiver: Arc<str>,
}

impl ContentReader {
    /// `None` if the delivery is not pending in the queue or not the head of its FIFO.
    pub(crate) fn get(&self, db: &Connection, id: u64) -> rusqlite::Result<Option<DeliveryContent>> {
        let QueueRow { client, notification, queue } = &self.queue;
        let found: Option<(i64, i64, String, SchedulePosition)> = db
            .prepare_cached(
                "SELECT seq, document, target, tries, coalesce(restarted, created) FROM delivery
                 WHERE client = ?1 AND id = ?2 AND state = ?3 AND notification = ?4 AND queue = ?5 AND due IS NOT NULL",
            )?
            .query_row(params![client, columns::signed(id), PENDING, notification, queue], |row| {
                let schedule = SchedulePosition { failures: row.get(3)?, queued: columns::time(row, 4)? };
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, schedule))
            })
            .optional()?;
        let Some((sequence, document, target, schedule)) = found else { return Ok(None) };
        // A target that cannot be parsed is never written.
        let Ok(parsed) = Target::from_key(&target) else { return Ok(None) };
        let callback = match &parsed {
            Target::Notification(_) => None,
            Target::Callback { .. } => {
                let key = DestinationsKey { client: *client, owner: &self.client, document };
                destinations::callback(db, &*self.seal, key, &target)?
            }
        };
        Ok(Some(DeliveryContent {
            id,
            target: parsed,
            event: self.events.get(db, sequence)?,
            raw: self.events.raw_request(db, columns::unsigned(sequence))?,
            callback,
            receiver: self.receiver.clone(),
            schedule,
        }))
    }
}

/// The pending deliveries of all clients that are not removed.
pub(crate) fn backlog(db: &Connection) -> rusqlite::Result<Backlog> {
    let pending: Option<i64> = db
        .prepare_cached(
            "SELECT sum(pending) FROM usage JOIN client ON client.id = usage.client WHERE name IS NOT NULL",
        )?
        .query_row([], |row| row.get(0))?;
    let oldest_due = db
        .prepare_cached(
            "SELECT due FROM
             (SELECT client, notification, due FROM delivery INDEXED BY delivery_next WHERE due IS NOT NULL
              ORDER BY due LIMIT ?1)
             WHERE EXISTS (SELECT 1 FROM client WHERE id = client AND name IS NOT NULL)
             AND (notification = 0 OR EXISTS (SELECT 1 FROM notification AS n WHERE n.number = notification AND removed IS NULL))
             ORDER BY due LIMIT 1",
        )?
        .query_row([columns::size(MAX_SKIPPED)], |row| columns::time(row, 0))
        .optional()?;
    Ok(Backlog { pending: columns::unsigned(pending.unwrap_or(0)), oldest_due })
}

/// The next queues with a due time after `after`, in order of their rows, each found by one step of the index. Those of
/// removed clients and notifications are among them. Fewer than `limit` are the last.
pub(crate) fn queues_after(db: &Connection, after: Option<QueueRow>, limit: usize) -> rusqlite::Result<Vec<QueueRow>> {
    let mut next_queue = db.prepare_cached(
        "SELECT client, notification, queue FROM delivery INDEXED BY delivery_due
         WHERE due IS NOT NULL AND (client, notification, queue) > (?1, ?2, ?3)
         ORDER BY client, notification, queue LIMIT 1",
    )?;
    let mut last = after.unwrap_or(QueueRow { client: 0, notification: 0, queue: String::new() });
    let mut queues = Vec::new();
    while queues.len() < limit
        && let Some(found) =
            next_queue.query_row(params![last.client, last.notification, last.queue], queue_row).optional()?
    {
        queues.push(found.clone());
        last = found;
    }
    Ok(queues)
}

/// Queues whose deliveries became due in a time span.
pub(crate) struct WokenQueues {
    /// At most the limit and one: more are not read.
    pub(crate) queues: BTreeSet<QueueRow>,
    /// The earliest due time after the time span.
    pub(crate) next: Option<Timestamp>,
}

/// The queues with a delivery that became due after `after` and up to `now`.
pub(crate) fn woken_queues(
    db: &Connection,
    after: Timestamp,
    now: Timestamp,
    limit: usize,
) -> rusqlite::Result<WokenQueues> {
    let mut queues = BTreeSet::new();
    let mut statement = db.prepare_cached(
        "SELECT client, notification, queue FROM delivery INDEXED BY delivery_next
         WHERE due IS NOT NULL AND due > ?1 AND due <= ?2 ORDER BY due",
    )?;
    for (after, until) in [(after.millis(), now.millis()), (now.plus(MAX_RETRY_WAIT).millis(), i64::MAX)] {
        let mut rows = statement.query([after, until])?;
        while queues.len() <= limit
            && let Some(row) = rows.next()?
        {
            queues.insert(queue_row(row)?);
        }
    }
    let next = db
        .prepare_cached(
            "SELECT due FROM delivery INDEXED BY delivery_next WHERE due IS NOT NULL AND due > ?1 ORDER BY due LIMIT 1",
        )?
        .query_row([now.millis()], |row| columns::time(row, 0))
        .optional()?;
    Ok(WokenQueues { queues, next })
}

fn queue_row(row: &Row<'_>) -> rusqlite::Result<QueueRow> {
    Ok(QueueRow { client: row.get(0)?, notification: row.get(1)?, queue: row.get(2)? })
}
