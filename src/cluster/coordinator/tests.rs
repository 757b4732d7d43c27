//! The coordinators of several nodes on a simulated broker: scenarios, and random ones.

mod simulation;

use std::time::{Duration, Instant};

use proptest::prelude::*;

use simulation::{Simulation, Step};

use super::{ClusterEvent, Coordinator};
use crate::cluster::records::{Joined, LeaderRecord, MemberRecord, Membership, NodeId, RecordValue};
use crate::cluster::{NodeAddress, NodeFormats, NodeOptions, Timing};

/// From the last change until every queue is owned again: records that were under way (10 s), two leases one after the
/// other, and the longest attempt (8 s).
const RECOVERY_MS: u64 = 30_000;

/// Runs steps and returns `(owners of the first queue, leader)` of all nodes by number.
fn run(steps: &[Step]) -> Simulation {
    let mut simulation = Simulation::new(1);
    simulation.calm = true;
    for step in steps {
        simulation.step(step);
    }
    simulation
}

#[test]
fn single_node_owns_everything_within_a_second() {
    let simulation = run(&[Step::Start(0), Step::Wait(1_000)]);
    simulation.assert_settled(&[0]);
    assert_eq!(simulation.leader(), Some(0));
}

#[test]
fn joining_node_takes_its_share_after_the_others_have_drained() {
    let simulation = run(&[Step::Start(0), Step::Wait(2_000), Step::Start(1), Step::Start(2), Step::Wait(12_000)]);
    simulation.assert_settled(&[0, 1, 2]);
    assert!((0..3).all(|node| simulation.owned(node) > 0));
}

#[test]
fn queues_of_killed_node_are_owned_after_its_lease() {
    let mut simulation = run(&[Step::Start(0), Step::Start(1), Step::Wait(12_000), Step::Kill(0), Step::Wait(3_500)]);
    assert!(simulation.owned(1) < simulation::QUEUES, "the lease has not ended");
    simulation.step(&Step::Wait(3_500));
    simulation.assert_settled(&[1]);
    assert_eq!(simulation.leader(), Some(1));
}

#[test]
fn queues_of_leaving_node_are_owned_without_waiting_for_its_lease() {
    let mut simulation = run(&[Step::Start(0), Step::Start(1), Step::Wait(12_000)]);
    simulation.finish_attempts();
    simulation.step(&Step::Stop(0));
    simulation.step(&Step::Wait(1_500));
    simulation.assert_settled(&[1]);
    assert_eq!(simulation.leader(), Some(1), "the leader's record is deleted, too");
}

#[test]
fn paused_node_attempts_nothing_before_it_has_renewed() {
    let mut simulation = run(&[Step::Start(0), Step::Wait(2_000), Step::Pause(0), Step::Wait(60_000)]);
    simulation.broker_is_reachable = false;
    simulation.step(&Step::Resume(0));
    simulation.step(&Step::Wait(10_000));
    assert_eq!((simulation.owned(0), simulation.leader()), (0, None));
    simulation.broker_is_reachable = true;
    simulation.step(&Step::Wait(5_000));
    simulation.assert_settled(&[0]);
}

#[test]
fn members_survive_an_outage_of_the_broker_without_eviction() {
    let mut simulation = run(&[Step::Start(0), Step::Start(1), Step::Start(2), Step::Wait(20_000)]);
    let membership = simulation.membership();
    simulation.step(&Step::Outage(10_000));
    simulation.step(&Step::Wait(6_000));
    assert_eq!((0..3).map(|node| simulation.owned(node)).sum::<usize>(), 0);
    simulation.step(&Step::Wait(12_000));
    simulation.assert_settled(&[0, 1, 2]);
    assert_eq!(simulation.membership(), membership);
}

#[test]
fn status_has_leases_and_the_fence_of_the_leader() {
    let start = Instant::now();
    let mut coordinator = Coordinator::new(options());
    let (name, record) = ("n1".parse::<NodeId>().unwrap(), MemberRecord { incarnation: 7, ..MemberRecord::eviction() });
    let leader = |fence| LeaderRecord { node: name.clone(), incarnation: 7, beat: 1, fence };
    let values = [
        (RecordValue::Member(name.clone(), Some(record)), 2),
        (RecordValue::Leader(Some(leader(None))), 11),
        (RecordValue::Leader(Some(leader(Some(11)))), 12),
    ];
    let mut fences = Vec::new();
    for (value, revision) in values {
        coordinator.handle(ClusterEvent::Observed { value, revision }, start);
        fences.push(coordinator.status(start).fence);
    }
    assert_eq!(fences, [None, Some(11), Some(11)]);
    for (ms, silent, lease) in [(0, 0, 5_000), (1_500, 1_500, 3_500), (5_000, 5_000, 0), (6_000, 6_000, 0)] {
        let status = coordinator.status(start + Duration::from_millis(ms));
        let member = &status.members[0];
        assert_eq!((member.silent_ms, member.lease_ms, member.is_alive), (silent, lease, lease > 0), "{ms}");
        assert_eq!((status.fence, member.is_leader), ((lease > 0).then_some(11), lease > 0), "{ms}");
    }
}

