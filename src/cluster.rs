//! The nodes of a cluster among themselves: which of them are alive, which one leads, and which delivery queues each of
//! them owns. They coordinate by records beside the journal. Knows the journal's port, but neither the broker nor the
//! store.
//!
//! # Why no queue has two owners
//!
//! - A node keeps its member record by rewriting it. Its lease ends [`Timing::lease`] minus [`Timing::margin`] after
//!   the start of the last write that was stored, by its own monotonic clock. After that it owns nothing.
//! - Another node ends a membership only by overwriting the member record at the revision that it saw [`Timing::lease`]
//!   ago, with compare-and-swap. If this succeeds, the member has not renewed its lease since, so the lease has ended,
//!   whatever the nodes' clocks show and however late the records arrive. The member's own next write fails: it has to
//!   join again.
//! - The membership is one record, so that all nodes see the same sequence of memberships, by revision. A node adopts
//!   each new one at once: it gives up the queues that are no longer its own, and says so in its member record
//!   (`adopted`, and `drained` when their attempts have ended).
//! - A node begins to attempt queues that it gains when all other members have adopted and drained the same membership,
//!   and it has applied the journal's end after that. Nodes that are not in the membership have left, or their lease
//!   has ended.
//!
//! # Why every node can read every entry
//!
//! - The membership record has the format in which its members propose entries. A node raises it, with compare-and-swap
//!   of that record, only if every member and every live node with a record reads the new format, and only after it has
//!   seen the records for the time of a lease.
//! - A node joins by compare-and-swap of the same record, and refuses to join if the format is later than it can read.
//!   So a node that joins at the same time either prevents the raise, or finds the raised format.
//! - The format never becomes earlier, because the journal may hold entries of the later one.
//! - A node with a later schema of the database does not lead while one with an earlier schema is alive: the leader
//!   makes the snapshots, and the others must be able to open them.

mod comparison;
mod contact;
mod coordinator;
mod driver;
mod formats;
mod ownership;
mod records;
mod rendezvous;
mod status;

use std::time::Duration;

use futures::future::BoxFuture;

pub use self::comparison::{ComparedStore, Comparison, Divergence, LastComparison, LastComparisons, LocalDigest};
pub use self::contact::BrokerContact;
pub use self::driver::ClusterNode;
pub use self::formats::NodeFormats;
pub use self::ownership::OwnedQueues;
pub use self::records::{InvalidNodeId, MEMBERSHIP_KEY, NodeAddress, NodeId};
pub use self::status::{ClusterStatus, MemberStatus, OwnershipPhase};

/// This node, as the others see it.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Unique in the cluster.
    pub id: NodeId,
    /// Where this node is reached.
    pub address: NodeAddress,
    /// Version of the program.
    pub version: String,
    /// What this program reads.
    pub formats: NodeFormats,
    /// Random: distinguishes this process from an earlier one with the same id.
    pub incarnation: u64,
    /// Durations; equal on all nodes.
    pub timing: Timing,
}

/// The durations of the coordination. All nodes of a cluster must have the same.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// A record that has not changed for this time may be taken over.
    pub lease: Duration,
    /// The holder of a lease gives it up this much earlier: covers clocks of different speed, and the time until an
    /// attempt that is beginning has begun.
    pub margin: Duration,
    /// Interval between two writes of a record.
    pub renewal: Duration,
    /// After this time the outcome of a write counts as unknown.
    pub write_timeout: Duration,
    /// How long a node that stops waits for the end of its attempts and for the broker.
    pub leave: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(5),
            margin: Duration::from_secs(1),
            renewal: Duration::from_secs(1),
            write_timeout: Duration::from_secs(2),
            leave: Duration::from_secs(10),
        }
    }
}

/// What the coordination needs of this node's store.
pub trait LocalStore: Send + Sync {
    /// Position of the last applied entry of the journal.
    fn position(&self) -> u64;
    /// Whether entries cannot be applied at present, such as with a full disk. The node then lets its lease end, so
    /// that the others make its deliveries.
    fn is_failing(&self) -> bool;
    /// Whether another live node is to lead instead of this one, such as while this node cannot make snapshots.
    fn abstains(&self) -> bool;
    /// Waits until everything is applied that was acknowledged to any node before the call.
    ///
    /// # Errors
    /// A reason for the log; the call is repeated later.
    fn catch_up(&self) -> BoxFuture<'static, Result<(), String>>;
    /// Entries are proposed in this format from now on. All nodes can read it.
    fn use_format(&self, format: u8);
}
