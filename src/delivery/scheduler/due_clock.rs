//! Which due times have been reported: one timer for the deliveries of all queues, so that a queue that waits for a due
//! time takes no memory.

use std::time::Duration;

use super::alarms::{self, Timer};
use super::{DueSpan, Now, Scheduler, SchedulerAction};
use crate::domain::{QueueKey, Timestamp};

/// Due times are stored in milliseconds.
const RESOLUTION: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct DueClock {
    /// Queues with a due time up to here have been reported.
    through: Timestamp,
    /// The earliest known due time after that.
    next: Option<Timestamp>,
    /// The end of the time span that is being reported.
    reporting: Option<Timestamp>,
}

impl DueClock {
    /// Everything that is due at `now` is reported otherwise: by the scan after the start.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { through: now, next: None, reporting: None }
    }

    /// A delivery is due at this time.
    pub(super) fn note(&mut self, due: Timestamp) {
        self.next = Some(self.next.map_or(due, |next| next.min(due)));
    }

    /// When to report; `None` while a report is running, or if no due time is known.
    pub(super) fn alarm(&self) -> Option<Timestamp> {
        self.next.filter(|_| self.reporting.is_none())
    }

    /// Begins a report up to the present. The wall clock may have been set back since the last one.
    pub(super) fn begin(&mut self, now: Now) -> DueSpan {
        self.reporting = Some(now.wall);
        let noted = self.next.take().map_or(now.wall, |next| next.minus(RESOLUTION));
        DueSpan { after: self.through.min(noted).min(now.wall), through: now.wall }
    }

    /// The report is complete; `next` is the earliest due time after it.
    pub(super) fn complete(&mut self, next: Option<Timestamp>) {
        self.through = self.reporting.take().unwrap_or(self.through);
        if let Some(next) = next {
            self.note(next);
        }
    }

    /// The report failed and has to begin again.
    pub(super) fn fail(&mut self, span: DueSpan) {
        self.reporting = None;
        self.through = self.through.min(span.after);
        self.note(span.through);
    }
}

impl Scheduler {
    /// Has the queues reported whose deliveries became due since the last report.
    pub(super) fn wake_due(&mut self, now: Now) {
        if !self.is_stopping {
            let span = self.due.get_or_insert_with(|| DueClock::new(now.wall)).begin(now);
            self.actions.push(SchedulerAction::WakeDue(span));
        }
    }

    pub(super) fn set_due_alarm(&mut self, now: Now) {
        if let Some(due) = self.due.as_ref().and_then(DueClock::alarm).filter(|_| !self.is_stopping) {
            self.alarms.set_single(alarms::instant_of(due, now), Timer::WakeDue);
        }
    }

    /// A delivery of the queue is due at this time.
    pub(super) fn note_due(&mut self, key: &QueueKey, at: Timestamp, now: Now) {
        if let Some(queue) = self.queues.get_mut(key) {
            queue.expects_due = true;
        }
        self.due.get_or_insert_with(|| DueClock::new(now.wall)).note(at);
        self.set_due_alarm(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + seconds)
    }

    fn begin(clock: &mut DueClock, seconds: i64) -> DueSpan {
        clock.begin(Now { instant: Instant::now(), wall: at(seconds) })
    }

    #[test]
    fn reports_cover_every_due_time_once() {
        let mut clock = DueClock::new(at(0));
        assert_eq!(clock.alarm(), None);
        clock.note(at(30));
        clock.note(at(5));
        assert_eq!(clock.alarm(), Some(at(5)));
        let span = begin(&mut clock, 6);
        assert_eq!((span, clock.alarm()), (DueSpan { after: at(0), through: at(6) }, None));
        clock.complete(Some(at(30)));
        assert_eq!(clock.alarm(), Some(at(30)));
        assert_eq!(begin(&mut clock, 30), DueSpan { after: at(6), through: at(30) });
    }

    #[test]
    fn due_time_stored_during_a_report_is_covered_by_the_next() {
        let mut clock = DueClock::new(at(0));
        begin(&mut clock, 10);
        clock.note(at(8));
        clock.complete(None);
        assert_eq!(clock.alarm(), Some(at(8)));
        assert_eq!(begin(&mut clock, 11), DueSpan { after: at(8).minus(RESOLUTION), through: at(11) });
    }

    #[test]
    fn clock_set_back_reports_the_earlier_due_times() {
        let mut clock = DueClock::new(at(3_600));
        clock.note(at(5));
        let span = begin(&mut clock, 5);
        assert!(span.after < at(5) && span.through == at(5), "{span:?}");
        clock.complete(Some(at(3_000)));
        assert_eq!(begin(&mut clock, 3_000).after, at(5));
    }

    #[test]
    fn failed_report_begins_again() {
        let mut clock = DueClock::new(at(0));
        clock.note(at(5));
        let span = begin(&mut clock, 5);
        clock.fail(span);
        assert_eq!((clock.alarm(), begin(&mut clock, 6).after), (Some(at(5)), at(0)));
    }
}
