//! Fairness among queues: the round-robin order in which they start attempts, and the limits on attempts and their
//! memory in all and of each client. Queues of a client that reached its limit wait here, in order, until a permit is
//! released.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{AttemptKind, SchedulerLimits};
use crate::domain::{ClientId, QueueKey};

/// Every eighth turn prefers a retry, so that an endless backlog of first attempts does not starve the retries.
const TURNS_PER_RETRY: usize = 8;

/// The queues with a delivery to attempt, in two round-robin lists.
#[derive(Debug, Default)]
pub(super) struct Turns {
    first: RoundRobin,
    retry: RoundRobin,
    taken: usize,
}

#[derive(Debug, Default)]
struct RoundRobin {
    order: VecDeque<QueueKey>,
    members: HashSet<QueueKey>,
}

impl Turns {
    /// Appends the queue to those with such an attempt, unless it is among them.
    pub(super) fn push(&mut self, kind: AttemptKind, queue: &QueueKey) {
        let queues = self.queues(kind);
        if queues.members.insert(queue.clone()) {
            queues.order.push_back(queue.clone());
        }
    }

    /// Removes the queue whose turn it is. `is_allowed` says for which kind of attempt a permit is free.
    pub(super) fn next(&mut self, is_allowed: impl Fn(AttemptKind) -> bool) -> Option<(QueueKey, AttemptKind)> {
        let prefers_retry = self.taken.is_multiple_of(TURNS_PER_RETRY);
        let order = if prefers_retry {
            [AttemptKind::Retry, AttemptKind::First]
        } else {
            [AttemptKind::First, AttemptKind::Retry]
        };
        let turn = order.into_iter().filter(|kind| is_allowed(*kind)).find_map(|kind| {
            let queues = self.queues(kind);
            let queue = queues.order.pop_front()?;
            queues.members.remove(&queue);
            Some((queue, kind))
        })?;
        self.taken = self.taken.wrapping_add(1);
        Some(turn)
    }

    fn queues(&mut self, kind: AttemptKind) -> &mut RoundRobin {
        match kind {
            AttemptKind::First => &mut self.first,
            AttemptKind::Retry => &mut self.retry,
        }
    }
}

/// The permits and the memory of all attempts from their start until their outcome is stored.
#[derive(Debug)]
pub(super) struct ConcurrencyLimits {
    permits: usize,
    content_bytes: u64,
    in_use: InUse,
    retries_in_use: usize,
    /// Only clients with a permit in use or with a blocked queue.
    clients: HashMap<ClientId, ClientState>,
}

/// What attempts use.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct InUse {
    pub(super) permits: usize,
    pub(super) bytes: u64,
}

