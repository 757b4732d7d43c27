//! Nodes that do not belong to the cluster: each refuses to start, or stops, with one sentence.

use crate::harness::TestCluster;
use crate::harness::bucket::Bucket;
use crate::harness::client::TestClient;
use crate::harness::cluster::{check, document, refused_start};
use crate::harness::wait_until;

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
fn node_of_earlier_format_is_refused_after_the_change() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    cluster.add_node();
    wait_until("the node is a member", || cluster.status(0)["members"][0]["entryFormat"] == 1);
    assert!(cluster.nodes[0].stop().success());
    // What the nodes with a later program have left behind.
    let records = Bucket::find(&cluster.brokers, "KV");
    records.put_record("membership", r#"{"members":{},"entryFormat":9}"#);
    let refused = refused_start(&mut cluster.nodes[0]);
    let expected = "the cluster uses format 9 for its entries, and this version of docrelay reads up to 1: upgrade";
    assert!(refused.contains(expected), "{refused}");
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
    cluster.brokers.lose_data();
    let refused = refused_start(&mut cluster.nodes[1]);
    assert!(refused.contains("no journal any more"), "{refused}");
    // Another cluster on the same brokers.
    let mut other = cluster.new_node();
    other.restart();
    let refused = refused_start(&mut cluster.nodes[1]);
    assert!(refused.contains("does not belong") || refused.contains("belongs to"), "{refused}");
}

#[test]
fn node_whose_journal_has_lost_its_end_is_refused_and_keeps_its_events() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    cluster.add_node();
    let client = TestClient::new(&cluster.nodes[0], "acme");
    let (token, hook) = (client.token.clone(), client.add_unverified_hook("gini").path);
    let mut ids = vec![client.post_gini(&hook, &document(0, 0), "COMPLETED")];
    assert!(cluster.nodes[0].stop().success());
    cluster.brokers.copy_stores(|store| (store.to_owned(), store.with_extension("earlier")));
    cluster.nodes[0].restart();
    let client = TestClient::with_token(&cluster.nodes[0], "acme", token.clone());
    ids.extend((1..4).map(|number| client.post_gini(&hook, &document(0, number), "COMPLETED")));
    assert!(cluster.nodes[0].stop().success());
    let before = check(&cluster.nodes[0]);
    cluster.brokers.copy_stores(|store| (store.to_owned(), store.with_extension("later")));
    // As brokers that did not flush what they have acknowledged, or whose data was restored.
    cluster.brokers.copy_stores(|store| (store.with_extension("earlier"), store.to_owned()));
    let refused = refused_start(&mut cluster.nodes[0]);
    assert!(refused.contains("lost its last entries") && refused.contains("docs/CLUSTER.md"), "{refused}");
    assert_eq!(check(&cluster.nodes[0]), before, "the database must stay as it is");

    cluster.brokers.copy_stores(|store| (store.with_extension("later"), store.to_owned()));
    cluster.nodes[0].restart();
    cluster.assert_streams(&token, &ids);
}

#[test]
fn running_node_of_deleted_journal_stops_with_one_sentence() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    cluster.add_node();
    cluster.add_node();
    cluster.brokers.lose_data();
    for node in &mut cluster.nodes {
        assert!(!node.wait().success(), "{}", node.output());
        let (output, sentence) = (node.output(), "the cluster's journal was deleted or re-created");
        let last = output.lines().last().unwrap_or_default();
        assert!(last.contains(sentence) && last.contains("docs/CLUSTER.md"), "{last}");
    }
}