fn options() -> NodeOptions {
    NodeOptions {
        id: "own".parse().unwrap(),
        address: NodeAddress::default(),
        version: String::new(),
        formats: NodeFormats { entry_format: 3, schema: 4 },
        incarnation: 1,
        timing: Timing::default(),
    }
}

#[test]
fn agreed_format_is_the_latest_one_that_all_live_nodes_read() {
    // Formats of the other members, `None` for one without a record; of live nodes that have not joined; the one in
    // use.
    type Case<'a> = (&'a [Option<u8>], &'a [u8], u8);
    let cases: [(Case<'_>, u8); 7] = [
        ((&[], &[], 1), 3),
        ((&[Some(3), Some(4)], &[], 1), 3),
        ((&[Some(3), Some(2)], &[], 1), 2),
        ((&[Some(3), None], &[], 1), 1),
        ((&[Some(3)], &[2], 1), 2),
        ((&[Some(3)], &[1, 2], 1), 1),
        // Never earlier: the journal may have entries of it.
        ((&[Some(1)], &[1], 2), 2),
    ];
    for ((members, joining, entry_format), expected) in cases {
        let now = Instant::now();
        let mut coordinator = Coordinator::new(options());
        let mut membership = Membership { entry_format, ..Membership::default() };
        let joined = Joined { incarnation: 7, since: 1 };
        let all =
            members.iter().map(|format| (*format, true)).chain(joining.iter().map(|format| (Some(*format), false)));
        for (number, (format, is_member)) in all.enumerate() {
            let name: NodeId = format!("n{number}").parse().unwrap();
            if is_member {
                membership.members.insert(name.clone(), joined);
            }
            if let Some(entry_format) = format {
                let formats = NodeFormats { entry_format, schema: 4 };
                let record = MemberRecord { incarnation: 7, formats, ..MemberRecord::eviction() };
                let value = RecordValue::Member(name, Some(record));
                coordinator.handle(ClusterEvent::Observed { value, revision: 2 }, now);
            }
        }
        let agreed = coordinator.agreed_entry_format(&membership, now);
        assert_eq!(agreed, expected, "{members:?} {joining:?} {entry_format}");
    }
}

const NEW: NodeFormats = NodeFormats { entry_format: 2, schema: 5 };

/// Nodes with the old program, of which one is replaced by the new program after the other.
#[test]
fn format_changes_when_the_last_node_is_upgraded() {
    let mut simulation = run(&[Step::Start(0), Step::Start(1), Step::Start(2), Step::Wait(12_000)]);
    for number in 0..3 {
        assert_eq!((0..3).map(|node| simulation.entry_format(node)).collect::<Vec<_>>(), [Some(1); 3]);
        simulation.finish_attempts();
        simulation.step(&Step::Stop(number));
        simulation.step(&Step::Wait(6_000));
        simulation.formats[number] = NEW;
        simulation.step(&Step::Start(number));
        simulation.step(&Step::Wait(12_000));
        let leader = simulation.leader().unwrap();
        assert!(number == 2 || leader > number, "node {leader} leads: its snapshots could not be opened by all");
    }
    assert_eq!((0..3).map(|node| simulation.entry_format(node)).collect::<Vec<_>>(), [Some(2); 3]);
    simulation.step(&Step::Wait(RECOVERY_MS));
    simulation.assert_settled(&[0, 1, 2]);
}

#[test]
fn node_of_earlier_format_is_stopped_after_the_change() {
    let mut simulation = Simulation::new(1);
    (simulation.calm, simulation.formats) = (true, [NEW; simulation::NODES]);
    simulation.formats[0] = NodeFormats::default();
    let steps = [Step::Start(0), Step::Start(1), Step::Wait(12_000), Step::Pause(0), Step::Wait(12_000)];
    steps.iter().for_each(|step| simulation.step(step));
    assert_eq!(simulation.entry_format(1), Some(2), "the lease of the paused node has ended");
    simulation.step(&Step::Resume(0));
    simulation.step(&Step::Wait(2_000));
    assert_eq!(simulation.entry_format(0), None);
    simulation.step(&Step::Start(0));
    simulation.step(&Step::Wait(2_000));
    assert_eq!(simulation.entry_format(0), None, "nor does it join again");
    simulation.assert_settled(&[1]);
}

#[test]
fn live_node_that_has_not_joined_yet_keeps_its_format() {
    let mut simulation = Simulation::new(1);
    (simulation.calm, simulation.formats) = (true, [NEW; simulation::NODES]);
    let joining = MemberRecord { incarnation: 7, ..MemberRecord::eviction() };
    simulation.store(RecordValue::Member("old".parse().unwrap(), Some(joining)), 0, None);
    simulation.step(&Step::Start(0));
    simulation.step(&Step::Wait(4_000));
    assert_eq!((simulation.entry_format(0), simulation.leader()), (Some(1), None));
    simulation.step(&Step::Wait(4_000));
    assert_eq!((simulation.entry_format(0), simulation.leader()), (Some(2), Some(0)), "its lease has ended");
}

#[test]
fn queues_of_failing_node_are_owned_by_others_until_it_recovers() {
    let mut simulation = run(&[Step::Start(0), Step::Start(1), Step::Wait(12_000), Step::Fail(0), Step::Wait(12_000)]);
    simulation.assert_settled(&[1]);
    assert_eq!(simulation.leader(), Some(1));
    simulation.step(&Step::Recover(0));
    simulation.step(&Step::Wait(12_000));
    simulation.assert_settled(&[0, 1]);
    assert!(simulation.owned(0) > 0);
}

#[test]
fn abstaining_leader_gives_way_to_a_live_peer_and_leads_alone() {
    let mut simulation = run(&[Step::Start(0), Step::Start(1), Step::Wait(12_000)]);
    let leader = simulation.leader().expect("a leader");
    simulation.step(&Step::Abstain(leader));
    simulation.step(&Step::Wait(2_000));
    assert_eq!(simulation.leader(), Some(1 - leader));
    simulation.assert_settled(&[0, 1]);
    simulation.step(&Step::Kill(1 - leader));
    simulation.step(&Step::Wait(12_000));
    assert_eq!(simulation.leader(), Some(leader), "no other node is alive");
}

#[test]
fn slow_writes_do_not_end_the_lease() {
    let mut simulation = run(&[Step::Start(0), Step::Wait(2_000)]);
    // A write takes 1.4 to 1.6 s.
    simulation.latency_ms = 700;
    for _ in 0..300 {
        simulation.step(&Step::Wait(100));
        simulation.assert_settled(&[0]);
    }
}

#[test]
fn broker_whose_writes_take_two_seconds_stays_in_contact() {
    let mut simulation = run(&[Step::Start(0), Step::Wait(2_000)]);
    simulation.latency_ms = 1_000;
    let limit = Timing::default().lease;
    for _ in 0..300 {
        simulation.step(&Step::Wait(100));
        let since = simulation.since_confirmed(0);
        assert!(since.is_some_and(|since| since < limit), "{since:?}");
    }
    simulation.step(&Step::Outage(60_000));
    simulation.step(&Step::Wait(10_000));
    assert!(simulation.since_confirmed(0).is_some_and(|since| since > limit));
}

fn step() -> impl Strategy<Value = Step> {
    let node = || 0..simulation::NODES;
    prop_oneof![
        4 => node().prop_map(Step::Start),
        1 => node().prop_map(Step::Kill),
        1 => node().prop_map(Step::Stop),
        3 => node().prop_map(Step::Pause),
        4 => node().prop_map(Step::Resume),
        1 => node().prop_map(Step::Fail),
        2 => node().prop_map(Step::Recover),
        1 => node().prop_map(Step::Abstain),
        1 => (0..12_000u64).prop_map(Step::Outage),
        8 => (0..9_000u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// The simulation checks that every member reads the format of the membership, in any order of joining. Node 3
    /// always has the new program.
    #[test]
    fn random_upgrades_leave_no_member_with_entries_it_cannot_read(
        seed: u64,
        steps in prop::collection::vec((step(), 0..simulation::NODES - 1, any::<bool>()), 1..40),
    ) {
        let mut simulation = Simulation::new(seed);
        simulation.formats[3] = NEW;
        for (step, node, is_new) in &steps {
            simulation.formats[*node] = if *is_new { NEW } else { NodeFormats::default() };
            simulation.step(step);
        }
        simulation.restore();
        simulation.step(&Step::Start(3));
        simulation.step(&Step::Wait(RECOVERY_MS));
        let running: Vec<usize> = (0..simulation::NODES).filter(|node| simulation.entry_format(*node).is_some()).collect();
        simulation.assert_settled(&running);
        prop_assert!(simulation.leader().is_some());
    }

    /// The simulation checks at each start of an attempt that no other node with a lease attempts the queue, and that
    /// fences grow.
    #[test]
    fn random_faults_give_no_queue_two_owners(seed: u64, steps in prop::collection::vec(step(), 1..40)) {
        let mut simulation = Simulation::new(seed);
        simulation.calm = true;
        for step in [Step::Start(0), Step::Start(1), Step::Start(2), Step::Wait(12_000)] {
            simulation.step(&step);
        }
        simulation.calm = false;
        for step in &steps {
            simulation.step(step);
        }
        let running = simulation.restore();
        simulation.step(&Step::Wait(RECOVERY_MS));
        simulation.assert_settled(&running);
        prop_assert!(simulation.leader().is_some());
    }
}
