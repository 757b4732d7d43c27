//! Updates of many deliveries, slice by slice, so that the commands between two slices are not delayed: failing the
//! pending deliveries of a removed notification, making a queue due, retrying what is dead, giving up what is pending.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::give_up::{ExpirySweep, LimitSweep};
use crate::domain::{QueueKey, Timestamp};
use crate::store::sqlite::tables::document_fifo::{self, DEAD, DocumentFifo, PENDING, QueueRow, Settlement, TargetRow};
use crate::store::sqlite::tables::write_tx::{SettledDelivery, WriteTx};
use crate::store::sqlite::tables::{columns, deliveries};
use crate::store::{Attempt, GivenUp, Retention};

/// Deliveries that one slice reads.
const DELIVERIES_PER_SLICE: usize = 500;

/// A removed notification.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct RemovedNotification {
    /// The client's number.
    pub(crate) client: i64,
    pub(crate) number: i64,
    /// The time of removal.
    pub(crate) time: Timestamp,
}

impl RemovedNotification {
    /// Empties the row. It stays until its deliveries are dead: until then the update continues after a restart.
    pub(super) fn mark(&self, db: &Connection) -> rusqlite::Result<()> {
        db.prepare_cached("UPDATE notification SET definition = x'', removed = ?2 WHERE number = ?1")?
            .execute([self.number, self.time.millis()])?;
        Ok(())
    }

    /// The removed notifications that still have a row.
    pub(super) fn load(db: &Connection) -> rusqlite::Result<Vec<Self>> {
        db.prepare("SELECT client, number, removed FROM notification WHERE removed IS NOT NULL")?
            .query_map([], |row| {
                Ok(RemovedNotification { client: row.get(0)?, number: row.get(1)?, time: columns::time(row, 2)? })
            })?
            .collect()
    }
}

/// An update of many deliveries, with its progress.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum BulkUpdate {
    /// All pending deliveries of a removed notification are dead.
    FailPending(RemovedNotification),
    /// All heads in a queue are due now.
    MakeDue(QueueSweep),
    /// All deliveries of a queue that died at `since` or later are pending again.
    RetryFailed(RetrySweep),
    /// All pending deliveries whose retry schedule has ended are dead.
    Expire(ExpirySweep),
    /// The oldest pending deliveries of a client beyond its limits are dead.
    EnforceLimit(LimitSweep),
}

/// A queue whose deliveries are updated.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct QueueSweep {
    pub(crate) key: QueueKey,
    pub(crate) row: QueueRow,
    pub(crate) now: Timestamp,
}

/// The dead deliveries of a queue.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct RetrySweep {
    pub(crate) queue: QueueSweep,
    pub(crate) since: Timestamp,
    /// The last id that was read; 0 at the beginning.
    pub(crate) after: i64,
    /// Deliveries that were made pending.
    pub(crate) retried: u64,
}

impl BulkUpdate {
    /// The present time of the request.
    pub(super) fn now(&self) -> Timestamp {
        match self {
            Self::FailPending(removed) => removed.time,
            Self::MakeDue(sweep) => sweep.now,
            Self::RetryFailed(sweep) => sweep.queue.now,
            Self::Expire(sweep) => sweep.now(),
            Self::EnforceLimit(sweep) => sweep.now,
        }
    }

    /// One slice; true when the update is complete.
    pub(super) fn slice(&mut self, tx: &mut WriteTx<'_>, bounds: &Retention) -> rusqlite::Result<bool> {
        match self {
            Self::FailPending(removed) => fail_pending(tx, *removed),
            Self::MakeDue(sweep) => sweep.make_due(tx),
            Self::RetryFailed(sweep) => sweep.retry_failed(tx),
            Self::Expire(sweep) => sweep.slice(tx, bounds),
            Self::EnforceLimit(sweep) => sweep.slice(tx, bounds),
        }
    }

    /// Whether only the leader begins it, by its own clock and bounds. A caller begins the others; what they do is
    /// decided by the request, so that it may be done by any leader, and twice.
    pub(super) fn belongs_to_leader(&self) -> bool {
        match self {
            Self::FailPending(_) | Self::MakeDue(_) | Self::RetryFailed(_) => false,
            Self::Expire(_) | Self::EnforceLimit(_) => true,
        }
    }

    /// The deliveries that were given up since the last call.
    pub(super) fn take_given_up(&mut self) -> Option<(GivenUp, u64)> {
        let (reason, count) = match self {
            Self::FailPending(_) | Self::MakeDue(_) | Self::RetryFailed(_) => return None,
            Self::Expire(sweep) => (GivenUp::Expired, sweep.take_given_up()),
            Self::EnforceLimit(sweep) => (GivenUp::OverLimit, std::mem::take(&mut sweep.given_up)),
        };
        (count > 0).then_some((reason, count))
    }

