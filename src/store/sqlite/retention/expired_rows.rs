//! The removal of the oldest rows beyond the retention, one step at a time. The age of a row is checked although the
//! clock may have been wrong.
//!
//! Rows are pruned in the order of their sequences, up to the first one that is young enough. A row with a time far in
//! the future would stop the pruning for as long as the clock was ahead. Its own time is not plausible, so it is as old
//! as a later row with a plausible time. A clock that is behind for a while removes no history: its rows are checked
//! when they have become the oldest ones.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::domain::Timestamp;
use crate::store::sqlite::tables::write_tx::{HistoryUsage, Usage, UsageChanges};
use crate::store::sqlite::tables::{columns, documents, identity};
use crate::store::{DUPLICATE_WINDOW, Retention};

/// Rows of a table that one step reads or deletes, at most.
pub(super) const ROWS_PER_STEP: usize = 64;

/// Approximate maximum of the bytes of rows that one step deletes.
pub(super) const BYTES_PER_STEP: i64 = 1 << 20;

/// How far ahead of the present a plausible time may lie.
const MAX_SKEW: Duration = Duration::from_secs(24 * 3600);

/// A present time at which no row is too old.
pub(super) fn earliest_time() -> Timestamp {
    Timestamp::from_millis(0)
}

/// The rows of one client.
pub(super) struct ClientRows<'a> {
    pub(super) db: &'a Connection,
    pub(super) client: i64,
    pub(super) bounds: &'a Retention,
    pub(super) now: Timestamp,
}

/// What one step has removed.
#[derive(Default)]
pub(super) struct RemovedRows {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// Rows that a step has read.
#[derive(Default)]
pub(super) struct ReadRows {
    pub(super) rows: usize,
    pub(super) removed: usize,
    /// Number of the last one; `None` at the end of the table.
    pub(super) last: Option<i64>,
}

/// What decides whether a document is removed.
pub(super) struct DocumentToPrune {
    number: i64,
    updated: Timestamp,
    has_destinations: bool,
    /// Bytes of the document and its callback.
    bytes: i64,
    /// Whether its latest event is retained.
    pub(super) has_events: bool,
}

impl ClientRows<'_> {
    /// Removes the oldest events beyond the bounds.
    pub(super) fn prune_events(&self) -> rusqlite::Result<RemovedRows> {
        let (db, client) = (self.db, self.client);
        let queries = RowQueries {
            first_from: "SELECT seq, time FROM event WHERE client = ?1 AND seq >= ?2 ORDER BY seq LIMIT 1",
            last: "SELECT seq, time FROM event WHERE client = ?1 ORDER BY seq DESC LIMIT 1",
        };
        let (now, cutoff) = (self.now, self.now.minus(self.bounds.max_event_age));
        let mut check = ExpiryCheck { db, queries, client, now, cutoff, reference: None };
        remove_oldest_events(db, client, |usage, seq, time| {
            Ok(usage.exceeds(self.bounds) || check.is_expired(seq, time)?)
        })
    }

    /// Removes documents without a recent event, and those whose events have been pruned while they exceed their share
    /// of the bytes. Numbers grow with time, so only documents that were created before the cutoff are read, unless the
    /// numbers are ahead of the clock because it was set back: then all are read. A document whose last event has a
    /// time in the future stays until that time and the bound have passed.
    pub(super) fn prune_documents(&self, after: i64) -> rusqlite::Result<ReadRows> {
        let (db, client) = (self.db, self.client);
        let cutoff = self.now.minus(self.bounds.max_event_age.max(DUPLICATE_WINDOW));
        let newest: i64 = db.prepare_cached("SELECT document FROM state")?.query_row([], |row| row.get(0))?;
        let is_ahead = newest > identity::first_number(latest_plausible(self.now));
        let Some(usage) = HistoryUsage::of(db, client)? else { return Ok(ReadRows::default()) };
        let reads_all = is_ahead || usage.documents_exceed(self.bounds);
        let end = if reads_all { i64::MAX } else { identity::first_number(cutoff) };
        self.remove_documents(after, end, |usage, document| {
            document.updated < cutoff || !document.has_events && usage.documents_exceed(self.bounds)
        })
    }

