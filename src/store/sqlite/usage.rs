//! What each client takes up, gathered over one transaction and written once at its end; and the lanes that the
//! transaction stirs, for after its commit.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, params};

use crate::store::QueueKey;

/// What a transaction changes beside its rows.
#[derive(Default)]
pub(super) struct Changes {
    /// By client number.
    usage: BTreeMap<i64, Usage>,
    stirred: BTreeSet<QueueKey>,
}

/// Changes of a client's counters.
#[derive(Default)]
struct Usage {
    events: i64,
    bytes: i64,
    pending: i64,
    settled: i64,
    settled_bytes: i64,
}

impl Changes {
    /// Counts one more event.
    pub(super) fn add(&mut self, client: i64, bytes: i64) {
        let sum = self.usage.entry(client).or_default();
        sum.events += 1;
        sum.bytes = sum.bytes.saturating_add(bytes);
    }

    /// Counts one more pending delivery.
    pub(super) fn queued(&mut self, client: i64) {
        self.usage.entry(client).or_default().pending += 1;
    }

    /// One that was pending is settled, with so many bytes of attempts.
    pub(super) fn settled(&mut self, client: i64, bytes: i64) {
        let sum = self.usage.entry(client).or_default();
        sum.pending -= 1;
        sum.settled += 1;
        sum.settled_bytes += bytes;
    }

    /// One that was settled is pending again.
    pub(super) fn revived(&mut self, client: i64, bytes: i64) {
        let sum = self.usage.entry(client).or_default();
        sum.pending += 1;
        sum.settled -= 1;
        sum.settled_bytes -= bytes;
    }

    /// One that was settled is gone.
    pub(super) fn forgotten(&mut self, client: i64, bytes: i64) {
        let sum = self.usage.entry(client).or_default();
        sum.settled -= 1;
        sum.settled_bytes -= bytes;
    }

    /// Something has changed in this lane.
    pub(super) fn stir(&mut self, lane: QueueKey) {
        self.stirred.insert(lane);
    }

    /// Writes the counters; the answer is what to stir when they are committed.
    pub(super) fn write(self, db: &Connection) -> rusqlite::Result<BTreeSet<QueueKey>> {
        let mut update = db.prepare_cached(
            "UPDATE usage SET events = events + ?2, bytes = bytes + ?3, pending = pending + ?4, settled = settled + ?5,
             settled_bytes = settled_bytes + ?6 WHERE client = ?1",
        )?;
        for (client, sum) in &self.usage {
            update.execute(params![client, sum.events, sum.bytes, sum.pending, sum.settled, sum.settled_bytes])?;
        }
        Ok(self.stirred)
    }
}

/// Events and bytes of a client; `None` when it is gone.
pub(super) fn of(db: &Connection, client: i64) -> rusqlite::Result<Option<(i64, i64)>> {
    db.prepare_cached("SELECT events, bytes FROM usage WHERE client = ?1")?
        .query_row([client], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Settled deliveries of a client and the bytes of their attempts; `None` when it is gone.
pub(super) fn settled(db: &Connection, client: i64) -> rusqlite::Result<Option<(i64, i64)>> {
    db.prepare_cached("SELECT settled, settled_bytes FROM usage WHERE client = ?1")?
        .query_row([client], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// The last of the client's events that was deleted, 0 for none.
pub(super) fn pruned_through(db: &Connection, client: i64) -> rusqlite::Result<i64> {
    let through = db
        .prepare_cached("SELECT pruned_through FROM usage WHERE client = ?1")?
        .query_row([client], |row| row.get(0))
        .optional()?;
    Ok(through.unwrap_or(0))
}
