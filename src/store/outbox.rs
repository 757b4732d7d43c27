//! The port of the outbox: deliveries on their way out. They are stored together with the event that causes them, and
//! what becomes of each attempt is stored too: a restart forgets nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::{RawRequest, StoreFuture};
use crate::domain::{
    Callback, ClientId, Disposition, DocumentId, EventId, NotificationName, QueueKey, SharedEvent, Target, Timestamp,
};

/// A delivery that may be attempted: no earlier one of its document to the same target is pending.
#[derive(Debug, Clone)]
pub struct DueDelivery {
    /// Its number; grows, unique within the store.
    pub id: u64,
    /// What it is about. `None` when the history has dropped the event.
    pub event: Option<SharedEvent>,
    /// The request that the event came in; `None` when there was none or the history has dropped it.
    pub raw: Option<RawRequest>,
    /// The document's callback as it is now; `None` in the lane of a notification, or when it is gone.
    pub callback: Option<Callback>,
    /// Whom it was read for: the notification's id, or in a lane of callbacks the time at which the client was made. A
    /// later one of the same name is another receiver, to whom it must not go.
    pub receiver: Arc<str>,
    /// Failures since it was queued or last retried by hand: its place in the schedule.
    pub failures: u32,
}

/// What is due in a lane.
#[derive(Debug, Clone)]
pub struct DuePage {
    /// Those never tried before the others, each group by the time since when it is due.
    pub deliveries: Vec<DueDelivery>,
    /// When to look again if nothing happens in this lane: the earliest time at which anything that is not on this page
    /// (and was not excepted) is due, in the past when the limit cut the page. `None` when there is nothing else.
    pub next: Option<Timestamp>,
}

/// One attempt of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// When it began.
    pub time: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// The status of the answer, when there was one.
    pub status: Option<u16>,
    /// The first 16 KiB of the answer's body.
    pub response_body: Bytes,
    /// Why it failed, in words for the client's owner; `None` when it did not.
    pub error: Option<String>,
}

/// The result of one attempt, to be recorded.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    /// The queue that the delivery was read from.
    pub queue: QueueKey,
    /// The delivery's number.
    pub delivery: u64,
    /// The attempt; `None` when no request was made.
    pub attempt: Option<Attempt>,
    /// The delivery's new state.
    pub disposition: Disposition,
    /// The present time.
    pub now: Timestamp,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// On its way, or waiting for an earlier one of its document.
    Pending,
    /// Arrived.
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

/// A delivery as its owner sees it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its number.
    pub id: u64,
    /// The event.
    pub event: EventId,
    /// The event's document.
    pub document: DocumentId,
    /// Where to.
    pub target: Target,
    /// Where it stands.
    pub state: DeliveryState,
    /// When it was queued.
    pub created: Timestamp,
    /// When it is tried next; `None` when it is settled or waits for an earlier one of its document.
    pub due: Option<Timestamp>,
    /// All attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

/// Which deliveries of a client.
#[derive(Debug, Clone, Default)]
pub struct DeliveryQuery {
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Only those to this notification.
    pub notification: Option<NotificationName>,
    /// At most so many.
    pub limit: usize,
    /// Only those with a smaller number: go on after the page that ended with it.
    pub before: Option<u64>,
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Deliveries that are pending.
    pub pending: u64,
    /// The earliest time at which any of them is due; in the past when deliveries are late.
    pub oldest_due: Option<Timestamp>,
}

/// The outbox. Deliveries come into it by [`super::Log::append`] alone.
pub trait Outbox: Send + Sync {
    /// Waits until something has changed in lanes in which deliveries are pending, and names them, each once: new
    /// deliveries, one that may go because the one before it is settled, a retry by hand. The first call names every lane
    /// in which anything is pending. Nothing is lost when it is dropped while it waits. For one caller.
    fn ready(&self) -> BoxFuture<'_, Vec<QueueKey>>;
    /// What is due in a lane at `now`, at most `limit` and about 1 MiB, without those in `except`. What is due later than
    /// any schedule would have it was queued by a clock that was ahead, and is due now.
    fn due(&self, lane: &QueueKey, now: Timestamp, limit: usize, except: Vec<u64>) -> StoreFuture<'_, DuePage>;
    /// Stores an attempt (none when it came to no attempt) and what it makes of the delivery; durable when it answers. A
    /// settled one lets the next of its document go. [`super::StoreError::NotFound`] when it is gone or not pending.
    fn record_attempt(&self, record: AttemptRecord) -> StoreFuture<'_, ()>;
    /// A client's deliveries, newest first.
    fn deliveries(&self, client: &ClientId, query: DeliveryQuery) -> StoreFuture<'_, Vec<Delivery>>;
    /// The same of one document's events; none when there is no such document.
    fn deliveries_of(
        &self,
        client: &ClientId,
        document: DocumentId,
        query: DeliveryQuery,
    ) -> StoreFuture<'_, Vec<Delivery>>;
    /// One of them.
    fn delivery(&self, client: &ClientId, id: u64) -> StoreFuture<'_, Option<Delivery>>;
    /// Makes one pending again, due now and at the beginning of its schedule, whatever its state; one that waits for an
    /// earlier one of its document goes on waiting.
    fn retry(&self, client: &ClientId, id: u64, now: Timestamp) -> StoreFuture<'_, ()>;
    /// The same for every dead one of a notification whose last failure was at `since` or later; returns how many.
    fn retry_failed(
        &self,
        client: &ClientId,
        name: &NotificationName,
        since: Timestamp,
        now: Timestamp,
    ) -> StoreFuture<'_, u64>;
    /// Makes everything pending in a lane due now: its endpoint works again. Those that wait for an earlier one go on
    /// waiting.
    fn make_due(&self, lane: &QueueKey, now: Timestamp) -> StoreFuture<'_, ()>;
    /// How much waits in all lanes.
    fn backlog(&self) -> StoreFuture<'_, Backlog>;
}
