//! Decides which delivery is attempted when: prefetch, order of the queues, limits, circuit breakers, alarms. A pure
//! state machine: the worker passes each event with its time and executes the returned actions.
//! Knows no store, HTTP client, clock or task.

mod alarms;
mod endpoint_health;
mod event;
mod fairness;
mod queue_state;

use std::collections::HashMap;
use std::time::Instant;

use alarms::{Alarms, Timer};
use fairness::{ConcurrencyLimits, Turns, groups_of};
use queue_state::QueueState;

use crate::domain::{Disposition, QueueKey, Timestamp};

pub(super) use endpoint_health::{BreakerState, Observation};
pub(super) use event::{
    AttemptKind, LoadedPage, Now, Parallelism, Prefetched, SchedulerAction, SchedulerCommand, SchedulerEvent,
    StoreFailure,
};

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Scheduler {
    /// Queues with held deliveries, or with an alarm.
    queues: HashMap<QueueKey, QueueState>,
    turns: Turns,
    limits: ConcurrencyLimits,
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
    /// Generation of the endpoint's health at the start.
    generation: u32,
    /// `None` while it is in flight.
    disposition: Option<Disposition>,
}

impl Scheduler {
    /// `permits` is the limit on attempts of all queues; at least 1.
    pub(super) fn new(permits: usize) -> Self {
        Self {
            queues: HashMap::new(),
            turns: Turns::default(),
            limits: ConcurrencyLimits::new(permits),
            attempts: HashMap::new(),
            alarms: Alarms::default(),
            is_stopping: false,
            actions: Vec::new(),
        }
    }

