//! The port of the log: the only way of an event from a vendor to a follower. It also keeps the state of each document.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use super::{ListPage, StoreFuture};
use crate::domain::{
    ClientRef, Destinations, DocumentId, Epoch, EventId, SharedEvent, Status, Timestamp, Update, Vendor, VendorId,
};

/// A vendor's request as received, without credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RawRequest {
    /// `GET` or `POST`.
    pub method: String,
    /// The raw query, without `?`.
    pub query: Option<String>,
    /// Headers in order, names in lower case, credentials removed.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// When a new event is a duplicate of a stored one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DuplicateRule {
    /// The client's vendor has sent this key within [`DUPLICATE_WINDOW`](super::DUPLICATE_WINDOW).
    SameKey(String),
    /// The document already has this status.
    SameStatus,
    /// The document is known.
    KnownDocument,
}

/// An event to append.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewEvent {
    /// The client that owns the document.
    pub client: ClientRef,
    /// The vendor that converts the document.
    pub vendor: Vendor,
    /// Status, result and vendor's identifier of the document.
    pub update: Update,
    /// The hook's labels merged with the message's.
    pub labels: BTreeMap<String, String>,
    /// The request; `None` when the application registered the document.
    pub raw: Option<RawRequest>,
    /// When the event is a duplicate.
    pub duplicate_rule: DuplicateRule,
    /// The new destinations of the document's events; `None` keeps the stored ones. When they are set on a known
    /// document, its latest event is queued for the new destinations, too.
    pub destinations: Option<Destinations>,
    /// The present time.
    pub now: Timestamp,
}

/// The result of an append. Either one is durable.
#[derive(Debug, Clone)]
pub enum AppendOutcome {
    /// The event is new.
    Stored(SharedEvent),
    /// An equal event was stored before.
    Duplicate {
        /// The stored event.
        id: EventId,
        /// Its document.
        document: DocumentId,
        /// The document's present status.
        status: Status,
    },
}

/// A part of one client's history.
#[derive(Debug, Clone)]
pub struct LogPage {
    /// The client's events after the requested position, in order, without gaps.
    pub events: Vec<SharedEvent>,
    /// All of the client's events up to this sequence have been read: the last event's sequence when a limit cut the
    /// page, otherwise the head of the log at the time of the read.
    pub through: u64,
    /// Sequence of the client's last removed event, 0 for none. A reader at a smaller position has a gap.
    pub pruned_through: u64,
}

/// The limits of one page.
#[derive(Debug, Clone, Copy)]
pub struct PageLimit {
    /// Maximum number of events; 0 counts as 1.
    pub events: usize,
    /// Bytes of JSON. The event that exceeds the limit is the last of the page.
    pub bytes: usize,
}

/// What a tail of the log reports, in the order of the commits.
#[derive(Debug, Clone)]
pub enum LogChange {
    /// Events that were committed together, in order of their sequences.
    Events(Vec<SharedEvent>),
    /// All events from here on are those of another client, even if its id is the same.
    ClientRemoved(ClientRef),
}

impl LogChange {
    /// The events; none if the change is another one.
    pub fn events(&self) -> &[SharedEvent] {
        match self {
            Self::Events(events) => events,
            Self::ClientRemoved(_) => &[],
        }
    }
}

/// Which documents of a client to list.
#[derive(Debug, Clone, Default)]
pub struct DocumentQuery {
    /// Only documents of this vendor.
    pub vendor: Option<Vendor>,
    /// Only the document with this vendor's identifier; the case of a UUID does not matter.
    pub vendor_id: Option<String>,
    /// Only documents in this status.
    pub status: Option<Status>,
    /// Maximum number of documents.
    pub limit: usize,
    /// Continues after the page that returned this cursor.
    pub cursor: Option<u64>,
}

/// The present state of a document.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its id.
    pub id: DocumentId,
    /// The vendor that converts it.
    pub vendor: Vendor,
    /// The vendor's identifier.
    pub vendor_id: VendorId,
    /// Its status.
    pub status: Status,
    /// Its title, if known.
    pub title: Option<String>,
    /// Time of its latest event.
    pub updated: Timestamp,
    /// Id of its latest event.
    pub event: EventId,
    /// JSON of its latest event; `None` after the event was pruned.
    pub json: Option<Bytes>,
}

