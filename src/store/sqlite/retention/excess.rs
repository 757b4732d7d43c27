//! The bounds of the history while events arrive: every batch is followed by a slice that removes as much as it has added
//! beyond them. The age of events is left to the periodic pass.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension};

use super::expired_rows::{RemovedRows, remove_oldest_events};
use super::{SliceBudget, WORK_PER_STEP, work_of};
use crate::store::Retention;
use crate::store::sqlite::tables::columns;
use crate::store::sqlite::tables::write_tx::HistoryChange;

/// When the bytes of all clients exceed their bound, they are reduced by this share of it. Each reduction looks for the
/// largest client, so they must not be frequent.
const SHARE_FREED: i64 = 64;

/// The histories that exceed their bounds.
#[derive(Default)]
pub(crate) struct Excess {
    /// Numbers of the clients that exceed a bound of their own.
    clients: BTreeSet<i64>,
    /// Bytes that all clients may add before their sum is computed again; an estimate on the safe side, because what is
    /// removed is not added to it.
    headroom: i64,
    /// Whether the history of all clients is being reduced.
    is_reducing: bool,
}

impl Excess {
    pub(crate) fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.headroom >= 0 && !self.is_reducing
    }

    /// Starts with the sum of what is stored.
    pub(crate) fn load(db: &Connection, bounds: &Retention) -> rusqlite::Result<Self> {
        let headroom = columns::signed(bounds.max_total_bytes).saturating_sub(total_bytes(db)?);
        Ok(Self { headroom, ..Self::default() })
    }

    /// Takes note of what a transaction has changed.
    pub(crate) fn note(&mut self, changes: &[HistoryChange], bounds: &Retention) {
        for change in changes {
            self.headroom = self.headroom.saturating_sub(change.added_bytes);
            if change.history.exceeds(bounds) {
                self.clients.insert(change.client);
            }
        }
    }

    /// Removes the oldest events of one client in one slice; returns their number.
    pub(crate) fn slice(&mut self, db: &Connection, bounds: &Retention, budget: SliceBudget) -> rusqlite::Result<u64> {
        if let Some(client) = self.clients.first().copied() {
            let step = || remove_oldest_events(db, client, |history, _, _| Ok(history.exceeds(bounds)));
            let (events, is_complete) = steps(step, budget)?;
            if is_complete {
                self.clients.remove(&client);
            }
            return Ok(events);
        }
        self.reduce_total(db, bounds, budget)
    }

    /// After an error: the next batch begins again.
    pub(crate) fn give_up(&mut self, bounds: &Retention) {
        self.clients.clear();
        (self.headroom, self.is_reducing) = (headroom_after(bounds), false);
    }

    /// Removes the oldest events of the largest client.
    fn reduce_total(&mut self, db: &Connection, bounds: &Retention, budget: SliceBudget) -> rusqlite::Result<u64> {
        let limit = columns::signed(bounds.max_total_bytes);
        let total = total_bytes(db)?;
        let mut excess = total - if self.is_reducing { limit - headroom_after(bounds) } else { limit };
        let largest = db
            .prepare_cached("SELECT client FROM usage WHERE events > 0 ORDER BY bytes DESC LIMIT 1")?
            .query_row([], |row| row.get(0))
            .optional()?;
        let (Some(client), true) = (largest, excess > 0) else {
            // Without events there is nothing to remove here.
            self.headroom = if excess > 0 { headroom_after(bounds) } else { limit - total };
            self.is_reducing = false;
            return Ok(0);
        };
        self.is_reducing = true;
        let step = || {
            let mut before = None;
            let removed = remove_oldest_events(db, client, |history, _, _| {
                let freed = *before.get_or_insert(history.event_bytes) - history.event_bytes;
                Ok(freed < excess)
            })?;
            excess -= i64::try_from(removed.bytes).unwrap_or(i64::MAX);
            Ok(removed)
        };
        Ok(steps(step, budget)?.0)
    }
}

/// The bytes below the bound on all clients after a reduction.
fn headroom_after(bounds: &Retention) -> i64 {
    columns::signed(bounds.max_total_bytes) / SHARE_FREED
}

/// Steps for the time and the work of one slice; returns the number of removed events, and whether none is left to remove.
fn steps(
    mut step: impl FnMut() -> rusqlite::Result<RemovedRows>,
    budget: SliceBudget,
) -> rusqlite::Result<(u64, bool)> {
    let (mut events, mut done) = (0, 0);
    while done < budget.min_work || !budget.is_over() {
        let removed = step()?;
        if removed.rows == 0 {
            return Ok((events, true));
        }
        events += removed.rows as u64;
        done += work_of(&removed) + WORK_PER_STEP;
    }
    Ok((events, false))
}

/// The bytes of all clients that count in a bound.
fn total_bytes(db: &Connection) -> rusqlite::Result<i64> {
    db.prepare_cached("SELECT coalesce(sum(bytes + document_bytes + reject_bytes + settled_bytes), 0) FROM usage")?
        .query_row([], |row| row.get(0))
}
