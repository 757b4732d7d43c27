//! The delivery queues that this node owns, as the delivery worker asks for them. Written by the coordinator's driver
//! only. The end of the lease is checked at each question, so that a process that was stopped owns nothing when it
//! continues.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::watch;

use super::records::NodeId;
use super::rendezvous::owner;
use crate::domain::{OwnershipVersion, QueueKey};

/// The queues of which this node is the owner under every one of several memberships; no queue if there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) node: NodeId,
    pub(super) memberships: Vec<Arc<[NodeId]>>,
}

impl Holding {
    pub(super) fn contains(&self, queue: &QueueKey) -> bool {
        let is_owner = |nodes: &Arc<[NodeId]>| owner(queue, nodes.iter()) == Some(&self.node);
        !self.memberships.is_empty() && self.memberships.iter().all(is_owner)
    }
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct OwnedQueues(Arc<OwnershipCell>);

#[derive(Debug)]
struct OwnershipCell {
    state: RwLock<OwnershipState>,
    version: watch::Sender<OwnershipVersion>,
    released: watch::Sender<u64>,
}

#[derive(Debug)]
struct OwnershipState {
    holding: Holding,
    /// The node owns nothing from here on.
    lease_end: Option<Instant>,
}

impl OwnedQueues {
    /// Nothing is owned.
    pub(super) fn new(node: NodeId) -> Self {
        let holding = Holding { node, memberships: Vec::new() };
        Self(Arc::new(OwnershipCell {
            state: RwLock::new(OwnershipState { holding, lease_end: None }),
            version: watch::Sender::default(),
            released: watch::Sender::default(),
        }))
    }

    /// Whether an attempt of this queue may begin now.
    pub fn owns(&self, queue: &QueueKey) -> bool {
        let state = self.0.state.read().unwrap_or_else(PoisonError::into_inner);
        state.lease_end.is_some_and(|end| Instant::now() < end) && state.holding.contains(queue)
    }

    /// Notified after each change but the extension of the lease.
    pub fn changes(&self) -> watch::Receiver<OwnershipVersion> {
        self.0.version.subscribe()
    }

    /// The attempts of queues that were not owned at this generation have ended, and none begins unless they are owned
    /// again.
    pub fn release(&self, generation: u64) {
        self.0.released.send_replace(generation);
    }

    pub(super) fn released(&self) -> watch::Receiver<u64> {
        self.0.released.subscribe()
    }

    pub(super) fn extend(&self, lease_end: Option<Instant>) {
        self.0.state.write().unwrap_or_else(PoisonError::into_inner).lease_end = lease_end;
    }

    pub(super) fn change(&self, holding: Holding, version: OwnershipVersion) {
        self.0.state.write().unwrap_or_else(PoisonError::into_inner).holding = holding;
        // After the state: what is asked from here on is answered with it.
        self.0.version.send_replace(version);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::QueueTarget;

    #[test]
    fn queue_is_owned_until_lease_end_only() {
        let node: NodeId = "n1".parse().unwrap();
        let owned = OwnedQueues::new(node.clone());
        let target = QueueTarget::Notification("main".parse().unwrap());
        let queue = QueueKey { client: "acme".parse().unwrap(), target };
        let holding = Holding { node: node.clone(), memberships: vec![Arc::from([node])] };
        owned.extend(Some(Instant::now() + Duration::from_secs(60)));
        assert!(!owned.owns(&queue), "no membership");
        owned.change(holding, OwnershipVersion { generation: 1, gains: 1, lapses: 0 });
        assert!(owned.owns(&queue));
        owned.extend(Some(Instant::now()));
        assert!(!owned.owns(&queue), "the lease has ended, before the coordinator noticed it");
    }
}
