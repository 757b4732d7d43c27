//! Which rows have expired, although the clock may have been wrong. Knows sequences and times, not what the rows hold.
//!
//! Rows are pruned in the order of their sequences, up to the first one that is young enough. A row with a time far in the
//! future would stop the pruning for as long as the clock was ahead. Its own time is not plausible, so it is as old as a
//! later row with a plausible time. A clock that is behind for a while removes no history: its rows are checked when they
//! have become the oldest ones.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::domain::Timestamp;
use crate::store::sqlite::tables::columns;

/// How far ahead of the present a plausible time may lie.
const MAX_SKEW: Duration = Duration::from_secs(24 * 3600);

/// The latest plausible time.
pub(crate) fn latest_plausible(now: Timestamp) -> Timestamp {
    now.plus(MAX_SKEW)
}

/// Statements that return the sequence and the time of a row; `?1` is the client, `?2` a sequence.
pub(crate) struct RowQueries {
    /// The first row at or after the sequence.
    pub(crate) first_from: &'static str,
    /// The last row.
    pub(crate) last: &'static str,
}

/// Checks the rows of a client, in the order of their sequences.
pub(crate) struct ExpiryCheck<'a> {
    pub(crate) db: &'a Connection,
    pub(crate) queries: RowQueries,
    pub(crate) client: i64,
    pub(crate) now: Timestamp,
    /// Rows before this time have expired.
    pub(crate) cutoff: Timestamp,
    /// A later row with a plausible time, which stands for those before it without one. `None` at the beginning.
    pub(crate) reference: Option<(i64, Timestamp)>,
}

impl ExpiryCheck<'_> {
    pub(crate) fn is_expired(&mut self, sequence: i64, time: Timestamp) -> rusqlite::Result<bool> {
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
