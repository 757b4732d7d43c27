//! The coordinators of several nodes on a simulated broker: scenarios, and random ones.

mod simulation;

use proptest::prelude::*;

use simulation::{Simulation, Step};

/// From the last change until every queue is owned again: records that were under way (10 s), two leases one after the other,
/// and the longest attempt (8 s).
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

fn step() -> impl Strategy<Value = Step> {
    let node = || 0..simulation::NODES;
    prop_oneof![
        4 => node().prop_map(Step::Start),
        1 => node().prop_map(Step::Kill),
        1 => node().prop_map(Step::Stop),
        3 => node().prop_map(Step::Pause),
        4 => node().prop_map(Step::Resume),
        1 => (0..12_000u64).prop_map(Step::Outage),
        8 => (0..9_000u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// The simulation checks at each start of an attempt that no other node with a lease attempts the queue, and that fences
    /// grow.
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
