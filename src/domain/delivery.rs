//! Values of deliveries that the store, the scheduler and the use cases share.

use super::client::ClientId;
use super::route::Target;
use super::time::Timestamp;

/// Names a delivery queue: the deliveries of one client to one target. A slow endpoint delays its own queue only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueKey {
    /// The owner of the deliveries.
    pub client: ClientId,
    /// Their receiver.
    pub target: Target,
}

/// The state of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The endpoint accepted it.
    Delivered,
    /// The attempt failed; the next one is due at this time.
    Retry(Timestamp),
    /// The attempt failed and no further one is made.
    Dead,
}
