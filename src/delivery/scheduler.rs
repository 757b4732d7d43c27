//! Decides which delivery is attempted when: prefetch of ids, order of the queues, limits, circuit breakers, alarms.
//! Its memory is bounded; queues without due deliveries are not part of it. A pure state machine: the worker passes
//! each event with its time and executes the returned actions. Knows no store, HTTP client, clock or task.

mod alarms;
mod commands;
mod due_clock;
mod endpoint_health;
mod event;
mod eviction;
mod fairness;
mod lost_queues;
mod outcomes;
mod queue_state;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use alarms::{Alarms, Timer};
use due_clock::DueClock;
use eviction::Evicted;
use fairness::{ConcurrencyLimits, Turns};
use queue_state::QueueState;

use crate::domain::{Disposition, QueueKey};

pub(super) use endpoint_health::{BreakerState, Observation};
pub(super) use event::{
    AttemptKind, DueSpan, LoadedPage, Now, Parallelism, Prefetched, SchedulerAction, SchedulerCommand, SchedulerEvent,
    SchedulerLimits, StoreFailure,
};

/// How long the health of an endpoint is remembered while none of its deliveries is due.
const HEALTH_TTL: Duration = Duration::from_secs(600);

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Scheduler {
    /// Queues with due deliveries, or whose endpoint has failed a short time ago.
    queues: HashMap<QueueKey, QueueState>,
    /// Limit on `queues`. It is exceeded by the queues of one report at most.
    max_queues: usize,
    evicted: Option<Evicted>,
    turns: Turns,
    limits: ConcurrencyLimits,
    /// `None` before the first event.
    due: Option<DueClock>,
    /// Attempts in flight and outcomes that are not stored yet, by delivery. Each has a permit.
    attempts: HashMap<u64, RunningAttempt>,
    alarms: Alarms,
    is_stopping: bool,
    actions: Vec<SchedulerAction>,
}

#[derive(Debug)]
struct RunningAttempt {
    queue: QueueKey,
    kind: AttemptKind,
    /// Memory that it occupies.
    bytes: u64,
    /// Generation of the endpoint's health at the start.
    generation: u32,
    /// `None` while it is in flight.
    disposition: Option<Disposition>,
}

impl Scheduler {
    pub(super) fn new(limits: SchedulerLimits) -> Self {
        Self {
            queues: HashMap::new(),
            max_queues: limits.queues.max(1),
            evicted: None,
            turns: Turns::default(),
            limits: ConcurrencyLimits::new(limits),
            due: None,
            attempts: HashMap::new(),
            alarms: Alarms::default(),
            is_stopping: false,
            actions: Vec::new(),
        }
    }

    /// Processes one event. The actions must be executed in this order.
    pub(super) fn handle(&mut self, event: SchedulerEvent, now: Now) -> Vec<SchedulerAction> {
        match event {
            SchedulerEvent::Start => self.wake_due(now),
            SchedulerEvent::QueueReady(key) => self.queue_ready(key, now),
            SchedulerEvent::QueueLost(key) => self.queue_lost(&key),
            SchedulerEvent::ReadyFailed => self.alarms.set_single(alarms::store_retry(now), Timer::Accept),
            SchedulerEvent::DueWoken(next) => {
                if let Some(due) = &mut self.due {
                    due.complete(next);
                }
                self.set_due_alarm(now);
            }
            SchedulerEvent::WakeFailed(span) => {
                if let Some(due) = &mut self.due {
                    due.fail(span);
                }
                self.alarms.set_single(alarms::store_retry(now), Timer::WakeDue);
            }
            SchedulerEvent::PageLoaded { queue, page } => self.page_loaded(&queue, page, now),
            SchedulerEvent::LoadFailed { queue, failure } => self.load_failed(&queue, failure, now),
            SchedulerEvent::AttemptFinished { delivery, observation, disposition } => {
                self.attempt_finished(delivery, observation, disposition, now);
            }
            SchedulerEvent::AttemptPostponed { delivery } => self.attempt_postponed(delivery, now),
            SchedulerEvent::OutcomeStored { delivery } => self.outcome_stored(delivery, now),
            SchedulerEvent::OutcomeSuperseded { delivery } => self.outcome_superseded(delivery, now),
            SchedulerEvent::StoreFailed { delivery, failure: StoreFailure::Unavailable } => {
                self.alarms.set(alarms::store_retry(now), Timer::RetryStore(delivery));
            }
            SchedulerEvent::StoreFailed { delivery, failure: StoreFailure::Rejected } => {
                if let Some(FinishedAttempt { attempt, .. }) = self.release_attempt(delivery, now) {
                    self.load(&attempt.queue, now);
                }
            }
            SchedulerEvent::Command(command) => self.command(command, now),
            SchedulerEvent::AlarmReached => self.alarm_reached(now),
            SchedulerEvent::Stop => {
                self.is_stopping = true;
                self.alarms.retain(|timer| matches!(timer, Timer::RetryStore(_)));
            }
        }
        self.start_attempts(now);
        std::mem::take(&mut self.actions)
    }

