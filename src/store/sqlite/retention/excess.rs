//! The bounds of the history while events arrive: every batch is followed by a slice that removes as much as it has added
//! beyond them. The age of events is left to the periodic pass.

use std::collections::BTreeSet;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::expired_rows::{RemovedRows, remove_oldest_events};
use super::total::{headroom_after, reduce_total, total_bytes};
use super::{SliceBudget, WORK_PER_STEP, work_of};
use crate::store::Retention;
use crate::store::sqlite::tables::columns;
use crate::store::sqlite::tables::write_tx::HistoryChange;

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

    /// A client may exceed its bounds.
    pub(crate) fn add(&mut self, client: i64) {
        self.clients.insert(client);
    }

    /// The slice to do next.
    pub(crate) fn next(&self) -> ExcessSlice {
        match self.clients.first() {
            Some(client) => ExcessSlice::Client(*client),
            None => ExcessSlice::Total { is_reducing: self.is_reducing },
        }
    }

    /// Takes note of the result of a slice.
    pub(crate) fn finish(&mut self, slice: &ExcessSlice, result: &ExcessResult) {
        match (slice, result.headroom) {
            (ExcessSlice::Client(client), _) if result.is_complete => {
                self.clients.remove(client);
            }
            (ExcessSlice::Client(_), _) => {}
            (ExcessSlice::Total { .. }, Some(headroom)) => (self.headroom, self.is_reducing) = (headroom, false),
            (ExcessSlice::Total { .. }, None) => self.is_reducing = true,
        }
    }

    /// After an error: the next batch begins again.
    pub(crate) fn give_up(&mut self, bounds: &Retention) {
        self.clients.clear();
        (self.headroom, self.is_reducing) = (headroom_after(bounds), false);
    }
}

/// A slice of the removal of events beyond the bounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ExcessSlice {
    /// The oldest events of the client with this number.
    Client(i64),
    /// The oldest rows of the largest client.
    Total {
        /// Whether a slice before has begun with it.
        is_reducing: bool,
    },
}

/// What a slice has done.
pub(crate) struct ExcessResult {
    /// Events that were removed.
    pub(crate) events: u64,
    /// Whether the client is within its bounds.
    pub(super) is_complete: bool,
    /// Of [`ExcessSlice::Total`]: the new headroom when nothing is left to do.
    pub(super) headroom: Option<i64>,
}

impl ExcessResult {
    /// Nothing was removed, and nothing is left to do.
    pub(super) fn complete() -> Self {
        Self { events: 0, is_complete: true, headroom: None }
    }
}

impl ExcessSlice {
    /// Removes rows of one client.
    pub(crate) fn run(
        &self,
        db: &Connection,
        bounds: &Retention,
        budget: SliceBudget,
    ) -> rusqlite::Result<ExcessResult> {
        match self {
            Self::Client(client) => {
                let step = || remove_oldest_events(db, *client, |history, _, _| Ok(history.exceeds(bounds)));
                let (events, is_complete) = removal_steps(step, budget)?;
                Ok(ExcessResult { events, is_complete, ..ExcessResult::complete() })
            }
            Self::Total { is_reducing } => reduce_total(db, bounds, budget, *is_reducing),
        }
    }
}

/// Steps for the time and the work of one slice; returns the number of removed rows, and whether none is left to remove.
pub(super) fn removal_steps(
    mut step: impl FnMut() -> rusqlite::Result<RemovedRows>,
    budget: SliceBudget,
) -> rusqlite::Result<(u64, bool)> {
    let (mut rows, mut done) = (0, 0);
    while budget.allows(done) {
        let removed = step()?;
        if removed.rows == 0 {
            return Ok((rows, true));
        }
        rows += removed.rows as u64;
        done += work_of(&removed) + WORK_PER_STEP;
    }
    Ok((rows, false))
}
