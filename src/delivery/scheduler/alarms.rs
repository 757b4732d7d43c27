//! The timers of the scheduler, by time.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::domain::QueueKey;

#[derive(Debug, Default)]
pub(super) struct Alarms {
    timers: BTreeSet<(Instant, Timer)>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The alarm of a queue: it has at most one.
    Queue(QueueKey),
    /// Load the page again that the store could not read.
    LoadAgain(QueueKey),
    /// Store the outcome of this delivery again that the store could not accept.
    StoreAgain(u64),
}

impl Alarms {
    pub(super) fn set(&mut self, at: Instant, timer: Timer) {
        self.timers.insert((at, timer));
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
