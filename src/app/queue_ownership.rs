//! Connects the delivery worker with the cluster: neither knows the other.

use tokio::sync::watch;

use crate::cluster::OwnedQueues;
use crate::delivery::QueueOwnership;
use crate::domain::{OwnershipVersion, QueueKey};

/// The queues that this node of a cluster owns.
pub struct ClusterOwnership(pub OwnedQueues);

impl QueueOwnership for ClusterOwnership {
    fn owns(&self, queue: &QueueKey) -> bool {
        self.0.owns(queue)
    }

    fn changes(&self) -> watch::Receiver<OwnershipVersion> {
        self.0.changes()
    }

    fn release(&self, generation: u64) {
        self.0.release(generation);
    }
}
