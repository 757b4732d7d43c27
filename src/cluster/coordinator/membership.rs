//! How a node keeps its member record, joins and leaves the membership, and removes members whose lease has ended.

use std::time::Instant;

use super::{ClusterAction, Coordinator, Observed};
use crate::cluster::records::{Joined, MemberRecord, Membership, NodeId, RecordValue};

impl Coordinator {
    pub(super) fn observe_own(&mut self, value: Option<MemberRecord>, revision: u64, now: Instant) {
        let own = self.members.entry(self.options.id.clone()).or_insert_with(Observed::new);
        if !own.observe(revision, value, now) {
            return;
        }
        match &own.value {
            Some(record) if record.incarnation == self.incarnation => self.lease.stored(record.beat, revision, now),
            _ if revision > self.lease.revision && self.lease.has_written() && !self.is_leaving => self.evicted(),
            _ => {}
        }
    }

    /// Another node has ended this node's membership: it joins again as a new member.
    fn evicted(&mut self) {
        if self.lease.revision != 0 {
            tracing::warn!(node = %self.options.id, "this node was removed from the cluster; joining again");
        }
        self.incarnation = self.incarnation.wrapping_add(1).max(1);
        self.lease.reset();
        self.leader_lease.reset();
        let key = self.own_key();
        self.writes.clear_delay(&key);
    }

    /// Rewrites the own record when it is time, or when it has something new to say.
    pub(super) fn renew_membership(&mut self, now: Instant) {
        let key = self.own_key();
        let announcement = (self.handover.adopted, self.handover.is_drained());
        let has_changed = announcement != self.announced && self.lease.is_valid(&self.options.timing, now);
        if self.is_failing || self.writes.is_under_way(&key) || !(has_changed || self.writes.may_begin(&key, now)) {
            return;
        }
        let Some(expected) = self.expected_own_revision(now) else { return };
        let beat = self.writes.next_beat();
        let record = MemberRecord {
            incarnation: self.incarnation,
            beat,
            address: self.options.address.clone(),
            version: self.options.version.clone(),
            position: self.position,
            adopted: announcement.0,
            drained: announcement.1,
            formats: self.options.formats,
        };
        self.announced = announcement;
        self.lease.begin(beat, now);
        self.write(RecordValue::Member(self.options.id.clone(), Some(record)), expected, beat);
    }

    /// `None` while another process with the same name may hold the record.
    fn expected_own_revision(&self, now: Instant) -> Option<u64> {
        let Some(own) = self.members.get(&self.options.id).filter(|own| own.revision > self.lease.revision) else {
            return Some(self.lease.revision);
        };
        let is_free = own.value.as_ref().is_none_or(|record| [0, self.incarnation].contains(&record.incarnation));
        (is_free || own.is_stale(&self.options.timing, None, now)).then_some(own.revision)
    }

    /// Adds this node to the membership, evicts members that do not renew their lease, and removes those that were
    /// evicted or have left.
    pub(super) fn tend_membership(&mut self, now: Instant) {
        if !self.lease.is_valid(&self.options.timing, now) || self.lease.revision == 0 || self.is_outdated() {
            return;
        }
        let mut wanted = self.membership.value.clone().unwrap_or_default();
        wanted.members.retain(|node, joined| *node == self.options.id || !self.has_ended(node, *joined));
        let own = Joined { incarnation: self.incarnation, since: self.lease.revision };
        let present = wanted.members.entry(self.options.id.clone()).or_insert(own);
        if present.incarnation != self.incarnation {
            *present = own;
        }
        if self.valid_since.is_some_and(|at| at + self.options.timing.lease <= now) {
            // Every live node has written its record since.
            wanted.entry_format = self.agreed_entry_format(&wanted, now);
        }
        let stale: Vec<NodeId> = wanted.members.keys().filter(|node| self.is_silent(node, now)).cloned().collect();
        for node in stale {
            let expected = self.members.get(&node).map_or(0, |seen| seen.revision);
            let value = RecordValue::Member(node, Some(MemberRecord::eviction()));
            if self.writes.may_begin(&value.key(), now) {
                tracing::warn!(member = value.key(), "a member of the cluster does not renew its lease; removing it");
                self.write(value, expected, 0);
            }
        }
        self.write_membership(wanted, now);
    }

    /// Whether the lease of this membership has ended: a later revision of the member's record is not its own.
    fn has_ended(&self, node: &NodeId, joined: Joined) -> bool {
        self.members.get(node).is_some_and(|seen| {
            let is_own = seen.value.as_ref().is_some_and(|record| record.incarnation == joined.incarnation);
            seen.revision > joined.since && !is_own
        })
    }

    /// Whether a member has not renewed its lease for so long that it may be evicted. A record that this node has never
    /// seen was deleted before it started.
    fn is_silent(&self, node: &NodeId, now: Instant) -> bool {
        let seen_at = self.members.get(node).map_or(self.membership.changed_at, |seen| seen.changed_at);
        let since = seen_at.max(self.valid_since);
        *node != self.options.id && since.is_some_and(|at| at + self.options.timing.lease <= now)
    }

    fn write_membership(&mut self, wanted: Membership, now: Instant) {
        let value = RecordValue::Membership(Some(wanted.clone()));
        if self.membership.value.as_ref() != Some(&wanted) && self.writes.may_begin(&value.key(), now) {
            self.write(value, self.membership.revision, 0);
        }
    }

    /// Leaves in steps: the attempts end, then the membership is given up, then the record is deleted.
    pub(super) fn leave(&mut self, now: Instant) {
        if !self.handover.is_drained() {
            self.renew_membership(now);
            return;
        }
        let is_own = |joined: &Joined| joined.incarnation == self.incarnation;
        let mut wanted = self.membership.value.clone().unwrap_or_default();
        if wanted.members.get(&self.options.id).is_some_and(is_own) {
            wanted.members.remove(&self.options.id);
            self.write_membership(wanted, now);
            return;
        }
        let key = self.own_key();
        let own = self.members.get(&self.options.id);
        let is_present = own.and_then(|own| own.value.as_ref()).is_some_and(|own| own.incarnation == self.incarnation);
        let leads = self.leader.value.as_ref().is_some_and(|leader| self.is_own(leader));
        if is_present && self.writes.may_begin(&key, now) {
            let expected = self.lease.revision.max(own.map_or(0, |own| own.revision));
            self.write(RecordValue::Member(self.options.id.clone(), None), expected, 0);
        } else if !is_present && !self.writes.is_under_way(&key) && !leads {
            self.actions.push(ClusterAction::Finished);
        }
    }
}
