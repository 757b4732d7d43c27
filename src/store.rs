//! The ports of the store: log, registry, rejects, outbox, maintenance. Use cases know only these; `store/sqlite/ports`
//! implements them, and one contract suite (`tests/store_contract`) runs against every implementation. This file holds
//! what the ports share, and what a store is given: the retention limits and the cipher.

#![warn(missing_docs)]

mod log;
mod maintenance;
mod outbox;
mod registry;
mod rejects;
pub mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::domain::ClientLimit;

pub use log::{
    AppendOutcome, Document, DocumentPage, DocumentQuery, DuplicateRule, EventCounts, Log, LogChange, LogPage,
    MinuteCount, NewEvent, PageLimit, RawRequest,
};
pub use maintenance::{Maintenance, PrunedRows};
pub use outbox::{
    Attempt, AttemptRecord, Backlog, Delivery, DeliveryContent, DeliveryQuery, DeliveryState, DueDelivery, DuePage,
    Outbox, ReceiverChange, RecordEffect, SchedulePosition,
};
pub use registry::Registry;
pub use rejects::{Reject, RejectStore};

/// The ports of one store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// Events and documents.
    pub log: Arc<dyn Log>,
    /// Clients, hooks and notifications.
    pub registry: Arc<dyn Registry>,
    /// Requests that were not accepted and are kept for a replay.
    pub rejects: Arc<dyn RejectStore>,
    /// Outgoing deliveries.
    pub outbox: Arc<dyn Outbox>,
    /// The store as a whole: readiness, pruning, closing.
    pub maintenance: Arc<dyn Maintenance>,
}

/// Why the store refused a call. A call that fails has changed nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, the file is read-only, or the connection is broken. The call may succeed later.
    #[error("the store cannot accept: {0}")]
    Unavailable(String),
    /// The change cannot be applied, and never can: an error of the program. Nothing else is affected.
    #[error("the store cannot apply it: {0}")]
    Inapplicable(String),
    /// It does not fit into an entry of the cluster's journal. Nothing else is affected.
    #[error("it has {bytes} bytes in the cluster's journal, and {max_bytes} is the maximum: send less at once")]
    TooLarge {
        /// The bytes of its entry.
        bytes: usize,
        /// The maximum.
        max_bytes: usize,
    },
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
    /// A limit that the administrator has set for the client is reached.
    #[error("the limit `{limit}` of this client is reached: {value}")]
    ClientLimit {
        /// The limit.
        limit: ClientLimit,
        /// Its value.
        value: u64,
    },
}

/// The future that a port's method returns. When the future of a write is dropped, the write may still be applied; its
/// result is then lost. Reads may be dropped at any time.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// How long a duplicate is recognized, and the minimum time for which a document without events is kept.
pub const DUPLICATE_WINDOW: Duration = Duration::from_secs(30 * 24 * 3600);

/// How much is kept. Each limit but one applies per client; the oldest items are removed first. Number and bytes of
/// events, settled deliveries and documents, and the number of deduplication keys, are limited after every batch,
/// everything else by [`Maintenance::prune`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Maximum age of an event.
    pub max_event_age: Duration,
    /// Maximum number of events.
    pub max_events: u64,
    /// Maximum bytes of events with their raw requests, and of documents with their titles, identifiers and callbacks.
    pub max_event_bytes: u64,
    /// Maximum bytes of all clients together: events, documents, rejects and the attempts of settled deliveries. The
    /// client that stores most loses the oldest rows of the kind that it has most of.
    pub max_total_bytes: u64,
    /// Maximum number of deduplication keys.
    pub max_duplicate_keys: u64,
    /// Maximum age of a reject.
    pub max_reject_age: Duration,
    /// Maximum number of rejects.
    pub max_rejects: u64,
    /// Maximum bytes of rejects.
    pub max_reject_bytes: u64,
    /// Length of the retry schedule: a delivery that is pending for longer is given up.
    pub max_pending_age: Duration,
    /// Maximum number of pending deliveries. The oldest ones beyond it are given up.
    pub max_pending: u64,
    /// Maximum bytes of the events, requests and attempts of pending deliveries.
    pub max_pending_bytes: u64,
    /// Maximum age of a delivered or dead delivery, counted from its last change of state.
    pub max_delivery_age: Duration,
    /// Maximum number of delivered and dead deliveries.
    pub max_deliveries: u64,
    /// Maximum bytes of the attempts of delivered and dead deliveries.
    pub max_attempt_bytes: u64,
}

impl Retention {
    /// Maximum number and bytes of the rejects that are not verified: a fifth of the limits on all.
    pub fn unverified_rejects(&self) -> (u64, u64) {
        (self.max_rejects / 5, self.max_reject_bytes / 5)
    }
}

/// Bytes after which a page of a list ends, whatever its limit. The item that exceeds them is the last one.
pub const MAX_LIST_BYTES: usize = 1 << 20;

/// A page of a list, cut by its limit or by [`MAX_LIST_BYTES`].
#[derive(Debug, Clone, PartialEq)]
pub struct ListPage<T> {
    /// At least one, unless the rest of the list is empty.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` on the last one.
    pub next: Option<u64>,
}

impl<T> ListPage<T> {
    /// A page without items, and the last one.
    pub fn empty() -> Self {
        Self { items: Vec::new(), next: None }
    }
}

/// Why a pending delivery became dead without an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// Its retry schedule has ended.
    Expired,
    /// The client has more pending deliveries than it may have.
    OverLimit,
}

impl GivenUp {
    /// The reason in the last attempt.
    pub fn as_str(self) -> &'static str {
        match self {
            GivenUp::Expired => "given up: the retry schedule has ended",
            GivenUp::OverLimit => {
                "given up: the client has too many pending deliveries (see pending_deliveries_per_client, \
                 pending_deliveries_bytes)"
            }
        }
    }
}

/// The cipher that protects secrets at rest. The key is not the store's business.
pub trait Seal: Send + Sync {
    /// Encrypts and authenticates `text`. `context` names the kind and the owner of the text and must be the same when
    /// the text is opened: one sealed text cannot replace another.
    fn seal(&self, text: &[u8], context: &[u8]) -> Vec<u8>;
    /// As [`seal`](Seal::seal), with this nonce instead of a random one. A nonce must not be used for two different
    /// texts: derive it from random bytes and the text.
    fn seal_with_nonce(&self, text: &[u8], context: &[u8], nonce: [u8; 12]) -> Vec<u8>;
    /// Decrypts what [`seal`](Seal::seal) has returned for the same context.
    ///
    /// # Errors
    /// Another key, another context or a damaged text: the reason as a clause without secrets.
    fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, String>;
}
