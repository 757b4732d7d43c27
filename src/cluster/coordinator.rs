//! Decides what a node writes into the records, whether it leads, and which queues it owns. A pure state machine: the
//! driver passes each event with its time and executes the returned actions. See [`crate::cluster`] for why it is safe.

mod event;
mod formats;
mod handover;
mod leadership;
mod lease;
mod membership;
mod writes;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use self::handover::Handover;
use self::lease::Lease;
use self::writes::Writes;
use super::records::{Joined, LeaderRecord, MemberRecord, Membership, NodeId, RecordValue};
use super::status::{ClusterStatus, MemberStatus, OwnershipPhase};
use super::{NodeOptions, Timing};

pub(super) use self::event::{ClusterAction, ClusterEvent, RecordOutcome};

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Coordinator {
    options: NodeOptions,
    incarnation: u64,
    /// Position of the last applied entry.
    position: u64,
    /// Whether this node cannot apply entries at present: it does not renew its lease.
    is_failing: bool,
    /// Whether another live node is to lead instead.
    abstains: bool,
    lease: Lease,
    /// Since when the lease is valid without interruption: the broker has been reachable since then.
    valid_since: Option<Instant>,
    members: BTreeMap<NodeId, Observed<MemberRecord>>,
    membership: Observed<Membership>,
    leader: Observed<LeaderRecord>,
    leader_lease: Lease,
    /// The revision with which this node became leader; `None` while it does not lead.
    fence: Option<u64>,
    handover: Handover,
    writes: Writes,
    /// What the last write of the own record said: `adopted` and `drained`.
    announced: (u64, bool),
    /// What the driver has published.
    published: PublishedState,
    is_leaving: bool,
    actions: Vec<ClusterAction>,
}

/// The latest known value of a record.
#[derive(Debug, Clone)]
struct Observed<T> {
    revision: u64,
    value: Option<T>,
    /// When this node first saw the present revision; `None` before the first.
    changed_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct PublishedState {
    generation: u64,
    lease_end: Option<Instant>,
    fence: Option<u64>,
    entry_format: u8,
}

impl<T> Observed<T> {
    fn new() -> Self {
        Self { revision: 0, value: None, changed_at: None }
    }

    /// Returns `false` for a revision that is known already.
    fn observe(&mut self, revision: u64, value: Option<T>, now: Instant) -> bool {
        let is_newer = revision > self.revision;
        if is_newer {
            *self = Self { revision, value, changed_at: Some(now) };
        }
        is_newer
    }

    /// Whether it has not changed for the time of a lease. Time before `since` does not count: this node may have been
    /// unable to see changes.
    fn is_stale(&self, timing: &Timing, since: Option<Instant>, now: Instant) -> bool {
        self.changed_at.max(since).is_some_and(|at| at + timing.lease <= now)
    }
}

impl Coordinator {
    pub(super) fn new(options: NodeOptions) -> Self {
        Self {
            incarnation: options.incarnation.max(1),
            position: 0,
            is_failing: false,
            abstains: false,
            lease: Lease::new(),
            valid_since: None,
            members: BTreeMap::new(),
            membership: Observed::new(),
            leader: Observed::new(),
            leader_lease: Lease::new(),
            fence: None,
            handover: Handover::new(options.id.clone()),
            writes: Writes::default(),
            announced: (0, true),
            published: PublishedState::default(),
            is_leaving: false,
            actions: Vec::new(),
            options,
        }
    }

