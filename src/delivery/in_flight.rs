//! Who is on the way to which lane right now, so that a removal can call them back and know when the last one is. Knows
//! nothing of what they do there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::domain::ClientId;
use crate::store::QueueKey;

/// All lanes that somebody is on the way to; the last one's leaving removes the entry.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<HashMap<QueueKey, QueueAttempts>>>);

#[derive(Clone, Default)]
struct QueueAttempts {
    calling_back: CancellationToken,
    inside: TaskTracker,
}

/// One attempt on its way; dropping it says that it is over.
pub(super) struct AttemptGuard {
    in_flight: InFlight,
    lane: QueueKey,
    cancelled: CancellationToken,
    token: Option<TaskTrackerToken>,
}

impl InFlight {
    /// Begins an attempt.
    pub(super) fn enter(&self, lane: &QueueKey) -> AttemptGuard {
        let mut in_flight = self.lock();
        let gate = in_flight.entry(lane.clone()).or_default();
        AttemptGuard {
            in_flight: self.clone(),
            lane: lane.clone(),
            cancelled: gate.calling_back.clone(),
            token: Some(gate.inside.token()),
        }
    }

    /// Calls back everybody on the way to this lane; when this returns, nobody is. Who enters from now on was not meant.
    pub(super) async fn cancel(&self, lane: &QueueKey) {
        let gate = self.lock().remove(lane);
        if let Some(gate) = gate {
            gate.empty().await;
        }
    }

    /// The same for all lanes of a client.
    pub(super) async fn cancel_client(&self, client: &ClientId) {
        let mine: Vec<QueueAttempts> =
            self.lock().extract_if(|lane, _| lane.client == *client).map(|(_, gate)| gate).collect();
        for gate in mine {
            gate.empty().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<QueueKey, QueueAttempts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueAttempts {
    async fn empty(self) {
        self.calling_back.cancel();
        self.inside.close();
        self.inside.wait().await;
    }
}

impl AttemptGuard {
    /// Ready when the attempt is called back.
    pub(super) async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }
}

impl Drop for AttemptGuard {
    fn drop(&mut self) {
        self.token = None;
        let mut in_flight = self.in_flight.lock();
        // After an eviction the entry may be another one, of those that came later.
        if in_flight.get(&self.lane).is_some_and(|gate| gate.inside.is_empty()) {
            in_flight.remove(&self.lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::domain::Target;

    fn lane(client: &str) -> QueueKey {
        let target = Target::Notification("main".parse().expect("good"));
        QueueKey { client: client.parse().expect("good"), target }
    }

    #[tokio::test]
    async fn an_eviction_waits_until_nobody_is_on_the_way() {
        let in_flight = InFlight::default();
        let (mine, other) = (in_flight.enter(&lane("a")), in_flight.enter(&lane("b")));
        let place = lane("a");
        let evicting = in_flight.cancel(&place);
        let leaving = async {
            mine.cancelled().await;
            drop(mine);
        };
        tokio::join!(evicting, leaving);
        assert!(!other.cancelled.is_cancelled());
        assert_eq!(in_flight.lock().len(), 1);
        drop(other);
        assert!(in_flight.lock().is_empty(), "the last one's leaving removes the entry");
    }

    #[tokio::test]
    async fn who_comes_after_an_eviction_is_not_called_back() {
        let in_flight = InFlight::default();
        let early = in_flight.enter(&lane("a"));
        let client = lane("a").client;
        let mut evicting = std::pin::pin!(in_flight.cancel_client(&client));
        assert!(evicting.as_mut().now_or_never().is_none(), "somebody is on the way");
        let late = in_flight.enter(&lane("a"));
        assert!(early.cancelled.is_cancelled() && !late.cancelled.is_cancelled());
        drop(early);
        evicting.await;
        assert_eq!(in_flight.lock().len(), 1, "the one that came later");
        drop(late);
    }
}
