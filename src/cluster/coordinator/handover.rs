//! Which queues this node may attempt while memberships change: gives up at once, takes over when the others have given
//! up. Knows no records.

use std::sync::Arc;

use crate::cluster::ownership::Holding;
use crate::cluster::records::NodeId;
use crate::domain::OwnershipVersion;

/// Memberships that may follow each other while this node keeps what it owned under all of them.
const MAX_MEMBERSHIPS: usize = 8;

#[derive(Debug)]
pub(super) struct Handover {
    /// Revision of the adopted membership; 0 for none.
    pub(super) adopted: u64,
    /// The nodes of the adopted membership.
    nodes: Arc<[NodeId]>,
    pub(super) holding: Holding,
    /// Whether the queues that this node gained with the adopted membership are among those that it holds.
    pub(super) is_active: bool,
    pub(super) version: OwnershipVersion,
    /// The last generation that the worker has released.
    released: u64,
    /// Generation of the last change by which queues may have been lost.
    lost_at: u64,
    /// Generation of the last end of the lease.
    lapsed_at: u64,
    /// Generation at which the store began to catch up.
    catching_up: Option<u64>,
}

impl Handover {
    pub(super) fn new(node: NodeId) -> Self {
        Self {
            adopted: 0,
            nodes: Arc::from([]),
            holding: Holding { node, memberships: Vec::new() },
            is_active: false,
            version: OwnershipVersion::default(),
            released: 0,
            lost_at: 0,
            lapsed_at: 0,
            catching_up: None,
        }
    }

    /// Acts on another membership from now on: 0 for none.
    pub(super) fn adopt(&mut self, revision: u64, nodes: Vec<NodeId>) {
        self.adopted = revision;
        self.nodes = nodes.into();
        let held = &mut self.holding.memberships;
        if revision == 0 || held.len() == MAX_MEMBERSHIPS {
            held.clear();
        } else if !held.is_empty() {
            held.push(self.nodes.clone());
        }
        self.lose();
    }

    /// The lease has ended: attempts in flight are cancelled.
    pub(super) fn lapse(&mut self) {
        self.holding.memberships.clear();
        self.version.lapses += 1;
        self.lose();
        self.lapsed_at = self.version.generation;
    }

    fn lose(&mut self) {
        self.version.generation += 1;
        self.lost_at = self.version.generation;
        self.is_active = false;
        self.catching_up = None;
    }

    pub(super) fn released(&mut self, generation: u64) {
        self.released = self.released.max(generation);
    }

    /// Whether the attempts of all queues have ended that are not held.
    pub(super) fn is_drained(&self) -> bool {
        self.released >= self.lost_at
    }

    /// Whether no attempt of before the last end of the lease is in flight.
    pub(super) fn has_cancelled(&self) -> bool {
        self.released >= self.lapsed_at
    }

    /// Returns the generation at which the store has to catch up, unless it does already or need not.
    pub(super) fn begin_catch_up(&mut self) -> Option<u64> {
        if self.adopted == 0 || self.is_active || self.catching_up.is_some() {
            return None;
        }
        self.catching_up = Some(self.version.generation);
        self.catching_up
    }

    /// Whether this is the end of the catching up that counts; another one may begin.
    pub(super) fn end_catch_up(&mut self, generation: u64) -> bool {
        self.catching_up.take_if(|begun| *begun == generation).is_some()
    }

    /// Holds all queues that this node owns under the adopted membership.
    pub(super) fn activate(&mut self) {
        self.holding.memberships = vec![self.nodes.clone()];
        self.is_active = true;
        self.version.generation += 1;
        self.version.gains += 1;
    }
}
