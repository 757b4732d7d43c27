//! When the leader proposes the next comparison mark. Pure.

use std::time::{Duration, Instant};

/// Entries after which the databases are compared again.
const ENTRIES_PER_MARK: u64 = 100_000;

/// Between two comparisons at least, unless a node has started meanwhile.
const MIN_INTERVAL: Duration = Duration::from_secs(60);

/// After this time what has changed is compared, although it is less than [`ENTRIES_PER_MARK`].
const MAX_INTERVAL: Duration = Duration::from_secs(3600);

/// Until the next mark for a node that has started and has not reported yet: it may have been too busy for the last
/// one. Doubles up to [`MAX_INTERVAL`].
const FIRST_RETRY: Duration = Duration::from_secs(5);

/// The marks of one leader.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Position and time of the last mark, or of the begin of the leadership.
    last: (u64, Instant),
    /// Time until the next mark for nodes that have started.
    retry: Duration,
}

/// What the leader knows at one time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    /// Its position.
    pub(super) position: u64,
    /// Nodes that take part, itself included.
    pub(super) participants: usize,
    /// Whether one of them has reported nothing since its start.
    pub(super) has_started: bool,
}

impl Schedule {
    /// The leadership begins.
    pub(super) fn new(position: u64, now: Instant) -> Self {
        Self { last: (position, now), retry: Duration::ZERO }
    }

    /// Whether a mark must be proposed now. If so, it counts as proposed.
    pub(super) fn is_due(&mut self, situation: Situation, now: Instant) -> bool {
        let Situation { position, participants, has_started } = situation;
        let (entries, elapsed) = (position.saturating_sub(self.last.0), now.saturating_duration_since(self.last.1));
        if participants < 2 {
            return false;
        }
        let is_due = match has_started {
            true => elapsed >= self.retry,
            false => {
                self.retry = self.retry.min(FIRST_RETRY);
                (entries >= ENTRIES_PER_MARK && elapsed >= MIN_INTERVAL) || (entries > 0 && elapsed >= MAX_INTERVAL)
            }
        };
        if is_due {
            self.last = (position, now);
            self.retry = (self.retry * 2).clamp(FIRST_RETRY, MAX_INTERVAL);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_follow_starts_and_entries_but_not_idle_time() {
        let start = Instant::now();
        let mut schedule = Schedule::new(10, start);
        let mut due = |seconds, position, participants, has_started| {
            let situation = Situation { position, participants, has_started };
            schedule.is_due(situation, start + Duration::from_secs(seconds))
        };
        assert!(!due(0, 10, 1, true), "there is nothing to compare with");
        assert!(due(1, 10, 2, true), "at once for the first");
        assert!(!due(5, 10, 2, true));
        assert!(due(6, 10, 2, true), "repeated");
        assert!(!due(15, 10, 2, true), "with growing pauses");
        assert!(due(16, 10, 2, true));
        assert!(!due(17, 11, 2, false), "all have reported");
        assert!(due(21, 11, 3, true), "another start is not delayed by earlier ones");
        assert!(!due(22, 11 + ENTRIES_PER_MARK, 3, false), "not more often than once a minute");
        assert!(due(81, 11 + ENTRIES_PER_MARK, 3, false));
        assert!(!due(3_680, 12 + ENTRIES_PER_MARK, 3, false));
        assert!(due(3_681, 12 + ENTRIES_PER_MARK, 3, false));
        assert!(!due(100_000, 12 + ENTRIES_PER_MARK, 3, false), "nothing has changed");
    }
}
