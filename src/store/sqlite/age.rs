//! Which rows are too old when the clock has not always been right. Knows sequences and times, not what the rows hold.
//!
//! Rows go in the order of their sequences, and the first that is young enough ends the pruning. A row whose time lies
//! more than a day ahead would be that row for as long as the clock had been wrong by. Its own time says nothing: it is
//! as old as a later row with a credible time. Only later rows can judge it, so a clock that is far behind for a while
//! makes no history disappear: what it stamps is judged when it has come to the front, as before.

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::columns;
use crate::domain::Timestamp;

/// How far ahead of the present a time may lie and be believed.
const CREDIBLE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// The latest time that can be believed now.
pub(super) fn credible(now: Timestamp) -> Timestamp {
    now.plus(CREDIBLE)
}

/// Finds rows of one table: each statement answers sequence and time, `?1` is the client, `?2` a sequence.
pub(super) struct Rows {
    /// The first row at or after the sequence.
    pub(super) from: &'static str,
    /// The last row.
    pub(super) last: &'static str,
}

/// Tells which rows are too old. They are asked for in the order of their sequences.
pub(super) struct Judge<'a> {
    db: &'a Connection,
    rows: Rows,
    client: i64,
    credible: Timestamp,
    /// What came before this is too old.
    cut: Timestamp,
    /// A later row with a credible time, for those before it that have none.
    witness: Option<(i64, Timestamp)>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(db: &'a Connection, rows: Rows, client: i64, (now, cut): (Timestamp, Timestamp)) -> Self {
        Self { db, rows, client, credible: credible(now), cut, witness: None }
    }

    /// Whether this row is.
    pub(super) fn too_old(&mut self, sequence: i64, time: Timestamp) -> rusqlite::Result<bool> {
        if time <= self.credible {
            return Ok(time < self.cut);
        }
        if self.witness.is_none_or(|(later, _)| later <= sequence) {
            self.witness = self.later(sequence)?;
        }
        Ok(self.witness.is_some_and(|(_, time)| time < self.cut))
    }

    /// A credible row after one that is not, found by halves: there may be millions between. `None` when the last row
    /// is not credible either.
    fn later(&self, sequence: i64) -> rusqlite::Result<Option<(i64, Timestamp)>> {
        let last = self.find(self.rows.last, [self.client])?;
        let Some(mut found) = last.filter(|(_, time)| *time <= self.credible) else { return Ok(None) };
        // The row at `low` is not credible; from `high` on, `found` is the first there is.
        let (mut low, mut high) = (sequence, found.0);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.find(self.rows.from, params![self.client, middle])? {
                Some(row) if row.1 > self.credible => low = row.0,
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
