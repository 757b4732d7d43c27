//! What the scheduler does when the store has recorded the outcome of an attempt, or has kept the delivery as it was.

use super::{FinishedAttempt, Now, RunningAttempt, Scheduler, SchedulerAction};
use crate::domain::Disposition;

impl Scheduler {
    pub(super) fn outcome_stored(&mut self, delivery: u64, now: Now) {
        let Some(finished) = self.release_attempt(delivery, now) else { return };
        if let Some(Disposition::Retry(at)) = finished.attempt.disposition {
            self.note_due(&finished.attempt.queue, at, now);
        }
        self.attempt_recorded(delivery, finished, now);
    }

    pub(super) fn outcome_superseded(&mut self, delivery: u64, now: Now) {
        let Some(finished) = self.release_attempt(delivery, now) else { return };
        if let Some(queue) = self.queues.get_mut(&finished.attempt.queue) {
            // It may be due already, and a page that was loaded during the attempt did not contain it.
            queue.has_more = true;
        }
        self.attempt_recorded(delivery, finished, now);
    }

    fn attempt_recorded(&mut self, delivery: u64, finished: FinishedAttempt, now: Now) {
        let FinishedAttempt { attempt: RunningAttempt { queue, disposition, .. }, is_retry_requested } = finished;
        if is_retry_requested && disposition != Some(Disposition::Delivered) {
            self.actions.push(SchedulerAction::Requeue { queue: queue.clone(), delivery });
        }
        self.load(&queue, now);
    }
}