    /// How many deliveries were retried, if that is what the update is for.
    pub(super) fn retried(&self) -> Option<u64> {
        match self {
            Self::RetryFailed(sweep) => Some(sweep.retried),
            _ => None,
        }
    }
}

fn fail_pending(tx: &mut WriteTx<'_>, removed: RemovedNotification) -> rusqlite::Result<bool> {
    let RemovedNotification { client, number, time: now } = removed;
    let error = Some("the notification was deleted".to_owned());
    let last = Attempt { time: now, duration: Duration::ZERO, status: None, response_body: Bytes::new(), error };
    let pending: Vec<(i64, i64)> = tx
        .db
        .prepare_cached(
            "SELECT id, bytes FROM delivery INDEXED BY delivery_state
             WHERE client = ?1 AND state = ?2 AND notification = ?3 ORDER BY id LIMIT ?4",
        )?
        .query_map(params![client, PENDING, number, columns::size(DELIVERIES_PER_SLICE)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (id, bytes) in &pending {
        let bytes = bytes + deliveries::insert_attempt(tx, client, *id, &last)?;
        document_fifo::settle(tx, &Settlement { client, id: *id, state: DEAD, bytes, now })?;
    }
    if pending.len() == DELIVERIES_PER_SLICE {
        return Ok(false);
    }
    tx.db.prepare_cached("DELETE FROM notification WHERE number = ?1")?.execute([number])?;
    Ok(true)
}

impl QueueSweep {
    /// Deliveries that are due later stand at the end of both index ranges, first attempts and retries. Updated ones
    /// leave that end, so the next slice finds the rest.
    fn make_due(&self, tx: &mut WriteTx<'_>) -> rusqlite::Result<bool> {
        let QueueRow { client, notification, queue } = &self.row;
        let limit = columns::size(DELIVERIES_PER_SLICE);
        let mut updated = 0;
        for retries in [0, 1] {
            updated += tx
                .db
                .prepare_cached(
                    "UPDATE delivery SET due = ?5 WHERE client = ?1 AND id IN
                     (SELECT id FROM delivery INDEXED BY delivery_due
                      WHERE client = ?1 AND notification = ?2 AND queue = ?3 AND (tries > 0) = ?4 AND due > ?5
                      AND due IS NOT NULL ORDER BY due LIMIT ?6)",
                )?
                .execute(params![client, notification, queue, retries, self.now.millis(), limit])?;
        }
        if updated > 0 {
            tx.mark_ready(self.key.clone());
        }
        Ok(updated < DELIVERIES_PER_SLICE)
    }
}

impl RetrySweep {
    fn retry_failed(&mut self, tx: &mut WriteTx<'_>) -> rusqlite::Result<bool> {
        let row = &self.queue.row;
        // The notification may have been removed since: nothing would ever send or fail these deliveries.
        let is_registered = tx
            .db
            .prepare_cached("SELECT 1 FROM notification WHERE number = ?1 AND removed IS NULL")?
            .exists([row.notification])?;
        if !is_registered {
            return Ok(true);
        }
        let dead: Vec<(SettledDelivery, i64, Timestamp)> = tx
            .db
            .prepare_cached(
                "SELECT id, bytes, size, document, settled FROM delivery INDEXED BY delivery_state
                 WHERE client = ?1 AND state = ?2 AND notification = ?3 AND id > ?4 ORDER BY id LIMIT ?5",
            )?
            .query_map(
                params![row.client, DEAD, row.notification, self.after, columns::size(DELIVERIES_PER_SLICE)],
                |row| {
                    let delivery = SettledDelivery { id: row.get(0)?, bytes: row.get(1)?, size: row.get(2)? };
                    Ok((delivery, row.get(3)?, columns::time(row, 4)?))
                },
            )?
            .collect::<rusqlite::Result<_>>()?;
        // The target of a notification is its name, and so is its queue.
        let target = TargetRow { client: row.client, notification: row.notification, target: row.queue.clone() };
        // In the order of their ids: the oldest delivery of a document becomes the head, the others wait for it.
        for (delivery, document, _) in dead.iter().filter(|(.., died)| *died >= self.since) {
            DocumentFifo { target: &target, document: *document }.requeue(tx, *delivery, self.queue.now)?;
            tx.mark_ready(self.queue.key.clone());
            self.retried += 1;
        }
        self.after = dead.last().map_or(self.after, |(delivery, ..)| delivery.id);
        Ok(dead.len() < DELIVERIES_PER_SLICE)
    }
}
