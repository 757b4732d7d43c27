//! Random events against a model of the store and of the worker. After each event the rules of the scheduler must hold,
//! and in the end every delivery is settled and every permit is released.

mod dead_endpoint;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::steps::{ActionResult, CLIENTS, QUEUES, Step, step};
use super::store::{OutboxModel, Outcome, RecordEffect, RowState};
use super::text::queue_key;
use crate::delivery::scheduler::fairness::InUse;
use crate::delivery::scheduler::{
    AttemptKind, BreakerState, DueSpan, LoadedPage, Now, Observation, Parallelism, Scheduler, SchedulerAction,
    SchedulerCommand, SchedulerEvent, SchedulerLimits, StoreFailure,
};
use crate::domain::{ClientId, Disposition, QueueKey, Timestamp};

/// An action of the scheduler that the worker has not completed.
#[derive(Debug)]
enum Running {
    /// `page` is what the store returned, perhaps some time ago.
    Load {
        queue: usize,
        limit: usize,
        exclude: Vec<u64>,
        page: Option<LoadedPage>,
    },
    Attempt {
        delivery: u64,
        /// The version that the delivery had when the attempt began.
        version: u32,
        is_cancelled: bool,
    },
    Store {
        delivery: u64,
    },
    Requeue {
        delivery: u64,
    },
    Wake {
        span: DueSpan,
    },
}

struct World {
    scheduler: Scheduler,
    keys: Vec<QueueKey>,
    now: Now,
    limits: SchedulerLimits,
    outbox: OutboxModel,
    running: Vec<Running>,
    outcomes: HashMap<u64, Outcome>,
    /// By queue: its endpoint does not respond.
    is_down: [bool; QUEUES.len()],
    is_stopping: bool,
}

impl World {
    fn new(limits: SchedulerLimits, is_down: [bool; QUEUES.len()]) -> Self {
        Self {
            scheduler: Scheduler::new(limits),
            keys: QUEUES.map(queue_key).to_vec(),
            now: Now { instant: Instant::now(), wall: Timestamp::from_seconds(1_700_000_000) },
            limits,
            outbox: OutboxModel::default(),
            running: Vec::new(),
            outcomes: HashMap::new(),
            is_down,
            is_stopping: false,
        }
    }

    fn step(&mut self, step: Step) -> TestCaseResult {
        match step {
            Step::Publish { queue, document } => self.outbox.publish(queue, document, self.now.wall),
            Step::Announce if !self.scheduler.accepts_queues() => {}
            Step::Announce => {
                for queue in self.outbox.take_ready() {
                    self.handle(SchedulerEvent::QueueReady(self.keys[queue].clone()))?;
                }
            }
            Step::Complete { action, result, count } => {
                for _ in 0..count.min(self.running.len()) {
                    if !self.running.is_empty() {
                        let running = self.running.swap_remove(action.index(self.running.len()));
                        self.complete(running, result)?;
                    }
                }
            }
            Step::Toggle { queue } => self.is_down[queue] = !self.is_down[queue],
            Step::Wait { seconds } => self.wait(Duration::from_secs(seconds))?,
            Step::Reset { queue } => {
                self.handle(SchedulerEvent::Command(SchedulerCommand::Reset(self.keys[queue].clone())))?;
                self.outbox.make_due(queue, self.now.wall);
            }
            Step::Retry { delivery } => {
                if !self.outbox.rows.is_empty() {
                    let id = delivery.index(self.outbox.rows.len()) as u64 + 1;
                    let key = self.keys[self.outbox.rows[&id].queue].clone();
                    self.handle(SchedulerEvent::Command(SchedulerCommand::RetryNow(key)))?;
                    self.outbox.retry(id, self.now.wall);
                }
            }
            Step::Lose { queue } => {
                self.handle(SchedulerEvent::QueueLost(self.keys[queue].clone()))?;
                // The worker has the queues reported when it gains some.
                self.outbox.rescan();
            }
            Step::RemoveQueue { queue } => {
                self.remove(|other| other == queue);
                self.handle(SchedulerEvent::Command(SchedulerCommand::QueueRemoved(self.keys[queue].clone())))?;
            }
            Step::RemoveClient { client } => {
                let client: ClientId = CLIENTS[client].parse().expect("client id");
                let keys = self.keys.clone();
                self.remove(|queue| keys[queue].client == client);
                self.handle(SchedulerEvent::Command(SchedulerCommand::ClientRemoved(client)))?;
            }
        }
        Ok(())
    }

