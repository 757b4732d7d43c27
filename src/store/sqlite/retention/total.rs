//! The bound on the bytes of all clients: the client that stores most loses the oldest rows of the kind that it has
//! most of, so that no client loses anything because of the rows of another one.

use rusqlite::{Connection, OptionalExtension};

use super::expired_rows::{ClientRows, RemovedRows, earliest_time, remove_oldest_events};
use super::{SliceBudget, WORK_PER_STEP, removal_steps};
use crate::store::sqlite::tables::columns;
use crate::store::sqlite::tables::rejects::{self, PruneRejects};
use crate::store::{PrunedRows, Retention};

/// When the bytes of all clients exceed their bound, they are reduced by this share of it. Each reduction looks for the
/// largest client, so they must not be frequent.
const SHARE_FREED: i64 = 64;

/// Rejects that a step removes: each may be as large as a request.
const REJECTS_PER_STEP: usize = 8;

/// What counts in the bound, in the order of the columns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Events,
    Documents,
    Rejects,
    Deliveries,
}

impl Kind {
    /// So many removed rows of this kind.
    fn rows(self, number: u64) -> PrunedRows {
        let none = PrunedRows::default();
        match self {
            Self::Events => PrunedRows { events: number, ..none },
            Self::Documents => PrunedRows { documents: number, ..none },
            Self::Rejects => PrunedRows { rejects: number, ..none },
            Self::Deliveries => PrunedRows { deliveries: number, ..none },
        }
    }
}

/// The client that stores most.
struct LargestClient {
    /// Its number.
    number: i64,
    /// The bytes of each kind, the largest first.
    bytes: [(Kind, i64); 4],
}

/// What a slice has done.
pub(super) struct TotalReduction {
    pub(super) removed: PrunedRows,
    /// Bytes that may be added when nothing is left to do; otherwise `None`.
    pub(super) headroom: Option<i64>,
}

/// Removes rows of the largest client.
pub(super) fn reduce_total(
    db: &Connection,
    bounds: &Retention,
    budget: SliceBudget,
    is_reducing: bool,
) -> rusqlite::Result<TotalReduction> {
    let limit = columns::signed(bounds.max_total_bytes);
    let total = total_bytes(db)?;
    let excess = total - if is_reducing { limit - headroom_after(bounds) } else { limit };
    if excess <= 0 {
        return Ok(TotalReduction { removed: PrunedRows::default(), headroom: Some(limit - total) });
    }
    if let Some(largest) = largest_client(db)? {
        for (kind, bytes) in largest.bytes.into_iter().filter(|(_, bytes)| *bytes > 0) {
            let reduction = Reduction { db, client: largest.number, bounds, kept_bytes: (bytes - excess).max(0) };
            let (removed, _) = removal_steps(|| reduction.step(kind), budget)?;
            if removed > 0 {
                return Ok(TotalReduction { removed: kind.rows(removed), headroom: None });
            }
        }
    }
    // Nothing can be removed.
    Ok(TotalReduction { removed: PrunedRows::default(), headroom: Some(headroom_after(bounds)) })
}

/// The bytes below the bound on all clients after a reduction.
pub(super) fn headroom_after(bounds: &Retention) -> i64 {
    columns::signed(bounds.max_total_bytes) / SHARE_FREED
}

/// The bytes of all clients that count in the bound.
pub(super) fn total_bytes(db: &Connection) -> rusqlite::Result<i64> {
    db.prepare_cached("SELECT coalesce(sum(bytes + document_bytes + reject_bytes + settled_bytes), 0) FROM usage")?
        .query_row([], |row| row.get(0))
}

fn largest_client(db: &Connection) -> rusqlite::Result<Option<LargestClient>> {
    let largest = db
        .prepare_cached(
            "SELECT client, bytes, document_bytes, reject_bytes, settled_bytes FROM usage
             ORDER BY bytes + document_bytes + reject_bytes + settled_bytes DESC, client LIMIT 1",
        )?
        .query_row([], |row| {
            let bytes = [
                (Kind::Events, row.get(1)?),
                (Kind::Documents, row.get(2)?),
                (Kind::Rejects, row.get(3)?),
                (Kind::Deliveries, row.get(4)?),
            ];
            Ok(LargestClient { number: row.get(0)?, bytes })
        })
        .optional()?;
    Ok(largest.map(|mut largest| {
        // Stable: with equal bytes, all nodes of a cluster choose the same kind.
        largest.bytes.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        largest
    }))
}

/// Removes the oldest rows of a client until these bytes of their kind are left.
struct Reduction<'a> {
    db: &'a Connection,
    client: i64,
    bounds: &'a Retention,
    kept_bytes: i64,
}

impl Reduction<'_> {
    fn step(&self, kind: Kind) -> rusqlite::Result<RemovedRows> {
        let Self { db, client, bounds, kept_bytes } = *self;
        match kind {
            Kind::Events => remove_oldest_events(db, client, |history, _, _| Ok(history.event_bytes > kept_bytes)),
            Kind::Documents => self.remove_documents(),
            Kind::Rejects => {
                let bounds = Retention { max_reject_bytes: columns::unsigned(kept_bytes), ..bounds.clone() };
                let prune = PruneRejects { client, now: earliest_time(), keep: None, max_rows: REJECTS_PER_STEP };
                Ok(RemovedRows { rows: rejects::prune(db, &bounds, &prune)?, bytes: 0 })
            }
            Kind::Deliveries => {
                let bounds = Retention { max_attempt_bytes: columns::unsigned(kept_bytes), ..bounds.clone() };
                ClientRows { db, client, bounds: &bounds, now: earliest_time() }.prune_deliveries()
            }
        }
    }

    /// Only documents whose events were pruned can be removed. If none of the oldest ones can, the next kind is
    /// reduced: its events are, and with them goes what keeps the documents.
    fn remove_documents(&self) -> rusqlite::Result<RemovedRows> {
        const MAX_STEPS: usize = 1_000 / WORK_PER_STEP;
        let rows = ClientRows { db: self.db, client: self.client, bounds: self.bounds, now: earliest_time() };
        let mut after = 0;
        for _ in 0..MAX_STEPS {
            let read = rows.remove_documents(after, i64::MAX, |history, document| {
                !document.has_events && history.document_bytes > self.kept_bytes
            })?;
            match read.last {
                Some(last) if read.removed == 0 => after = last,
                _ => return Ok(RemovedRows { rows: read.removed, bytes: 0 }),
            }
        }
        Ok(RemovedRows::default())
    }
}
