//! What a run of random faults does to nodes, brokers and the network between them.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::brokers::Brokers;
use crate::harness::link::BrokerLinks;
use crate::harness::{TestRelay, delay};
use crate::history::faults::{FaultKind, FaultLog};

/// How long a node may take to serve again after a fault: several starts of it, each of which waits for the brokers.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// Kills or halts one or two nodes at a time. All run at the end.
pub(super) fn disturb_nodes(nodes: &mut [TestRelay], mut random: fastrand::Rng, until: Instant, log: &FaultLog) {
    while Instant::now() < until {
        delay(Duration::from_millis(random.u64(500..4_000)));
        let mut chosen: Vec<usize> = (0..nodes.len()).collect();
        random.shuffle(&mut chosen);
        chosen.truncate(1 + usize::from(random.u8(..4) == 0));
        let began = Instant::now();
        if random.bool() {
            for node in &chosen {
                log.note(&format!("SIGKILL node {node}"));
                nodes[*node].kill();
            }
            delay(Duration::from_millis(random.u64(0..3_000)));
            for node in &chosen {
                start_node(&mut nodes[*node], *node, log);
                log.add(FaultKind::Killed, Some(*node), began);
            }
        } else {
            // Longer than a lease at times.
            let pause = Duration::from_millis(random.u64(100..9_000));
            for node in &chosen {
                log.note(&format!("SIGSTOP node {node} for {pause:?}"));
                nodes[*node].signal(Signal::STOP);
            }
            delay(pause);
            for node in &chosen {
                nodes[*node].signal(Signal::CONT);
                log.add(FaultKind::Halted, Some(*node), began);
            }
        }
    }
}

/// Starts a node until it serves: without a majority of the brokers it exits.
fn start_node(node: &mut TestRelay, number: usize, log: &FaultLog) {
    let deadline = Instant::now() + START_TIMEOUT;
    while let Err(error) = node.try_start() {
        log.note(&format!("start of node {number} failed: {error}"));
        assert!(Instant::now() < deadline, "node {number} does not start: {}", node.output());
        delay(Duration::from_millis(500));
    }
    log.note(&format!("node {number} serves"));
}

/// Kills or halts one broker at a time, and waits until it is healthy again.
pub(super) fn disturb_brokers(brokers: &mut Brokers, mut random: fastrand::Rng, until: Instant, log: &FaultLog) {
    while Instant::now() < until {
        delay(Duration::from_millis(random.u64(1_000..6_000)));
        let broker = &mut brokers.servers[random.usize(..3)];
        let (name, pause) = (broker.name().to_owned(), Duration::from_millis(random.u64(100..6_000)));
        let began = Instant::now();
        if random.bool() {
            log.note(&format!("SIGKILL broker {name} for {pause:?}"));
            broker.kill();
            delay(pause);
            broker.start();
        } else {
            log.note(&format!("SIGSTOP broker {name} for {pause:?}"));
            broker.pause();
            delay(pause);
            broker.resume();
        }
        broker.wait_until_healthy();
        log.note(&format!("broker {name} is healthy"));
        log.add(FaultKind::BrokerLost, None, began);
    }
}

/// Cuts the paths of one node to one broker or to all of them.
pub(super) fn disturb_links(links: &[BrokerLinks], mut random: fastrand::Rng, until: Instant, log: &FaultLog) {
    while Instant::now() < until {
        delay(Duration::from_millis(random.u64(1_000..8_000)));
        let (node, broker) = (random.usize(..links.len()), random.bool().then(|| random.usize(..3)));
        // Longer than a lease at times.
        let pause = Duration::from_millis(random.u64(100..9_000));
        let began = Instant::now();
        match broker {
            Some(broker) => {
                log.note(&format!("cut node {node} off broker {broker} for {pause:?}"));
                links[node].cut_one(broker);
            }
            None => {
                log.note(&format!("cut node {node} off all brokers for {pause:?}"));
                links[node].cut();
            }
        }
        delay(pause);
        links[node].restore();
        log.note(&format!("node {node} reaches all brokers"));
        log.add(FaultKind::CutOff, Some(node), began);
    }
}
