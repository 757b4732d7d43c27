//! What the scheduler does at a request of an owner: it corrects the state in memory, which may be older than the
//! change.

use super::{Now, Scheduler, SchedulerCommand};
use crate::domain::QueueKey;

impl Scheduler {
    pub(super) fn command(&mut self, command: SchedulerCommand, now: Now) {
        match command {
            SchedulerCommand::Reset(key) => {
                self.reset(&key, now);
                if let Some(queue) = self.queues.get_mut(&key) {
                    // These attempts use the endpoint as it was before.
                    queue.retry_requested.extend(queue.held.iter().copied());
                }
            }
            SchedulerCommand::RetryNow(key) => {
                if let Some(queue) = self.queues.get_mut(&key) {
                    queue.health.reset();
                    self.enqueue(&key);
                    self.load(&key, now);
                }
            }
            SchedulerCommand::QueueRemoved(key) => self.reset(&key, now),
            SchedulerCommand::SetLimits(limits) => {
                self.max_queues = limits.queues.max(1);
                self.limits.set(limits);
            }
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
            queue.discard();
            self.load(key, now);
        }
    }
}
