//! Removal of what exceeds the retention, slice by slice. The size of a slice depends on what was written before it, so
//! that pruning keeps up with the load.

use rusqlite::{Connection, params};

use super::clock_skew::{self, ExpiryCheck, RowQueries};
use crate::domain::Timestamp;
use crate::store::sqlite::tables::rejects::PruneRejects;
use crate::store::sqlite::tables::usage::{self, UsageChanges};
use crate::store::sqlite::tables::{columns, document_ids, rejects};
use crate::store::{DUPLICATE_WINDOW, Retention};

/// Rows that one step reads, at most.
const ROWS_PER_STEP: usize = 500;

/// Work of a slice when nothing was written before it: bounds the wait of a command that arrives meanwhile.
const MIN_WORK: usize = 500;

/// Work for each command of the batch before: it may have added an event, a deduplication key and a document, and pruning
/// must remove faster than that.
const WORK_PER_COMMAND: usize = 4;

/// Bytes that count as much as one row.
const BYTES_PER_WORK: usize = 16 << 10;

/// Work of a step that deletes nothing: bounds a slice over many clients.
const WORK_PER_STEP: usize = 4;

/// The work of the slice after a batch of so many commands and bytes. The unit is one deleted row.
pub(crate) fn work_after_batch(commands: usize, bytes: usize) -> usize {
    MIN_WORK.saturating_add(WORK_PER_COMMAND.saturating_mul(commands.saturating_add(bytes / BYTES_PER_WORK)))
}

/// One pass over all clients.
pub(crate) struct Prune {
    now: Timestamp,
    /// Numbers of the remaining clients; the last one is being pruned.
    clients: Vec<i64>,
    step: Step,
    removed_events: u64,
}

/// The rows to prune next. Deduplication keys are pruned before events, events before their documents.
enum Step {
    DuplicateKeys,
    Events,
    /// Documents with a larger number.
    Documents(i64),
    Rejects,
    Deliveries,
}

/// What one step has removed.
#[derive(Default)]
struct Removed {
    rows: usize,
    bytes: usize,
}

impl Removed {
    fn work(&self) -> usize {
        self.rows + self.bytes / BYTES_PER_WORK
    }
}

impl Prune {
    pub(crate) fn new(now: Timestamp, clients: Vec<i64>) -> Self {
        Self { now, clients, step: Step::DuplicateKeys, removed_events: 0 }
    }

    /// The number of events removed so far.
    pub(crate) fn removed_events(&self) -> u64 {
        self.removed_events
    }

