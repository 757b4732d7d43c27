//! How one node becomes the leader: by compare-and-swap on one record, and keeps it by renewal. The revision with which
//! it became leader is the fence of its entries.

use std::time::Instant;

use super::{ClusterAction, Coordinator};
use crate::cluster::records::{LeaderRecord, RecordValue};

impl Coordinator {
    pub(super) fn observe_leader(&mut self, value: Option<LeaderRecord>, revision: u64, now: Instant) {
        if !self.leader.observe(revision, value, now) {
            return;
        }
        let own = self.leader.value.as_ref().filter(|leader| self.is_own(leader));
        match own.map(|leader| leader.beat) {
            Some(beat) => self.leader_lease.stored(beat, revision, now),
            None if revision > self.leader_lease.revision => self.leader_lease.reset(),
            None => {}
        }
        self.update_fence(now);
    }

    pub(super) fn is_own(&self, leader: &LeaderRecord) -> bool {
        leader.node == self.options.id && leader.incarnation == self.incarnation
    }

    /// Leads while the lease is valid. The fence stays the revision that won, unless the lease was interrupted.
    pub(super) fn update_fence(&mut self, now: Instant) {
        if self.must_not_lead(now) {
            // What was written before must not count when that has changed.
            self.leader_lease.reset();
        }
        let leads = self.leader_lease.is_valid(&self.options.timing, now) && !self.is_leaving;
        self.fence = leads.then(|| self.fence.unwrap_or(self.leader_lease.revision));
        if self.published.fence != self.fence {
            match self.fence {
                Some(fence) => tracing::info!(node = %self.options.id, fence, "this node leads the cluster"),
                None => tracing::info!(node = %self.options.id, "this node no longer leads the cluster"),
            }
            self.published.fence = self.fence;
            self.actions.push(ClusterAction::Lead(self.fence));
        }
    }

    /// Whether another node is to lead.
    fn must_not_lead(&self, now: Instant) -> bool {
        self.has_older_peer(now) || self.abstains && self.live_peers(now).next().is_some()
    }

    /// Renews the lease of leadership, or takes it if it is free.
    pub(super) fn tend_leadership(&mut self, now: Instant) {
        let key = RecordValue::Leader(None).key();
        if !self.writes.may_begin(&key, now) {
            return;
        }
        let expected = self.leader.revision.max(self.leader_lease.revision);
        let is_own = self.leader.value.as_ref().is_some_and(|leader| self.is_own(leader));
        if self.is_leaving || self.must_not_lead(now) {
            // Also without a lease, which a node that leaves does not renew: it would wait for the record in vain.
            if is_own {
                self.write(RecordValue::Leader(None), expected, 0);
            }
            return;
        }
        if !self.lease.is_valid(&self.options.timing, now) {
            return;
        }
        let is_free = self.leader.value.is_none() || self.leader.is_stale(&self.options.timing, self.valid_since, now);
        if self.handover.adopted != 0 && (self.fence.is_some() || is_own || is_free) {
            let beat = self.writes.next_beat();
            let (node, incarnation) = (self.options.id.clone(), self.incarnation);
            self.leader_lease.begin(beat, now);
            let record = LeaderRecord { node, incarnation, beat, fence: self.fence };
            self.write(RecordValue::Leader(Some(record)), expected, beat);
        }
    }
}
