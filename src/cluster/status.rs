//! The state of the cluster as one node sees it, for operators.

use serde::Serialize;

use super::formats::NodeFormats;
use super::records::{NodeAddress, NodeId};

/// The state of the cluster as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClusterStatus {
    /// This node.
    pub node: NodeId,
    /// Whether this node attempts the deliveries of its queues.
    pub ownership: OwnershipPhase,
    /// Revision of the membership that this node acts on; 0 for none.
    pub membership: u64,
    /// The format in which entries are proposed: the latest that all live nodes read.
    #[serde(rename = "entryFormat")]
    pub entry_format: u8,
    /// The revision with which the leader became leader; `None` without a leader. It grows from leader to leader.
    pub fence: Option<u64>,
    /// All nodes with a member record, by name.
    pub members: Vec<MemberStatus>,
}

/// Whether a node attempts the deliveries of its queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnershipPhase {
    /// The node has no lease: it attempts nothing.
    Suspended,
    /// The membership has changed: the node attempts the queues that it had before and still owns.
    Waiting,
    /// The node attempts all queues that it owns.
    Active,
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Its name.
    pub name: NodeId,
    /// Where it is reached.
    #[serde(flatten)]
    pub address: NodeAddress,
    /// Version of its program.
    pub version: String,
    /// What its program reads.
    #[serde(flatten)]
    pub formats: NodeFormats,
    /// Position of the last entry that it had applied when it wrote its record.
    pub position: u64,
    /// Entries that the most advanced member had applied, but not this one.
    pub lag: u64,
    /// Milliseconds since this node has seen its record change, which renews its lease.
    pub silent_ms: u64,
    /// Milliseconds until its lease ends, if its record does not change; 0 if it has ended.
    pub lease_ms: u64,
    /// Whether its record has changed within the lease.
    pub is_alive: bool,
    /// Whether its lease of leadership was renewed within the lease.
    pub is_leader: bool,
}