    /// Does about so much work; true at the end of the pass.
    pub(crate) fn slice(&mut self, db: &Connection, bounds: &Retention, work: usize) -> rusqlite::Result<bool> {
        let mut done = 0;
        while done < work {
            match self.step(db, bounds, work - done)? {
                Some(more) => done += more + WORK_PER_STEP,
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// One step of at most about so much work; returns the work done, `None` at the end of the pass.
    fn step(&mut self, db: &Connection, bounds: &Retention, work: usize) -> rusqlite::Result<Option<usize>> {
        if let Step::DuplicateKeys = self.step {
            let removed = prune_duplicate_keys(db, self.now)?;
            if removed == 0 {
                self.step = Step::Events;
            }
            return Ok(Some(removed));
        }
        let Some(client) = self.clients.last().copied() else { return Ok(None) };
        let slice = ClientSlice { db, client, bounds, now: self.now, max_bytes: work.saturating_mul(BYTES_PER_WORK) };
        match self.step {
            Step::DuplicateKeys => Ok(Some(0)),
            Step::Events => {
                let removed = slice.prune_events()?;
                self.removed_events += removed.rows as u64;
                if removed.rows == 0 {
                    self.step = Step::Documents(0);
                }
                Ok(Some(removed.work()))
            }
            Step::Documents(after) => {
                let read = slice.prune_documents(after)?;
                self.step = read.last.map_or(Step::Rejects, Step::Documents);
                Ok(Some(read.rows))
            }
            Step::Rejects => {
                let prune = PruneRejects { client, now: self.now, keep: None, max_rows: ROWS_PER_STEP };
                let removed = rejects::prune(db, bounds, &prune)?;
                if removed < ROWS_PER_STEP {
                    self.step = Step::Deliveries;
                }
                Ok(Some(removed))
            }
            Step::Deliveries => {
                let removed = slice.prune_deliveries()?;
                if removed.rows == 0 {
                    self.clients.pop();
                    self.step = Step::Events;
                }
                Ok(Some(removed.work()))
            }
        }
    }
}

/// Removes the oldest deduplication keys after their window; returns the number of removed rows.
fn prune_duplicate_keys(db: &Connection, now: Timestamp) -> rusqlite::Result<usize> {
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
    db.prepare_cached("DELETE FROM dedup WHERE seq <= ?1")?.execute([last])
}

/// The rows of one client.
struct ClientSlice<'a> {
    db: &'a Connection,
    client: i64,
    bounds: &'a Retention,
    now: Timestamp,
    /// About so many bytes are removed at most.
    max_bytes: usize,
}

/// Rows that a step has read.
struct RowsRead {
    rows: usize,
    /// Number of the last one; `None` at the end of the table.
    last: Option<i64>,
}

impl ClientSlice<'_> {
    /// Removes the oldest events beyond the bounds.
    fn prune_events(&self) -> rusqlite::Result<Removed> {
        let (db, client, bounds) = (self.db, self.client, self.bounds);
        let Some(mut usage) = usage::of_events(db, client)? else { return Ok(Removed::default()) };
        let queries = RowQueries {
            first_from: "SELECT seq, time FROM event WHERE client = ?1 AND seq >= ?2 ORDER BY seq LIMIT 1",
            last: "SELECT seq, time FROM event WHERE client = ?1 ORDER BY seq DESC LIMIT 1",
        };
        let (now, cutoff) = (self.now, self.now.minus(bounds.max_event_age));
        let mut check = ExpiryCheck { db, queries, client, now, cutoff, reference: None };
        let mut removed: Vec<i64> = Vec::new();
        let mut freed: i64 = 0;
        let mut statement =
            db.prepare_cached("SELECT seq, time, bytes FROM event WHERE client = ?1 ORDER BY seq LIMIT ?2")?;
        let mut rows = statement.query(params![client, columns::size(ROWS_PER_STEP)])?;
        while freed < columns::size(self.max_bytes)
            && let Some(row) = rows.next()?
        {
            let (seq, bytes): (i64, i64) = (row.get(0)?, row.get(2)?);
            let too_much = usage.number > columns::signed(bounds.max_events)
                || usage.bytes > columns::signed(bounds.max_event_bytes);
            if !too_much && !check.is_expired(seq, columns::time(row, 1)?)? {
                break;
            }
            removed.push(seq);
            usage.number -= 1;
            usage.bytes -= bytes;
            freed += bytes;
        }
        let Some(last) = removed.last() else { return Ok(Removed::default()) };
        for seq in &removed {
            db.prepare_cached("DELETE FROM raw WHERE seq = ?1")?.execute([seq])?;
        }
        db.prepare_cached("DELETE FROM event WHERE client = ?1 AND seq <= ?2")?.execute([client, *last])?;
        db.prepare_cached("UPDATE usage SET events = ?2, bytes = ?3, pruned_through = ?4 WHERE client = ?1")?
            .execute(params![client, usage.number, usage.bytes, last])?;
        Ok(Removed { rows: removed.len(), bytes: usize::try_from(freed).unwrap_or(usize::MAX) })
    }

    /// Removes documents without a recent event. Numbers grow with time, so only documents that were created before the
    /// cutoff are read, unless the numbers are ahead of the clock because it was set back: then all are read. A document
    /// whose last event has a time in the future stays until that time and the bound have passed.
    fn prune_documents(&self, after: i64) -> rusqlite::Result<RowsRead> {
        let (db, client) = (self.db, self.client);
        let cutoff = self.now.minus(self.bounds.max_event_age.max(DUPLICATE_WINDOW));
        let newest: i64 = db.prepare_cached("SELECT document FROM state")?.query_row([], |row| row.get(0))?;
        let is_ahead = newest > document_ids::first_number(clock_skew::latest_plausible(self.now));
        let end = if is_ahead { i64::MAX } else { document_ids::first_number(cutoff) };
        let read: Vec<(i64, Timestamp, bool)> = db
            .prepare_cached(
                "SELECT id, updated, routed FROM document
                 WHERE client = ?1 AND id > ?2 AND id < ?3 ORDER BY id LIMIT ?4",
            )?
            .query_map(params![client, after, end, columns::size(ROWS_PER_STEP)], |row| {
                Ok((row.get(0)?, columns::time(row, 1)?, row.get(2)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        for (number, _, has_destinations) in read.iter().filter(|(_, updated, _)| *updated < cutoff) {
            if *has_destinations {
                db.prepare_cached("DELETE FROM route WHERE client = ?1 AND document = ?2")?
                    .execute([client, *number])?;
            }
            db.prepare_cached("DELETE FROM document WHERE client = ?1 AND id = ?2")?.execute([client, *number])?;
        }
        Ok(RowsRead { rows: read.len(), last: read.last().map(|(number, ..)| *number) })
    }

    /// Removes delivered and dead deliveries beyond the bounds, in the order in which they were settled.
    fn prune_deliveries(&self) -> rusqlite::Result<Removed> {
        let (db, client, bounds) = (self.db, self.client, self.bounds);
        let Some(mut usage) = usage::of_settled_deliveries(db, client)? else { return Ok(Removed::default()) };
        let cutoff = self.now.minus(bounds.max_delivery_age);
        let mut removed: Vec<(i64, i64)> = Vec::new();
        let mut freed: i64 = 0;
        let mut statement = db.prepare_cached(
            "SELECT id, settled, bytes FROM delivery INDEXED BY delivery_settled
             WHERE client = ?1 AND settled IS NOT NULL ORDER BY settled, id LIMIT ?2",
        )?;
        let mut rows = statement.query(params![client, columns::size(ROWS_PER_STEP)])?;
        while freed <= columns::size(self.max_bytes)
            && let Some(row) = rows.next()?
        {
            let (id, settled, bytes): (i64, _, i64) = (row.get(0)?, columns::time(row, 1)?, row.get(2)?);
            let too_much = usage.number > columns::signed(bounds.max_deliveries)
                || usage.bytes > columns::signed(bounds.max_attempt_bytes);
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
        Ok(Removed { rows: removed.len(), bytes: usize::try_from(freed).unwrap_or(0) })
    }
}
