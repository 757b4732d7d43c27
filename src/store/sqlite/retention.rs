//! Removal of rows, slice by slice: what exceeds the retention, and everything of removed clients. The size of a slice of
//! pruning depends on what was written before it, so that pruning keeps up with the load.

mod expired_rows;

use rusqlite::{Connection, params};

use self::expired_rows::{ClientRows, ROWS_PER_STEP, RemovedRows};
use super::tables::columns;
use super::tables::rejects::{self, PruneRejects};
use crate::domain::Timestamp;
use crate::store::Retention;

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

/// One pass of pruning over all clients.
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
            let removed = expired_rows::prune_duplicate_keys(db, self.now)?;
            if removed == 0 {
                self.step = Step::Events;
            }
            return Ok(Some(removed));
        }
        let Some(client) = self.clients.last().copied() else { return Ok(None) };
        let rows = ClientRows { db, client, bounds, now: self.now, max_bytes: work.saturating_mul(BYTES_PER_WORK) };
        match self.step {
            Step::DuplicateKeys => Ok(Some(0)),
            Step::Events => {
                let removed = rows.prune_events()?;
                self.removed_events += removed.rows as u64;
                if removed.rows == 0 {
                    self.step = Step::Documents(0);
                }
                Ok(Some(work_of(&removed)))
            }
            Step::Documents(after) => {
                let read = rows.prune_documents(after)?;
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
                let removed = rows.prune_deliveries()?;
                if removed.rows == 0 {
                    self.clients.pop();
                    self.step = Step::Events;
                }
                Ok(Some(work_of(&removed)))
            }
        }
    }
}

/// The numbers of the removed clients with rows left.
pub(crate) fn removed_clients(db: &Connection) -> rusqlite::Result<Vec<i64>> {
    db.prepare("SELECT id FROM client WHERE name IS NULL")?.query_map([], |row| row.get(0))?.collect()
}

/// Deletes one slice of a removed client's rows; true when no row is left. The client's own row is deleted last: as long as
/// it is there, without a name, erasing continues after a restart. Deduplication keys of events that were pruned before
/// stay for their 30 days: digests that match nothing, because the client's number is never used again.
pub(crate) fn erase_slice(db: &Connection, client: i64) -> rusqlite::Result<bool> {
    let limit = columns::size(ROWS_PER_STEP);
    let events: Vec<i64> = db
        .prepare_cached("SELECT seq FROM event WHERE client = ?1 ORDER BY seq LIMIT ?2")?
        .query_map(params![client, limit], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for seq in &events {
        db.prepare_cached("DELETE FROM raw WHERE seq = ?1")?.execute([seq])?;
        db.prepare_cached("DELETE FROM dedup WHERE seq = ?1")?.execute([seq])?;
    }
    if let Some(last) = events.last() {
        db.prepare_cached("DELETE FROM event WHERE client = ?1 AND seq <= ?2")?.execute([client, *last])?;
        return Ok(false);
    }
    let deliveries: Vec<i64> = db
        .prepare_cached("SELECT id FROM delivery WHERE client = ?1 ORDER BY id LIMIT ?2")?
        .query_map(params![client, limit], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in &deliveries {
        db.prepare_cached("DELETE FROM attempt WHERE delivery = ?1")?.execute([id])?;
    }
    if let Some(last) = deliveries.last() {
        db.prepare_cached("DELETE FROM delivery WHERE client = ?1 AND id <= ?2")?.execute([client, *last])?;
        return Ok(false);
    }
    for statement in [
        "DELETE FROM route WHERE client = ?1 AND document IN
         (SELECT document FROM route WHERE client = ?1 ORDER BY document LIMIT ?2)",
        "DELETE FROM document WHERE client = ?1 AND id IN
         (SELECT id FROM document WHERE client = ?1 ORDER BY id LIMIT ?2)",
        "DELETE FROM reject WHERE id IN (SELECT id FROM reject WHERE client = ?1 ORDER BY id LIMIT ?2)",
    ] {
        if db.prepare_cached(statement)?.execute(params![client, limit])? > 0 {
            return Ok(false);
        }
    }
    db.execute("DELETE FROM usage WHERE client = ?1", [client])?;
    db.execute("DELETE FROM client WHERE id = ?1 AND name IS NULL", [client])?;
    Ok(true)
}

/// The work of a step that has removed these rows.
fn work_of(removed: &RemovedRows) -> usize {
    removed.rows + removed.bytes / BYTES_PER_WORK
}
