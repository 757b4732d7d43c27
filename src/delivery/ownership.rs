//! The port of the ownership of delivery queues: among the nodes of a cluster, each queue is attempted by its owner
//! only.

use tokio::sync::watch;

use crate::domain::{OwnershipVersion, QueueKey};

/// Which queues this node owns. A relay without a cluster has no implementation: it owns all of them.
pub trait QueueOwnership: Send + Sync {
    /// Whether an attempt of this queue may begin now. Asked for each queue and each attempt.
    fn owns(&self, queue: &QueueKey) -> bool;
    /// Notified after each change of [`QueueOwnership::owns`], except that nothing is owned any more when a lease ends
    /// without the node noticing it: the notification then follows.
    fn changes(&self) -> watch::Receiver<OwnershipVersion>;
    /// Called when the attempts have ended, and their outcomes are stored, of all queues that were not owned at this
    /// generation. [`u64::MAX`] when the worker has ended.
    fn release(&self, generation: u64);
}
