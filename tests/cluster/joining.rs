//! A node that joins a cluster that has data and traffic.

use crate::harness::bucket::Bucket;
use crate::harness::client::TestClient;
use crate::harness::cluster::document;
use crate::harness::request::Request;
use crate::harness::{TestCluster, wait_until};
use crate::load::{Load, LoadOptions};
use crate::trimming::random_text;

#[test]
fn fourth_node_joins_under_load_with_equal_digest() {
    let Some(mut cluster) = TestCluster::start() else { return };
    let options = LoadOptions { publishers: 4, followers: 2, ..LoadOptions::with_seed(4) };
    let load = Load::start(&cluster, options);
    load.wait_for_acknowledged(200);
    cluster.add_node();
    load.add_node(cluster.nodes[3].listen);
    load.wait_for_acknowledged(200);
    load.assert_complete();
    assert_eq!(cluster.status(3)["members"].as_array().map(Vec::len), Some(4));
    cluster.assert_equal_digests();
}

#[test]
fn node_joins_with_the_older_snapshot_when_the_latest_is_damaged() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    let mut node = cluster.new_node();
    // The founder makes another snapshot when a quarter of it is used.
    node.set_config("cluster_journal_bytes", "24MiB");
    node.restart();
    cluster.nodes.push(node);
    let client = TestClient::new(&cluster.nodes[0], "acme");
    let (token, hook) = (client.token.clone(), client.add_unverified_hook("gini").path);
    for number in 0..60 {
        let (id, text) = (document(0, number), random_text(150_000));
        let body = format!(r#"{{"documentId":"{id}","status":"COMPLETED","text":"{text}"}}"#);
        assert_eq!(client.send(Request::post(&hook).json(&body)).status, 200);
    }
    let bucket = Bucket::find(&cluster.brokers, "OBJ");
    wait_until("there are two snapshots", || bucket.objects().len() == 2);
    // A running leader would make further ones.
    assert!(cluster.nodes[0].stop().success());
    let objects = bucket.objects();
    let latest = objects.iter().max_by_key(|object| object.bytes.len()).expect("a snapshot");
    let mut damaged = latest.bytes.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    bucket.replace(latest, &damaged);

    cluster.add_node();
    cluster.nodes[1].wait_for_output("snapshot of the cluster cannot be used");
    cluster.nodes[0].restart();
    assert_eq!(cluster.nodes[1].follow_from(&token, "earliest").event_ids(60).len(), 60);
    cluster.assert_equal_digests();
}
