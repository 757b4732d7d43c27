//! The port of the outbox: outgoing deliveries. They are stored with the event that causes them, and so is the result
//! of each attempt: nothing is lost on a restart.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{ListPage, RawRequest, StoreFuture};
use crate::domain::{
    Callback, ClientId, ClientRef, Disposition, DocumentId, EventId, NotificationName, QueueKey, SharedEvent, Target,
    Timestamp,
};

/// A delivery that may be attempted: the head of its document's FIFO. Without its event, so that a page of many is
/// small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueDelivery {
    /// Unique within the store; grows.
    pub id: u64,
    /// Failed attempts since it was queued or last retried by hand: its position in the retry schedule.
    pub failures: u32,
    /// Bytes of the event with its request.
    pub bytes: u64,
}

/// What an attempt of a delivery needs.
#[derive(Debug, Clone)]
pub struct DeliveryContent {
    /// [`DueDelivery::id`].
    pub id: u64,
    /// The destination.
    pub target: Target,
    /// The event; `None` after it was pruned.
    pub event: Option<SharedEvent>,
    /// The request of the event; `None` when there was none or the event was pruned.
    pub raw: Option<RawRequest>,
    /// The document's present callback; `None` for a notification, or when the document has another one now.
    pub callback: Option<Callback>,
    /// Identifies the receiver that the delivery was read for: the notification's id, or for callbacks the time at
    /// which the client was created. A later receiver of the same name has another one and must not get the delivery.
    pub receiver: Arc<str>,
    /// Its position in the retry schedule.
    pub schedule: SchedulePosition,
}

/// The position of a pending delivery in its retry schedule. Each failed attempt and each retry by hand changes it, so
/// it also shows whether the delivery has changed since it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulePosition {
    /// [`DueDelivery::failures`].
    pub failures: u32,
    /// When it was queued or last retried by hand: the begin of its retry schedule.
    pub queued: Timestamp,
}

/// The due deliveries of a queue.
#[derive(Debug, Clone)]
pub struct DuePage {
    /// First attempts before retries, each group ordered by due time. A page that the limit cuts has both kinds if both
    /// are due and the limit is at least 2.
    pub deliveries: Vec<DueDelivery>,
    /// The earliest due time of any other delivery of the queue that was not excluded; in the past when the limit cut
    /// the page, `None` when there is no other one. Read the queue again at this time.
    pub next: Option<Timestamp>,
}

/// One attempt of a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Begin.
    pub time: Timestamp,
    /// Time until the response was read or the attempt failed; milliseconds are stored.
    pub duration: Duration,
    /// Status of the response, if there was one.
    pub status: Option<u16>,
    /// Body of the response; the first 16 KiB are stored.
    pub response_body: Bytes,
    /// Why the attempt failed, as text for the client's owner; `None` after success.
    pub error: Option<String>,
}

/// The result of one attempt, to be recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// The queue that the delivery was read from.
    pub queue: QueueKey,
    /// [`DueDelivery::id`].
    pub delivery: u64,
    /// [`DeliveryContent::schedule`] as it was read for the attempt.
    pub schedule: SchedulePosition,
    /// The attempt; `None` when no request was made.
    pub attempt: Option<Attempt>,
    /// The delivery's new state.
    pub disposition: Disposition,
    /// The present time.
    pub now: Timestamp,
}

/// What recording an attempt has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordEffect {
    /// The delivery has the state of the record.
    Applied,
    /// The delivery keeps its state: it was retried by hand, or another attempt was recorded, since it was read.
    Superseded,
}

/// The state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// Waits for its due time or for an earlier delivery of its document.
    Pending,
    /// Accepted by the endpoint.
    Delivered,
    /// Failed for good: a dead letter.
    Dead,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [DeliveryState; 3] = [DeliveryState::Pending, DeliveryState::Delivered, DeliveryState::Dead];

    /// The name used in JSON and queries.
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Dead => "dead",
        }
    }
}

/// A delivery with its history.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Unique within the store; grows.
    pub id: u64,
    /// The event.
    pub event: EventId,
    /// The event's document.
    pub document: DocumentId,
    /// The destination.
    pub target: Target,
    /// The present state.
    pub state: DeliveryState,
    /// Time of queueing.
    pub created: Timestamp,
    /// Time of the next attempt; `None` unless it is pending and the head of its document's FIFO.
    pub due: Option<Timestamp>,
    /// The first attempt and the latest 19, oldest first.
    pub attempts: Vec<Attempt>,
}

/// What another node of a cluster has done for the owner of receivers. Attempts in flight may use what was changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReceiverChange {
    /// The notification of this queue has another endpoint, secret or state, or its dead deliveries were made pending.
    Changed(QueueKey),
    /// A delivery of this queue was retried by hand.
    RetryRequested(QueueKey),
    /// The notification of this queue was removed.
    Removed(QueueKey),
    /// A client was removed with all its receivers.
    ClientRemoved(ClientId),
    /// More receivers than are remembered: any may have changed or been removed.
    Any,
}

/// Which deliveries of a client to list.
#[derive(Debug, Clone, Default)]
pub struct DeliveryQuery {
    /// Only deliveries in this state.
    pub state: Option<DeliveryState>,
    /// Only deliveries to this notification.
    pub notification: Option<NotificationName>,
    /// Maximum number of deliveries.
    pub limit: usize,
    /// Only deliveries with a smaller id: the cursor of the page before.
    pub before: Option<u64>,
}

/// The pending deliveries of all clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Number of pending deliveries.
    pub pending: u64,
    /// The earliest due time; in the past when deliveries are late, `None` when none is pending.
    pub oldest_due: Option<Timestamp>,
}

