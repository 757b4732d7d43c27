//! The per-document FIFO inside a delivery queue, and every change of a delivery's state. Only the head of a FIFO, its
//! first pending delivery, has a due time; the others have `due = NULL`.

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::columns;
use super::write_tx::{SettledDelivery, WriteTx};
use crate::domain::{DocumentId, Timestamp};
use crate::store::{DeliveryState, SchedulePosition};

/// The states in their column.
pub(crate) const PENDING: i64 = 0;
pub(crate) const DELIVERED: i64 = 1;
pub(crate) const DEAD: i64 = 2;

/// A state for its column.
pub(crate) fn state_number(state: DeliveryState) -> i64 {
    match state {
        DeliveryState::Pending => PENDING,
        DeliveryState::Delivered => DELIVERED,
        DeliveryState::Dead => DEAD,
    }
}

/// A state from its column.
pub(crate) fn state(number: i64) -> DeliveryState {
    DeliveryState::ALL.into_iter().find(|state| state_number(*state) == number).unwrap_or(DeliveryState::Dead)
}

/// A delivery queue as its rows name it. The number distinguishes a notification from an earlier one of the same name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct QueueRow {
    pub(crate) client: i64,
    /// The notification's number; 0 for callbacks.
    pub(crate) notification: i64,
    /// [`QueueTarget::key`](crate::domain::QueueTarget::key).
    pub(crate) queue: String,
}

/// The target of a delivery as its row names it.
#[derive(Clone)]
pub(crate) struct TargetRow {
    pub(crate) client: i64,
    /// The notification's number; 0 for a callback.
    pub(crate) notification: i64,
    /// [`Target::key`](crate::domain::Target::key).
    pub(crate) target: String,
}

/// The deliveries of one document to one target.
#[derive(Clone, Copy)]
pub(crate) struct DocumentFifo<'a> {
    pub(crate) target: &'a TargetRow,
    /// The document's number.
    pub(crate) document: i64,
}

/// A delivery to append to a FIFO.
pub(crate) struct NewDelivery {
    pub(crate) id: i64,
    /// Sequence of the event.
    pub(crate) sequence: i64,
    /// Bytes of the event with its request.
    pub(crate) size: i64,
    pub(crate) document: DocumentId,
    pub(crate) now: Timestamp,
}

