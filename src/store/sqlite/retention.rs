//! Removal of rows, slice by slice: what exceeds the retention, and everything of removed clients. A slice ends after a
//! short time. A slice of pruning also does as much as was written before it, so that pruning keeps up with the load.

pub(super) mod client_pass;
pub(super) mod erase;
pub(super) mod excess;
mod expired_rows;
pub(super) mod free_pages;
mod total;

use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use self::client_pass::{ClientPass, next_registered};
use self::expired_rows::{ClientRows, ROWS_PER_STEP, RemovedRows};
use super::tables::rejects::{self, PruneRejects};
use crate::domain::Timestamp;
use crate::store::{PrunedRows, Retention};

/// Time of a slice while commands arrive, without its commit. A command that arrives meanwhile waits for both, and the
/// commit takes longer than the slice: each row changes about two pages. So a slice costs about as much as a batch of
/// webhooks.
const SLICE_TIME: Duration = Duration::from_micros(500);

/// Time of a slice when no command has arrived for a while.
const QUIET_SLICE_TIME: Duration = Duration::from_millis(4);

/// Work for each command of the batch before: it may have added an event, a deduplication key and a document, and
/// pruning must remove faster than that.
const WORK_PER_COMMAND: usize = 4;

/// Bytes that count as much as one row.
const BYTES_PER_WORK: usize = 16 << 10;

/// Work of a step that deletes nothing: bounds a slice over many clients.
const WORK_PER_STEP: usize = 4;

/// What a slice may do.
#[derive(Clone, Copy)]
pub(crate) struct SliceBudget {
    /// The slice ends when it has done `min_work` and this time has passed. It consists of short steps, at least one.
    /// `None`: the work alone decides.
    deadline: Option<Instant>,
    /// Work of a slice of pruning in any case. The unit is one deleted row.
    min_work: usize,
}

impl SliceBudget {
    /// A slice when no command has arrived for a while. Its time begins now.
    pub(crate) fn quiet() -> Self {
        Self { deadline: Some(Instant::now() + QUIET_SLICE_TIME), min_work: 0 }
    }

    /// The slice after a batch with these numbers of commands and bytes. Its time begins now.
    pub(crate) fn after_batch(commands: usize, bytes: usize) -> Self {
        let min_work = WORK_PER_COMMAND.saturating_mul(commands.saturating_add(bytes / BYTES_PER_WORK));
        Self { deadline: Some(Instant::now() + SLICE_TIME), min_work }
    }

    /// A slice of this work, however long it takes: it does the same on every node.
    pub(crate) fn work(min_work: usize) -> Self {
        Self { deadline: None, min_work }
    }

    /// Whether a slice of pruning that has done this work goes on.
    fn allows(&self, done: usize) -> bool {
        done < self.min_work || self.deadline.is_some_and(|deadline| Instant::now() < deadline)
    }

    /// Whether a slice that can wait, which has no minimum while commands arrive, ends after this work.
    fn is_over(&self, done: usize) -> bool {
        match self.deadline {
            Some(deadline) => Instant::now() >= deadline,
            None => done >= self.min_work,
        }
    }
}

/// One pass of pruning over all clients.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Prune {
    now: Timestamp,
    clients: ClientPass,
    step: Step,
    /// Removed by the last slice.
    #[serde(skip)]
    removed: PrunedRows,
}

/// The rows to prune next. Old deduplication keys are pruned before events, events before their documents.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Step {
    DuplicateKeys,
    /// The next client becomes the present one.
    NextClient,
    Events,
    /// Documents with a larger number.
    Documents(i64),
    Rejects,
    /// Delivered and dead deliveries, then deduplication keys beyond their number.
    Deliveries,
}

impl Prune {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { now, clients: ClientPass::default(), step: Step::DuplicateKeys, removed: PrunedRows::default() }
    }

    /// What the last slice has removed.
    pub(crate) fn removed(&self) -> PrunedRows {
        self.removed
    }

    /// One slice; true at the end of the pass.
    pub(crate) fn slice(&mut self, db: &Connection, bounds: &Retention, budget: SliceBudget) -> rusqlite::Result<bool> {
        self.removed = PrunedRows::default();
        let mut done = 0;
        while budget.allows(done) {
            match self.step(db, bounds)? {
                Some(more) => done += more + WORK_PER_STEP,
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// One step; returns the work done, `None` at the end of the pass.
    fn step(&mut self, db: &Connection, bounds: &Retention) -> rusqlite::Result<Option<usize>> {
        let client = self.clients.present();
        let rows = ClientRows { db, client, bounds, now: self.now };
        match self.step {
            Step::DuplicateKeys => {
                let removed = expired_rows::prune_duplicate_keys(db, self.now)?;
                self.removed.duplicate_keys += removed as u64;
                if removed == 0 {
                    self.step = Step::NextClient;
                }
                Ok(Some(removed))
            }
            Step::NextClient => {
                self.step = Step::Events;
                Ok(self.clients.advance(|after| next_registered(db, after))?.map(|_| 0))
            }
            Step::Events => {
                let removed = rows.prune_events()?;
                self.removed.events += removed.rows as u64;
                if removed.rows == 0 {
                    self.step = Step::Documents(0);
                }
                Ok(Some(work_of(&removed)))
            }
            Step::Documents(after) => {
                let read = rows.prune_documents(after)?;
                self.removed.documents += read.removed as u64;
                self.step = read.last.map_or(Step::Rejects, Step::Documents);
                Ok(Some(read.rows))
            }
            Step::Rejects => {
                let prune = PruneRejects { client, now: self.now, keep: None, max_rows: ROWS_PER_STEP };
                let removed = rejects::prune(db, bounds, &prune)?;
                self.removed.rejects += removed as u64;
                if removed < ROWS_PER_STEP {
                    self.step = Step::Deliveries;
                }
                Ok(Some(removed))
            }
            Step::Deliveries => {
                let mut removed = rows.prune_deliveries()?;
                self.removed.deliveries += removed.rows as u64;
                if removed.rows == 0 {
                    removed = rows.prune_duplicate_keys()?;
                    self.removed.duplicate_keys += removed.rows as u64;
                }
                if removed.rows == 0 {
                    self.step = Step::NextClient;
                }
                Ok(Some(work_of(&removed)))
            }
        }
    }
}

/// The work of a step that has removed these rows.
fn work_of(removed: &RemovedRows) -> usize {
    removed.rows + removed.bytes / BYTES_PER_WORK
}

/// Steps for the time and the work of one slice; returns the number of removed rows, and whether none is left to
/// remove.
fn removal_steps(
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
