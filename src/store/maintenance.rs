//! The port of maintenance: checks, prunes and closes the store as a whole.

use std::ops::AddAssign;

use futures::future::BoxFuture;

use super::{Retention, StoreFuture};
use crate::domain::Timestamp;

/// What the relay does with the store beside its work: the readiness check, the regular pass over the retention limits,
/// the end.
pub trait Maintenance: Send + Sync {
    /// Commits a small write, to test that the store can accept events.
    ///
    /// # Errors
    /// `Unavailable`, `Stopped`.
    fn probe(&self) -> StoreFuture<'_, ()>;
    /// What an operator should know although the store accepts events, as a sentence; `None` normally.
    fn warning(&self) -> Option<&'static str>;
    /// Removes what exceeds the [`Retention`](super::Retention) at `now`; returns what was removed since the previous
    /// call, also what exceeded it when it was added. Other writes are served in between.
    ///
    /// # Errors
    /// `Unavailable`, `Stopped`.
    fn prune(&self, now: Timestamp) -> StoreFuture<'_, PrunedRows>;
    /// Replaces the limits of what is kept. What exceeds them by number and bytes of events is removed in the
    /// background, the rest by the next [`prune`](Self::prune) or when something is added to it.
    ///
    /// # Errors
    /// `Stopped`.
    fn set_retention(&self, retention: Retention) -> StoreFuture<'_, ()>;
    /// Waits until this node has applied everything that any node of the cluster had acknowledged before the call;
    /// returns whether anything was missing. To be called before something is refused that another node may have made.
    /// Without a cluster nothing is ever missing.
    ///
    /// # Errors
    /// `Unavailable` when the broker does not answer in time, or this node is too far behind; `Stopped`.
    fn catch_up(&self) -> StoreFuture<'_, bool>;
    /// Flushes and closes the store. Later calls fail with [`StoreError::Stopped`](super::StoreError::Stopped).
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Numbers of rows that the retention has removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PrunedRows {
    /// Events.
    pub events: u64,
    /// Documents.
    pub documents: u64,
    /// Rejects.
    pub rejects: u64,
    /// Delivered and dead deliveries.
    pub deliveries: u64,
    /// Deduplication keys.
    pub duplicate_keys: u64,
}

impl AddAssign for PrunedRows {
    fn add_assign(&mut self, more: Self) {
        let Self { events, documents, rejects, deliveries, duplicate_keys } = more;
        self.events += events;
        self.documents += documents;
        self.rejects += rejects;
        self.deliveries += deliveries;
        self.duplicate_keys += duplicate_keys;
    }
}