impl DocumentFifo<'_> {
    /// Appends a delivery, due now if it becomes the head.
    pub(crate) fn push(&self, tx: &mut WriteTx<'_>, new: &NewDelivery) -> rusqlite::Result<()> {
        let due = self.due_at_end(&tx.db, new.now)?;
        tx.db
            .prepare_cached(
                "INSERT INTO delivery
                 (client, id, notification, target, seq, document, uuid, state, tries, due, created, bytes, size)
                 VALUES (?1,?2,?3,?4,?5,?6,?7,?8,0,?9,?10,0,?11)",
            )?
            .execute(params![
                self.target.client,
                new.id,
                self.target.notification,
                self.target.target,
                new.sequence,
                self.document,
                new.document.uuid().as_bytes(),
                PENDING,
                due,
                new.now.millis(),
                new.size,
            ])?;
        tx.usage.delivery_queued(self.target.client, new.size);
        Ok(())
    }

    /// Makes a delivered or dead delivery pending again, with a new retry schedule and due now if it becomes the head.
    /// It moves to this target, whose notification may be a later one of the same name. The FIFO stays ordered by id:
    /// the delivery waits for a pending head, and comes before pending deliveries with larger ids once that head is
    /// settled.
    pub(crate) fn requeue(
        &self,
        tx: &mut WriteTx<'_>,
        delivery: SettledDelivery,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        let due = self.due_at_end(&tx.db, now)?;
        tx.db
            .prepare_cached(
                // The same millisecond as before would not show that the delivery was retried.
                "UPDATE delivery SET state = ?3, notification = ?4, tries = 0, due = ?5, settled = NULL,
                 restarted = ?6 + (?6 = coalesce(restarted, created)) WHERE client = ?1 AND id = ?2",
            )?
            .execute(params![self.target.client, delivery.id, PENDING, self.target.notification, due, now.millis()])?;
        tx.usage.delivery_requeued(self.target.client, delivery);
        Ok(())
    }

    /// Makes the first pending delivery the head, due now; false when none is pending. To be called when no delivery of
    /// the FIFO has a due time.
    pub(crate) fn release_head(&self, db: &Connection, now: Timestamp) -> rusqlite::Result<bool> {
        let Some(first) = self.first_pending(db)? else { return Ok(false) };
        db.prepare_cached("UPDATE delivery SET due = ?3 WHERE client = ?1 AND id = ?2")?.execute(params![
            self.target.client,
            first,
            now.millis()
        ])?;
        Ok(true)
    }

    /// Whether this event, the document's latest, has been queued here.
    pub(crate) fn contains_latest(&self, db: &Connection, sequence: i64) -> rusqlite::Result<bool> {
        const LAST: &str = "SELECT seq FROM delivery INDEXED BY delivery_line WHERE client = ?1 AND document = ?2
            AND state = ?3 AND notification = ?4 AND target = ?5 ORDER BY id DESC LIMIT 1";
        for state in [PENDING, DELIVERED, DEAD] {
            if self.select(db, LAST, state)? == Some(sequence) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The due time of a delivery that becomes pending: none while another one is the head.
    fn due_at_end(&self, db: &Connection, now: Timestamp) -> rusqlite::Result<Option<i64>> {
        Ok(if self.first_pending(db)?.is_some() { None } else { Some(now.millis()) })
    }

    fn first_pending(&self, db: &Connection) -> rusqlite::Result<Option<i64>> {
        const FIRST: &str = "SELECT id FROM delivery INDEXED BY delivery_line WHERE client = ?1 AND document = ?2
            AND state = ?3 AND notification = ?4 AND target = ?5 ORDER BY id LIMIT 1";
        self.select(db, FIRST, PENDING)
    }

    fn select(&self, db: &Connection, sql: &'static str, state: i64) -> rusqlite::Result<Option<i64>> {
        let TargetRow { client, notification, target } = self.target;
        db.prepare_cached(sql)?
            .query_row(params![client, self.document, state, notification, target], |row| row.get(0))
            .optional()
    }
}

/// The final state of a pending delivery.
pub(crate) struct Settlement {
    pub(crate) client: i64,
    pub(crate) id: i64,
    /// [`DELIVERED`] or [`DEAD`].
    pub(crate) state: i64,
    /// Bytes of all its attempts.
    pub(crate) bytes: i64,
    pub(crate) now: Timestamp,
}

/// Settles a pending delivery. If it was the head, the caller releases the next one.
pub(crate) fn settle(tx: &mut WriteTx<'_>, settlement: &Settlement) -> rusqlite::Result<()> {
    let Settlement { client, id, state, bytes, now } = settlement;
    let size = tx
        .db
        .prepare_cached(
            "UPDATE delivery SET state = ?3, due = NULL, settled = ?4, bytes = ?5 WHERE client = ?1 AND id = ?2
             RETURNING size",
        )?
        .query_row(params![client, id, state, now.millis(), bytes], |row| row.get(0))?;
    tx.usage.delivery_settled(*client, &SettledDelivery { id: *id, bytes: *bytes, size });
    Ok(())
}

/// The pending delivery that an attempt belongs to.
pub(crate) struct PendingDelivery {
    pub(crate) target: TargetRow,
    /// The document's number.
    pub(crate) document: i64,
    /// Whether it is the head of its FIFO.
    pub(crate) is_head: bool,
    /// Bytes of its attempts.
    pub(crate) bytes: i64,
    pub(crate) schedule: SchedulePosition,
}

/// A pending delivery of this queue.
pub(crate) fn pending(db: &Connection, queue: &QueueRow, id: i64) -> rusqlite::Result<Option<PendingDelivery>> {
    db.prepare_cached(
        "SELECT document, due, bytes, target, tries, coalesce(restarted, created) FROM delivery
         WHERE client = ?1 AND id = ?2 AND state = ?3 AND notification = ?4 AND queue = ?5",
    )?
    .query_row(params![queue.client, id, PENDING, queue.notification, queue.queue], |row| {
        let due: Option<i64> = row.get(1)?;
        let target = TargetRow { client: queue.client, notification: queue.notification, target: row.get(3)? };
        let schedule = SchedulePosition { failures: row.get(4)?, queued: columns::time(row, 5)? };
        Ok(PendingDelivery { target, document: row.get(0)?, is_head: due.is_some(), bytes: row.get(2)?, schedule })
    })
    .optional()
}

/// Counts one more failure of a pending delivery; `next` is its due time if it is the head.
pub(crate) fn set_retry(db: &Connection, client: i64, id: i64, bytes: i64, next: Timestamp) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE delivery SET tries = tries + 1, bytes = ?3, due = iif(due IS NULL, NULL, ?4)
         WHERE client = ?1 AND id = ?2",
    )?
    .execute(params![client, id, bytes, next.millis()])?;
    Ok(())
}

/// Sets the bytes of a delivery's attempts.
pub(crate) fn set_bytes(db: &Connection, client: i64, id: i64, bytes: i64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE delivery SET bytes = ?3 WHERE client = ?1 AND id = ?2")?.execute([client, id, bytes])?;
    Ok(())
}

/// Restarts the retry schedule of a pending delivery; it is due now if it is the head.
pub(crate) fn reset_retries(db: &Connection, client: i64, id: i64, now: Timestamp) -> rusqlite::Result<()> {
    db.prepare_cached(
        // The same millisecond as before would not show that the delivery was retried.
        "UPDATE delivery SET tries = 0, due = iif(due IS NULL, NULL, ?3),
         restarted = ?3 + (?3 = coalesce(restarted, created)) WHERE client = ?1 AND id = ?2",
    )?
    .execute([client, id, now.millis()])?;
    Ok(())
}
