//! The bounds of the history while events arrive: every batch is followed by a slice that removes as much as it has
//! added beyond them. The ages of rows are left to the periodic pass.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::expired_rows::{ClientRows, ReadRows, earliest_time, remove_oldest_events};
use super::total::{TotalReduction, headroom_after, reduce_total, total_bytes};
use super::{SliceBudget, WORK_PER_STEP, removal_steps};
use crate::store::sqlite::tables::columns;
use crate::store::sqlite::tables::write_tx::{HistoryChange, HistoryUsage};
use crate::store::{PrunedRows, Retention};

/// The documents of a client are read again when they have grown by this part of their share. Reading them all for each
/// new one would be slow where most of them have events.
const DOCUMENT_GROWTH: i64 = 16;

/// The histories that exceed their bounds.
#[derive(Default)]
pub(crate) struct Excess {
    /// Numbers of the clients whose events exceed a bound of their own.
    clients: BTreeSet<i64>,
    /// Numbers of the clients whose delivered and dead deliveries exceed a bound.
    deliveries: BTreeSet<i64>,
    /// Numbers of the clients whose deduplication keys exceed a bound.
    duplicate_keys: BTreeSet<i64>,
    /// Numbers of the clients whose documents exceed a bound, each with the number of the last document that was read.
    documents: BTreeMap<i64, i64>,
    /// The bytes of documents that were left of a client after all were read. Documents with events stay, so they may
    /// exceed their share.
    documents_left: BTreeMap<i64, i64>,
    /// Bytes that all clients may add before their sum is computed again; an estimate on the safe side, because what is
    /// removed is not added to it.
    headroom: i64,
    /// Whether the history of all clients is being reduced.
    is_reducing: bool,
}

impl Excess {
    pub(crate) fn is_empty(&self) -> bool {
        let sets = [&self.clients, &self.deliveries, &self.duplicate_keys];
        let has_clients = sets.iter().any(|set| !set.is_empty()) || !self.documents.is_empty();
        !has_clients && self.headroom >= 0 && !self.is_reducing
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
            if change.settled.exceeds(bounds.max_deliveries, bounds.max_attempt_bytes) {
                self.deliveries.insert(change.client);
            }
            if change.duplicate_keys > columns::signed(bounds.max_duplicate_keys) {
                self.duplicate_keys.insert(change.client);
            }
            if change.history.documents_exceed(bounds) && self.may_remove_documents(change, bounds) {
                self.documents.entry(change.client).or_insert(0);
            }
        }
    }

    /// Whether to read the documents of a client: not again until they have grown by a part of their share.
    fn may_remove_documents(&self, change: &HistoryChange, bounds: &Retention) -> bool {
        let growth = change.history.document_share(bounds) / DOCUMENT_GROWTH;
        self.documents_left.get(&change.client).is_none_or(|left| change.history.document_bytes > left + growth)
    }

    /// A client may exceed its bounds.
    pub(crate) fn add(&mut self, client: i64) {
        self.clients.insert(client);
        self.deliveries.insert(client);
        self.duplicate_keys.insert(client);
        self.documents.insert(client, 0);
    }

    /// A client was removed.
    pub(crate) fn remove(&mut self, client: i64) {
        self.clients.remove(&client);
        self.deliveries.remove(&client);
        self.duplicate_keys.remove(&client);
        self.documents.remove(&client);
        self.documents_left.remove(&client);
    }

    /// The slice to do next.
    pub(crate) fn next(&self) -> ExcessSlice {
        if let Some(client) = self.clients.first() {
            ExcessSlice::Client(*client)
        } else if let Some(client) = self.deliveries.first() {
            ExcessSlice::Deliveries(*client)
        } else if let Some(client) = self.duplicate_keys.first() {
            ExcessSlice::DuplicateKeys(*client)
        } else if let Some((client, after)) = self.documents.first_key_value() {
            ExcessSlice::Documents { client: *client, after: *after }
        } else {
            ExcessSlice::Total { is_reducing: self.is_reducing }
        }
    }

    /// Takes note of the result of a slice.
    pub(crate) fn finish(&mut self, slice: &ExcessSlice, result: &ExcessResult) {
        match (slice, result.headroom) {
            (ExcessSlice::Client(client), _) if result.is_complete => {
                self.clients.remove(client);
            }
            (ExcessSlice::Deliveries(client), _) if result.is_complete => {
                self.deliveries.remove(client);
            }
            (ExcessSlice::DuplicateKeys(client), _) if result.is_complete => {
                self.duplicate_keys.remove(client);
            }
            (ExcessSlice::Client(_) | ExcessSlice::Deliveries(_) | ExcessSlice::DuplicateKeys(_), _) => {}
            (ExcessSlice::Documents { client, .. }, _) => match result.documents {
                DocumentProgress::After(number) => {
                    self.documents.insert(*client, number);
                }
                DocumentProgress::Complete { bytes_left } => {
                    self.documents.remove(client);
                    self.documents_left.insert(*client, bytes_left);
                }
            },
            (ExcessSlice::Total { .. }, Some(headroom)) => (self.headroom, self.is_reducing) = (headroom, false),
            (ExcessSlice::Total { .. }, None) => self.is_reducing = true,
        }
    }

    /// After an error: the next batch begins again.
    pub(crate) fn give_up(&mut self, bounds: &Retention) {
        self.clients.clear();
        self.deliveries.clear();
        self.duplicate_keys.clear();
        self.documents.clear();
        (self.headroom, self.is_reducing) = (headroom_after(bounds), false);
    }
}