    /// Processes one event. The actions must be executed in this order.
    pub(super) fn handle(&mut self, event: ClusterEvent, now: Instant) -> Vec<ClusterAction> {
        // Before the event: a lease that has ended meanwhile must not seem uninterrupted.
        self.end_leases(now);
        match event {
            ClusterEvent::Tick { position, is_failing, abstains } => {
                (self.position, self.is_failing, self.abstains) = (position, is_failing, abstains);
            }
            ClusterEvent::Observed { value, revision } => self.observe(value, revision, now),
            ClusterEvent::Written { key, beat, outcome } => self.written(&key, beat, outcome, now),
            ClusterEvent::Released { generation } => self.handover.released(generation),
            ClusterEvent::CaughtUp { generation, is_complete } => self.caught_up(generation, is_complete, now),
            ClusterEvent::Stop => {
                self.is_leaving = true;
                self.writes.clear_delay(&RecordValue::Leader(None).key());
            }
        }
        self.end_leases(now);
        self.adopt();
        self.catch_up(now);
        self.publish(now);
        if self.is_leaving {
            self.leave(now);
        } else {
            self.renew_membership(now);
            self.tend_membership(now);
        }
        self.tend_leadership(now);
        std::mem::take(&mut self.actions)
    }

    pub(super) fn status(&self, now: Instant) -> ClusterStatus {
        let timing = &self.options.timing;
        let records = || self.members.iter().filter_map(|(name, seen)| Some((name, seen, seen.value.as_ref()?)));
        let leader = self.leader.value.as_ref().filter(|_| !self.leader.is_stale(timing, None, now));
        let head = records().map(|(_, _, record)| record.position).max().unwrap_or(0);
        let members = records().filter(|(_, _, record)| record.incarnation != 0).map(|(name, seen, record)| {
            let silence = seen.changed_at.map_or(Duration::MAX, |at| now.saturating_duration_since(at));
            MemberStatus {
                name: name.clone(),
                address: record.address.clone(),
                version: record.version.clone(),
                formats: record.formats,
                position: record.position,
                lag: head - record.position,
                silent_ms: milliseconds(silence),
                lease_ms: milliseconds(timing.lease.saturating_sub(silence)),
                is_alive: !seen.is_stale(timing, None, now),
                is_leader: leader.is_some_and(|leader| leader.node == *name),
            }
        });
        let ownership = match (self.lease.is_valid(timing, now), self.handover.is_active) {
            (false, _) => OwnershipPhase::Suspended,
            (true, false) => OwnershipPhase::Waiting,
            (true, true) => OwnershipPhase::Active,
        };
        ClusterStatus {
            node: self.options.id.clone(),
            ownership,
            membership: self.handover.adopted,
            entry_format: self.entry_format(),
            fence: leader.map(|leader| leader.fence.unwrap_or(self.leader.revision)),
            members: members.collect(),
        }
    }

    /// When the broker last confirmed a write of the own record.
    pub(super) fn confirmed_at(&self) -> Option<Instant> {
        self.lease.confirmed_at
    }

    fn observe(&mut self, value: RecordValue, revision: u64, now: Instant) {
        match value {
            RecordValue::Member(node, value) if node == self.options.id => self.observe_own(value, revision, now),
            RecordValue::Member(node, value) => {
                self.members.entry(node).or_insert_with(Observed::new).observe(revision, value, now);
            }
            RecordValue::Membership(value) => {
                if self.membership.observe(revision, value, now) {
                    self.writes.clear_delay(&RecordValue::Membership(None).key());
                }
            }
            RecordValue::Leader(value) => self.observe_leader(value, revision, now),
        }
    }

    fn written(&mut self, key: &str, beat: u64, outcome: RecordOutcome, now: Instant) {
        let renewal = self.options.timing.renewal;
        let lease = if *key == self.own_key() {
            Some(&mut self.lease)
        } else if *key == RecordValue::Leader(None).key() {
            Some(&mut self.leader_lease)
        } else {
            None
        };
        let mut begun = None;
        if let Some(lease) = lease {
            match outcome {
                RecordOutcome::Stored(revision) => lease.stored(beat, revision, now),
                RecordOutcome::Conflict => lease.refused(beat),
                RecordOutcome::Unknown => {}
            }
            begun = lease.stored_at;
        }
        match outcome {
            // From the beginning of the write: a slow broker would otherwise let the lease end before the next one is
            // stored.
            RecordOutcome::Stored(_) if !self.is_leaving => self.writes.end(key, begun.unwrap_or(now), renewal),
            // The record's present value arrives meanwhile.
            _ => self.writes.end(key, now, renewal / 4),
        }
        self.update_fence(now);
    }

