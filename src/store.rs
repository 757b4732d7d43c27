//! The ports of the store: log, registry, rejects, outbox. Use cases know only these; `store/sqlite` implements them, and
//! one contract suite (`tests/store_contract`) runs against every implementation.

#![warn(missing_docs)]

mod log;
mod outbox;
mod registry;
mod rejects;
mod retention;
mod seal;
pub mod sqlite;

use std::sync::Arc;

use futures::future::BoxFuture;

pub use log::{
    AppendOutcome, CommittedBatch, Document, DocumentPage, DocumentQuery, DuplicateRule, EventCounts, Log, LogPage,
    MinuteCount, NewEvent, PageLimit, RawRequest,
};
pub use outbox::{
    Attempt, AttemptRecord, Backlog, Delivery, DeliveryQuery, DeliveryState, DueDelivery, DuePage, Outbox,
};
pub use registry::Registry;
pub use rejects::{Reject, RejectStore};
pub use retention::{DUPLICATE_WINDOW, Retention};
pub use seal::Seal;

/// Why the store refused a call. A call that fails has changed nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, the file is read-only, or the connection is broken. The call may succeed later.
    #[error("the store cannot accept: {0}")]
    Unavailable(String),
    /// The store is closed or is being closed.
    #[error("the store is stopped")]
    Stopped,
    /// The name or id is taken, or the item was changed since it was read.
    #[error("{0} exists already")]
    Conflict(String),
    /// The item does not exist, or belongs to another client.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The limit on the number of items is reached.
    #[error("there are {0} already: delete one first")]
    TooMany(&'static str),
}

/// The future that a port's method returns. When the future of a write is dropped, the write may still be applied; its
/// result is then lost. Reads may be dropped at any time.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// The four ports of one store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// Events and documents.
    pub log: Arc<dyn Log>,
    /// Clients, hooks and notifications.
    pub registry: Arc<dyn Registry>,
    /// Authenticated requests that could not be parsed.
    pub rejects: Arc<dyn RejectStore>,
    /// Outgoing deliveries.
    pub outbox: Arc<dyn Outbox>,
}