    /// Completes one action; a page is read in one step and delivered in another.
    fn complete(&mut self, running: Running, result: ActionResult) -> TestCaseResult {
        let unavailable = result == ActionResult::StoreUnavailable;
        match running {
            Running::Load { queue, .. } if unavailable => {
                let queue = self.keys[queue].clone();
                self.handle(SchedulerEvent::LoadFailed { queue, failure: StoreFailure::Unavailable })
            }
            Running::Load { queue, limit, exclude, page: None } => {
                let mut page = self.outbox.read(queue, limit, &exclude, self.now.wall);
                if QUEUES[queue] == "a/single" {
                    page.parallelism = Parallelism::Single;
                }
                let page = Some(page);
                self.running.push(Running::Load { queue, limit, exclude, page });
                Ok(())
            }
            Running::Load { queue, page: Some(page), .. } => {
                self.handle(SchedulerEvent::PageLoaded { queue: self.keys[queue].clone(), page })
            }
            Running::Attempt { delivery, is_cancelled: false, .. } if unavailable => {
                self.handle(SchedulerEvent::AttemptPostponed { delivery })
            }
            Running::Attempt { delivery, version, is_cancelled } => {
                let retry = Disposition::Retry(self.now.wall.plus(Duration::from_secs(30)));
                let (observation, disposition) = match result {
                    _ if is_cancelled => (None, None),
                    _ if self.is_down[self.outbox.rows[&delivery].queue] => (Some(Observation::Failure), Some(retry)),
                    ActionResult::Ok | ActionResult::StoreUnavailable => {
                        (Some(Observation::Success), Some(Disposition::Delivered))
                    }
                    ActionResult::ClientError => (Some(Observation::ClientError), Some(retry)),
                    ActionResult::Failure => (Some(Observation::Failure), Some(retry)),
                    ActionResult::Dead => (Some(Observation::Failure), Some(Disposition::Dead)),
                    ActionResult::Panic => (None, Some(retry)),
                };
                self.outcomes.extend(disposition.map(|disposition| (delivery, Outcome { version, disposition })));
                self.handle(SchedulerEvent::AttemptFinished { delivery, observation, disposition })
            }
            Running::Store { delivery } if unavailable => {
                self.handle(SchedulerEvent::StoreFailed { delivery, failure: StoreFailure::Unavailable })
            }
            Running::Store { delivery } => {
                let event = match self.outbox.record(delivery, &self.outcomes[&delivery], self.now.wall) {
                    Some(RecordEffect::Applied) => SchedulerEvent::OutcomeStored { delivery },
                    Some(RecordEffect::Superseded) => SchedulerEvent::OutcomeSuperseded { delivery },
                    None => SchedulerEvent::StoreFailed { delivery, failure: StoreFailure::Rejected },
                };
                self.handle(event)
            }
            Running::Requeue { delivery } => {
                self.outbox.retry(delivery, self.now.wall);
                Ok(())
            }
            Running::Wake { span } if unavailable => self.handle(SchedulerEvent::WakeFailed(span)),
            Running::Wake { span } => {
                let next = self.outbox.wake_due(span);
                self.handle(SchedulerEvent::DueWoken(next))
            }
        }
    }

    fn wait(&mut self, time: Duration) -> TestCaseResult {
        let end = self.now.instant + time;
        while let Some(at) = self.scheduler.next_alarm().filter(|at| *at <= end) {
            self.advance(at);
            self.handle(SchedulerEvent::AlarmReached)?;
        }
        self.advance(end);
        Ok(())
    }

    fn advance(&mut self, to: Instant) {
        self.now.wall = self.now.wall.plus(to.saturating_duration_since(self.now.instant));
        self.now.instant = to.max(self.now.instant);
    }

    fn handle(&mut self, event: SchedulerEvent) -> TestCaseResult {
        for action in self.scheduler.handle(event, self.now) {
            self.execute(action)?;
        }
        self.check_limits()?;
        self.check_progress()
    }

