//! Nodes that do not belong to the cluster: each refuses to start with one sentence.

use crate::harness::TestCluster;
use crate::harness::client::TestClient;
use crate::harness::cluster::{document, refused_start};

#[test]
fn node_with_wrong_cluster_key_is_refused() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    cluster.add_node();
    let wrong = cluster.write_key("wrong");
    let mut node = cluster.new_node();
    node.set_config("cluster_key_file", &wrong.to_string_lossy());
    let refused = refused_start(&mut node);
    assert!(refused.contains("cluster_key_file"), "{refused}");
    let secret = std::fs::read_to_string(wrong).unwrap();
    assert!(!node.output().contains(secret.trim()), "the key must not be in the log");
}

#[test]
fn node_of_deleted_journal_is_refused() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    cluster.add_node();
    cluster.add_node();
    let client = TestClient::new(&cluster.nodes[0], "acme");
    let hook = client.add_unverified_hook("gini").path;
    client.post_gini(&hook, &document(0, 0), "COMPLETED");
    cluster.nodes.iter_mut().for_each(|node| assert!(node.stop().success()));
    for server in &mut cluster.brokers.servers {
        server.kill();
        std::fs::remove_dir_all(server.store()).unwrap();
    }
    for server in &mut cluster.brokers.servers {
        server.start();
    }
    cluster.brokers.servers.iter().for_each(|server| server.wait_until_healthy());
    let refused = refused_start(&mut cluster.nodes[1]);
    assert!(refused.contains("no journal any more"), "{refused}");
    // Another cluster on the same brokers.
    let mut other = cluster.new_node();
    other.restart();
    let refused = refused_start(&mut cluster.nodes[1]);
    assert!(refused.contains("does not belong") || refused.contains("belongs to"), "{refused}");
}