/// A slice of the removal of events beyond the bounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum ExcessSlice {
    /// The oldest events of the client with this number.
    Client(i64),
    /// Its delivered and dead deliveries that were settled first.
    Deliveries(i64),
    /// Its oldest deduplication keys.
    DuplicateKeys(i64),
    /// Its oldest documents whose events were pruned.
    Documents {
        client: i64,
        /// The number of the last document that was read.
        after: i64,
    },
    /// The oldest rows of the largest client.
    Total {
        /// Whether a slice before has begun with it.
        is_reducing: bool,
    },
}

/// What a slice has done.
pub(crate) struct ExcessResult {
    pub(crate) removed: PrunedRows,
    /// Whether the client is within its bounds.
    is_complete: bool,
    /// Set by [`ExcessSlice::Total`]: the new headroom when nothing is left to do.
    headroom: Option<i64>,
    /// Set by [`ExcessSlice::Documents`].
    documents: DocumentProgress,
}

/// How far the documents of a client were read.
#[derive(Clone, Copy)]
enum DocumentProgress {
    /// Up to and with the document of this number.
    After(i64),
    Complete {
        /// Bytes of the documents that are left.
        bytes_left: i64,
    },
}

impl ExcessResult {
    /// Nothing was removed, and nothing is left to do.
    fn complete() -> Self {
        let documents = DocumentProgress::Complete { bytes_left: 0 };
        Self { removed: PrunedRows::default(), is_complete: true, headroom: None, documents }
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
        let none = PrunedRows::default();
        match self {
            Self::Client(client) => {
                let step = || remove_oldest_events(db, *client, |history, _, _| Ok(history.exceeds(bounds)));
                let (events, is_complete) = removal_steps(step, budget)?;
                let removed = PrunedRows { events, ..none };
                Ok(ExcessResult { removed, is_complete, ..ExcessResult::complete() })
            }
            Self::Deliveries(client) => {
                let rows = ClientRows { db, client: *client, bounds, now: earliest_time() };
                let (deliveries, is_complete) = removal_steps(|| rows.prune_deliveries(), budget)?;
                let removed = PrunedRows { deliveries, ..none };
                Ok(ExcessResult { removed, is_complete, ..ExcessResult::complete() })
            }
            Self::DuplicateKeys(client) => {
                let rows = ClientRows { db, client: *client, bounds, now: earliest_time() };
                let (duplicate_keys, is_complete) = removal_steps(|| rows.prune_duplicate_keys(), budget)?;
                let removed = PrunedRows { duplicate_keys, ..none };
                Ok(ExcessResult { removed, is_complete, ..ExcessResult::complete() })
            }
            Self::Documents { client, after } => {
                let rows = ClientRows { db, client: *client, bounds, now: earliest_time() };
                let (number, documents) = remove_documents(&rows, *after, budget)?;
                let removed = PrunedRows { documents: number, ..none };
                Ok(ExcessResult { removed, documents, ..ExcessResult::complete() })
            }
            Self::Total { is_reducing } => {
                let TotalReduction { removed, headroom } = reduce_total(db, bounds, budget, *is_reducing)?;
                Ok(ExcessResult { removed, headroom, ..ExcessResult::complete() })
            }
        }
    }
}

/// Removes documents for the time and the work of one slice, until the others are within their share; returns their
/// number.
fn remove_documents(
    rows: &ClientRows<'_>,
    mut after: i64,
    budget: SliceBudget,
) -> rusqlite::Result<(u64, DocumentProgress)> {
    let (mut removed, mut done) = (0, 0);
    while budget.allows(done) {
        let history = HistoryUsage::of(rows.db, rows.client)?.filter(|history| history.documents_exceed(rows.bounds));
        let read = match history {
            Some(_) => rows.prune_documents(after)?,
            None => ReadRows::default(),
        };
        let Some(last) = read.last else {
            let bytes_left = HistoryUsage::of(rows.db, rows.client)?.map_or(0, |history| history.document_bytes);
            return Ok((removed, DocumentProgress::Complete { bytes_left }));
        };
        after = last;
        removed += read.removed as u64;
        done += read.rows + WORK_PER_STEP;
    }
    Ok((removed, DocumentProgress::After(after)))
}
