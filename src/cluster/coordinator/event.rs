//! The interface of the coordinator: what happens to it, and what it asks the driver to do. Plain data.

use std::time::Instant;

use crate::cluster::ownership::Holding;
use crate::cluster::records::RecordValue;
use crate::domain::OwnershipVersion;

#[derive(Debug)]
pub(in crate::cluster) enum ClusterEvent {
    /// Some time has passed. To be sent several times in each renewal interval.
    Tick {
        /// Position of the last entry that this node has applied.
        position: u64,
        /// Whether this node cannot apply entries at present.
        is_failing: bool,
        /// Whether this node leaves the leadership to another one, if one is alive.
        abstains: bool,
    },
    /// A record has this value. Revisions of one key may arrive late, repeatedly, and not all of them.
    Observed { value: RecordValue, revision: u64 },
    /// Response to [`ClusterAction::Write`].
    Written { key: String, beat: u64, outcome: RecordOutcome },
    /// See [`crate::cluster::OwnedQueues::release`].
    Released { generation: u64 },
    /// Response to [`ClusterAction::CatchUp`].
    CaughtUp { generation: u64, is_complete: bool },
    /// The node leaves the cluster. [`ClusterAction::Finished`] follows when it has left.
    Stop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cluster) enum RecordOutcome {
    /// The record is stored with this revision.
    Stored(u64),
    /// The record has another revision than expected.
    Conflict,
    /// The record may have been written, or may still be.
    Unknown,
}

#[derive(Debug)]
pub(in crate::cluster) enum ClusterAction {
    /// Write or delete a record whose present revision is `expected`, 0 for none.
    Write { value: RecordValue, expected: u64, beat: u64 },
    /// This node owns nothing from this time on, whatever [`ClusterAction::Own`] says.
    Extend { lease_end: Option<Instant> },
    /// The queues that this node owns now.
    Own { holding: Holding, version: OwnershipVersion },
    /// Wait until this node has applied what is in the journal now.
    CatchUp { generation: u64 },
    /// This node leads with this fence, or does not lead. Fences grow from leader to leader.
    Lead(Option<u64>),
    /// Propose entries in this format.
    UseFormat(u8),
    /// The members propose entries in this format, which this program does not read: the node must stop.
    Outdated(u8),
    /// The node has left the cluster.
    Finished,
}
