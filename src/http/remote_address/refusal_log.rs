//! Bounds the log lines about refusals of one kind, which a flood causes in great number.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two log lines.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// When a refusal was logged last.
#[derive(Debug, Default)]
pub(in crate::http) struct RefusalLog(Mutex<Option<Instant>>);

impl RefusalLog {
    /// Whether a refusal at `now` is to be logged.
    pub(in crate::http) fn is_due(&self, now: Instant) -> bool {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = logged.is_none_or(|logged| now.duration_since(logged) >= LOG_INTERVAL);
        if is_due {
            *logged = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_in_ten_seconds_is_logged() {
        let (log, start) = (RefusalLog::default(), Instant::now());
        let due = (0..30).filter(|second| log.is_due(start + Duration::from_secs(*second)));
        assert_eq!(due.collect::<Vec<_>>(), [0, 10, 20]);
    }
}
