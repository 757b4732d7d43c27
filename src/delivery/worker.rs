//! Runs the scheduler: reports ready queues, loaded pages, finished attempts, commands and alarms to it, and executes
//! its actions. Decides nothing itself.

mod owned_queues;
mod receiver_changes;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::owned_queues::OwnershipWatch;
use super::attempt::{AttemptResult, log_outcome};
use super::scheduler::{
    AttemptKind, BreakerState, DueSpan, LoadedPage, Now, Parallelism, Prefetched, Scheduler, SchedulerAction,
    SchedulerEvent, StoreFailure,
};
use super::{DeliveryHandle, MAX_RESPONSE_BODY_BYTES, QueueOwnership};
use crate::domain::{QueueKey, Timestamp};
use crate::metrics::GaugeGuard;
use crate::store::{AttemptRecord, DueDelivery, DuePage, RecordEffect, StoreError};

/// The one worker of a store: a second one would make each attempt twice.
pub struct DeliveryWorker {
    handle: DeliveryHandle,
    scheduler: Scheduler,
    /// Outcomes of attempts that are not stored yet, by delivery.
    outcomes: HashMap<u64, AttemptRecord>,
    /// Reads, attempts and writes. All run on the task of [`DeliveryWorker::run`].
    work: FuturesUnordered<BoxFuture<'static, Completed>>,
    /// The gauges of the breakers that are open or half-open.
    breaker_gauges: HashMap<QueueKey, GaugeGuard>,
    /// `None` without a cluster: everything is owned.
    ownership: Option<OwnershipWatch>,
}

/// The result of a future in [`DeliveryWorker::work`].
enum Completed {
    Load {
        queue: QueueKey,
        result: Result<DuePage, StoreError>,
    },
    Attempt {
        delivery: u64,
        /// The error is that of reading the delivery.
        result: Result<AttemptResult, StoreError>,
    },
    Store {
        delivery: u64,
        result: Result<RecordEffect, StoreError>,
    },
    Wake {
        span: DueSpan,
        result: Result<Option<Timestamp>, StoreError>,
    },
    /// The outbox reports the queue as ready.
    Requeue,
    /// The queue was lost before the attempt began.
    NotOwned {
        delivery: u64,
    },
}

impl DeliveryWorker {
    /// The worker for the store of `handle`.
    pub fn new(handle: DeliveryHandle) -> Self {
        Self {
            scheduler: Scheduler::new(handle.options.scheduler_limits()),
            handle,
            outcomes: HashMap::new(),
            work: FuturesUnordered::new(),
            breaker_gauges: HashMap::new(),
            ownership: None,
        }
    }

    /// The worker of a node of a cluster: it attempts the deliveries of the queues that the node owns.
    pub fn with_ownership(handle: DeliveryHandle, ownership: Arc<dyn QueueOwnership>) -> Self {
        Self { ownership: Some(OwnershipWatch::new(ownership)), ..Self::new(handle) }
    }

