//! The timers of the scheduler, by time, and the delays that they are set to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::{Now, Scheduler};
use crate::domain::{QueueKey, Timestamp};

/// Delay before a failed operation of the store is repeated.
const STORE_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Due times are looked up after this time at the latest: they are wall-clock times, and the wall clock may be set.
const MAX_ALARM_DELAY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Alarms {
    timers: BTreeSet<(Instant, Timer)>,
    /// Timers of which there is at most one.
    single: BTreeMap<Timer, Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The alarm of a queue: it has at most one.
    Queue(QueueKey),
    /// Report the queues whose deliveries are due now. At most one.
    WakeDue,
    /// Accept queues again. At most one.
    Accept,
    /// Have the queues that were evicted reported again. At most one.
    Rescan,
    /// Load the page that the store could not read.
    RetryLoad(QueueKey),
    /// Store the outcome of this delivery, which the store could not accept.
    RetryStore(u64),
}

impl Alarms {
    pub(super) fn set(&mut self, at: Instant, timer: Timer) {
        self.timers.insert((at, timer));
    }

    /// Sets a timer of which there is at most one; an earlier one stays.
    pub(super) fn set_single(&mut self, at: Instant, timer: Timer) {
        let time = self.single.entry(timer).or_insert(at);
        *time = at.min(*time);
    }

    pub(super) fn is_set(&self, timer: &Timer) -> bool {
        self.single.contains_key(timer)
    }

    pub(super) fn remove(&mut self, at: Instant, timer: Timer) {
        self.timers.remove(&(at, timer));
    }

    pub(super) fn retain(&mut self, is_kept: impl Fn(&Timer) -> bool) {
        self.timers.retain(|(_, timer)| is_kept(timer));
        self.single.retain(|timer, _| is_kept(timer));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| at).into_iter().chain(self.single.values()).min().copied()
    }

    /// Removes and returns the timers whose time has come. Timers that are set while these are processed are not
    /// among them.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Timer> {
        let mut due: Vec<Timer> = self.single.extract_if(.., |_, at| *at <= now).map(|(timer, _)| timer).collect();
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.timers.pop_first().map(|(_, timer)| timer));
        }
        due
    }
}

impl Scheduler {
    /// Sets the queue's alarm, unless it has an earlier one.
    pub(super) fn set_alarm(&mut self, key: &QueueKey, at: Instant) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        if queue.alarm.is_some_and(|earlier| earlier <= at) {
            return;
        }
        if let Some(later) = queue.alarm.replace(at) {
            self.alarms.remove(later, Timer::Queue(key.clone()));
        }
        self.alarms.set(at, Timer::Queue(key.clone()));
    }
}

/// When a failed operation of the store is repeated.
pub(super) fn store_retry(now: Now) -> Instant {
    now.instant + STORE_RETRY_DELAY
}

/// When the alarm for a delivery that is due at this time fires: then, or after [`MAX_ALARM_DELAY`].
pub(super) fn instant_of(due: Timestamp, now: Now) -> Instant {
    now.instant + now.wall.until(due).min(MAX_ALARM_DELAY)
}
