//! The ports of the store: the log, the registry, the rejects and the outbox. Use cases know only these;
//! `store/sqlite` implements them, and one contract suite (`tests/store_contract/main.rs`) runs against every implementation.

#![warn(missing_docs)]

mod outbox;
pub mod sqlite;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::domain::{
    Client, ClientId, DocumentId, Epoch, EventId, Hook, Notification, NotificationState, Route, SharedEvent, Status,
    Timestamp, Update, Vendor, VendorId,
};

pub use crate::domain::{Disposition, QueueKey};
pub use outbox::{
    Attempt, AttemptRecord, Backlog, Delivery, DeliveryQuery, DeliveryState, DueDelivery, DuePage, Outbox,
};

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Nothing was stored: full disk, read-only file, broken connection. Try again later.
    #[error("the store cannot accept: {0}")]
    Unavailable(String),
    /// The store is being closed.
    #[error("the store is stopped")]
    Stopped,
    /// The name is taken.
    #[error("{0} exists already")]
    Conflict(String),
    /// There is no such thing, or it belongs to another client.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// There are as many as there may be.
    #[error("there are {0} already: delete one first")]
    TooMany(&'static str),
}

/// The answer of a port's method.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A vendor's request as it came, without credentials.
#[derive(Debug, Clone, PartialEq)]
pub struct RawRequest {
    /// GET or POST.
    pub method: String,
    /// The raw query, without `?`.
    pub query: Option<String>,
    /// Headers in order, names in lower case, credentials removed.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Bytes,
}

/// When an arrival counts as a repeat of something stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DuplicateRule {
    /// When this client's vendor has sent this key within 30 days.
    SameKey(String),
    /// When the document is in this status already.
    SameStatus,
    /// When the document is known at all.
    KnownDocument,
}

/// Something to append.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Whose.
    pub client: ClientId,
    /// Who says it.
    pub vendor: Vendor,
    /// What is said.
    pub update: Update,
    /// The hook's labels and the message's, merged.
    pub labels: BTreeMap<String, String>,
    /// The request as it came; `None` when the application itself registered the document.
    pub raw: Option<RawRequest>,
    /// When it is not news.
    pub duplicate_rule: DuplicateRule,
    /// Where the document's events go from now on; `None` leaves that as it is. A route that is new to a known document
    /// gets the document's latest event, too.
    pub route: Option<Route>,
    /// The present time.
    pub now: Timestamp,
}

/// What became of an arrival. Whichever it is, it is on the disk (or acknowledged by the cluster).
#[derive(Debug, Clone)]
pub enum AppendOutcome {
    /// A new event.
    Stored(SharedEvent),
    /// It was there before.
    Duplicate {
        /// The event that was stored then.
        id: EventId,
        /// The document it tells of.
        document: DocumentId,
        /// The document's present status.
        status: Status,
    },
}

/// A stretch of one client's history.
#[derive(Debug, Clone)]
pub struct LogPage {
    /// In order; all of the client's events after the position asked for, up to the limit.
    pub events: Vec<SharedEvent>,
    /// Everything of this client up to this position has been read: the last event's sequence when the limit cut
    /// the page, otherwise the head of the log at the moment of reading.
    pub through: u64,
    /// The last of this client's events that has been deleted, 0 for none: a reader whose position is smaller has a gap.
    pub pruned_through: u64,
}

/// How much of the history one page may hold.
#[derive(Debug, Clone, Copy)]
pub struct PageLimit {
    /// Events.
    pub events: usize,
    /// Bytes of JSON; the event that passes it is the last.
    pub bytes: usize,
}

/// Newly committed events, in order.
#[derive(Debug, Clone)]
pub struct CommittedBatch {
    /// All events committed together.
    pub events: Vec<SharedEvent>,
}

/// Which documents of a client.
#[derive(Debug, Clone, Default)]
pub struct DocumentQuery {
    /// Only this vendor's.
    pub vendor: Option<Vendor>,
    /// Only the one the vendor calls so; a UUID in any case.
    pub vendor_id: Option<String>,
    /// Only those in this status.
    pub status: Option<Status>,
    /// At most so many.
    pub limit: usize,
    /// Go on after the page that ended with this.
    pub cursor: Option<u64>,
}

/// A document's present state.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its id.
    pub id: DocumentId,
    /// Who converts it.
    pub vendor: Vendor,
    /// How the vendor calls it.
    pub vendor_id: VendorId,
    /// Where it stands.
    pub status: Status,
    /// Its title, when known.
    pub title: Option<String>,
    /// When it was last told of.
    pub updated: Timestamp,
    /// The last event's position.
    pub event: EventId,
    /// The last event's JSON, unless the history has dropped it.
    pub json: Option<Bytes>,
}

