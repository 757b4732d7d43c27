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
pub(super) struct Gates(Arc<Mutex<HashMap<QueueKey, Gate>>>);

#[derive(Clone, Default)]
struct Gate {
    calling_back: CancellationToken,
    inside: TaskTracker,
}

/// One attempt on its way; dropping it says that it is over.
pub(super) struct Passage {
    gates: Gates,
    lane: QueueKey,
    called_back: CancellationToken,
    token: Option<TaskTrackerToken>,
}

impl Gates {
    /// Begins an attempt.
    pub(super) fn enter(&self, lane: &QueueKey) -> Passage {
        let mut gates = self.lock();
        let gate = gates.entry(lane.clone()).or_default();
        Passage {
            gates: self.clone(),
            lane: lane.clone(),
            called_back: gate.calling_back.clone(),
            token: Some(gate.inside.token()),
        }
    }

    /// Calls back everybody on the way to this lane; when this returns, nobody is. Who enters from now on was not meant.
    pub(super) async fn evict(&self, lane: &QueueKey) {
        let gate = self.lock().remove(lane);
        if let Some(gate) = gate {
            gate.empty().await;
        }
    }

    /// The same for all lanes of a client.
    pub(super) async fn evict_client(&self, client: &ClientId) {
        let mine: Vec<Gate> = self.lock().extract_if(|lane, _| lane.client == *client).map(|(_, gate)| gate).collect();
        for gate in mine {
            gate.empty().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<QueueKey, Gate>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    async fn empty(self) {
        self.calling_back.cancel();
        self.inside.close();
        self.inside.wait().await;
    }
}

impl Passage {
    /// Ready when the attempt is called back.
    pub(super) async fn called_back(&self) {
        self.called_back.cancelled().await;
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.token = None;
        let mut gates = self.gates.lock();
        // After an eviction the entry may be another one, of those that came later.
        if gates.get(&self.lane).is_some_and(|gate| gate.inside.is_empty()) {
            gates.remove(&self.lane);
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
        let gates = Gates::default();
        let (mine, other) = (gates.enter(&lane("a")), gates.enter(&lane("b")));
        let place = lane("a");
        let evicting = gates.evict(&place);
        let leaving = async {
            mine.called_back().await;
            drop(mine);
        };
        tokio::join!(evicting, leaving);
        assert!(!other.called_back.is_cancelled());
        assert_eq!(gates.lock().len(), 1);
        drop(other);
        assert!(gates.lock().is_empty(), "the last one's leaving removes the entry");
    }

    #[tokio::test]
    async fn who_comes_after_an_eviction_is_not_called_back() {
        let gates = Gates::default();
        let early = gates.enter(&lane("a"));
        let client = lane("a").client;
        let mut evicting = std::pin::pin!(gates.evict_client(&client));
        assert!(evicting.as_mut().now_or_never().is_none(), "somebody is on the way");
        let late = gates.enter(&lane("a"));
        assert!(early.called_back.is_cancelled() && !late.called_back.is_cancelled());
        drop(early);
        evicting.await;
        assert_eq!(gates.lock().len(), 1, "the one that came later");
        drop(late);
    }
}
