//! The order in which queues start attempts: round-robin, first attempts before retries.

use std::collections::{HashSet, VecDeque};

use super::AttemptKind;
use crate::domain::QueueKey;

/// One turn of so many prefers a retry, so that an endless backlog of first attempts does not starve the retries.
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
