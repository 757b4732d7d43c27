//! How long a node waits before it replaces its database once more: databases that differ again and again must not keep
//! all nodes and the brokers busy.

use std::time::{Duration, Instant};

/// After the second rebuild within [`FORGOTTEN_AFTER`]; doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

const MAX_PAUSE: Duration = Duration::from_secs(600);

/// A rebuild after this time is like the first.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

/// The rebuilds of this process.
#[derive(Debug, Default)]
pub(super) struct RebuildPause {
    last: Option<Instant>,
    next: Duration,
}

impl RebuildPause {
    /// How long to wait before the rebuild that is due now.
    pub(super) fn next(&mut self, now: Instant) -> Duration {
        if self.last.is_none_or(|last| now.saturating_duration_since(last) >= FORGOTTEN_AFTER) {
            self.next = Duration::ZERO;
        }
        let pause = self.next;
        self.last = Some(now);
        self.next = (pause * 2).clamp(FIRST_PAUSE, MAX_PAUSE);
        if !pause.is_zero() {
            tracing::warn!(seconds = pause.as_secs(), "database was replaced before: waiting");
        }
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_rebuilds_follow_each_other() {
        let (start, mut pause) = (Instant::now(), RebuildPause::default());
        let mut next = |minutes: u64| pause.next(start + Duration::from_secs(60 * minutes)).as_secs();
        assert_eq!([0, 1, 2, 3].map(&mut next), [0, 10, 20, 40]);
        assert_eq!([4, 5, 6, 60].map(&mut next), [80, 160, 320, 600]);
        assert_eq!([61, 121, 122].map(&mut next), [600, 0, 10]);
    }
}