    /// Reads documents with numbers between these, and removes those for which `is_removed` returns true. It gets what
    /// is left of the history.
    pub(super) fn remove_documents(
        &self,
        after: i64,
        end: i64,
        is_removed: impl Fn(&HistoryUsage, &DocumentToPrune) -> bool,
    ) -> rusqlite::Result<ReadRows> {
        let (db, client) = (self.db, self.client);
        let Some(mut usage) = HistoryUsage::of(db, client)? else { return Ok(ReadRows::default()) };
        let read: Vec<DocumentToPrune> = db
            .prepare_cached(
                "SELECT id, updated, routed, ?5 + octet_length(coalesce(title, '')) + octet_length(vendor_id)
                 + iif(routed, (SELECT octet_length(coalesce(target, '')) + octet_length(coalesce(callback, ''))
                    FROM route WHERE route.client = document.client AND route.document = document.id), 0),
                 EXISTS (SELECT 1 FROM event WHERE event.client = document.client AND event.seq = document.last_seq)
                 FROM document
                 WHERE client = ?1 AND id > ?2 AND id < ?3 ORDER BY id LIMIT ?4",
            )?
            .query_map(params![client, after, end, columns::size(ROWS_PER_STEP), documents::ROW_BYTES], |row| {
                Ok(DocumentToPrune {
                    number: row.get(0)?,
                    updated: columns::time(row, 1)?,
                    has_destinations: row.get(2)?,
                    bytes: row.get(3)?,
                    has_events: row.get(4)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        let (mut changes, mut removed) = (UsageChanges::default(), 0);
        for document in &read {
            if !is_removed(&usage, document) {
                continue;
            }
            removed += 1;
            if document.has_destinations {
                db.prepare_cached("DELETE FROM route WHERE client = ?1 AND document = ?2")?
                    .execute([client, document.number])?;
            }
            db.prepare_cached("DELETE FROM document WHERE client = ?1 AND id = ?2")?
                .execute([client, document.number])?;
            changes.document_changed(client, -document.bytes);
            usage.document_bytes -= document.bytes;
        }
        changes.save(db)?;
        Ok(ReadRows { rows: read.len(), removed, last: read.last().map(|document| document.number) })
    }

    /// Removes the oldest deduplication keys beyond the bound on their number.
    pub(super) fn prune_duplicate_keys(&self) -> rusqlite::Result<RemovedRows> {
        let (db, client) = (self.db, self.client);
        let number: Option<i64> = db
            .prepare_cached("SELECT duplicate_keys FROM usage WHERE client = ?1")?
            .query_row([client], |row| row.get(0))
            .optional()?;
        let excess = number.unwrap_or(0).saturating_sub(columns::signed(self.bounds.max_duplicate_keys));
        if excess <= 0 {
            return Ok(RemovedRows::default());
        }
        let rows = db
            .prepare_cached(
                "DELETE FROM dedup WHERE seq IN
                 (SELECT seq FROM dedup INDEXED BY dedup_client WHERE client = ?1 ORDER BY seq LIMIT ?2)",
            )?
            .execute([client, excess.min(columns::size(ROWS_PER_STEP))])?;
        let mut changes = UsageChanges::default();
        changes.duplicate_keys_changed(client, -columns::size(rows));
        changes.save(db)?;
        Ok(RemovedRows { rows, bytes: 0 })
    }

    /// Removes delivered and dead deliveries beyond the bounds, in the order in which they were settled.
    pub(super) fn prune_deliveries(&self) -> rusqlite::Result<RemovedRows> {
        let (db, client, bounds) = (self.db, self.client, self.bounds);
        let Some(mut usage) = Usage::of_settled_deliveries(db, client)? else { return Ok(RemovedRows::default()) };
        let cutoff = self.now.minus(bounds.max_delivery_age);
        let mut removed: Vec<(i64, i64)> = Vec::new();
        let mut freed: i64 = 0;
        let mut statement = db.prepare_cached(
            "SELECT id, settled, bytes FROM delivery INDEXED BY delivery_settled
             WHERE client = ?1 AND settled IS NOT NULL ORDER BY settled, id LIMIT ?2",
        )?;
        let mut rows = statement.query(params![client, columns::size(ROWS_PER_STEP)])?;
        while freed < BYTES_PER_STEP
            && let Some(row) = rows.next()?
        {
            let (id, settled, bytes): (i64, _, i64) = (row.get(0)?, columns::time(row, 1)?, row.get(2)?);
            let too_much = usage.exceeds(bounds.max_deliveries, bounds.max_attempt_bytes);
            if !too_much && settled >= cutoff {
                break;
            }
            removed.push((id, bytes));
            usage.number -= 1;
            usage.bytes -= bytes;
            freed += bytes;
        }
        let mut changes = UsageChanges::default();
        for (id, bytes) in &removed {
            db.prepare_cached("DELETE FROM attempt WHERE delivery = ?1")?.execute([id])?;
            db.prepare_cached("DELETE FROM delivery WHERE client = ?1 AND id = ?2")?.execute([client, *id])?;
            changes.delivery_removed(client, *bytes);
        }
        // Now, not at the end of the transaction: the next step reads the counters.
        changes.save(db)?;
        Ok(RemovedRows { rows: removed.len(), bytes: usize::try_from(freed).unwrap_or(0) })
    }
}

/// Removes the oldest events of a client as long as `is_removed` says so: it gets the history that is left, and the
/// sequence and the time of the next event.
pub(super) fn remove_oldest_events(
    db: &Connection,
    client: i64,
    mut is_removed: impl FnMut(&HistoryUsage, i64, Timestamp) -> rusqlite::Result<bool>,
) -> rusqlite::Result<RemovedRows> {
    let Some(mut usage) = HistoryUsage::of(db, client)? else { return Ok(RemovedRows::default()) };
    let mut removed: Vec<i64> = Vec::new();
    let mut freed: i64 = 0;
    let mut statement =
        db.prepare_cached("SELECT seq, time, bytes FROM event WHERE client = ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query(params![client, columns::size(ROWS_PER_STEP)])?;
    while freed < BYTES_PER_STEP
        && let Some(row) = rows.next()?
    {
        let (seq, bytes): (i64, i64) = (row.get(0)?, row.get(2)?);
        if !is_removed(&usage, seq, columns::time(row, 1)?)? {
            break;
        }
        removed.push(seq);
        usage.events -= 1;
        usage.event_bytes -= bytes;
        freed += bytes;
    }
    let Some(last) = removed.last() else { return Ok(RemovedRows::default()) };
    for seq in &removed {
        db.prepare_cached("DELETE FROM raw WHERE seq = ?1")?.execute([seq])?;
    }
    db.prepare_cached("DELETE FROM event WHERE client = ?1 AND seq <= ?2")?.execute([client, *last])?;
    db.prepare_cached("UPDATE usage SET events = ?2, bytes = ?3, pruned_through = ?4 WHERE client = ?1")?
        .execute(params![client, usage.events, usage.event_bytes, last])?;
    Ok(RemovedRows { rows: removed.len(), bytes: usize::try_from(freed).unwrap_or(usize::MAX) })
}

/// Removes the oldest deduplication keys after their window; returns the number of removed rows.
pub(super) fn prune_duplicate_keys(db: &Connection, now: Timestamp) -> rusqlite::Result<usize> {
    let queries = RowQueries {
        first_from: "SELECT seq, time FROM dedup WHERE seq >= ?2 ORDER BY seq LIMIT 1",
        last: "SELECT seq, time FROM dedup WHERE ?1 = 0 ORDER BY seq DESC LIMIT 1",
    };
    let cutoff = now.minus(DUPLICATE_WINDOW);
    let mut check = ExpiryCheck { db, queries, client: 0, now, cutoff, reference: None };
    let mut last = None;
    let mut statement = db.prepare_cached("SELECT seq, time FROM dedup ORDER BY seq LIMIT ?1")?;
    let mut rows = statement.query([columns::size(ROWS_PER_STEP)])?;
    while let Some(row) = rows.next()? {
        let seq = row.get(0)?;
        if !check.is_expired(seq, columns::time(row, 1)?)? {
            break;
        }
        last = Some(seq);
    }
    let Some(last) = last else { return Ok(0) };
    let mut changes = UsageChanges::default();
    let mut statement = db.prepare_cached("DELETE FROM dedup WHERE seq <= ?1 RETURNING client")?;
    let clients: Vec<i64> = statement.query_map([last], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for client in &clients {
        changes.duplicate_keys_changed(*client, -1);
    }
    changes.save(db)?;
    Ok(clients.len())
}

/// Statements that return the sequence and the time of a row; `?1` is the client, `?2` a sequence.
struct RowQueries {
    /// The first row at or after the sequence.
    first_from: &'static str,
    /// The last row.
    last: &'static str,
}

/// Checks the rows of a client, in the order of their sequences.
struct ExpiryCheck<'a> {
    db: &'a Connection,
    queries: RowQueries,
    client: i64,
    now: Timestamp,
    /// Rows before this time have expired.
    cutoff: Timestamp,
    /// A later row with a plausible time, which stands for those before it without one. `None` at the beginning.
    reference: Option<(i64, Timestamp)>,
}

impl ExpiryCheck<'_> {
    fn is_expired(&mut self, sequence: i64, time: Timestamp) -> rusqlite::Result<bool> {
        if self.is_plausible(time) {
            return Ok(time < self.cutoff);
        }
        if self.reference.is_none_or(|(later, _)| later <= sequence) {
            self.reference = self.plausible_after(sequence)?;
        }
        Ok(self.reference.is_some_and(|(_, time)| time < self.cutoff))
    }

    fn is_plausible(&self, time: Timestamp) -> bool {
        time <= latest_plausible(self.now)
    }

    /// A row with a plausible time after one without, found by bisection, because there may be millions in between.
    /// `None` when the time of the last row is not plausible either.
    fn plausible_after(&self, sequence: i64) -> rusqlite::Result<Option<(i64, Timestamp)>> {
        let last = self.find(self.queries.last, [self.client])?;
        let Some(mut found) = last.filter(|(_, time)| self.is_plausible(*time)) else { return Ok(None) };
        // The row at `low` is not plausible; `found` is the first row at or after `high`.
        let (mut low, mut high) = (sequence, found.0);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.find(self.queries.first_from, params![self.client, middle])? {
                Some(row) if !self.is_plausible(row.1) => low = row.0,
                Some(row) => (found, high) = (row, middle),
                None => break,
            }
        }
        Ok(Some(found))
    }

    fn find(&self, sql: &str, values: impl Params) -> rusqlite::Result<Option<(i64, Timestamp)>> {
        self.db
            .prepare_cached(sql)?
            .query_row(values, |row: &Row<'_>| Ok((row.get(0)?, columns::time(row, 1)?)))
            .optional()
    }
}

/// The latest plausible time.
fn latest_plausible(now: Timestamp) -> Timestamp {
    now.plus(MAX_SKEW)
}