    fn execute(&mut self, action: SchedulerAction) -> TestCaseResult {
        match action {
            SchedulerAction::LoadPage { queue, limit, exclude } => {
                prop_assert!(!self.is_stopping, "loads after stop");
                let queue = self.index(&queue);
                let is_loading =
                    |running: &Running| matches!(running, Running::Load { queue: other, .. } if *other == queue);
                prop_assert!(!self.running.iter().any(is_loading), "two loads of one queue");
                self.running.push(Running::Load { queue, limit, exclude, page: None });
            }
            SchedulerAction::WakeDue(span) => {
                let is_waking = |running: &Running| matches!(running, Running::Wake { .. });
                prop_assert!(!self.running.iter().any(is_waking), "two reports of due times");
                self.running.push(Running::Wake { span });
            }
            SchedulerAction::Rescan => self.outbox.rescan(),
            SchedulerAction::StartAttempt { queue, delivery } => self.start(&queue, delivery)?,
            SchedulerAction::StoreOutcome { delivery } => self.running.push(Running::Store { delivery }),
            SchedulerAction::Requeue { delivery, .. } => self.running.push(Running::Requeue { delivery }),
            SchedulerAction::ReportBreaker { .. } => {}
        }
        Ok(())
    }

    /// Per-document order, one attempt of a document at a time, and nothing to an endpoint whose breaker is open.
    fn start(&mut self, key: &QueueKey, delivery: u64) -> TestCaseResult {
        prop_assert!(!self.is_stopping, "starts after stop");
        let state = &self.scheduler.queues[key];
        match state.health.breaker() {
            BreakerState::Closed => {}
            BreakerState::Open { .. } => prop_assert!(false, "starts while the breaker is open"),
            BreakerState::HalfOpen => prop_assert_eq!(state.health.in_flight(), 1, "two probes at a time"),
        }
        let row = &self.outbox.rows[&delivery];
        let is_removed = row.state == RowState::Removed;
        if !is_removed {
            prop_assert!(row.state == RowState::Pending, "{delivery} is settled already");
            prop_assert!(row.due.is_some_and(|due| due <= self.now.wall), "{delivery} is not the next, or not due");
            let rival = self.running.iter().find(|running| match running {
                Running::Attempt { delivery: other, is_cancelled: false, .. } | Running::Store { delivery: other } => {
                    let other = &self.outbox.rows[other];
                    other.state == RowState::Pending && (other.queue, other.document) == (row.queue, row.document)
                }
                _ => false,
            });
            prop_assert!(rival.is_none(), "{delivery} starts while {rival:?} of its document is in flight");
        }
        self.running.push(Running::Attempt { delivery, version: row.version, is_cancelled: is_removed });
        let is_mine = |delivery: &u64| self.outbox.rows[delivery].queue == row.queue;
        let is_in_flight =
            |running: &&Running| matches!(running, Running::Attempt { delivery, .. } if is_mine(delivery));
        let in_flight = self.running.iter().filter(is_in_flight).count();
        prop_assert!(QUEUES[row.queue] != "a/single" || in_flight == 1, "two attempts of an unverified endpoint");
        Ok(())
    }

    /// Permits and memory: each attempt until its outcome is stored has a permit, no client has more than its quarter,
    /// retries leave a quarter, and the memory is exceeded by one attempt at most.
    fn check_limits(&self) -> TestCaseResult {
        let Scheduler { limits, attempts, queues, .. } = &self.scheduler;
        let SchedulerLimits { permits, content_bytes, .. } = self.limits;
        let retries = attempts.values().filter(|attempt| attempt.kind == AttemptKind::Retry).count();
        let bytes = attempts.values().map(|attempt| attempt.bytes).sum();
        prop_assert_eq!(limits.in_use(), (InUse { permits: attempts.len(), bytes }, retries), "permits leak");
        prop_assert!(attempts.len() <= permits);
        prop_assert!(retries <= permits - permits / 4);
        let largest = attempts.values().map(|attempt| attempt.bytes).max().unwrap_or(0);
        prop_assert!(bytes < content_bytes + largest.max(1), "{bytes} of {content_bytes} bytes");
        for client in CLIENTS {
            let mine = attempts.values().filter(|attempt| attempt.queue.client.as_str() == client);
            let (count, bytes) = mine.fold((0, 0), |(count, bytes), attempt| (count + 1, bytes + attempt.bytes));
            prop_assert!(count <= (permits / 4).max(1), "{client} has {count} of {permits} permits");
            prop_assert!(bytes < content_bytes / 4 + largest.max(1), "{client} has {bytes} of {content_bytes} bytes");
        }
        prop_assert!(queues.len() <= self.limits.queues, "{} queues of {}", queues.len(), self.limits.queues);
        Ok(())
    }