/// The outbox: the delivery queues of all clients. Inside a queue the deliveries of one document to one target form a
/// FIFO, of which only the head has a due time. Deliveries are added by [`Log::append`](super::Log::append) alone.
pub trait Outbox: Send + Sync {
    /// Waits until queues have changed in which deliveries are pending, and returns some of them. A queue changes with
    /// a new delivery, with a new head of a document's FIFO, with a retry by hand, and with [`Outbox::wake_due`]. A
    /// changed queue is returned once; every queue with pending deliveries is returned after opening and after
    /// [`Outbox::rescan`], page by page. Not yet returned queues take a bounded amount of memory. Cancellation safe: a
    /// queue is not lost when the future is dropped. For one caller at a time.
    ///
    /// # Errors
    /// `Unavailable`, `Stopped`.
    fn ready(&self) -> StoreFuture<'_, Vec<QueueKey>>;
    /// Makes [`Outbox::ready`] return every queue with pending deliveries once more.
    fn rescan(&self);
    /// Waits for changes of receivers that other nodes have made, and returns them. What this node was asked to change
    /// is not among them. Cancellation safe. For one caller at a time. Without a cluster it waits for ever.
    fn receiver_changes(&self) -> BoxFuture<'_, Vec<ReceiverChange>>;
    /// Makes [`Outbox::ready`] return the queues in which a delivery became due after `after` and up to `now`, and
    /// returns the earliest due time after `now`. A due time further ahead than any retry schedule allows was set by a
    /// wrong clock, and counts as due.
    ///
    /// # Errors
    /// `Unavailable`, `Stopped`.
    fn wake_due(&self, after: Timestamp, now: Timestamp) -> StoreFuture<'_, Option<Timestamp>>;
    /// The deliveries of a queue that are due at `now`, at most `limit`, without the ids in `except`. A due time
    /// further ahead than any retry schedule allows counts as due. Empty for a removed notification.
    ///
    /// # Errors
    /// `NotFound` for an unknown client; `Unavailable`, `Stopped`.
    fn due(&self, queue: &QueueKey, now: Timestamp, limit: usize, except: Vec<u64>) -> StoreFuture<'_, DuePage>;
    /// What an attempt of a delivery needs; `None` if it is not pending in this queue or not the head of its FIFO.
    ///
    /// # Errors
    /// `NotFound` for an unknown client; `Unavailable`, `Stopped`.
    fn content(&self, queue: &QueueKey, id: u64) -> StoreFuture<'_, Option<DeliveryContent>>;
    /// Records an attempt, if one was made, and sets the delivery's new state. After `Delivered` and `Dead` the next
    /// delivery of the document becomes due. Durable when it completes.
    ///
    /// If the position in the retry schedule is no longer that of the record, a failure is added to the attempts and
    /// changes nothing else: a retry by hand stays due, and a failure that another node has recorded keeps its due
    /// time. A success counts in any case, because the endpoint has the event. An attempt that was recorded before is
    /// ignored: its begin identifies it.
    ///
    /// # Errors
    /// `NotFound` when the client, the notification or the delivery does not exist, or when the delivery is not
    /// pending; `Unavailable`, `Stopped`.
    fn record_attempt(&self, record: AttemptRecord) -> StoreFuture<'_, RecordEffect>;
    /// A client's deliveries, newest first.
    ///
    /// # Errors
    /// `NotFound` for an unknown client; `Unavailable`, `Stopped`.
    fn deliveries(&self, client: &ClientRef, query: DeliveryQuery) -> StoreFuture<'_, ListPage<Delivery>>;
    /// The deliveries of one document, newest first; empty for an unknown document.
    ///
    /// # Errors
    /// `NotFound` for an unknown client; `Unavailable`, `Stopped`.
    fn deliveries_of(
        &self,
        client: &ClientRef,
        document: DocumentId,
        query: DeliveryQuery,
    ) -> StoreFuture<'_, ListPage<Delivery>>;
    /// One delivery; `None` when the client has no delivery of this id.
    ///
    /// # Errors
    /// `NotFound` for an unknown client; `Unavailable`, `Stopped`.
    fn delivery(&self, client: &ClientRef, id: u64) -> StoreFuture<'_, Option<Delivery>>;
    /// Makes a delivery of any state pending, due now and with no failures. While an earlier delivery of its document
    /// is pending, it waits for that one.
    ///
    /// # Errors
    /// `NotFound` when the client, the delivery or its notification does not exist; `Unavailable`, `Stopped`.
    fn retry(&self, client: &ClientRef, id: u64, now: Timestamp) -> StoreFuture<'_, ()>;
    /// Retries every dead delivery of a notification whose last failure was at `since` or later; returns their number.
    ///
    /// # Errors
    /// `NotFound` when the client or the notification does not exist; `Unavailable`, `Stopped`.
    fn retry_failed(
        &self,
        client: &ClientRef,
        name: &NotificationName,
        since: Timestamp,
        now: Timestamp,
    ) -> StoreFuture<'_, u64>;
    /// Sets the due time of every head in a queue to `now`: the endpoint works again. Completes after the first slice
    /// of a large queue; the others follow. Those that a crash prevents keep their due times.
    ///
    /// # Errors
    /// `NotFound` for an unknown client; `Unavailable`, `Stopped`.
    fn make_due(&self, queue: &QueueKey, now: Timestamp) -> StoreFuture<'_, ()>;
    /// The pending deliveries of all queues.
    ///
    /// # Errors
    /// `Unavailable`, `Stopped`.
    fn backlog(&self) -> StoreFuture<'_, Backlog>;
}
