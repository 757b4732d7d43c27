//! The interface of the scheduler: what happens to it, and what it asks the worker to do. Plain data.

use std::time::Instant;

use super::endpoint_health::{BreakerState, Observation};
use crate::domain::{ClientId, Disposition, QueueKey, Timestamp};

/// The bounds of a scheduler.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SchedulerLimits {
    /// Attempts of all queues; at least 1.
    pub(crate) permits: usize,
    /// Queues in memory.
    pub(crate) queues: usize,
    /// Memory of the attempts in flight, in bytes; exceeded by one attempt at most.
    pub(crate) content_bytes: u64,
}

/// The time of an event, on both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    pub(crate) wall: Timestamp,
}

/// The time span between the last report and the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DueSpan {
    /// Exclusive.
    pub(crate) after: Timestamp,
    /// Inclusive.
    pub(crate) through: Timestamp,
}

#[derive(Debug)]
pub(crate) enum SchedulerEvent {
    /// The first event.
    Start,
    /// The store has, or may have, due deliveries in this queue.
    QueueReady(QueueKey),
    /// Another node owns this queue now: nothing of it is loaded and no attempt begins until it is reported again.
    /// Attempts in flight are finished and their outcomes stored.
    QueueLost(QueueKey),
    /// The store could not say which queues are ready.
    ReadyFailed,
    /// Response to [`SchedulerAction::WakeDue`], with the earliest due time after the time span.
    DueWoken(Option<Timestamp>),
    /// Response to [`SchedulerAction::WakeDue`].
    WakeFailed(DueSpan),
    /// Response to [`SchedulerAction::LoadPage`].
    PageLoaded {
        queue: QueueKey,
        page: LoadedPage,
    },
    /// Response to [`SchedulerAction::LoadPage`].
    LoadFailed {
        queue: QueueKey,
        failure: StoreFailure,
    },
    /// Response to [`SchedulerAction::StartAttempt`].
    AttemptFinished {
        delivery: u64,
        /// `None` if the endpoint did not receive a request, or the attempt was cancelled.
        observation: Option<Observation>,
        /// `None` if there is no outcome to store: the delivery was removed with its receiver.
        disposition: Option<Disposition>,
    },
    /// Response to [`SchedulerAction::StartAttempt`]: the store could not read the delivery. It is loaded again later.
    AttemptPostponed {
        delivery: u64,
    },
    /// Response to [`SchedulerAction::StoreOutcome`].
    OutcomeStored {
        delivery: u64,
    },
    /// Response to [`SchedulerAction::StoreOutcome`]: the delivery was retried by hand since the attempt began, or the
    /// outcome was stored before. The store knows when it is due.
    OutcomeSuperseded {
        delivery: u64,
    },
    /// Response to [`SchedulerAction::StoreOutcome`].
    StoreFailed {
        delivery: u64,
        failure: StoreFailure,
    },
    Command(SchedulerCommand),
    /// The time of [`super::Scheduler::next_alarm`] has come.
    AlarmReached,
    /// From now on nothing is loaded and no attempt starts. Attempts in flight are finished and their outcomes stored.
    Stop,
}

/// A request of an owner. It may arrive before the change in the store.
#[derive(Debug)]
pub(crate) enum SchedulerCommand {
    /// The endpoint was replaced or works again: its health is forgotten and the queue is loaded again.
    Reset(QueueKey),
    /// The owner retries a delivery of this queue: the health of its endpoint is reset. If an attempt of it is in
    /// flight and fails, the store keeps the delivery due.
    RetryNow(QueueKey),
    QueueRemoved(QueueKey),
    /// All queues of the client were removed.
    ClientRemoved(ClientId),
    /// The bounds of the scheduler have changed.
    SetLimits(SchedulerLimits),
}

#[derive(Debug)]
pub(crate) enum SchedulerAction {
    /// Read the due deliveries of a queue, without those in `exclude`.
    LoadPage { queue: QueueKey, limit: usize, exclude: Vec<u64> },
    /// Have the queues reported in which a delivery became due in this time span.
    WakeDue(DueSpan),
    /// Have every queue with pending deliveries reported.
    Rescan,
    /// Read a delivery of a loaded page and attempt it.
    StartAttempt { queue: QueueKey, delivery: u64 },
    /// Store the outcome of the finished attempt.
    StoreOutcome { delivery: u64 },
    /// Make a pending or dead delivery due now.
    Requeue { queue: QueueKey, delivery: u64 },
    /// The breaker of the queue's endpoint changed its state.
    ReportBreaker { queue: QueueKey, state: BreakerState },
}

/// Due deliveries of one queue.
#[derive(Debug)]
pub(crate) struct LoadedPage {
    pub(crate) deliveries: Vec<Prefetched>,
    /// When the earliest delivery is due that is neither on the page nor excluded; in the past if the page was cut.
    pub(crate) next_due: Option<Timestamp>,
    pub(crate) parallelism: Parallelism,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefetched {
    pub(crate) id: u64,
    /// Memory of an attempt, in bytes.
    pub(crate) bytes: u64,
    pub(crate) kind: AttemptKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum AttemptKind {
    /// The delivery has no failed attempt.
    First,
    Retry,
}

impl AttemptKind {
    pub(crate) fn other(self) -> Self {
        match self {
            AttemptKind::First => AttemptKind::Retry,
            AttemptKind::Retry => AttemptKind::First,
        }
    }
}

/// How many attempts of a queue may be in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parallelism {
    /// As many as the endpoint's health allows.
    Adaptive,
    /// One: the endpoint is not verified yet, and each attempt begins with the verification.
    Single,
}

/// Why the store did not do what an action asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreFailure {
    /// It is repeated after a delay.
    Unavailable,
    /// The client or the delivery no longer exists, or the store is closed: it is not repeated.
    Rejected,
}