    /// Delivers until `stop` is cancelled. Then no attempt starts, and it returns when the attempts in flight have
    /// ended and their outcomes are stored.
    pub async fn run(mut self, stop: CancellationToken) {
        let outbox = self.handle.store.outbox.clone();
        let mut commands = self.handle.commands.listen();
        let mut changes = self.ownership.as_ref().map(OwnershipWatch::changes);
        self.handle(SchedulerEvent::Start);
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                Some(command) = commands.recv() => self.handle(SchedulerEvent::Command(command)),
                queues = outbox.ready(), if self.scheduler.accepts_queues() => self.queues_ready(queues),
                changed = outbox.receiver_changes() => self.receivers_changed(changed),
                change = owned_queues::changed(&mut changes) => self.ownership_changed(change),
                event = self.next_event() => self.handle(event),
            }
            self.report_released();
        }
        // A sender must not wait for a worker that no longer receives.
        drop(commands);
        self.handle(SchedulerEvent::Stop);
        while !self.scheduler.is_drained() || !self.work.is_empty() {
            tokio::select! {
                change = owned_queues::changed(&mut changes) => self.ownership_changed(change),
                event = self.next_event() => self.handle(event),
            }
        }
        if let Some(ownership) = &self.ownership {
            ownership.release_all();
        }
    }

    fn queues_ready(&mut self, queues: Result<Vec<QueueKey>, StoreError>) {
        match queues {
            Ok(queues) => {
                for queue in queues {
                    // When it is gained, all queues are reported again.
                    if owned_queues::owns(self.ownership.as_ref(), &queue) {
                        self.handle(SchedulerEvent::QueueReady(queue));
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "reading delivery queues failed; retrying");
                self.handle(SchedulerEvent::ReadyFailed);
            }
        }
    }

    /// Waits for completed work or for the alarm. Cancellation-safe.
    async fn next_event(&mut self) -> SchedulerEvent {
        loop {
            let alarm = self.scheduler.next_alarm();
            let alarm_reached = async {
                match alarm {
                    Some(at) => sleep_until(Instant::from_std(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(completed) = self.work.next(), if !self.work.is_empty() => {
                    if let Some(event) = self.event_of(completed) {
                        return event;
                    }
                }
                () = alarm_reached => return SchedulerEvent::AlarmReached,
            }
        }
    }

    fn event_of(&mut self, completed: Completed) -> Option<SchedulerEvent> {
        match completed {
            Completed::Load { queue, result: Ok(page) } => {
                let page = self.loaded_page(&queue, page);
                Some(SchedulerEvent::PageLoaded { queue, page })
            }
            Completed::Load { queue, result: Err(error) } => {
                if let StoreError::Unavailable(error) = &error {
                    tracing::warn!(error, "reading due deliveries failed; retrying");
                }
                Some(SchedulerEvent::LoadFailed { queue, failure: failure_of(&error) })
            }
            Completed::Attempt { delivery, result: Err(StoreError::Unavailable(error)) } => {
                tracing::warn!(error, delivery, "reading a delivery failed; retrying");
                Some(SchedulerEvent::AttemptPostponed { delivery })
            }
            Completed::Attempt { delivery, result } => {
                // Without its client or its store there is nothing to attempt.
                let AttemptResult { observation, record } = result.unwrap_or(AttemptResult::CANCELLED);
                let disposition = record.as_ref().map(|record| record.disposition);
                self.outcomes.extend(record.map(|record| (delivery, record)));
                Some(SchedulerEvent::AttemptFinished { delivery, observation, disposition })
            }
            Completed::Store { delivery, result } => {
                let result = result.map_err(|error| failure_of(&error));
                if result != Err(StoreFailure::Unavailable)
                    && let Some(record) = self.outcomes.remove(&delivery)
                    && let Ok(effect) = &result
                {
                    log_outcome(&record, *effect, &self.handle.metrics);
                }
                Some(match result {
                    Ok(RecordEffect::Applied) => SchedulerEvent::OutcomeStored { delivery },
                    Ok(RecordEffect::Superseded) => SchedulerEvent::OutcomeSuperseded { delivery },
                    Err(failure) => SchedulerEvent::StoreFailed { delivery, failure },
                })
            }
            Completed::Wake { result: Ok(next), .. } => Some(SchedulerEvent::DueWoken(next)),
            Completed::Wake { span, result: Err(error) } => {
                tracing::warn!(%error, "reading due times failed; retrying");
                Some(SchedulerEvent::WakeFailed(span))
            }
            Completed::Requeue => None,
            // Its change has been notified, or follows: the queue leaves the memory then.
            Completed::NotOwned { delivery } => Some(SchedulerEvent::AttemptPostponed { delivery }),
        }
    }

    fn loaded_page(&self, queue: &QueueKey, page: DuePage) -> LoadedPage {
        let parallelism = if self.handle.is_unverified(queue) { Parallelism::Single } else { Parallelism::Adaptive };
        let kind = |due: &DueDelivery| if due.failures == 0 { AttemptKind::First } else { AttemptKind::Retry };
        let prefetched = |due: &DueDelivery| Prefetched { id: due.id, bytes: attempt_bytes(due), kind: kind(due) };
        LoadedPage { deliveries: page.deliveries.iter().map(prefetched).collect(), next_due: page.next, parallelism }
    }

    fn handle(&mut self, event: SchedulerEvent) {
        let now = Now { instant: Instant::now().into_std(), wall: Timestamp::now() };
        for action in self.scheduler.handle(event, now) {
            self.execute(action);
        }
    }

    fn execute(&mut self, action: SchedulerAction) {
        match action {
            SchedulerAction::LoadPage { queue, limit, exclude } => {
                let outbox = self.handle.store.outbox.clone();
                self.spawn(async move {
                    let result = outbox.due(&queue, Timestamp::now(), limit, exclude).await;
                    Completed::Load { queue, result }
                });
            }
            SchedulerAction::WakeDue(span) => {
                let outbox = self.handle.store.outbox.clone();
                self.spawn(async move {
                    let result = outbox.wake_due(span.after, span.through).await;
                    Completed::Wake { span, result }
                });
            }
            SchedulerAction::Rescan => self.handle.store.outbox.rescan(),
            SchedulerAction::StartAttempt { queue, delivery } => self.start_attempt(queue, delivery),
            SchedulerAction::StoreOutcome { delivery } => self.store_outcome(delivery),
            SchedulerAction::Requeue { queue, delivery } => {
                let handle = self.handle.clone();
                self.spawn(async move {
                    // The delivery is not found if its client was removed, even if another client has the id now.
                    let Some(client) = handle.present_client(&queue) else { return Completed::Requeue };
                    let requested = handle.store.outbox.retry(&client, delivery, Timestamp::now());
                    if let Err(error) = requested.await {
                        tracing::warn!(%error, delivery, "requested retry failed; the retry schedule applies");
                    }
                    Completed::Requeue
                });
            }
            SchedulerAction::ReportBreaker { queue, state } => self.report_breaker(queue, state),
        }
    }

    fn start_attempt(&mut self, queue: QueueKey, delivery: u64) {
        if !owned_queues::owns(self.ownership.as_ref(), &queue) {
            self.spawn(std::future::ready(Completed::NotOwned { delivery }));
            return;
        }
        let handle = self.handle.clone();
        // Entered before the first poll: a removal that follows this event cancels the attempt.
        let guard = handle.in_flight.enter(&queue);
        let running = GaugeGuard::new(&handle.metrics.deliveries_running);
        self.spawn(async move {
            let result = match handle.store.outbox.content(&queue, delivery).await {
                Ok(Some(content)) => {
                    // A panic must neither end the worker nor repeat the attempt without delay.
                    let attempt = AssertUnwindSafe(handle.attempt(&queue, &content, &guard)).catch_unwind().await;
                    Ok(attempt.unwrap_or_else(|_| AttemptResult::panicked(&queue, &content)))
                }
                Ok(None) => Ok(AttemptResult::CANCELLED),
                Err(error) => Err(error),
            };
            drop((guard, running));
            Completed::Attempt { delivery, result }
        });
    }

    fn store_outcome(&mut self, delivery: u64) {
        let Some(record) = self.outcomes.get(&delivery).cloned() else { return };
        let outbox = self.handle.store.outbox.clone();
        self.spawn(async move {
            let result = outbox.record_attempt(AttemptRecord { now: Timestamp::now(), ..record }).await;
            Completed::Store { delivery, result }
        });
    }

    fn report_breaker(&mut self, queue: QueueKey, state: BreakerState) {
        let (client, target) = (&queue.client, queue.target.key());
        let gauge = match state {
            BreakerState::Closed => {
                tracing::info!(%client, target, "circuit breaker closed");
                self.breaker_gauges.remove(&queue);
                return;
            }
            BreakerState::HalfOpen => {
                tracing::debug!(%client, target, "circuit breaker half-open");
                &self.handle.metrics.endpoints_half_open
            }
            BreakerState::Open { until } => {
                let open_ms = until.saturating_duration_since(Instant::now().into_std()).as_millis();
                // A failed half-open probe opens the breaker again; this is logged at debug level.
                match self.breaker_gauges.contains_key(&queue) {
                    false => tracing::info!(%client, target, open_ms, "circuit breaker open"),
                    true => tracing::debug!(%client, target, open_ms, "circuit breaker open again"),
                }
                &self.handle.metrics.endpoints_open
            }
        };
        self.breaker_gauges.insert(queue, GaugeGuard::new(gauge));
    }

    fn spawn(&mut self, work: impl Future<Output = Completed> + Send + 'static) {
        self.work.push(Box::pin(work));
    }
}

/// The event and its request, the rendered request, and the response.
fn attempt_bytes(due: &DueDelivery) -> u64 {
    due.bytes.saturating_mul(2).saturating_add(MAX_RESPONSE_BODY_BYTES as u64)
}

fn failure_of(error: &StoreError) -> StoreFailure {
    match error {
        StoreError::Unavailable(_) => StoreFailure::Unavailable,
        _ => StoreFailure::Rejected,
    }
}