    /// When to send [`SchedulerEvent::AlarmReached`]; it may be in the past.
    pub(super) fn next_alarm(&self) -> Option<Instant> {
        self.alarms.next()
    }

    /// Whether [`SchedulerEvent::QueueReady`] may be sent now. While it may not, the store keeps the ready queues.
    pub(super) fn accepts_queues(&self) -> bool {
        !self.alarms.is_set(&Timer::Accept)
    }

    /// Whether no attempt is in flight and every outcome is stored.
    pub(super) fn is_drained(&self) -> bool {
        self.attempts.is_empty()
    }

    fn queue_ready(&mut self, key: QueueKey, now: Now) {
        if self.is_stopping || !self.make_room(&key, now) {
            return;
        }
        let queue = self.queues.entry(key.clone()).or_insert_with(QueueState::new);
        queue.has_more = true;
        queue.is_lost = false;
        queue.forget_at = None;
        self.load(&key, now);
    }

    fn page_loaded(&mut self, key: &QueueKey, page: LoadedPage, now: Now) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        queue.is_loading = false;
        queue.parallelism = page.parallelism;
        queue.expects_due = false;
        if queue.is_lost {
            self.drop_lost(key);
            return;
        }
        queue.prefetch(page.deliveries);
        match page.next_due {
            Some(due) if due <= now.wall => queue.has_more = true,
            Some(due) => self.note_due(key, due, now),
            None => {}
        }
        self.enqueue(key);
        self.load(key, now);
    }

    fn load_failed(&mut self, key: &QueueKey, failure: StoreFailure, now: Now) {
        match failure {
            // `is_loading` stays set until the timer fires, so that no second load starts.
            StoreFailure::Unavailable => {
                self.alarms.set(alarms::store_retry(now), Timer::RetryLoad(key.clone()));
            }
            StoreFailure::Rejected => {
                if let Some(queue) = self.queues.get_mut(key) {
                    queue.is_loading = false;
                    self.load(key, now);
                }
            }
        }
    }

    fn attempt_finished(
        &mut self,
        delivery: u64,
        observation: Option<Observation>,
        disposition: Option<Disposition>,
        now: Now,
    ) {
        let Some(attempt) = self.attempts.get_mut(&delivery) else { return };
        attempt.disposition = disposition;
        let key = attempt.queue.clone();
        if let Some(queue) = self.queues.get_mut(&key) {
            match observation {
                Some(observation) => queue.health.finish(observation, attempt.generation, now.instant),
                None => queue.health.cancel(),
            }
            if let BreakerState::Open { .. } = queue.health.breaker() {
                queue.discard();
            }
        }
        match disposition {
            Some(_) => self.actions.push(SchedulerAction::StoreOutcome { delivery }),
            None => {
                self.release_attempt(delivery, now);
            }
        }
        self.enqueue(&key);
        self.load(&key, now);
    }

    /// The store is unavailable: the queue is loaded again later, and the delivery with it.
    fn attempt_postponed(&mut self, delivery: u64, now: Now) {
        let Some(key) = self.attempts.get(&delivery).map(|attempt| attempt.queue.clone()) else { return };
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.health.cancel();
            queue.has_more = true;
            // Set until the timer fires, so that no load starts before.
            if !std::mem::replace(&mut queue.is_loading, true) {
                self.alarms.set(alarms::store_retry(now), Timer::RetryLoad(key.clone()));
            }
        }
        self.release_attempt(delivery, now);
        self.enqueue(&key);
    }

    fn alarm_reached(&mut self, now: Now) {
        for timer in self.alarms.take_due(now.instant) {
            match timer {
                Timer::Queue(key) => {
                    if let Some(queue) = self.queues.get_mut(&key) {
                        queue.alarm = None;
                        self.enqueue(&key);
                        self.load(&key, now);
                    }
                }
                Timer::RetryLoad(key) => {
                    if let Some(queue) = self.queues.get_mut(&key) {
                        queue.is_loading = false;
                        queue.has_more = true;
                        self.enqueue(&key);
                        self.load(&key, now);
                    }
                }
                Timer::WakeDue => self.wake_due(now),
                Timer::Accept => {}
                Timer::Rescan => self.actions.push(SchedulerAction::Rescan),
                Timer::RetryStore(delivery) => self.actions.push(SchedulerAction::StoreOutcome { delivery }),
            }
        }
    }

    /// Loads the next page if the queue needs one; drops the state of an idle queue, unless its health is remembered.
    fn load(&mut self, key: &QueueKey, now: Now) {
        let Some(queue) = self.queues.get_mut(key).filter(|_| !self.is_stopping) else { return };
        if queue.is_lost {
            self.drop_lost(key);
            return;
        }
        if queue.is_idle() {
            let forget_at = *queue.forget_at.get_or_insert(now.instant + HEALTH_TTL);
            if queue.expects_due && queue.health.is_impaired() && forget_at > now.instant {
                self.set_alarm(key, forget_at);
                self.report_breaker(key);
            } else {
                self.forget(key);
            }
            return;
        }
        queue.forget_at = None;
        let limit = queue.page_limit(now.instant);
        if limit > 0 {
            queue.has_more = false;
            queue.is_loading = true;
            let exclude = queue.held.iter().copied().collect();
            self.actions.push(SchedulerAction::LoadPage { queue: key.clone(), limit, exclude });
        } else if let (true, BreakerState::Open { until }) = (queue.has_more, queue.health.breaker()) {
            // No other event wakes a queue without attempts in flight.
            self.set_alarm(key, until);
        }
        self.report_breaker(key);
    }

    /// Starts attempts until no queue has a turn or no permit is free.
    fn start_attempts(&mut self, now: Now) {
        while !self.is_stopping
            && let Some((key, kind)) = self.turns.next(|kind| self.limits.has_free(kind))
        {
            self.start_attempt(&key, kind, now);
            // The queue may have been unblocked for a permit that it does not use now, and one large attempt makes room
            // for several small ones.
            self.unblock(&key, now);
        }
    }

    /// Starts one attempt of the queue, unless it has no delivery of this kind, its endpoint takes no more attempts
    /// now, or its client's limit is reached.
    fn start_attempt(&mut self, key: &QueueKey, kind: AttemptKind, now: Now) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        let Some(delivery) = queue.peek(kind).filter(|_| !queue.is_blocked && queue.can_attempt(kind)) else { return };
        if !queue.may_start(now.instant) {
            // Otherwise the end of an attempt gives the queue its next turn.
            if let BreakerState::Open { until } = queue.health.breaker() {
                self.set_alarm(key, until);
            }
            self.report_breaker(key);
            return;
        }
        if !self.limits.acquire(&key.client, kind, delivery.bytes) {
            queue.is_blocked = true;
            self.limits.block(key.clone());
            return;
        }
        queue.pop(kind);
        let generation = queue.health.start();
        let attempt = RunningAttempt { queue: key.clone(), kind, bytes: delivery.bytes, generation, disposition: None };
        self.attempts.insert(delivery.id, attempt);
        self.actions.push(SchedulerAction::StartAttempt { queue: key.clone(), delivery: delivery.id });
        self.enqueue(key);
        self.load(key, now);
    }

    /// Removes an attempt, releases its permit, and lets a blocked queue have it.
    fn release_attempt(&mut self, delivery: u64, now: Now) -> Option<FinishedAttempt> {
        let attempt = self.attempts.remove(&delivery)?;
        let queue = self.queues.get_mut(&attempt.queue);
        let is_retry_requested = queue.is_some_and(|queue| queue.remove(delivery));
        self.limits.release(&attempt.queue.client, attempt.kind, attempt.bytes);
        self.unblock(&attempt.queue, now);
        Some(FinishedAttempt { attempt, is_retry_requested })
    }

    /// Unblocks a queue of the client of `key` if the client has a free permit: the first one that can use it.
    fn unblock(&mut self, key: &QueueKey, now: Now) {
        while let Some(key) = self.limits.unblock_next(&key.client) {
            let Some(queue) = self.queues.get_mut(&key) else { continue };
            queue.is_blocked = false;
            let can_start = queue.has_any_prefetched() && queue.may_start(now.instant);
            self.enqueue(&key);
            if can_start {
                break;
            }
        }
    }

    /// Gives the queue a turn for each kind of attempt that it can make, unless it waits for a permit.
    fn enqueue(&mut self, key: &QueueKey) {
        let Some(queue) = self.queues.get(key).filter(|queue| !queue.is_blocked) else { return };
        for kind in [AttemptKind::First, AttemptKind::Retry] {
            if queue.can_attempt(kind) {
                self.turns.push(kind, key);
            }
        }
    }

    /// Drops the state of a queue without attempts in flight.
    fn forget(&mut self, key: &QueueKey) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        queue.health.reset();
        if let Some(at) = queue.alarm.take() {
            self.alarms.remove(at, Timer::Queue(key.clone()));
        }
        self.report_breaker(key);
        self.queues.remove(key);
    }

    fn report_breaker(&mut self, key: &QueueKey) {
        if let Some(state) = self.queues.get_mut(key).and_then(QueueState::breaker_change) {
            self.actions.push(SchedulerAction::ReportBreaker { queue: key.clone(), state });
        }
    }
}

/// An attempt whose outcome is stored, or needs no storing.
#[derive(Debug)]
struct FinishedAttempt {
    attempt: RunningAttempt,
    is_retry_requested: bool,
}

#[cfg(test)]
mod tests;
