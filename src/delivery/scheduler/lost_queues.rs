//! What happens to a queue that another node of the cluster owns now: its prefetched deliveries are discarded at once,
//! its attempts in flight end, and it leaves the memory.

use super::Scheduler;
use crate::domain::QueueKey;

impl Scheduler {
    pub(super) fn queue_lost(&mut self, key: &QueueKey) {
        if let Some(queue) = self.queues.get_mut(key) {
            queue.is_lost = true;
            queue.discard();
            self.drop_lost(key);
        }
    }

    /// Drops the state of a lost queue, unless it has an attempt in flight or a page that is being loaded.
    pub(super) fn drop_lost(&mut self, key: &QueueKey) {
        if self.queues.get(key).is_some_and(|queue| queue.is_lost && queue.is_evictable()) {
            self.forget(key);
        }
    }

    /// The queues in memory that are not lost.
    pub(crate) fn present_queues(&self) -> impl Iterator<Item = &QueueKey> {
        self.queues.iter().filter(|(_, queue)| !queue.is_lost).map(|(key, _)| key)
    }

    /// The lost queues with attempts in flight, or with outcomes that are not stored.
    pub(crate) fn draining_queues(&self) -> impl Iterator<Item = &QueueKey> {
        let is_lost = |key: &QueueKey| self.queues.get(key).is_some_and(|queue| queue.is_lost);
        self.attempts.values().map(|attempt| &attempt.queue).filter(move |key| is_lost(key))
    }
}
