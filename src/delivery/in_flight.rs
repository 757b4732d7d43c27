//! The requests in flight, by queue: cancels those of a removed receiver and waits until they have ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::domain::{ClientId, QueueKey};

/// Cheap to clone. Only queues with a request in flight have an entry.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<HashMap<QueueKey, QueueAttempts>>>);

#[derive(Clone, Default)]
struct QueueAttempts {
    cancellation: CancellationToken,
    tracker: TaskTracker,
}

/// One request in flight. It ends when the guard is dropped.
pub(super) struct AttemptGuard {
    in_flight: InFlight,
    queue: QueueKey,
    cancellation: CancellationToken,
    token: Option<TaskTrackerToken>,
}

impl InFlight {
    pub(super) fn enter(&self, queue: &QueueKey) -> AttemptGuard {
        let mut queues = self.lock();
        let attempts = queues.entry(queue.clone()).or_default();
        AttemptGuard {
            in_flight: self.clone(),
            queue: queue.clone(),
            cancellation: attempts.cancellation.clone(),
            token: Some(attempts.tracker.token()),
        }
    }

    /// Cancels all requests in flight of this queue and waits until they have ended. Requests that start later are not
    /// affected.
    pub(super) async fn cancel(&self, queue: &QueueKey) {
        let attempts = self.lock().remove(queue);
        if let Some(attempts) = attempts {
            attempts.cancel().await;
        }
    }

    /// [`InFlight::cancel`] without waiting.
    pub(super) fn begin_cancel(&self, queue: &QueueKey) {
        if let Some(attempts) = self.lock().remove(queue) {
            attempts.cancellation.cancel();
        }
    }

    /// [`InFlight::cancel`] for all queues of a client.
    pub(super) async fn cancel_client(&self, client: &ClientId) {
        for attempts in self.take_client(client) {
            attempts.cancel().await;
        }
    }

    /// [`InFlight::cancel_client`] without waiting.
    pub(super) fn begin_cancel_client(&self, client: &ClientId) {
        self.take_client(client).iter().for_each(|attempts| attempts.cancellation.cancel());
    }

    fn take_client(&self, client: &ClientId) -> Vec<QueueAttempts> {
        let is_mine = |queue: &QueueKey, _: &mut QueueAttempts| queue.client == *client;
        self.lock().extract_if(is_mine).map(|(_, attempts)| attempts).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<QueueKey, QueueAttempts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueAttempts {
    async fn cancel(self) {
        self.cancellation.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl AttemptGuard {
    /// Waits until the request is cancelled.
    pub(super) async fn cancelled(&self) {
        self.cancellation.cancelled().await;
    }
}

impl Drop for AttemptGuard {
    fn drop(&mut self) {
        self.token = None;
        let mut queues = self.in_flight.lock();
        // After a cancellation the entry belongs to requests that started later.
        if queues.get(&self.queue).is_some_and(|attempts| attempts.tracker.is_empty()) {
            queues.remove(&self.queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::domain::QueueTarget;

    fn queue(client: &str) -> QueueKey {
        let target = QueueTarget::Notification("main".parse().expect("a name"));
        QueueKey { client: client.parse().expect("a client id"), target }
    }

    #[tokio::test]
    async fn cancellation_waits_until_the_attempts_have_ended() {
        let in_flight = InFlight::default();
        let (mine, other) = (in_flight.enter(&queue("a")), in_flight.enter(&queue("b")));
        let key = queue("a");
        let cancelling = in_flight.cancel(&key);
        let ending = async {
            mine.cancelled().await;
            drop(mine);
        };
        tokio::join!(cancelling, ending);
        assert!(!other.cancellation.is_cancelled());
        assert_eq!(in_flight.lock().len(), 1);
        drop(other);
        assert!(in_flight.lock().is_empty(), "the last guard removes the entry");
    }

    #[tokio::test]
    async fn attempt_that_starts_after_a_cancellation_is_not_cancelled() {
        let in_flight = InFlight::default();
        let early = in_flight.enter(&queue("a"));
        let client = queue("a").client;
        let mut cancelling = std::pin::pin!(in_flight.cancel_client(&client));
        assert!(cancelling.as_mut().now_or_never().is_none(), "an attempt is in flight");
        let late = in_flight.enter(&queue("a"));
        assert!(early.cancellation.is_cancelled() && !late.cancellation.is_cancelled());
        drop(early);
        cancelling.await;
        assert_eq!(in_flight.lock().len(), 1, "the later attempt");
        drop(late);
    }
}
