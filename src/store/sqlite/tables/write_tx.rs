//! A write transaction, and what takes effect with its commit: the changes of the usage counters, which are collected
//! and written once, and the queues that it marks as ready. Pruning reads the usage counters inside such transactions.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::columns;
use crate::domain::QueueKey;
use crate::store::sqlite::panics::Panicked;
use crate::store::{Retention, StoreError};

/// A write transaction. Dropping it rolls everything back.
pub(crate) struct WriteTx<'a> {
    pub(crate) db: Transaction<'a>,
    /// Written before the commit.
    pub(crate) usage: UsageChanges,
    ready: BTreeSet<QueueKey>,
}

impl<'a> WriteTx<'a> {
    pub(crate) fn begin(db: &'a mut Connection) -> rusqlite::Result<Self> {
        let db = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Self { db, usage: UsageChanges::default(), ready: BTreeSet::new() })
    }

    /// Marks a queue as changed: its reader looks into it after the commit.
    pub(crate) fn mark_ready(&mut self, queue: QueueKey) {
        self.ready.insert(queue);
    }

    /// Begins a part of the transaction that can be undone.
    pub(crate) fn begin_part(&self) -> rusqlite::Result<PartStart> {
        self.db.execute_batch("SAVEPOINT part")?;
        Ok(PartStart { usage: self.usage.clone(), ready: self.ready.clone() })
    }

    /// Keeps the part that was begun last.
    pub(crate) fn keep_part(&self) -> rusqlite::Result<()> {
        self.db.execute_batch("RELEASE part")
    }

    /// Undoes the part that was begun last.
    pub(crate) fn undo_part(&mut self, start: PartStart) -> rusqlite::Result<()> {
        (self.usage, self.ready) = (start.usage, start.ready);
        self.db.execute_batch("ROLLBACK TO part; RELEASE part")
    }

    /// Commits.
    pub(crate) fn commit(self) -> rusqlite::Result<Committed> {
        let SavedUsage { histories, grown } = self.usage.save(&self.db)?;
        self.db.commit()?;
        Ok(Committed { ready: self.ready, histories, grown, removed_rejects: self.usage.removed_rejects })
    }
}

/// What a transaction had collected when a part of it began.
pub(crate) struct PartStart {
    usage: UsageChanges,
    ready: BTreeSet<QueueKey>,
}

/// Why a transaction was rolled back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TxError {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl TxError {
    /// Whether the transaction fails in the same way on every node.
    pub(crate) fn is_inherent(&self) -> bool {
        matches!(self, Self::Sql(error) if columns::is_inherent(error))
    }
}

impl From<TxError> for StoreError {
    fn from(error: TxError) -> Self {
        match error {
            TxError::Sql(error) => columns::unavailable(&error),
            TxError::Panicked(panicked) => panicked.into(),
        }
    }
}

/// What has taken effect with a commit.
pub(crate) struct Committed {
    /// The queues that were marked as ready.
    pub(crate) ready: BTreeSet<QueueKey>,
    /// The history of each client whose usage has changed.
    pub(crate) histories: Vec<HistoryChange>,
    /// Clients that have more pending deliveries than before, or more bytes of them.
    pub(crate) grown: Vec<ClientPending>,
    /// The number of rejects that were removed to make room for new ones.
    pub(crate) removed_rejects: u64,
}

/// The usage of the changed clients after a transaction.
pub(crate) struct SavedUsage {
    pub(crate) histories: Vec<HistoryChange>,
    pub(crate) grown: Vec<ClientPending>,
}

/// The history of a client after a transaction.
pub(crate) struct HistoryChange {
    /// The client's number.
    pub(crate) client: i64,
    pub(crate) history: HistoryUsage,
    /// Delivered and dead deliveries and the bytes of their attempts.
    pub(crate) settled: Usage,
    /// Number of its deduplication keys.
    pub(crate) duplicate_keys: i64,
    /// Bytes that the transaction has added.
    pub(crate) added_bytes: i64,
}

/// The pending deliveries of a client, and the bytes of their events with the requests and of their attempts.
pub(crate) struct ClientPending {
    pub(crate) client: i64,
    pub(crate) number: i64,
    pub(crate) bytes: i64,
}

impl ClientPending {
    /// `None` when the client was removed.
    pub(crate) fn read(db: &Connection, client: i64) -> rusqlite::Result<Option<Self>> {
        db.prepare_cached("SELECT pending, pending_bytes FROM usage WHERE client = ?1")?
            .query_row([client], |row| Ok(Self { client, number: row.get(0)?, bytes: row.get(1)? }))
            .optional()
    }

