//! What the use cases of owners ask of delivery: requests outside the outbox, and commands that follow a change of a
//! notification, a client or a delivery.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::endpoint_checks::EndpointChecks;
use super::in_flight::InFlight;
use super::scheduler::{SchedulerCommand, SchedulerLimits};
use super::{ForbiddenEndpoint, HttpClient, HttpError, HttpExchange};
use crate::domain::{ClientId, ClientRef, NotificationName, QueueKey, QueueTarget, Timestamp};
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};
use crate::vendor::OutgoingRequest;

/// Commands that may wait for the worker. While the channel is full, senders wait.
const COMMAND_CAPACITY: usize = 256;

/// Settings of delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryOptions {
    /// Limit on concurrent attempts, over all endpoints.
    pub concurrency: usize,
    /// Limit on the memory of pending deliveries and attempts, in bytes.
    pub memory_bytes: usize,
}

/// Memory of a queue in the scheduler with a full prefetch, in bytes.
const QUEUE_BYTES: usize = 4 << 10;

impl DeliveryOptions {
    /// A quarter of the memory is for queues, half of it for attempts. The rest remains for the attempt that exceeds
    /// its part.
    pub(super) fn scheduler_limits(&self) -> SchedulerLimits {
        SchedulerLimits {
            permits: self.concurrency,
            queues: self.memory_bytes / 4 / QUEUE_BYTES,
            content_bytes: self.memory_bytes as u64 / 2,
        }
    }
}

/// Cheap to clone. One per store: the worker and the use cases share the requests in flight and the commands.
#[derive(Clone)]
pub struct DeliveryHandle {
    pub(super) store: Store,
    pub(super) http_client: Arc<dyn HttpClient>,
    pub(super) metrics: Metrics,
    pub(super) options: DeliveryOptions,
    pub(super) in_flight: InFlight,
    checks: EndpointChecks,
    pub(super) commands: Commands,
}

impl DeliveryHandle {
    /// A handle without a worker: see [`super::DeliveryWorker::new`].
    pub fn new(store: Store, http_client: Arc<dyn HttpClient>, options: DeliveryOptions, metrics: Metrics) -> Self {
        let (in_flight, checks, commands) = (InFlight::default(), EndpointChecks::default(), Commands::new());
        Self { store, http_client, metrics, options, in_flight, checks, commands }
    }

    /// Changes the limits. Attempts in flight beyond a lower limit are finished.
    pub async fn set_options(&self, options: DeliveryOptions) {
        self.commands.send(SchedulerCommand::SetLimits(options.scheduler_limits())).await;
    }

    /// Whether a client's endpoint may be called, see [`HttpClient::check`]. While too many checks of the client are
    /// running, the host is not resolved: it is checked with each request anyway.
    ///
    /// # Errors
    ///
    /// [`ForbiddenEndpoint`] with one clause that says what to do.
    pub async fn check_endpoint(&self, client: &ClientId, endpoint: &str) -> Result<(), ForbiddenEndpoint> {
        match self.checks.acquire(client) {
            Some(_permit) => self.http_client.check(endpoint).await,
            None => {
                self.metrics.endpoint_checks_skipped.inc();
                self.http_client.check_url(endpoint)
            }
        }
    }

    /// Forgets the health of a queue's endpoint, and makes all pending deliveries of the queue due now.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] or [`StoreError::Stopped`].
    pub async fn reset(&self, queue: &QueueKey, now: Timestamp) -> Result<(), StoreError> {
        self.commands.send(SchedulerCommand::Reset(queue.clone())).await;
        self.store.outbox.make_due(queue, now).await
    }

    /// Makes the dead deliveries of a notification pending that failed at `since` or later. Returns their number.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] or [`StoreError::Stopped`].
    pub async fn retry_failed(
        &self,
        client: &ClientRef,
        name: &NotificationName,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let queue = QueueKey { client: client.id.clone(), target: QueueTarget::Notification(name.clone()) };
        self.commands.send(SchedulerCommand::Reset(queue)).await;
        self.store.outbox.retry_failed(client, name, since, now).await
    }

    /// Makes one delivery of a queue pending and due now, whatever its state.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] if the client has no such delivery.
    pub async fn retry(
        &self,
        client: &ClientRef,
        target: QueueTarget,
        id: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let queue = QueueKey { client: client.id.clone(), target };
        self.commands.send(SchedulerCommand::RetryNow(queue)).await;
        self.store.outbox.retry(client, id, now).await
    }

    /// Cancels all requests in flight to a removed notification and waits until they have ended.
    pub async fn cancel_queue(&self, client: &ClientId, name: &NotificationName) {
        let queue = QueueKey { client: client.clone(), target: QueueTarget::Notification(name.clone()) };
        self.commands.send(SchedulerCommand::QueueRemoved(queue.clone())).await;
        self.in_flight.cancel(&queue).await;
    }

    /// Cancels all requests in flight of a removed client and waits until they have ended.
    pub async fn cancel_client(&self, client: &ClientId) {
        self.commands.send(SchedulerCommand::ClientRemoved(client.clone())).await;
        self.in_flight.cancel_client(client).await;
    }

    /// Sends one request that is not a delivery. It is cancelled if the receiver is removed meanwhile. A hook of the
    /// same client refuses it: it must neither verify itself nor store a test event.
    pub(super) async fn call(&self, queue: &QueueKey, mut request: OutgoingRequest) -> HttpExchange {
        request.headers.extend(self.loop_headers(&queue.client, 1));
        let guard = self.in_flight.enter(queue);
        tokio::select! {
            biased;
            () = guard.cancelled() => {
                let error = HttpError::Broken("the receiver was removed meanwhile".to_owned());
                HttpExchange { duration: Duration::ZERO, result: Err(error) }
            }
            exchange = self.http_client.exchange(request) => exchange,
        }
    }
}

/// Both ends of the channel by which changes reach the scheduler: any number of senders, one receiver. The changes
/// themselves are in the store: a command only corrects what the scheduler holds in memory.
#[derive(Clone)]
pub(super) struct Commands {
    sender: mpsc::Sender<SchedulerCommand>,
    receiver: Arc<Mutex<Option<mpsc::Receiver<SchedulerCommand>>>>,
}

impl Commands {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel(COMMAND_CAPACITY);
        Self { sender, receiver: Arc::new(Mutex::new(Some(receiver))) }
    }

    /// Sends a command. Without a worker, as in an offline command, there is no memory to correct: it is dropped.
    async fn send(&self, command: SchedulerCommand) {
        let has_worker = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        if has_worker {
            // Closed means that the worker has ended.
            self.sender.send(command).await.ok();
        }
    }

    /// The receiving end. A second call returns a channel without senders.
    pub(super) fn listen(&self) -> mpsc::Receiver<SchedulerCommand> {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        receiver.unwrap_or_else(|| mpsc::channel(1).1)
    }
}