/// A page of documents, newest first.
#[derive(Debug, Clone)]
pub struct DocumentPage {
    /// May be shorter than the limit although there is a next page: it ends at
    /// [`MAX_LIST_BYTES`](super::MAX_LIST_BYTES), too.
    pub documents: Vec<Document>,
    /// The cursor of the next page.
    pub next: Option<u64>,
    /// The head of the log at the time of the read. A stream that starts after it continues the page without a gap.
    pub head: EventId,
}

/// The number of events of one status in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinuteCount {
    /// Begin of the minute.
    pub minute: Timestamp,
    /// The status.
    pub status: Status,
    /// The number of events, at least 1.
    pub count: u64,
}

/// A client's events by minute and status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventCounts {
    /// The counts are complete from here: the requested time, or a later one if the limit cut them.
    pub since: Timestamp,
    /// In order of time and status.
    pub minutes: Vec<MinuteCount>,
    /// The head of the log at the time of the read: later events are not counted.
    pub head: EventId,
}

/// The log. Sequences grow over all clients and are never used twice.
///
/// # Errors
/// Reads fail with `NotFound` for an unknown client, with `Unavailable` when the file cannot be read, and with
/// `Stopped` when the store is closed.
pub trait Log: Send + Sync {
    /// The name of this log. An id with another epoch is a position in another log.
    fn epoch(&self) -> Epoch;
    /// The last committed sequence, 0 for none; at least as large as any sequence that the store has returned.
    fn head(&self) -> u64;
    /// Stores an event unless it is a duplicate, updates its document and queues its deliveries, all in one
    /// transaction. A delivery goes to the notification of the document's destinations, otherwise to the client's
    /// default one, and to the document's callback; a format that cannot express the status gets none. Waits while the
    /// writer's queue is full. Durable when it completes; when the future is dropped before, the event may still be
    /// stored.
    ///
    /// # Errors
    /// `NotFound` for an unknown client; `Unavailable` when nothing could be stored; `Stopped` when the store is
    /// closed.
    fn append(&self, event: NewEvent) -> StoreFuture<'_, AppendOutcome>;
    /// The client's events after a sequence. The cost depends on the page only, not on the length of the history.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Stopped`.
    fn events_after(&self, client: &ClientRef, sequence: u64, limit: PageLimit) -> StoreFuture<'_, LogPage>;
    /// The events of these documents after a sequence: a page of the client's history without all other events. The
    /// cost depends on the number of the documents' events after the sequence, not on the length of the history. A page
    /// may be empty although [`through`](LogPage::through) is not the head.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Stopped`.
    fn document_events_after(
        &self,
        client: &ClientRef,
        documents: Vec<DocumentId>,
        sequence: u64,
        limit: PageLimit,
    ) -> StoreFuture<'_, LogPage>;
    /// What is committed from now on, of all clients, in order, until the store is closed. At most 64 items are
    /// buffered; when a reader lags further behind, the writer waits for it.
    fn tail(&self) -> BoxStream<'static, LogChange>;
    /// The request of an event; `None` when there was none or the event was pruned.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Stopped`.
    fn raw_request(&self, client: &ClientRef, sequence: u64) -> StoreFuture<'_, Option<RawRequest>>;
    /// A page of a client's documents.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Stopped`.
    fn documents(&self, client: &ClientRef, query: DocumentQuery) -> StoreFuture<'_, DocumentPage>;
    /// One document; `None` when the client has no such document.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Stopped`.
    fn document(&self, client: &ClientRef, id: DocumentId) -> StoreFuture<'_, Option<Document>>;
    /// The latest retained events of a document, oldest first; with the cursor of a page, the events before that page.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Stopped`.
    fn history(
        &self,
        client: &ClientRef,
        id: DocumentId,
        limit: usize,
        cursor: Option<u64>,
    ) -> StoreFuture<'_, ListPage<SharedEvent>>;
    /// The client's events since a time by minute and status, of at most the latest `limit` events.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Stopped`.
    fn event_counts(&self, client: &ClientRef, since: Timestamp, limit: usize) -> StoreFuture<'_, EventCounts>;
}