/// A page of documents, newest first.
#[derive(Debug, Clone)]
pub struct DocumentPage {
    /// The documents.
    pub documents: Vec<Document>,
    /// The cursor of the next page.
    pub next: Option<u64>,
    /// The head of the log at the moment of reading: a stream that starts after it continues this page without a gap.
    pub head: EventId,
}

/// How many events a client had in each minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventCounts {
    /// From here on they are complete: the time that was asked for, or a later one where the bound cut them.
    pub since: Timestamp,
    /// The beginning of a minute, a status, and how many: in order of time, without those of none.
    pub minutes: Vec<(Timestamp, Status, u64)>,
    /// The head of the log at the moment of counting: what comes after it has not been counted.
    pub head: EventId,
}

/// The log: the only way from a vendor to a follower.
pub trait Log: Send + Sync {
    /// Names this log; an id with another epoch is a position in another one.
    fn epoch(&self) -> Epoch;
    /// The last committed sequence; never behind what any answer of this store has shown.
    fn head(&self) -> u64;
    /// Stores an arrival, checks for a repeat, updates the document and queues its deliveries, all in one transaction.
    /// A delivery goes to the notification that the document names, else to the client's default one, and to the
    /// document's callback; none where the format has no words for the status. Slow when the queue
    /// of writers is full; [`StoreError::Unavailable`] when nothing could be stored.
    fn append(&self, arrival: NewEvent) -> StoreFuture<'_, AppendOutcome>;
    /// The client's events after a position. Its cost does not depend on the length of the history.
    fn events_after(&self, client: &ClientId, sequence: u64, limit: PageLimit) -> StoreFuture<'_, LogPage>;
    /// Everything committed from now on, in order, all clients. A slow reader slows the writer; nothing is skipped.
    fn tail(&self) -> BoxStream<'static, CommittedBatch>;
    /// The request that an event came in; `None` when there was none or the history has dropped it.
    fn raw_request(&self, client: &ClientId, sequence: u64) -> StoreFuture<'_, Option<RawRequest>>;
    /// Documents by their present state.
    fn documents(&self, client: &ClientId, query: DocumentQuery) -> StoreFuture<'_, DocumentPage>;
    /// One document.
    fn document(&self, client: &ClientId, id: DocumentId) -> StoreFuture<'_, Option<Document>>;
    /// What is retained of a document's history, oldest first, at most 1 000 of its latest events.
    fn history(&self, client: &ClientId, id: DocumentId) -> StoreFuture<'_, Vec<SharedEvent>>;
    /// The client's events since a time, counted by minute and status. Looks at the latest `most` of them only.
    fn event_counts(&self, client: &ClientId, since: Timestamp, most: usize) -> StoreFuture<'_, EventCounts>;
    /// Proves that the store can accept now, by committing something small.
    fn probe(&self) -> StoreFuture<'_, ()>;
    /// Drops what is older or more than the retention allows; returns how many events went.
    fn prune(&self, now: Timestamp) -> StoreFuture<'_, u64>;
    /// Flushes and closes; later calls answer [`StoreError::Stopped`].
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// The registry: clients, their hooks and notifications. Look-ups are answered from memory: they stand on the path of every webhook.
pub trait Registry: Send + Sync {
    /// All clients, by name.
    fn clients(&self) -> Vec<Arc<Client>>;
    /// One client.
    fn client(&self, id: &ClientId) -> Option<Arc<Client>>;
    /// The hook with this key, and whose it is.
    fn hook_by_key(&self, key: &str) -> Option<(ClientId, Arc<Hook>)>;
    /// A client's hooks, oldest first.
    fn hooks(&self, client: &ClientId) -> Vec<Arc<Hook>>;
    /// Adds a client; [`StoreError::Conflict`] when the name is taken.
    fn add_client(&self, client: Client) -> StoreFuture<'_, ()>;
    /// Replaces a client's secrets.
    fn update_client(&self, client: Client) -> StoreFuture<'_, ()>;
    /// Removes a client at once and erases what it owned: hooks, notifications, events, documents, deliveries, rejects.
    fn remove_client(&self, id: &ClientId) -> StoreFuture<'_, ()>;
    /// Adds a hook to a client.
    fn add_hook(&self, client: &ClientId, hook: Hook) -> StoreFuture<'_, ()>;
    /// Replaces the client's hook of this id; its key and when it was made stay as they are.
    fn update_hook(&self, client: &ClientId, hook: Hook) -> StoreFuture<'_, ()>;
    /// Removes a client's hook.
    fn remove_hook(&self, client: &ClientId, id: &str) -> StoreFuture<'_, ()>;
    /// A client's notifications, oldest first.
    fn notifications(&self, client: &ClientId) -> Vec<Arc<Notification>>;
    /// Adds a notification; a default one takes that from the one before. [`StoreError::Conflict`] when the name is
    /// taken, [`StoreError::TooMany`] when the client has
    /// [`NOTIFICATIONS_PER_CLIENT`](crate::domain::NOTIFICATIONS_PER_CLIENT).
    fn add_notification(&self, client: &ClientId, notification: Notification) -> StoreFuture<'_, ()>;
    /// Replaces the client's notification `before` by `after`; its id, its name and when it was made stay as they are, and a
    /// default one takes that from the one before. [`StoreError::Conflict`] when it is no longer as it was `before`.
    fn update_notification(&self, client: &ClientId, before: &Notification, after: Notification)
    -> StoreFuture<'_, ()>;
    /// Changes nothing but the state of a notification. [`StoreError::Conflict`] when its endpoint or format is no longer
    /// that of `known`: what was found out was found out about another one.
    fn set_notification_state(
        &self,
        client: &ClientId,
        known: &Notification,
        state: NotificationState,
    ) -> StoreFuture<'_, ()>;
    /// Removes a client's notification by its name. Deliveries that were pending for it are dead, with that as reason.
    fn remove_notification(&self, client: &ClientId, name: &str) -> StoreFuture<'_, ()>;
}

/// A request that proved its origin and could not be understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Reject {
    /// Grows; unique within the store. 0 until it is kept.
    pub id: u64,
    /// The hook that it came to.
    pub hook: String,
    /// When.
    pub time: Timestamp,
    /// What could not be understood.
    pub reason: String,
    /// The request.
    pub raw: RawRequest,
}