    /// No queue waits for another one: what can start or be loaded now has started or is being loaded. A queue that
    /// waits for its breaker has an alarm.
    fn check_progress(&mut self) -> TestCaseResult {
        let Scheduler { queues, limits, .. } = &mut self.scheduler;
        for (key, queue) in queues.iter_mut().filter(|(_, queue)| !self.is_stopping && !queue.is_lost) {
            if let BreakerState::Open { until } = queue.health.breaker() {
                let needs_alarm = queue.has_more && !queue.is_loading;
                prop_assert!(!needs_alarm || queue.alarm.is_some_and(|at| at <= until), "{key:?} is never probed");
                continue;
            }
            prop_assert_eq!(queue.page_limit(self.now.instant), 0, "{:?} is not loaded", key);
            // An unblocked queue waits for a permit for its retry, and the next one of its group waits for that.
            let are_retries_full = !limits.has_free(AttemptKind::Retry);
            for kind in [AttemptKind::First, AttemptKind::Retry].into_iter().filter(|_| !are_retries_full) {
                let is_free = limits.has_free(kind) && limits.has_capacity(&key.client);
                let can_start = is_free && queue.can_attempt(kind) && queue.may_start(self.now.instant);
                prop_assert!(!can_start, "{key:?} waits for nothing");
            }
        }
        Ok(())
    }

    fn index(&self, key: &QueueKey) -> usize {
        self.keys.iter().position(|other| other == key).expect("one of the queues")
    }

    fn remove(&mut self, is_removed: impl Fn(usize) -> bool) {
        self.outbox.remove(|row| is_removed(row.queue));
        for running in &mut self.running {
            if let Running::Attempt { delivery, is_cancelled, .. } = running {
                *is_cancelled |= self.outbox.rows[&*delivery].state == RowState::Removed;
            }
        }
    }

    /// Lets everything succeed until nothing happens any more.
    fn settle(&mut self) -> TestCaseResult {
        self.is_down = [false; QUEUES.len()];
        for _ in 0..10_000 {
            self.step(Step::Announce)?;
            if let Some(running) = self.running.pop() {
                self.complete(running, ActionResult::Ok)?;
            } else if let Some(at) = self.scheduler.next_alarm() {
                self.wait(at.saturating_duration_since(self.now.instant))?;
            } else {
                return Ok(());
            }
        }
        Err(TestCaseError::fail("does not come to rest"))
    }

    fn check_settled(&self) -> TestCaseResult {
        let lost = self.outbox.rows.iter().find(|(_, row)| row.state == RowState::Pending);
        prop_assert!(lost.is_none(), "never attempted again: {lost:?}");
        prop_assert!(self.scheduler.is_drained() && self.scheduler.limits.is_unused(), "permits leak");
        prop_assert!(self.scheduler.queues.is_empty(), "idle queues stay: {:?}", self.scheduler.queues);
        Ok(())
    }
}

/// Small enough for each of them to be reached.
fn limits() -> impl Strategy<Value = SchedulerLimits> {
    let permits = prop_oneof![1..5usize, 1..24usize];
    (permits, 1..=QUEUES.len(), 1..40_000u64).prop_map(|(permits, queues, content_bytes)| SchedulerLimits {
        permits,
        queues,
        content_bytes,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_events_lose_no_delivery_and_no_permit(
        limits in limits(),
        is_down: [bool; QUEUES.len()],
        steps in prop::collection::vec(step(), 0..600),
    ) {
        let mut world = World::new(limits, is_down);
        world.handle(SchedulerEvent::Start)?;
        for step in steps {
            world.step(step)?;
        }
        world.settle()?;
        world.check_settled()?;
    }

    #[test]
    fn random_events_before_stop_end_in_stored_outcomes(
        limits in limits(),
        is_down: [bool; QUEUES.len()],
        steps in prop::collection::vec(step(), 0..300),
        after in prop::collection::vec(step(), 0..50),
    ) {
        let mut world = World::new(limits, is_down);
        world.handle(SchedulerEvent::Start)?;
        for step in steps {
            world.step(step)?;
        }
        world.handle(SchedulerEvent::Stop)?;
        world.is_stopping = true;
        for step in after {
            world.step(step)?;
        }
        world.settle()?;
        prop_assert!(world.scheduler.is_drained(), "an outcome is not stored");
        prop_assert_eq!(world.scheduler.limits.in_use(), (InUse::default(), 0));
    }
}