    pub(crate) fn exceeds(&self, bounds: &Retention) -> bool {
        self.number > columns::signed(bounds.max_pending) || self.bytes > columns::signed(bounds.max_pending_bytes)
    }
}

/// A delivered or dead delivery.
#[derive(Clone, Copy)]
pub(crate) struct SettledDelivery {
    pub(crate) id: i64,
    /// Bytes of its attempts.
    pub(crate) bytes: i64,
    /// Bytes of its event with the request.
    pub(crate) size: i64,
}

/// The changes of the usage counters in one transaction.
#[derive(Clone, Default)]
pub(crate) struct UsageChanges {
    /// By client number.
    clients: BTreeMap<i64, ClientChanges>,
    /// Rejects that were removed to make room. Their own statements change the usage.
    removed_rejects: u64,
}

#[derive(Clone, Default)]
struct ClientChanges {
    events: i64,
    event_bytes: i64,
    document_bytes: i64,
    pending: i64,
    pending_bytes: i64,
    settled: i64,
    attempt_bytes: i64,
    duplicate_keys: i64,
    /// Bytes of added rejects. The statements of the rejects count them in the table; here they are for the bound of
    /// all bytes.
    added_reject_bytes: i64,
}

impl UsageChanges {
    pub(crate) fn event_added(&mut self, client: i64, bytes: i64) {
        let changes = self.clients.entry(client).or_default();
        changes.events += 1;
        changes.event_bytes = changes.event_bytes.saturating_add(bytes);
    }

    /// The bytes of a document or its callback grew by `bytes`, or shrank if that is negative.
    pub(crate) fn document_changed(&mut self, client: i64, bytes: i64) {
        self.clients.entry(client).or_default().document_bytes += bytes;
    }

    /// A reject was added, and counted in the usage.
    pub(crate) fn reject_added(&mut self, client: i64, bytes: i64) {
        self.clients.entry(client).or_default().added_reject_bytes += bytes;
    }

    /// So many rejects were removed to make room for a new one, and the usage was changed.
    pub(crate) fn rejects_removed(&mut self, number: usize) {
        self.removed_rejects += number as u64;
    }

    /// Deduplication keys were added, or removed if `number` is negative.
    pub(crate) fn duplicate_keys_changed(&mut self, client: i64, number: i64) {
        self.clients.entry(client).or_default().duplicate_keys += number;
    }

    /// `size` are the bytes of its event with the request.
    pub(crate) fn delivery_queued(&mut self, client: i64, size: i64) {
        let changes = self.clients.entry(client).or_default();
        changes.pending += 1;
        changes.pending_bytes += size;
    }

    /// The bytes of a pending delivery's attempts grew by `bytes`, or shrank if that is negative.
    pub(crate) fn attempts_grew(&mut self, client: i64, bytes: i64) {
        self.clients.entry(client).or_default().pending_bytes += bytes;
    }

    /// A pending delivery is now delivered or dead.
    pub(crate) fn delivery_settled(&mut self, client: i64, delivery: &SettledDelivery) {
        let changes = self.clients.entry(client).or_default();
        changes.pending -= 1;
        changes.pending_bytes -= delivery.size + delivery.bytes;
        changes.settled += 1;
        changes.attempt_bytes += delivery.bytes;
    }

    /// A delivered or dead delivery is pending again.
    pub(crate) fn delivery_requeued(&mut self, client: i64, delivery: SettledDelivery) {
        let changes = self.clients.entry(client).or_default();
        changes.pending += 1;
        changes.pending_bytes += delivery.size + delivery.bytes;
        changes.settled -= 1;
        changes.attempt_bytes -= delivery.bytes;
    }

    /// A delivered or dead delivery was removed.
    pub(crate) fn delivery_removed(&mut self, client: i64, bytes: i64) {
        let changes = self.clients.entry(client).or_default();
        changes.settled -= 1;
        changes.attempt_bytes -= bytes;
    }

