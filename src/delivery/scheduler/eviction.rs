//! Keeps the number of queues in memory within its limit: evicts queues of the client that has the most, and lets the
//! store report them again later. This happens only if more endpoints than the limit have due deliveries at the same
//! time. The queues of other clients are accepted meanwhile.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::alarms::Timer;
use super::{BreakerState, Now, Scheduler};
use crate::domain::{ClientId, QueueKey};

/// How long further queues of the client are refused after an eviction, or those of all clients if none could be
/// evicted: bounds the cost.
const ACCEPT_DELAY: Duration = Duration::from_secs(1);

/// How long an evicted queue is left alone, unless something changes in it.
const RESCAN_DELAY: Duration = Duration::from_secs(5);

/// One eviction removes this part of the queues.
const EVICTED_PART: usize = 8;

/// The client whose queues were evicted last.
#[derive(Debug)]
pub(super) struct Evicted {
    client: ClientId,
    /// Until then its further queues are refused.
    refused_until: Instant,
}

impl Scheduler {
    /// Evicts queues if there is no room for `newcomer`. Returns `false` if none can be evicted, or queues of its
    /// client have just been; the store then reports the newcomer again.
    pub(super) fn make_room(&mut self, newcomer: &QueueKey, now: Now) -> bool {
        if self.queues.contains_key(newcomer) {
            return true;
        }
        let is_refused = |evicted: &Evicted| evicted.client == newcomer.client && now.instant < evicted.refused_until;
        if self.evicted.as_ref().is_some_and(is_refused) {
            self.alarms.set_single(now.instant + RESCAN_DELAY, Timer::Rescan);
            return false;
        }
        if self.queues.len() < self.max_queues {
            return true;
        }
        self.alarms.set_single(now.instant + RESCAN_DELAY, Timer::Rescan);
        let victims = self.victims();
        let refused_until = now.instant + ACCEPT_DELAY;
        match victims.first() {
            Some(key) => self.evicted = Some(Evicted { client: key.client.clone(), refused_until }),
            None => self.alarms.set_single(refused_until, Timer::Accept),
        }
        for key in &victims {
            self.forget(key);
        }
        !victims.is_empty()
    }

    /// Queues without attempts in flight of the client with the most queues; those that wait for their breaker first.
    fn victims(&self) -> Vec<QueueKey> {
        let mut counts: HashMap<&ClientId, usize> = HashMap::new();
        for (key, _) in self.queues.iter().filter(|(_, queue)| queue.is_evictable()) {
            *counts.entry(&key.client).or_default() += 1;
        }
        let Some((client, _)) = counts.into_iter().max_by_key(|(_, count)| *count) else { return Vec::new() };
        let mut victims: Vec<_> =
            self.queues.iter().filter(|(key, queue)| key.client == *client && queue.is_evictable()).collect();
        victims.sort_by_key(|(_, queue)| matches!(queue.health.breaker(), BreakerState::Closed));
        victims.truncate((self.max_queues / EVICTED_PART).max(1));
        victims.into_iter().map(|(key, _)| key.clone()).collect()
    }
}
