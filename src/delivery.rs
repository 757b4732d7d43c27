//! Passing events on: every delivery in the outbox is put into its receiver's words, sent, and settled, until it has
//! arrived or has failed for good. Knows the ports of the store and of http_client; knows neither HTTP clients nor SQL.

mod attempt;
mod commands;
pub mod http_client;
mod in_flight;
mod receiver;
mod scheduler;
mod verify;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use commands::{Commands, SchedulerCommand};
use in_flight::InFlight;

use crate::domain::{ClientId, NotificationName, Target, Timestamp};
use crate::metrics::Metrics;
use crate::store::{QueueKey, Store, StoreError};
use crate::vendor::Outbound;

pub use attempt::{SENDER_HEADER, sender_id};
pub use verify::TestError;
pub use worker::DeliveryWorker;

/// Bytes of an answer that are read at most.
pub const MAX_RESPONSE_BODY_BYTES: usize = 16 << 10;

/// The only way out: whatever the relay calls, it calls through this.
pub trait HttpClient: Send + Sync {
    /// Whether an address may be called, as far as can be told without calling it: `http` or `https`, no credentials in
    /// it, and a host that is not, and does not stand for, an address in a range that is closed. A name that cannot be
    /// resolved now is let through: it is looked at again when it is called.
    fn check<'a>(&'a self, endpoint: &'a str) -> BoxFuture<'a, Result<(), ForbiddenEndpoint>>;
    /// Sends one request and reads the answer, all within one deadline. No redirect is followed.
    fn exchange(&self, request: Outbound) -> BoxFuture<'_, HttpExchange>;
}

/// Why an address may not be called: one clause that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ForbiddenEndpoint(pub String);

/// What came of one request.
#[derive(Debug, Clone)]
pub struct HttpExchange {
    /// From the first look at the address to the last byte read.
    pub took: Duration,
    /// The answer's status, as soon as there was one.
    pub status: Option<u16>,
    /// The first [`MAX_RESPONSE_BODY_BYTES`] of its body, as they came over the wire.
    pub answer: Bytes,
    /// What `Retry-After` asked for, in seconds or as an HTTP date; not clamped yet.
    pub retry_after: Option<Duration>,
    /// What went wrong before there was a status.
    pub failure: Option<HttpError>,
}

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The address is not one that may be called.
    #[error("not called: {0}")]
    Forbidden(String),
    /// The host's name could not be resolved.
    #[error("the name {0} could not be resolved")]
    Unresolved(String),
    /// No connection came about: refused, unreachable, or no agreement on TLS.
    #[error("no connection: {0}")]
    Connection(String),
    /// Nothing came within the deadline.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The connection broke, or what came was not HTTP.
    #[error("no answer: {0}")]
    Broken(String),
}

/// What notifications need to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Attempts at the same time, to all endpoints together.
    pub concurrency: usize,
}

/// A cheap handle to the use cases of notifications.
#[derive(Clone)]
pub struct DeliveryHandle {
    store: Store,
    http_client: Arc<dyn HttpClient>,
    metrics: Metrics,
    options: Options,
    in_flight: InFlight,
    commands: Commands,
}

impl DeliveryHandle {
    /// Puts the parts together.
    pub fn new(store: Store, http_client: Arc<dyn HttpClient>, options: Options, metrics: Metrics) -> Self {
        Self { store, http_client, metrics, options, in_flight: InFlight::default(), commands: Commands::new() }
    }

    /// Whether an endpoint may be called, as far as that can be decided without a call.
    ///
    /// # Errors
    /// [`ForbiddenEndpoint`] with one clause that says what to do.
    pub async fn check_endpoint(&self, endpoint: &str) -> Result<(), ForbiddenEndpoint> {
        self.http_client.check(endpoint).await
    }

    /// Discards what is known of the health of a queue's endpoint, and makes all its pending deliveries due now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Stopped`].
    pub async fn reset(&self, lane: &QueueKey, now: Timestamp) -> Result<(), StoreError> {
        self.commands.send(SchedulerCommand::Reset(lane.clone())).await;
        self.store.outbox.make_due(lane, now).await
    }

    /// Makes all deliveries to a notification pending that failed for good at `since` or later; returns how many.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Stopped`].
    pub async fn retry_failed(
        &self,
        client: &ClientId,
        name: &NotificationName,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let lane = QueueKey { client: client.clone(), target: Target::Notification(name.clone()) };
        self.commands.send(SchedulerCommand::Reset(lane)).await;
        self.store.outbox.retry_failed(client, name, since, now).await
    }

    /// Makes one delivery of a queue pending and due now, whatever its state.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the client has no such delivery.
    pub async fn retry(&self, lane: &QueueKey, id: u64, now: Timestamp) -> Result<(), StoreError> {
        self.commands.send(SchedulerCommand::RetryNow(lane.clone(), id)).await;
        self.store.outbox.retry(&lane.client, id, now).await
    }

    /// Calls back what is on its way to a notification that was removed; when this returns, nothing is.
    pub async fn cancel_queue(&self, client: &ClientId, name: &NotificationName) {
        let lane = QueueKey { client: client.clone(), target: Target::Notification(name.clone()) };
        self.commands.send(SchedulerCommand::QueueRemoved(lane.clone())).await;
        self.in_flight.cancel(&lane).await;
    }

    /// The same for everything of a client that was removed.
    pub async fn cancel_client(&self, client: &ClientId) {
        self.commands.send(SchedulerCommand::ClientRemoved(client.clone())).await;
        self.in_flight.cancel_client(client).await;
    }

    /// One request to a receiver, broken off when the receiver is removed meanwhile.
    async fn call(&self, lane: &QueueKey, request: Outbound) -> HttpExchange {
        let guard = self.in_flight.enter(lane);
        tokio::select! {
            biased;
            () = guard.cancelled() => {
                HttpExchange { failure: Some(HttpError::Broken("the receiver was removed meanwhile".to_owned())), ..HttpExchange::nothing() }
            }
            exchange = self.http_client.exchange(request) => exchange,
        }
    }
}
