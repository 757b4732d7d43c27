//! What is known in memory of one lane: a few deliveries that were read ahead, those that are under way, how the endpoint
//! does, and when to look into the store again. The store has the rest; nothing here is needed after a restart.

use std::collections::{HashSet, VecDeque};

use tokio::time::Instant;

use super::window::{Breaker, Window};
use crate::metrics::{GaugeGuard, Metrics};
use crate::store::{DueDelivery, DuePage};

/// Deliveries that are read at once. With their events this bounds the memory of a lane.
pub(super) const CHUNK: usize = 64;

/// So few read ahead that it is time for more.
const LOW: usize = 16;

/// Which gauge a lane is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Open,
    HalfOpen,
}

/// One lane at work.
#[derive(Debug)]
pub(super) struct Workplace {
    pub(super) window: Window,
    /// Read ahead, never tried before.
    pub(super) first: VecDeque<DueDelivery>,
    /// Read ahead, tried before.
    pub(super) again: VecDeque<DueDelivery>,
    /// Everything read that is not settled yet: it is not read a second time.
    pub(super) busy: HashSet<u64>,
    /// The store may have something that was not read.
    pub(super) more: bool,
    /// It is being read.
    pub(super) loading: bool,
    /// When to look again by itself.
    pub(super) alarm: Option<Instant>,
    /// It stands in the line of those with first attempts.
    pub(super) in_first: bool,
    /// It stands in the line of those with retries.
    pub(super) in_again: bool,
    /// It waits for one of its client's or its origin's places.
    pub(super) parked: bool,
    /// Deliveries under way that were sent again by hand meanwhile.
    pub(super) wanted_again: HashSet<u64>,
    /// One on the gauge of the breaker's state, while that is not closed.
    shown: Option<(Shown, GaugeGuard)>,
}

impl Workplace {
    pub(super) fn new() -> Self {
        Self {
            window: Window::new(),
            first: VecDeque::new(),
            again: VecDeque::new(),
            busy: HashSet::new(),
            more: false,
            loading: false,
            alarm: None,
            in_first: false,
            in_again: false,
            parked: false,
            wanted_again: HashSet::new(),
            shown: None,
        }
    }

    /// How many to read now; none when it would be too early, or too much.
    pub(super) fn wanted(&mut self, now: Instant) -> usize {
        // First of all: it is what makes a breaker half open whose pause is over.
        let room = self.window.room(now);
        let stock = self.first.len() + self.again.len();
        match self.window.breaker() {
            _ if !self.more || self.loading || room == 0 => 0,
            Breaker::Closed if stock < LOW => CHUNK,
            Breaker::HalfOpen if stock == 0 => 1,
            Breaker::Closed | Breaker::HalfOpen | Breaker::Open(_) => 0,
        }
    }

    /// Takes in what was read.
    pub(super) fn stock(&mut self, page: DuePage) {
        for due in page.deliveries {
            if self.busy.insert(due.id) {
                if due.failures == 0 { self.first.push_back(due) } else { self.again.push_back(due) }
            }
        }
    }

    /// Gives up what was read ahead: it is in the store, and is read again when it can be sent.
    pub(super) fn unstock(&mut self) {
        for due in self.first.drain(..).chain(self.again.drain(..)) {
            self.busy.remove(&due.id);
            self.more = true;
        }
    }

    /// Brings the gauges of the breakers up to date.
    pub(super) fn show(&mut self, metrics: &Metrics) {
        let now = match self.window.breaker() {
            Breaker::Closed => None,
            Breaker::Open(_) => Some(Shown::Open),
            Breaker::HalfOpen => Some(Shown::HalfOpen),
        };
        if self.shown.as_ref().map(|(shown, _)| *shown) != now {
            self.shown = now.map(|shown| match shown {
                Shown::Open => (shown, GaugeGuard::new(&metrics.endpoints_open)),
                Shown::HalfOpen => (shown, GaugeGuard::new(&metrics.endpoints_half_open)),
            });
        }
    }

    /// Nothing to do, nothing to wait for: it can be forgotten.
    pub(super) fn is_idle(&self) -> bool {
        self.busy.is_empty() && !self.more && !self.loading && self.alarm.is_none()
    }
}
