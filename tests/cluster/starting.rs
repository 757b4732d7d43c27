//! Nodes that start while the brokers are not up, or at the same moment as others.

use std::process::Command;
use std::time::Duration;

use crate::harness::{TestCluster, delay};

/// Machines that get power again together do not start their programs in an order.
const BROKERS_LATER: Duration = Duration::from_secs(2);

#[test]
fn node_that_starts_before_its_brokers_waits_for_them() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    cluster.add_node();
    assert!(cluster.nodes[0].stop().success());
    cluster.brokers.servers.iter_mut().for_each(|server| server.kill());
    let TestCluster { nodes, brokers, .. } = &mut cluster;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            delay(BROKERS_LATER);
            brokers.servers.iter_mut().for_each(|server| server.start());
        });
        nodes[0].restart();
    });
    assert!(nodes[0].output().contains("cannot join the cluster yet"), "{}", nodes[0].output());
}

#[test]
fn node_with_other_settings_than_the_journal_warns_with_both_values() {
    const WARNING: &str = "journal has other settings than this node's configuration";
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    cluster.add_node();
    let mut node = cluster.new_node();
    node.set_config("cluster_replicas", "1");
    node.set_config("cluster_journal_bytes", "32MiB");
    node.restart();
    node.wait_for_output(WARNING);
    let output = node.output();
    let line = output.lines().find(|line| line.contains(WARNING)).unwrap();
    let expected = [
        "cluster_replicas is 1, and the journal has 3",
        "nats stream edit docrelay_journal --replicas=1",
        "cluster_journal_bytes is 33554432, and the journal is bounded by 67108864",
        "KV_docrelay_records_",
        "OBJ_docrelay_snapshots_",
    ];
    assert!(expected.iter().all(|text| line.contains(text)), "{line}");
    assert!(!cluster.nodes[0].output().contains(WARNING), "the node that has made the journal");
    cluster.nodes.push(node);
    assert_eq!(cluster.status(1)["broker"]["replicas"], 3, "the status shows the journal's");
}

#[test]
fn new_nodes_that_start_at_once_all_become_active() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    let mut nodes: Vec<_> = (0..3).map(|_| cluster.new_node()).collect();
    std::thread::scope(|scope| {
        for node in &mut nodes {
            scope.spawn(|| node.restart());
        }
    });
    cluster.nodes = nodes;
    cluster.wait_until_active();
    assert_eq!(cluster.status(0)["members"].as_array().map(Vec::len), Some(3));
    let seals: Vec<_> =
        cluster.nodes.iter().map(|node| std::fs::read(node.data_dir().join("seal.key")).unwrap()).collect();
    assert!(seals.iter().all(|seal| *seal == seals[0]), "the nodes must have one sealing key");
    cluster.assert_equal_digests();
}

#[test]
fn doctor_sees_that_brokers_flush_each_write() {
    let Some(cluster) = TestCluster::brokers_only() else { return };
    let addresses = cluster.brokers.servers.iter().map(|server| server.monitoring_url());
    let arguments: Vec<String> = addresses.flat_map(|address| ["--broker".to_owned(), address]).collect();
    let output = Command::new(env!("CARGO_BIN_EXE_docrelay")).arg("doctor").args(arguments).output().unwrap();
    let (report, lines) = (String::from_utf8(output.stdout).unwrap(), cluster.brokers.servers.len());
    assert!(output.status.success(), "{report}");
    assert_eq!(report.matches("ok    NATS server n").count(), lines, "{report}");
    assert_eq!(report.matches("flushes each write").count(), lines, "{report}");
}