    /// Processes one event. The actions must be executed in this order.
    pub(super) fn handle(&mut self, event: SchedulerEvent, now: Now) -> Vec<SchedulerAction> {
        match event {
            SchedulerEvent::QueueReady(key) => {
                self.queues.entry(key.clone()).or_insert_with(QueueState::new).has_more = true;
                self.load(&key, now);
            }
            SchedulerEvent::PageLoaded { queue, page } => self.page_loaded(&queue, page, now),
            SchedulerEvent::LoadFailed { queue, failure } => self.load_failed(&queue, failure, now),
            SchedulerEvent::AttemptFinished { delivery, observation, disposition } => {
                self.attempt_finished(delivery, observation, disposition, now);
            }
            SchedulerEvent::OutcomeStored { delivery } => self.outcome_stored(delivery, now),
            SchedulerEvent::StoreFailed { delivery, failure: StoreFailure::Unavailable } => {
                self.alarms.set_store_retry(now, Timer::RetryStore(delivery));
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

    /// Whether no attempt is in flight and every outcome is stored.
    pub(super) fn is_drained(&self) -> bool {
        self.attempts.is_empty()
    }

    fn page_loaded(&mut self, key: &QueueKey, page: LoadedPage, now: Now) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        queue.is_loading = false;
        queue.parallelism = page.parallelism;
        queue.prefetch(page.deliveries);
        match page.next_due {
            Some(due) if due <= now.wall => queue.has_more = true,
            Some(due) => self.set_alarm_for(key, due, now),
            None => {}
        }
        self.enqueue(key);
        self.load(key, now);
    }

    fn load_failed(&mut self, key: &QueueKey, failure: StoreFailure, now: Now) {
        match failure {
            // `is_loading` stays set until the timer fires, so that no second load starts.
            StoreFailure::Unavailable => {
                self.alarms.set_store_retry(now, Timer::RetryLoad(key.clone()));
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
                self.discard(&key);
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

    fn outcome_stored(&mut self, delivery: u64, now: Now) {
        let Some(FinishedAttempt { attempt, is_retry_requested }) = self.release_attempt(delivery, now) else { return };
        let RunningAttempt { queue, disposition, .. } = attempt;
        if let Some(Disposition::Retry(at)) = disposition {
            self.set_alarm_for(&queue, at, now);
        }
        if is_retry_requested && disposition != Some(Disposition::Delivered) {
            self.actions.push(SchedulerAction::Requeue { queue: queue.clone(), delivery });
        }
        self.load(&queue, now);
    }

    fn command(&mut self, command: SchedulerCommand, now: Now) {
        match command {
            SchedulerCommand::Reset(key) => {
                self.reset(&key, now);
                if let Some(queue) = self.queues.get_mut(&key) {
                    // These attempts use the endpoint as it was before.
                    queue.retry_requested.extend(queue.held.iter().copied());
                }
            }
            SchedulerCommand::RetryNow(key, delivery) => {
                if let Some(queue) = self.queues.get_mut(&key) {
                    queue.health.reset();
                    if queue.held.contains(&delivery) {
                        queue.retry_requested.insert(delivery);
                    }
                    self.enqueue(&key);
                    self.load(&key, now);
                }
            }
            SchedulerCommand::QueueRemoved(key) => self.reset(&key, now),
            SchedulerCommand::ClientRemoved(client) => {
                let keys: Vec<QueueKey> = self.queues.keys().filter(|key| key.client == client).cloned().collect();
                for key in keys {
                    self.reset(&key, now);
                }
            }
        }
    }

    /// Forgets the endpoint's health and the prefetched deliveries, and loads the queue again.
    fn reset(&mut self, key: &QueueKey, now: Now) {
        if let Some(queue) = self.queues.get_mut(key) {
            queue.health.reset();
            queue.has_more = true;
            self.discard(key);
            self.load(key, now);
        }
    }

    fn alarm_reached(&mut self, now: Now) {
        for timer in self.alarms.take_due(now.instant) {
            match timer {
                Timer::Queue(key) => {
                    if let Some(queue) = self.queues.get_mut(&key) {
                        queue.alarm = None;
                        self.reload(&key, now);
                    }
                }
                Timer::RetryLoad(key) => {
                    if let Some(queue) = self.queues.get_mut(&key) {
                        queue.is_loading = false;
                        self.reload(&key, now);
                    }
                }
                Timer::RetryStore(delivery) => self.actions.push(SchedulerAction::StoreOutcome { delivery }),
            }
        }
    }

    fn reload(&mut self, key: &QueueKey, now: Now) {
        if let Some(queue) = self.queues.get_mut(key) {
            queue.has_more = true;
            self.enqueue(key);
            self.load(key, now);
        }
    }

    /// Loads the next page if the queue needs one; drops the state of an idle queue.
    fn load(&mut self, key: &QueueKey, now: Now) {
        let Some(queue) = self.queues.get_mut(key).filter(|_| !self.is_stopping) else { return };
        if queue.is_idle() {
            queue.health.reset();
            self.report_breaker(key);
            self.queues.remove(key);
            return;
        }
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
            if !self.start_attempt(&key, kind, now) {
                // The queue may have been unblocked for a permit that it does not use now.
                self.unblock(&key, now);
            }
        }
    }

    /// Starts one attempt of the queue. Returns `false` if the queue has no delivery of this kind, if its endpoint takes
    /// no more attempts now, or if a limit is reached.
    fn start_attempt(&mut self, key: &QueueKey, kind: AttemptKind, now: Now) -> bool {
        let Some(queue) = self.queues.get_mut(key) else { return false };
        if queue.is_blocked || !queue.has_prefetched(kind) {
            return false;
        }
        if !queue.may_start(now.instant) {
            // Otherwise the end of an attempt gives the queue its next turn.
            if let BreakerState::Open { until } = queue.health.breaker() {
                self.set_alarm(key, until);
            }
            self.report_breaker(key);
            return false;
        }
        if let Err(full) = self.limits.acquire(key, kind) {
            queue.is_blocked = true;
            self.limits.block(full, key.clone());
            return false;
        }
        if let Some(delivery) = queue.pop(kind) {
            let generation = queue.health.start();
            let attempt = RunningAttempt { queue: key.clone(), kind, generation, disposition: None };
            self.attempts.insert(delivery, attempt);
            self.actions.push(SchedulerAction::StartAttempt { queue: key.clone(), delivery });
        }
        self.enqueue(key);
        self.load(key, now);
        true
    }

    /// Removes an attempt, releases its permit, and lets a blocked queue have it.
    fn release_attempt(&mut self, delivery: u64, now: Now) -> Option<FinishedAttempt> {
        let attempt = self.attempts.remove(&delivery)?;
        let queue = self.queues.get_mut(&attempt.queue);
        let is_retry_requested = queue.is_some_and(|queue| queue.remove(delivery));
        self.limits.release(&attempt.queue, attempt.kind);
        self.unblock(&attempt.queue, now);
        Some(FinishedAttempt { attempt, is_retry_requested })
    }

    /// Unblocks one queue for each limit group of `key` that has a free permit: the first one that can use it.
    fn unblock(&mut self, key: &QueueKey, now: Now) {
        for group in groups_of(key) {
            while let Some(key) = self.limits.unblock_next(&group) {
                let Some(queue) = self.queues.get_mut(&key) else { continue };
                queue.is_blocked = false;
                let can_start = queue.has_any_prefetched() && queue.may_start(now.instant);
                self.enqueue(&key);
                if can_start {
                    break;
                }
            }
        }
    }

    /// Gives the queue a turn for each kind of attempt that it can make, unless it waits for a permit.
    fn enqueue(&mut self, key: &QueueKey) {
        let Some(queue) = self.queues.get(key).filter(|queue| !queue.is_blocked) else { return };
        for kind in [AttemptKind::First, AttemptKind::Retry] {
            if queue.has_prefetched(kind) {
                self.turns.push(kind, key);
            }
        }
    }

    fn discard(&mut self, key: &QueueKey) {
        let deliveries = self.queues.get_mut(key).map(QueueState::discard).unwrap_or_default();
        if !deliveries.is_empty() {
            self.actions.push(SchedulerAction::Discard { deliveries });
        }
    }

    fn report_breaker(&mut self, key: &QueueKey) {
        if let Some(state) = self.queues.get_mut(key).and_then(QueueState::breaker_change) {
            self.actions.push(SchedulerAction::ReportBreaker { queue: key.clone(), state });
        }
    }

    /// Sets the queue's alarm, unless it has an earlier one.
    fn set_alarm(&mut self, key: &QueueKey, at: Instant) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        if queue.alarm.is_some_and(|earlier| earlier <= at) {
            return;
        }
        if let Some(later) = queue.alarm.replace(at) {
            self.alarms.remove(later, Timer::Queue(key.clone()));
        }
        self.alarms.set(at, Timer::Queue(key.clone()));
    }

    fn set_alarm_for(&mut self, key: &QueueKey, due: Timestamp, now: Now) {
        self.set_alarm(key, alarms::instant_of(due, now));
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