    fn own_key(&self) -> String {
        RecordValue::Member(self.options.id.clone(), None).key()
    }

    /// Begins a write, unless one of the same record is under way.
    fn write(&mut self, value: RecordValue, expected: u64, beat: u64) {
        self.writes.begin(value.key());
        self.actions.push(ClusterAction::Write { value, expected, beat });
    }

    /// Gives up what this node no longer has a lease for.
    fn end_leases(&mut self, now: Instant) {
        let timing = &self.options.timing;
        if self.lease.is_valid(timing, now) {
            self.valid_since = self.valid_since.or(Some(now));
        } else if self.valid_since.take().is_some() {
            tracing::warn!(node = %self.options.id, "lost the lease of this node: deliveries are suspended");
            self.handover.lapse();
        }
        self.update_fence(now);
    }

    /// Acts on the latest membership.
    fn adopt(&mut self) {
        let members = self.membership.value.as_ref().map(|membership| &membership.members).filter(|members| {
            let joined = members.get(&self.options.id);
            !self.is_leaving && joined.is_some_and(|joined| joined.incarnation == self.incarnation)
        });
        let revision = members.map_or(0, |_| self.membership.revision);
        if revision != self.handover.adopted {
            let nodes: Vec<NodeId> = members.into_iter().flat_map(|members| members.keys()).cloned().collect();
            tracing::info!(node = %self.options.id, revision, members = nodes.len(), "adopted a membership of the cluster");
            self.handover.adopt(revision, nodes);
        }
    }

    /// Whether no other member attempts the queues that this node gains with the adopted membership.
    fn may_take_over(&self, now: Instant) -> bool {
        let has_given_up = |(node, joined): (&NodeId, &Joined)| {
            let record = self.members.get(node).and_then(|observed| observed.value.as_ref());
            *node == self.options.id
                || record.is_some_and(|record| {
                    record.incarnation == joined.incarnation
                        && record.adopted == self.handover.adopted
                        && record.drained
                })
        };
        let members = self.membership.value.iter().flat_map(|membership| &membership.members);
        self.handover.adopted != 0
            && self.handover.adopted == self.membership.revision
            && self.lease.is_valid(&self.options.timing, now)
            && self.handover.has_cancelled()
            && { members }.all(has_given_up)
    }

    fn catch_up(&mut self, now: Instant) {
        if self.may_take_over(now)
            && self.writes.may_begin(CATCH_UP, now)
            && let Some(generation) = self.handover.begin_catch_up()
        {
            self.actions.push(ClusterAction::CatchUp { generation });
        }
    }

    fn caught_up(&mut self, generation: u64, is_complete: bool, now: Instant) {
        if self.handover.end_catch_up(generation) {
            if is_complete && self.may_take_over(now) {
                self.handover.activate();
            } else {
                self.writes.end(CATCH_UP, now, self.options.timing.renewal / 4);
            }
        }
    }

    /// Tells the driver what has changed. Before any record is written that says so.
    fn publish(&mut self, now: Instant) {
        let lease_end = self.lease.end(&self.options.timing).filter(|end| now < *end);
        if self.published.lease_end != lease_end {
            self.published.lease_end = lease_end;
            self.actions.push(ClusterAction::Extend { lease_end });
        }
        let version = self.handover.version;
        if self.published.generation != version.generation {
            self.published.generation = version.generation;
            self.actions.push(ClusterAction::Own { holding: self.handover.holding.clone(), version });
        }
        self.publish_format();
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Paces the catching up of the store as if it were a write.
const CATCH_UP: &str = "catch-up";

#[cfg(test)]
mod tests;
