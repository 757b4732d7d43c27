//! Fairness among queues: the round-robin order in which they start attempts, and the limits on concurrent attempts in
//! all, of each client, and of each origin of a client's callbacks. Queues that reached a limit wait here, in order, until
//! a permit of that limit is released.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::AttemptKind;
use crate::domain::{ClientId, QueueKey, Target};

/// One turn of so many prefers a retry, so that an endless backlog of first attempts does not starve the retries.
const TURNS_PER_RETRY: usize = 8;

/// Permits for the callbacks of one client to one origin, where each callback URL has a queue of its own.
const PERMITS_PER_ORIGIN: usize = 64;

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

/// The permits of all attempts from their start until their outcome is stored.
#[derive(Debug)]
pub(super) struct ConcurrencyLimits {
    permits: usize,
    in_use: usize,
    retries_in_use: usize,
    /// Only groups with a permit in use or with a blocked queue.
    groups: HashMap<LimitGroup, GroupState>,
}

/// Queues that share a limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum LimitGroup {
    /// All queues of a client.
    Client(ClientId),
    /// A client's callbacks to one origin.
    Origin(ClientId, Arc<str>),
}

#[derive(Debug, Default)]
struct GroupState {
    in_use: usize,
    blocked: VecDeque<QueueKey>,
}

impl ConcurrencyLimits {
    pub(super) fn new(permits: usize) -> Self {
        Self { permits: permits.max(1), in_use: 0, retries_in_use: 0, groups: HashMap::new() }
    }

    /// Whether the limit on all attempts has a free permit. Retries may use three quarters of them.
    pub(super) fn has_free(&self, kind: AttemptKind) -> bool {
        let retries_full = self.retries_in_use >= self.permits - self.permits / 4;
        self.in_use < self.permits && !(kind == AttemptKind::Retry && retries_full)
    }

    /// Takes a permit for an attempt of `queue`.
    ///
    /// # Errors
    ///
    /// The group whose limit is reached; no permit is taken.
    pub(super) fn acquire(&mut self, queue: &QueueKey, kind: AttemptKind) -> Result<(), LimitGroup> {
        let groups = groups_of(queue);
        if let Some(full) = groups.iter().find(|group| !self.has_capacity(group)) {
            return Err(full.clone());
        }
        for group in groups {
            self.groups.entry(group).or_default().in_use += 1;
        }
        self.in_use += 1;
        self.retries_in_use += usize::from(kind == AttemptKind::Retry);
        Ok(())
    }

    /// Releases a permit that `acquire` took with the same arguments.
    pub(super) fn release(&mut self, queue: &QueueKey, kind: AttemptKind) {
        self.in_use = self.in_use.saturating_sub(1);
        self.retries_in_use = self.retries_in_use.saturating_sub(usize::from(kind == AttemptKind::Retry));
        for group in groups_of(queue) {
            if let Some(state) = self.groups.get_mut(&group) {
                state.in_use = state.in_use.saturating_sub(1);
            }
            self.remove_unused(&group);
        }
    }

    /// Queues `queue` behind the other blocked queues of the group.
    pub(super) fn block(&mut self, group: LimitGroup, queue: QueueKey) {
        self.groups.entry(group).or_default().blocked.push_back(queue);
    }

    /// The queue that is blocked on this group for the longest time, if the group has a free permit.
    pub(super) fn unblock_next(&mut self, group: &LimitGroup) -> Option<QueueKey> {
        if !self.has_capacity(group) {
            return None;
        }
        let queue = self.groups.get_mut(group)?.blocked.pop_front();
        self.remove_unused(group);
        queue
    }

    /// Permits in use, and how many of them by retries.
    #[cfg(test)]
    pub(super) fn in_use(&self) -> (usize, usize) {
        (self.in_use, self.retries_in_use)
    }

    #[cfg(test)]
    pub(super) fn is_unused(&self) -> bool {
        self.in_use == 0 && self.groups.is_empty()
    }

    pub(super) fn has_capacity(&self, group: &LimitGroup) -> bool {
        self.groups.get(group).is_none_or(|state| state.in_use < self.limit(group))
    }

    /// A client may use a quarter of all permits, so that no client delays the others.
    fn limit(&self, group: &LimitGroup) -> usize {
        match group {
            LimitGroup::Client(_) => (self.permits / 4).max(1),
            LimitGroup::Origin(..) => PERMITS_PER_ORIGIN,
        }
    }

    fn remove_unused(&mut self, group: &LimitGroup) {
        if self.groups.get(group).is_some_and(|state| state.in_use == 0 && state.blocked.is_empty()) {
            self.groups.remove(group);
        }
    }
}

pub(super) fn groups_of(queue: &QueueKey) -> Vec<LimitGroup> {
    let client = LimitGroup::Client(queue.client.clone());
    match &queue.target {
        Target::Notification(_) => vec![client],
        Target::Callback { origin, .. } => vec![client, LimitGroup::Origin(queue.client.clone(), origin.clone())],
    }
}

#[cfg(test)]
mod tests {
    use super::AttemptKind::{First, Retry};
    use super::*;

    fn queue(client: &str, target: &str) -> QueueKey {
        QueueKey { client: client.parse().expect("client id"), target: Target::from_key(target).expect("target key") }
    }

    // Rule 27: retries are spread and endpoints isolated.
    #[test]
    fn client_gets_a_quarter_and_its_queues_wait_for_a_release() {
        let mut limits = ConcurrencyLimits::new(8);
        let (mine, next, other) = (queue("a", "x"), queue("a", "y"), queue("b", "x"));
        assert_eq!([limits.acquire(&mine, First), limits.acquire(&mine, First)], [Ok(()), Ok(())]);
        let full = limits.acquire(&next, First).expect_err("two of eight");
        limits.block(full.clone(), next.clone());
        assert_eq!(limits.acquire(&other, First), Ok(()), "other clients are not blocked");
        assert_eq!(limits.unblock_next(&full), None, "no permit is free");
        limits.release(&mine, First);
        assert_eq!(limits.unblock_next(&full), Some(next.clone()));
        assert_eq!(limits.acquire(&next, First), Ok(()));
        for queue in [&mine, &next, &other] {
            limits.release(queue, First);
        }
        assert!(limits.is_unused(), "unused groups are removed");
    }

    // Rule 27: retries are spread and endpoints isolated.
    #[test]
    fn first_attempts_precede_retries_in_seven_of_eight_turns() {
        let mut turns = Turns::default();
        let (first, retry) = (queue("a", "x"), queue("b", "x"));
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
        let mut limits = ConcurrencyLimits::new(8);
        for n in 0..6 {
            assert!(limits.has_free(Retry));
            assert_eq!(limits.acquire(&queue(&format!("c{n}"), "x"), Retry), Ok(()));
        }
        assert!(!limits.has_free(Retry) && limits.has_free(First));
    }

    #[test]
    fn callbacks_to_one_origin_have_a_limit() {
        let mut limits = ConcurrencyLimits::new(1024);
        for n in 0..PERMITS_PER_ORIGIN {
            assert_eq!(limits.acquire(&queue("a", &format!("@https://app.example#{n:016x}")), First), Ok(()));
        }
        assert!(limits.acquire(&queue("a", "@https://app.example#ffffffffffffffff"), First).is_err());
        assert_eq!(limits.acquire(&queue("a", "@https://other.example#0000000000000000"), First), Ok(()));
    }
}