/// The rejects: bounded by number, bytes and age for each client; the oldest go first.
pub trait RejectStore: Send + Sync {
    /// Keeps one; durable when it answers. Returns its id.
    fn add(&self, client: &ClientId, reject: Reject) -> StoreFuture<'_, u64>;
    /// Newest first; `before` is the id that the page before ended with.
    fn list(&self, client: &ClientId, limit: usize, before: Option<u64>) -> StoreFuture<'_, Vec<Reject>>;
    /// One of them.
    fn get(&self, client: &ClientId, id: u64) -> StoreFuture<'_, Option<Reject>>;
    /// Removes one, after it was replayed.
    fn remove(&self, client: &ClientId, id: u64) -> StoreFuture<'_, ()>;
}

/// Seals what must not lie in a store in the clear. The key is not the store's business.
pub trait Seal: Send + Sync {
    /// Encrypts and authenticates. `context` says what the text is and whose: it must be the same when the text is
    /// opened, so that one sealed text cannot take another's place.
    fn seal(&self, text: &[u8], context: &[u8]) -> Vec<u8>;
    /// The text again; otherwise what is wrong, as a clause that holds no secret.
    fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, String>;
}

/// The four ports of one store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// Events and documents.
    pub log: Arc<dyn Log>,
    /// Clients, hooks and notifications.
    pub registry: Arc<dyn Registry>,
    /// What could not be understood.
    pub rejects: Arc<dyn RejectStore>,
    /// What goes out again.
    pub outbox: Arc<dyn Outbox>,
}

/// How much is kept, for each client.
#[derive(Debug, Clone)]
pub struct Retention {
    /// Events older than this go.
    pub max_event_age: std::time::Duration,
    /// At most so many events.
    pub max_events: u64,
    /// At most so many bytes of events with their raw requests.
    pub max_event_bytes: u64,
    /// Rejects older than this go.
    pub max_reject_age: std::time::Duration,
    /// At most so many rejects.
    pub max_rejects: u64,
    /// At most so many bytes of rejects.
    pub max_reject_bytes: u64,
    /// Deliveries that are settled, delivered or dead, go when they are older than this.
    pub max_delivery_age: std::time::Duration,
    /// At most so many settled deliveries.
    pub max_deliveries: u64,
    /// At most so many bytes of the attempts of settled deliveries.
    pub max_attempt_bytes: u64,
}

/// For how long a repeat of a stored message is recognised, and a silent document remembered at least.
pub const DUPLICATE_WINDOW: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3600);