impl InUse {
    fn add(&mut self, bytes: u64) {
        self.permits += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn remove(&mut self, bytes: u64) {
        self.permits = self.permits.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

#[derive(Debug, Default)]
struct ClientState {
    in_use: InUse,
    /// Queues that wait for a permit of this client.
    blocked: VecDeque<QueueKey>,
}

impl ConcurrencyLimits {
    pub(super) fn new(limits: SchedulerLimits) -> Self {
        Self {
            permits: limits.permits.max(1),
            content_bytes: limits.content_bytes.max(1),
            in_use: InUse::default(),
            retries_in_use: 0,
            clients: HashMap::new(),
        }
    }

    /// Changes the limits. What is in use beyond a lower limit stays in use until it is released.
    pub(super) fn set(&mut self, limits: SchedulerLimits) {
        (self.permits, self.content_bytes) = (limits.permits.max(1), limits.content_bytes.max(1));
    }

    /// Whether the limit on all attempts has a free permit. Retries may use three quarters of them. The attempt that
    /// exceeds the memory is the last one.
    pub(super) fn has_free(&self, kind: AttemptKind) -> bool {
        let retries_full = self.retries_in_use >= self.permits - self.permits / 4;
        let is_free = self.in_use.permits < self.permits && self.in_use.bytes < self.content_bytes;
        is_free && !(kind == AttemptKind::Retry && retries_full)
    }

    /// Takes a permit and `bytes` of memory for an attempt of this client. Returns `false` and takes nothing if the
    /// client's limit is reached.
    pub(super) fn acquire(&mut self, client: &ClientId, kind: AttemptKind, bytes: u64) -> bool {
        if !self.has_capacity(client) {
            return false;
        }
        self.clients.entry(client.clone()).or_default().in_use.add(bytes);
        self.in_use.add(bytes);
        self.retries_in_use += usize::from(kind == AttemptKind::Retry);
        true
    }

    /// Releases what `acquire` took with the same arguments.
    pub(super) fn release(&mut self, client: &ClientId, kind: AttemptKind, bytes: u64) {
        self.in_use.remove(bytes);
        self.retries_in_use = self.retries_in_use.saturating_sub(usize::from(kind == AttemptKind::Retry));
        if let Some(state) = self.clients.get_mut(client) {
            state.in_use.remove(bytes);
        }
        self.remove_unused(client);
    }

    /// Queues `queue` behind the other blocked queues of its client.
    pub(super) fn block(&mut self, queue: QueueKey) {
        self.clients.entry(queue.client.clone()).or_default().blocked.push_back(queue);
    }

    /// The queue of the client that is blocked for the longest time, if the client has a free permit.
    pub(super) fn unblock_next(&mut self, client: &ClientId) -> Option<QueueKey> {
        if !self.has_capacity(client) {
            return None;
        }
        let queue = self.clients.get_mut(client)?.blocked.pop_front();
        self.remove_unused(client);
        queue
    }

    /// What is in use, and how many permits of it by retries.
    #[cfg(test)]
    pub(super) fn in_use(&self) -> (InUse, usize) {
        (self.in_use, self.retries_in_use)
    }

    #[cfg(test)]
    pub(super) fn is_unused(&self) -> bool {
        self.in_use == InUse::default() && self.clients.is_empty()
    }

    /// A client may use a quarter of all permits and of the memory, so that no client delays the others.
    pub(super) fn has_capacity(&self, client: &ClientId) -> bool {
        self.clients.get(client).is_none_or(|state| {
            let InUse { permits, bytes } = state.in_use;
            permits < (self.permits / 4).max(1) && bytes < (self.content_bytes / 4).max(1)
        })
    }

    fn remove_unused(&mut self, client: &ClientId) {
        if self.clients.get(client).is_some_and(|state| state.in_use.permits == 0 && state.blocked.is_empty()) {
            self.clients.remove(client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AttemptKind::{First, Retry};
    use super::*;
    use crate::domain::QueueTarget;

    const LIMITS: SchedulerLimits = SchedulerLimits { permits: 8, queues: 64, content_bytes: 1 << 30 };

    fn client(name: &str) -> ClientId {
        name.parse().expect("client id")
    }

    fn queue(client: &ClientId, name: &str) -> QueueKey {
        QueueKey { client: client.clone(), target: QueueTarget::from_key(name).expect("target key") }
    }

    // Rule 27: retries are spread and endpoints isolated.
    #[test]
    fn client_gets_a_quarter_and_its_queues_wait_for_a_release() {
        let mut limits = ConcurrencyLimits::new(LIMITS);
        let (a, b) = (client("a"), client("b"));
        assert!(limits.acquire(&a, First, 9) && limits.acquire(&a, First, 9));
        assert!(!limits.acquire(&a, First, 9), "two of eight");
        limits.block(queue(&a, "y"));
        assert!(limits.acquire(&b, First, 9), "other clients are not blocked");
        assert_eq!(limits.unblock_next(&a), None, "no permit is free");
        limits.release(&a, First, 9);
        assert_eq!(limits.unblock_next(&a), Some(queue(&a, "y")));
        assert!(limits.acquire(&a, First, 9));
        for client in [&a, &a, &b] {
            limits.release(client, First, 9);
        }
        assert!(limits.is_unused(), "unused clients are removed");
    }

    // Rule 27: retries are spread and endpoints isolated.
    #[test]
    fn first_attempts_precede_retries_in_seven_of_eight_turns() {
        let mut turns = Turns::default();
        let (first, retry) = (queue(&client("a"), "x"), queue(&client("b"), "x"));
        let kinds: Vec<AttemptKind> = (0..24)
            .map(|_| {
                turns.push(First, &first);
                turns.push(Retry, &retry);
                turns.next(|_| true).expect("a turn").1
            })
            .collect();
        assert_eq!(kinds, [[Retry, First, First, First, First, First, First, First]; 3].concat());
    }

    #[test]
    fn retries_leave_a_quarter_to_first_attempts() {
        let mut limits = ConcurrencyLimits::new(LIMITS);
        for n in 0..6 {
            assert!(limits.has_free(Retry));
            assert!(limits.acquire(&client(&format!("c{n}")), Retry, 9));
        }
        assert!(!limits.has_free(Retry) && limits.has_free(First));
    }

    #[test]
    fn changed_limits_count_permits_in_use() {
        let mut limits = ConcurrencyLimits::new(LIMITS);
        let clients = ["a", "b", "c", "d"].map(client);
        clients.iter().for_each(|client| assert!(limits.acquire(client, First, 9)));
        limits.set(SchedulerLimits { permits: 3, ..LIMITS });
        assert!(!limits.has_free(First), "four are in use");
        limits.release(&clients[0], First, 9);
        assert!(!limits.has_free(First), "three are in use");
        limits.release(&clients[1], First, 9);
        assert!(limits.has_free(First));
        limits.set(SchedulerLimits { permits: 100, ..LIMITS });
        assert!((0..24).all(|_| limits.acquire(&clients[0], First, 9)), "a quarter of the new limit");
        limits.set(SchedulerLimits { content_bytes: 100, ..LIMITS });
        assert!(!limits.has_free(First));
    }

    #[test]
    fn memory_is_exceeded_by_one_attempt_at_most() {
        let mut limits = ConcurrencyLimits::new(SchedulerLimits { content_bytes: 400, ..LIMITS });
        let (a, b) = (client("a"), client("b"));
        assert!(limits.acquire(&a, First, 99), "a quarter for each client");
        assert!(limits.acquire(&a, First, 250) && !limits.acquire(&a, First, 1));
        assert!(limits.has_free(First) && limits.acquire(&b, First, 1_000));
        assert!(!limits.has_free(First) && !limits.has_free(Retry));
        limits.release(&b, First, 1_000);
        assert!(limits.has_free(First));
    }
}
