//! A node that was away for longer than the journal reaches back: it replaces its database while it runs.

use std::time::Duration;

use rustix::process::Signal;

use crate::divergence::{leader, starts};
use crate::harness::client::TestClient;
use crate::harness::cluster::document;
use crate::harness::request::Request;
use crate::harness::{TestCluster, wait_until};
use crate::load::{Load, LoadOptions};

/// Text that hardly compresses.
pub(crate) fn random_text(bytes: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(bytes).collect()
}

#[test]
fn leader_that_cannot_make_snapshots_gives_up_leadership_before_the_journal_is_full() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    for _ in 0..2 {
        let mut node = cluster.new_node();
        node.set_config("cluster_journal_bytes", "24MiB");
        node.restart();
        cluster.nodes.push(node);
    }
    cluster.wait_until_active();
    let unable = leader(&cluster).expect("a leader");
    // The file that a snapshot is written to cannot be made, as on a full disk.
    std::fs::create_dir_all(cluster.nodes[unable].data_dir().join("snapshot.db/x")).unwrap();
    let made = || cluster.nodes[1 - unable].output().matches("snapshot of the cluster made").count();
    let made_before = made();
    let client = TestClient::new(&cluster.nodes[0], "filler");
    let hook = client.add_unverified_hook("gini").path;
    for number in 0..60 {
        let (id, text) = (document(99, number), random_text(150_000));
        let body = format!(r#"{{"documentId":"{id}","status":"COMPLETED","text":"{text}"}}"#);
        assert_eq!(client.send(Request::post(&hook).json(&body)).status, 200);
    }
    // The leader tries it every 10 s.
    cluster.nodes[unable].wait_for_output("cannot make a snapshot of the cluster");
    let output = |text: &str| cluster.nodes[unable].output().matches(text).count();
    wait_until("it has failed three times", || output("leaving the leadership to another node") == 1);
    assert_eq!(cluster.nodes[unable].metric("docrelay_cluster_snapshot_failures_total"), 3);
    wait_until("another node makes the snapshot", || made() > made_before);
    assert_eq!(leader(&cluster), Some(1 - unable));
    std::fs::remove_dir_all(cluster.nodes[unable].data_dir().join("snapshot.db")).unwrap();
    cluster.assert_equal_digests();
}

#[test]
fn halted_node_behind_the_trimmed_journal_rebuilds_itself_and_its_followers_resume() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    for _ in 0..3 {
        let mut node = cluster.new_node();
        // The leader makes snapshots and trims while a quarter of it is used.
        node.set_config("cluster_journal_bytes", "24MiB");
        node.restart();
        cluster.nodes.push(node);
    }
    let pause = Duration::from_millis(50);
    let options = LoadOptions { publishers: 2, followers: 3, pause, ..LoadOptions::with_seed(7) };
    let load = Load::start(&cluster, options);
    load.wait_for_acknowledged(50);
    let halted = 2;
    let (pid, before) = (cluster.nodes[halted].pid(), starts(&cluster.nodes[halted]));
    cluster.nodes[halted].signal(Signal::STOP);
    let range = |name: &str| cluster.status(0)["broker"]["range"][name].as_u64();
    let behind = range("end").expect("the journal's end");
    let snapshots = || -> usize {
        cluster.nodes[..2].iter().map(|node| node.output().matches("snapshot of the cluster made").count()).sum()
    };
    let snapshots_before = snapshots();

    let client = TestClient::new(&cluster.nodes[0], "filler");
    let hook = client.add_unverified_hook("gini").path;
    let fill = |number: usize| {
        let (id, text) = (document(99, number), random_text(150_000));
        let body = format!(r#"{{"documentId":"{id}","status":"COMPLETED","text":"{text}"}}"#);
        assert_eq!(client.send(Request::post(&hook).json(&body)).status, 200);
    };
    // More than the broker sends to a node that does not answer its flow control.
    (0..80).for_each(fill);
    wait_until("a snapshot is made", || snapshots() > snapshots_before);
    wait_until("the journal is trimmed", || range("first").is_some_and(|first| first > behind + 1));

    cluster.nodes[halted].signal(Signal::CONT);
    cluster.nodes[halted].wait_for_output("this node was away for too long");
    wait_until("the node listens again", || starts(&cluster.nodes[halted]) > before);
    assert_eq!(cluster.nodes[halted].pid(), pid, "the process has not ended");
    load.wait_for_acknowledged(50);
    load.assert_complete();
    cluster.assert_equal_digests();
}
