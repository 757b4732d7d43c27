//! When the ids of a cluster's events go on, and when they must not: a directory that leaves its cluster, a copy of
//! one, and one that founds a cluster again.

use std::path::Path;
use std::process::Command;

use crate::harness::TestCluster;
use crate::harness::client::TestClient;
use crate::harness::cluster::{check, document, refused_start};

/// Copies a directory with everything in it, and the file times.
fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[test]
fn copy_of_node_starts_alone_with_new_epoch_and_the_node_with_its_own() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    cluster.add_node();
    cluster.add_node();
    let client = TestClient::new(&cluster.nodes[0], "acme");
    let (id, token) = (client.id.clone(), client.token.clone());
    let hook = client.add_unverified_hook("gini").path;
    let ids: Vec<String> = (0..3).map(|number| client.post_gini(&hook, &document(0, number), "COMPLETED")).collect();
    cluster.wait_until_caught_up();
    // One stops in order, one does not. The second one has begun with a snapshot.
    assert!(cluster.nodes[0].stop().success());
    cluster.nodes[1].kill();
    for number in 0..2 {
        let mut copy = cluster.new_node();
        copy_directory(&cluster.nodes[number].data_dir(), &copy.data_dir());
        let node = &mut cluster.nodes[number];
        node.set_config("cluster", "none");
        node.restart();
        assert_eq!(node.follow_from(&token, &ids[0]).event_ids(2), ids[1..]);
        let next = TestClient::with_token(node, &id, token.clone()).post_gini(&hook, &document(0, 3), "COMPLETED");
        copy.set_config("cluster", "none");
        copy.restart();
        let event = copy.follow_from(&token, &next).next_event();
        assert_eq!(event.name, "reset", "the copy assigns the same ids to other events");
        node.stop();
        copy.stop();
        assert_ne!(check(node).epoch, check(&copy).epoch);
    }
}

#[test]
fn followers_of_a_lost_journal_get_a_reset_after_founding_again() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    cluster.add_node();
    cluster.add_node();
    let client = TestClient::new(&cluster.nodes[0], "acme");
    let (id, token) = (client.id.clone(), client.token.clone());
    let hook = client.add_unverified_hook("gini").path;
    client.post_gini(&hook, &document(0, 0), "COMPLETED");
    cluster.wait_until_caught_up();
    assert!(cluster.nodes[1].stop().success());
    // The other node does not have these; then everything else is lost.
    let client = TestClient::with_token(&cluster.nodes[0], &id, token.clone());
    let lost: Vec<String> = (1..3).map(|number| client.post_gini(&hook, &document(0, number), "COMPLETED")).collect();
    let mut node = cluster.nodes.remove(1);
    cluster.nodes[0].kill();
    cluster.brokers.lose_data();

    node.set_config("cluster", "none");
    node.restart();
    node.stop();
    cluster.configure(&mut node);
    node.restart();
    let client = TestClient::with_token(&node, &id, token.clone());
    // As many events as were lost, and more.
    (3..8).for_each(|number| drop(client.post_gini(&hook, &document(0, number), "COMPLETED")));
    for id in &lost {
        assert_eq!(node.follow_from(&token, id).next_event().name, "reset");
    }
}

#[test]
fn copy_from_before_the_founding_is_refused_by_the_cluster() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    let mut relay = cluster.new_node();
    relay.set_config("cluster", "none");
    relay.restart();
    let client = TestClient::new(&relay, "acme");
    let (id, token) = (client.id.clone(), client.token.clone());
    let hook = client.add_unverified_hook("gini").path;
    client.post_gini(&hook, &document(0, 0), "COMPLETED");
    relay.stop();
    let mut copy = cluster.new_node();
    copy_directory(&relay.data_dir(), &copy.data_dir());
    // What the copy lacks is in no entry of the journal.
    relay.restart();
    let client = TestClient::with_token(&relay, &id, token.clone());
    let ids: Vec<String> = (1..3).map(|number| client.post_gini(&hook, &document(0, number), "COMPLETED")).collect();
    relay.stop();
    cluster.configure(&mut relay);
    relay.restart();
    cluster.nodes.push(relay);

    let refused = refused_start(&mut copy);
    assert!(refused.contains("does not belong") && refused.contains("empty --data"), "{refused}");
    cluster.add_node();
    assert_eq!(cluster.nodes[1].follow_from(&token, "earliest").event_ids(3)[1..], ids);
    cluster.assert_equal_digests();
}
