//! Random faults of nodes and brokers under load, from a seed. A checker then reads the history of the whole run.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::divergence::DIFFERS;
use crate::harness::brokers::Brokers;
use crate::harness::{TestCluster, TestRelay, delay};
use crate::load::{Load, LoadOptions};

/// One minute in the suite; `make chaos` sets more.
const SECONDS: &str = "DOCRELAY_CHAOS_SECONDS";

/// Repeats the choices of a run. The times of threads and processes differ all the same.
const SEED: &str = "DOCRELAY_CHAOS_SEED";

/// How long a node may take to serve again after a fault: several starts of it, each of which waits for the brokers.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// Faults with their times.
struct Notes {
    start: Instant,
    lines: Mutex<Vec<String>>,
}

impl Notes {
    fn add(&self, line: &str) {
        let line = format!("{:8.3} {line}", self.start.elapsed().as_secs_f64());
        self.lines.lock().expect("notes").push(line);
    }
}

#[test]
fn random_faults_of_nodes_and_brokers_lose_nothing() {
    let Some(mut cluster) = TestCluster::start() else { return };
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let (seconds, seed) = (number(SECONDS).unwrap_or(60), number(SEED).unwrap_or_else(|| fastrand::u64(..1 << 32)));
    eprintln!("chaos for {seconds} s: repeat with {SEED}={seed}");
    let options = LoadOptions { publishers: 8, followers: 4, pause: Duration::from_millis(80), seed };
    let load = Load::start(&cluster, options);
    let notes = Notes { start: Instant::now(), lines: Mutex::default() };
    let until = Instant::now() + Duration::from_secs(seconds);
    let TestCluster { nodes, brokers, .. } = &mut cluster;
    std::thread::scope(|scope| {
        let random = fastrand::Rng::with_seed(seed);
        scope.spawn(|| disturb_brokers(brokers, random, until, &notes));
        disturb_nodes(nodes, fastrand::Rng::with_seed(seed ^ 1), until, &notes);
    });
    notes.add("faults end");
    let mut history = load.finish();
    history.notes = notes.lines.into_inner().expect("notes");
    let mut violations = history.violations();
    if violations.is_empty() {
        let checks = cluster.stop_and_check();
        if checks.iter().any(|check| *check != checks[0]) {
            violations.push(format!("databases differ: {checks:?}"));
        }
        // The comparison while they run agrees.
        let differs = |node: &TestRelay| node.output().contains(DIFFERS);
        violations.extend(cluster.nodes.iter().filter(|node| differs(node)).map(|node| node.output()));
    }
    eprintln!(
        "chaos seed {seed}: {} events acknowledged, {} faults, {} violations",
        history.acknowledged.len(),
        history.notes.len(),
        violations.len()
    );
    if !violations.is_empty() {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chaos-{seed}.history"));
        history.write(&path);
        let shown = &violations[..violations.len().min(20)];
        panic!("{} violations, history in {}: {shown:#?}", violations.len(), path.display());
    }
}

/// Kills or halts one or two nodes at a time. All run at the end.
fn disturb_nodes(nodes: &mut [TestRelay], mut random: fastrand::Rng, until: Instant, notes: &Notes) {
    while Instant::now() < until {
        delay(Duration::from_millis(random.u64(500..4_000)));
        let mut chosen: Vec<usize> = (0..nodes.len()).collect();
        random.shuffle(&mut chosen);
        chosen.truncate(1 + usize::from(random.u8(..4) == 0));
        if random.bool() {
            for node in &chosen {
                notes.add(&format!("SIGKILL node {node}"));
                nodes[*node].kill();
            }
            delay(Duration::from_millis(random.u64(0..3_000)));
            for node in &chosen {
                start_node(&mut nodes[*node], *node, notes);
            }
        } else {
            // Longer than a lease at times.
            let pause = Duration::from_millis(random.u64(100..9_000));
            for node in &chosen {
                notes.add(&format!("SIGSTOP node {node} for {pause:?}"));
                nodes[*node].signal(Signal::STOP);
            }
            delay(pause);
            for node in &chosen {
                nodes[*node].signal(Signal::CONT);
            }
        }
    }
}

/// Starts a node until it serves: without a majority of the brokers it exits.
fn start_node(node: &mut TestRelay, number: usize, notes: &Notes) {
    let deadline = Instant::now() + START_TIMEOUT;
    while let Err(error) = node.try_start() {
        notes.add(&format!("start of node {number} failed: {error}"));
        assert!(Instant::now() < deadline, "node {number} does not start: {}", node.output());
        delay(Duration::from_millis(500));
    }
    notes.add(&format!("node {number} serves"));
}

/// Kills or halts one broker at a time, and waits until it is healthy again.
fn disturb_brokers(brokers: &mut Brokers, mut random: fastrand::Rng, until: Instant, notes: &Notes) {
    while Instant::now() < until {
        delay(Duration::from_millis(random.u64(1_000..6_000)));
        let broker = &mut brokers.servers[random.usize(..3)];
        let (name, pause) = (broker.name().to_owned(), Duration::from_millis(random.u64(100..6_000)));
        if random.bool() {
            notes.add(&format!("SIGKILL broker {name} for {pause:?}"));
            broker.kill();
            delay(pause);
            broker.start();
        } else {
            notes.add(&format!("SIGSTOP broker {name} for {pause:?}"));
            broker.pause();
            delay(pause);
            broker.resume();
        }
        broker.wait_until_healthy();
        notes.add(&format!("broker {name} is healthy"));
    }
}
