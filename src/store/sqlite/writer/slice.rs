//! One slice of background work as a value: what it does depends on the database, the slice, the bounds and the budget
//! alone. So a slice can be done on every node of a cluster, with the same result.

use serde::{Deserialize, Serialize};

use super::bulk_update::BulkUpdate;
use crate::domain::{QueueKey, Timestamp};
use crate::store::sqlite::retention::excess::{ExcessResult, ExcessSlice};
use crate::store::sqlite::retention::{Prune, SliceBudget, erase};
use crate::store::sqlite::tables::write_tx::WriteTx;
use crate::store::{GivenUp, PrunedRows, Retention};

/// The next slice of a job, with the job's progress.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Slice {
    /// An update of many deliveries.
    Bulk(BulkUpdate),
    /// Events beyond the bounds of the history.
    Excess(ExcessSlice),
    /// The rows of the removed client with this number.
    Erase(i64),
    /// What the retention no longer keeps.
    Prune(Prune),
}

/// What a slice has done.
pub(crate) struct SliceResult {
    /// The job with its new progress.
    pub(crate) slice: Slice,
    /// Whether the job has ended.
    pub(crate) is_complete: bool,
    /// Removed by the retention.
    pub(crate) removed: PrunedRows,
    /// Deliveries that were given up.
    pub(crate) given_up: Option<(GivenUp, u64)>,
    /// Set by [`Slice::Excess`].
    pub(crate) excess: Option<ExcessResult>,
}

impl Slice {
    /// The present time of the request that has caused it, if one has.
    pub(super) fn now(&self) -> Option<Timestamp> {
        match self {
            Self::Bulk(update) => Some(update.now()),
            Self::Excess(_) | Self::Erase(_) | Self::Prune(_) => None,
        }
    }

    /// The queue whose dead deliveries it begins to retry. Deliveries that are made due need no report: the change of
    /// their notification was reported.
    pub(super) fn retried_queue(&self) -> Option<&QueueKey> {
        match self {
            Self::Bulk(BulkUpdate::RetryFailed(sweep)) if sweep.after == 0 => Some(&sweep.queue.key),
            Self::Bulk(_) | Self::Excess(_) | Self::Erase(_) | Self::Prune(_) => None,
        }
    }

    /// Whether it is done only while the node that proposes it leads. A slice of an earlier leader would give up or
    /// remove rows by a clock and bounds that no longer count.
    pub(super) fn belongs_to_leader(&self) -> bool {
        match self {
            Self::Bulk(update) => update.belongs_to_leader(),
            Self::Excess(_) | Self::Erase(_) | Self::Prune(_) => true,
        }
    }

    /// Does the slice.
    pub(crate) fn run(
        mut self,
        tx: &mut WriteTx<'_>,
        bounds: &Retention,
        budget: SliceBudget,
    ) -> rusqlite::Result<SliceResult> {
        let (mut removed, mut given_up, mut excess) = (PrunedRows::default(), None, None);
        let is_complete = match &mut self {
            Self::Bulk(update) => {
                let is_complete = update.slice(tx, bounds)?;
                given_up = update.take_given_up();
                is_complete
            }
            Self::Excess(slice) => {
                let result = slice.run(&tx.db, bounds, budget)?;
                removed = result.removed;
                excess = Some(result);
                false
            }
            Self::Erase(client) => erase::slice(&tx.db, *client, budget)?,
            Self::Prune(prune) => {
                let is_complete = prune.slice(&tx.db, bounds, budget)?;
                removed = prune.removed();
                is_complete
            }
        };
        Ok(SliceResult { slice: self, is_complete, removed, given_up, excess })
    }
}