    /// Writes the changes; returns the usage of the clients that still exist.
    pub(crate) fn save(&self, db: &Connection) -> rusqlite::Result<SavedUsage> {
        let mut update = db.prepare_cached(
            "UPDATE usage SET events = events + ?2, bytes = bytes + ?3, pending = pending + ?4, settled = settled + ?5,
             settled_bytes = settled_bytes + ?6, document_bytes = document_bytes + ?7, pending_bytes = pending_bytes + ?8,
             duplicate_keys = duplicate_keys + ?9
             WHERE client = ?1 RETURNING events, bytes, document_bytes, max_bytes, pending, pending_bytes,
             settled, settled_bytes, duplicate_keys",
        )?;
        let mut saved = SavedUsage { histories: Vec::with_capacity(self.clients.len()), grown: Vec::new() };
        for (client, changes) in &self.clients {
            let ClientChanges {
                events,
                event_bytes,
                document_bytes,
                pending,
                pending_bytes,
                settled,
                attempt_bytes,
                duplicate_keys,
                added_reject_bytes,
            } = changes;
            let client = *client;
            let values = params![
                client,
                events,
                event_bytes,
                pending,
                settled,
                attempt_bytes,
                document_bytes,
                pending_bytes,
                duplicate_keys
            ];
            let after = update
                .query_row(values, |row| {
                    let pending = ClientPending { client, number: row.get(4)?, bytes: row.get(5)? };
                    let settled = Usage { number: row.get(6)?, bytes: row.get(7)? };
                    Ok((HistoryUsage::read(row)?, settled, row.get(8)?, pending))
                })
                .optional()?;
            let Some((history, settled, duplicate_keys, after)) = after else { continue };
            let kinds = [event_bytes, document_bytes, attempt_bytes, added_reject_bytes];
            let added_bytes = kinds.into_iter().fold(0_i64, |sum, bytes| sum.saturating_add((*bytes).max(0)));
            saved.histories.push(HistoryChange { client, history, settled, duplicate_keys, added_bytes });
            if *pending > 0 || *pending_bytes > 0 {
                saved.grown.push(after);
            }
        }
        Ok(saved)
    }
}

/// The usage counters of a client's history.
#[derive(Clone, Copy)]
pub(crate) struct HistoryUsage {
    pub(crate) events: i64,
    /// Bytes of the events with their requests.
    pub(crate) event_bytes: i64,
    /// Bytes of its documents with their titles and callbacks, which outlive their events.
    pub(crate) document_bytes: i64,
    /// The client's own bound of all bytes; `None` for the default.
    max_bytes: Option<i64>,
}

impl HistoryUsage {
    /// The history of a client; `None` when it was removed.
    pub(crate) fn of(db: &Connection, client: i64) -> rusqlite::Result<Option<Self>> {
        db.prepare_cached("SELECT events, bytes, document_bytes, max_bytes FROM usage WHERE client = ?1")?
            .query_row([client], Self::read)
            .optional()
    }

    /// From the columns `events, bytes, document_bytes, max_bytes`.
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { events: row.get(0)?, event_bytes: row.get(1)?, document_bytes: row.get(2)?, max_bytes: row.get(3)? })
    }

    /// Whether events have to be removed. Documents use at most their share of the bytes.
    pub(crate) fn exceeds(&self, bounds: &Retention) -> bool {
        let documents = self.document_bytes.min(self.document_share(bounds));
        self.events > columns::signed(bounds.max_events)
            || self.event_bytes.saturating_add(documents) > self.byte_bound(bounds)
    }

    /// Whether documents without events have to be removed.
    pub(crate) fn documents_exceed(&self, bounds: &Retention) -> bool {
        self.document_bytes > self.document_share(bounds)
    }

    fn byte_bound(&self, bounds: &Retention) -> i64 {
        self.max_bytes.unwrap_or(columns::signed(bounds.max_event_bytes))
    }

    /// The part of a client's bytes that documents without events may use: otherwise the titles of a month could leave
    /// no place for events.
    pub(crate) fn document_share(&self, bounds: &Retention) -> i64 {
        self.byte_bound(bounds) / 4
    }
}

/// The usage counters of a client: the number and the bytes of its items of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) number: i64,
    pub(crate) bytes: i64,
}

impl Usage {
    /// Delivered and dead deliveries of a client and the bytes of their attempts; `None` when it was removed.
    pub(crate) fn of_settled_deliveries(db: &Connection, client: i64) -> rusqlite::Result<Option<Self>> {
        Self::read(db, "SELECT settled, settled_bytes FROM usage WHERE client = ?1", client)
    }

    pub(crate) fn exceeds(&self, max_number: u64, max_bytes: u64) -> bool {
        self.number > columns::signed(max_number) || self.bytes > columns::signed(max_bytes)
    }

    /// Rejects of a client; `None` when it was removed.
    pub(crate) fn of_rejects(db: &Connection, client: i64) -> rusqlite::Result<Option<Self>> {
        Self::read(db, "SELECT rejects, reject_bytes FROM usage WHERE client = ?1", client)
    }

    fn read(db: &Connection, sql: &str, client: i64) -> rusqlite::Result<Option<Self>> {
        db.prepare_cached(sql)?
            .query_row([client], |row| Ok(Self { number: row.get(0)?, bytes: row.get(1)? }))
            .optional()
    }
}
