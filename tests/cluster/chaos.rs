//! Random faults of nodes, brokers and the network between them under the load of several clients, from a seed. A
//! checker then reads the history of the whole run.

mod disturbances;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::divergence::DIFFERS;
use crate::harness::source_addresses::SourceAddresses;
use crate::harness::{TestCluster, TestRelay};
use crate::history::History;
use crate::history::faults::FaultLog;
use crate::load::endpoint::EndpointPace;
use crate::load::{Load, LoadOptions};
use disturbances::{disturb_brokers, disturb_links, disturb_nodes};

/// One minute in the suite; `make chaos` sets more.
const SECONDS: &str = "DOCRELAY_CHAOS_SECONDS";

/// Repeats the choices of a run. The times of threads and processes differ all the same.
const SEED: &str = "DOCRELAY_CHAOS_SEED";

/// Each has a hook, followers, and a delivery queue with an endpoint of its own.
const CLIENTS: usize = 4;

#[test]
fn random_faults_of_nodes_and_brokers_lose_nothing() {
    let sources = SourceAddresses::build();
    let Some((mut cluster, links)) =
        TestCluster::start_configured_with_links(|number, node| sources.configure(number, node))
    else {
        return;
    };
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let (seconds, seed) = (number(SECONDS).unwrap_or(60), number(SEED).unwrap_or_else(|| fastrand::u64(..1 << 32)));
    eprintln!("chaos for {seconds} s: repeat with {SEED}={seed}");
    let log = FaultLog::new(Instant::now());
    let options = |client: usize| LoadOptions {
        client,
        started: log.started,
        endpoint: EndpointPace::Varying,
        publishers: 2,
        followers: 2,
        pause: Duration::from_millis(80),
        seed: seed ^ ((client as u64 + 1) << 32),
    };
    let loads = Load::start_all(&cluster, (0..CLIENTS).map(options));
    let until = Instant::now() + Duration::from_secs(seconds);
    let random = |part: u64| fastrand::Rng::with_seed(seed ^ part);
    let TestCluster { nodes, brokers, .. } = &mut cluster;
    std::thread::scope(|scope| {
        scope.spawn(|| disturb_brokers(brokers, random(0), until, &log));
        scope.spawn(|| disturb_links(&links, random(2), until, &log));
        disturb_nodes(nodes, random(1), until, &log);
    });
    log.note("faults end");
    let mut histories: Vec<History> = loads.into_iter().map(Load::finish).collect();
    let (notes, faults) = log.finish();
    histories.iter_mut().for_each(|history| history.faults.clone_from(&faults));
    let mut violations: Vec<String> = histories
        .iter()
        .enumerate()
        .flat_map(|(client, history)| {
            history.violations().into_iter().map(move |found| format!("load-{client}: {found}"))
        })
        .collect();
    if violations.is_empty() {
        let checks = cluster.stop_and_check();
        if checks.iter().any(|check| *check != checks[0]) {
            violations.push(format!("databases differ: {checks:?}"));
        }
        // The comparison while they run agrees.
        let differs = |node: &TestRelay| node.output().contains(DIFFERS);
        violations.extend(cluster.nodes.iter().filter(|node| differs(node)).map(|node| node.output()));
    }
    let acknowledged: usize = histories.iter().map(|history| history.acknowledged.len()).sum();
    let attempts = || histories.iter().flat_map(|history| history.attempts.iter().flatten());
    let of_node: Vec<usize> =
        (0..3).map(|node| attempts().filter(|attempt| attempt.node == Some(node)).count()).collect();
    eprintln!(
        "chaos seed {seed}: {acknowledged} events acknowledged, {of_node:?} delivery attempts by node, {} faults, {} violations",
        faults.len(),
        violations.len()
    );
    if !violations.is_empty() {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chaos-{seed}.history"));
        let mut file = BufWriter::new(File::create(&path).expect("a file for the history"));
        notes.iter().for_each(|note| writeln!(file, "note {note}").expect("the history"));
        for (client, history) in histories.iter().enumerate() {
            writeln!(file, "client load-{client}").expect("the history");
            history.write(&mut file);
        }
        let shown = &violations[..violations.len().min(20)];
        panic!("{} violations, history in {}: {shown:#?}", violations.len(), path.display());
    }
    assert_eq!(of_node.iter().sum::<usize>(), attempts().count(), "every attempt shows its node");
}
