//! The timers of the scheduler, by time, and the delays that they are set to.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Now;
use crate::domain::{QueueKey, Timestamp};

/// Delay before a failed operation of the store is repeated.
const STORE_RETRY_DELAY: Duration = Duration::from_secs(1);

/// A queue whose next delivery is due later is read again after this time at the latest: due times are wall-clock
/// times, and the wall clock may be set.
const MAX_ALARM_DELAY: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Alarms {
    timers: BTreeSet<(Instant, Timer)>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The alarm of a queue: it has at most one.
    Queue(QueueKey),
    /// Load the page that the store could not read.
    RetryLoad(QueueKey),
    /// Store the outcome of this delivery, which the store could not accept.
    RetryStore(u64),
}

impl Alarms {
    pub(super) fn set(&mut self, at: Instant, timer: Timer) {
        self.timers.insert((at, timer));
    }

    /// Sets the timer of a failed operation of the store.
    pub(super) fn set_store_retry(&mut self, now: Now, timer: Timer) {
        self.set(now.instant + STORE_RETRY_DELAY, timer);
    }

    pub(super) fn remove(&mut self, at: Instant, timer: Timer) {
        self.timers.remove(&(at, timer));
    }

    pub(super) fn retain(&mut self, is_kept: impl Fn(&Timer) -> bool) {
        self.timers.retain(|(_, timer)| is_kept(timer));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Removes and returns the timers whose time has come. Timers that are set while these are processed are not
    /// among them.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Timer> {
        let mut due = Vec::new();
        while self.next().is_some_and(|at| at <= now) {
            due.extend(self.timers.pop_first().map(|(_, timer)| timer));
        }
        due
    }
}

/// When the alarm for a delivery that is due at this time fires: then, or after [`MAX_ALARM_DELAY`].
pub(super) fn instant_of(due: Timestamp, now: Now) -> Instant {
    now.instant + now.wall.until(due).min(MAX_ALARM_DELAY)
}
