//! What the scheduler knows of one queue: prefetched deliveries, attempts in flight, and the health of the endpoint.
//! Everything else is in the store; none of this is needed after a restart.

use std::collections::{HashSet, VecDeque};
use std::mem::discriminant;
use std::time::Instant;

use super::endpoint_health::{BreakerState, EndpointHealth};
use super::{AttemptKind, Parallelism, Prefetched};

/// Deliveries of one page.
const PREFETCH: usize = 64;

/// Deliveries of a page while the breaker is half-open: a first attempt and a retry, if there are both.
const HALF_OPEN_PREFETCH: usize = 2;

/// The next page is loaded when fewer deliveries than this are prefetched.
const LOW_WATER_MARK: usize = 16;

#[derive(Debug)]
pub(super) struct QueueState {
    pub(super) health: EndpointHealth,
    pub(super) parallelism: Parallelism,
    /// Prefetched deliveries without an attempt.
    first: VecDeque<Prefetched>,
    /// Prefetched deliveries with a failed attempt.
    retries: VecDeque<Prefetched>,
    /// The kind of the next attempt while the breaker is half-open, if both kinds are prefetched. Otherwise new events
    /// would take every probe, and no delivery to a dead endpoint would get its second attempt.
    next_probe: AttemptKind,
    /// Prefetched and in-flight deliveries: excluded from the next page.
    pub(super) held: HashSet<u64>,
    /// The store may have due deliveries that are not in `held`.
    pub(super) has_more: bool,
    pub(super) is_loading: bool,
    /// A delivery of the queue is due later.
    pub(super) expects_due: bool,
    /// When the health of a queue without work is forgotten.
    pub(super) forget_at: Option<Instant>,
    /// The time of this queue's timer.
    pub(super) alarm: Option<Instant>,
    /// Another node owns the queue: it is dropped when its attempts have ended.
    pub(super) is_lost: bool,
    /// Waits for a permit of a limit group.
    pub(super) is_blocked: bool,
    /// Held deliveries whose endpoint was replaced or works again: if the attempt fails, they are due again at once.
    pub(super) retry_requested: HashSet<u64>,
    /// The breaker state of the last [`QueueState::breaker_change`].
    reported: BreakerState,
}

impl QueueState {
    pub(super) fn new() -> Self {
        Self {
            health: EndpointHealth::new(),
            parallelism: Parallelism::Adaptive,
            first: VecDeque::new(),
            retries: VecDeque::new(),
            next_probe: AttemptKind::Retry,
            held: HashSet::new(),
            has_more: false,
            is_loading: false,
            expects_due: false,
            forget_at: None,
            alarm: None,
            is_lost: false,
            is_blocked: false,
            retry_requested: HashSet::new(),
            reported: BreakerState::Closed,
        }
    }

    /// Number of deliveries to load now; 0 if none should be loaded.
    pub(super) fn page_limit(&mut self, now: Instant) -> usize {
        // Evaluated first: it makes a breaker half-open whose open time has passed.
        let available = self.health.available(now);
        let prefetched = self.first.len() + self.retries.len();
        match self.health.breaker() {
            _ if self.is_lost || !self.has_more || self.is_loading || available == 0 => 0,
            BreakerState::Closed if prefetched < LOW_WATER_MARK => PREFETCH,
            BreakerState::HalfOpen if prefetched == 0 => HALF_OPEN_PREFETCH,
            BreakerState::Closed | BreakerState::HalfOpen | BreakerState::Open { .. } => 0,
        }
    }

    /// Whether the endpoint takes another attempt now.
    pub(super) fn may_start(&mut self, now: Instant) -> bool {
        let available = self.health.available(now);
        match self.parallelism {
            Parallelism::Adaptive => available > 0,
            Parallelism::Single => available > 0 && self.health.in_flight() == 0,
        }
    }

    pub(super) fn prefetch(&mut self, deliveries: Vec<Prefetched>) {
        for delivery in deliveries {
            if self.held.insert(delivery.id) {
                self.prefetched(delivery.kind).push_back(delivery);
            }
        }
    }

    /// Discards all prefetched deliveries. They are still in the store and are loaded again.
    pub(super) fn discard(&mut self) {
        for discarded in self.first.drain(..).chain(self.retries.drain(..)) {
            self.held.remove(&discarded.id);
            self.has_more = true;
        }
    }

    /// The delivery that [`QueueState::pop`] returns.
    pub(super) fn peek(&self, kind: AttemptKind) -> Option<Prefetched> {
        let prefetched = match kind {
            AttemptKind::First => &self.first,
            AttemptKind::Retry => &self.retries,
        };
        prefetched.front().copied()
    }

    pub(super) fn pop(&mut self, kind: AttemptKind) {
        self.prefetched(kind).pop_front();
        self.next_probe = kind.other();
    }

    /// Whether the next attempt may be of this kind.
    pub(super) fn can_attempt(&self, kind: AttemptKind) -> bool {
        let is_probe = self.health.breaker() != BreakerState::Closed;
        self.has_prefetched(kind) && !(is_probe && kind != self.next_probe && self.has_prefetched(self.next_probe))
    }

    fn has_prefetched(&self, kind: AttemptKind) -> bool {
        match kind {
            AttemptKind::First => !self.first.is_empty(),
            AttemptKind::Retry => !self.retries.is_empty(),
        }
    }

    pub(super) fn has_any_prefetched(&self) -> bool {
        self.has_prefetched(AttemptKind::First) || self.has_prefetched(AttemptKind::Retry)
    }

    /// Whether it can be evicted: no attempt is in flight, and no page is being loaded.
    pub(super) fn is_evictable(&self) -> bool {
        !self.is_loading && self.held.len() == self.first.len() + self.retries.len()
    }

    /// Removes a delivery whose attempt ended. Returns whether it is in `retry_requested`.
    pub(super) fn remove(&mut self, delivery: u64) -> bool {
        let requested = self.retry_requested.remove(&delivery);
        self.held.remove(&delivery) && requested
    }

    /// The breaker's state if it differs from the one returned last.
    pub(super) fn breaker_change(&mut self) -> Option<BreakerState> {
        let state = self.health.breaker();
        let has_changed = discriminant(&state) != discriminant(&self.reported);
        self.reported = state;
        has_changed.then_some(state)
    }

    /// Nothing is held or due.
    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty() && !self.has_more && !self.is_loading
    }

    fn prefetched(&mut self, kind: AttemptKind) -> &mut VecDeque<Prefetched> {
        match kind {
            AttemptKind::First => &mut self.first,
            AttemptKind::Retry => &mut self.retries,
        }
    }
}
