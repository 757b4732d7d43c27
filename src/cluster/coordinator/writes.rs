//! The writes under way: at most one for each record, and a delay between two of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(super) struct Writes {
    records: BTreeMap<String, WriteState>,
    last_beat: u64,
}

#[derive(Debug, Clone, Copy)]
enum WriteState {
    UnderWay,
    /// The next write may begin at this time.
    NotBefore(Instant),
}

impl Writes {
    pub(super) fn next_beat(&mut self) -> u64 {
        self.last_beat += 1;
        self.last_beat
    }

    pub(super) fn begin(&mut self, key: String) {
        self.records.insert(key, WriteState::UnderWay);
    }

    pub(super) fn end(&mut self, key: &str, now: Instant, delay: Duration) {
        self.records.insert(key.to_owned(), WriteState::NotBefore(now + delay));
    }

    /// Lets the next write begin at once when none is under way.
    pub(super) fn clear_delay(&mut self, key: &str) {
        if !self.is_under_way(key) {
            self.records.remove(key);
        }
    }

    pub(super) fn is_under_way(&self, key: &str) -> bool {
        matches!(self.records.get(key), Some(WriteState::UnderWay))
    }

    pub(super) fn may_begin(&self, key: &str, now: Instant) -> bool {
        match self.records.get(key) {
            None => true,
            Some(WriteState::UnderWay) => false,
            Some(WriteState::NotBefore(at)) => *at <= now,
        }
    }
}
