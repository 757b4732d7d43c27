//! From a relay of its own to a cluster and back: ids, epoch and data stay.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::harness::client::TestClient;
use crate::harness::cluster::{check, document, refusal, refused_start};
use crate::harness::{TestCluster, TestRelay};

#[test]
fn single_relay_founds_cluster_and_leaves_it_with_its_ids() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    // A relay of its own, with a history.
    let mut relay = cluster.new_node();
    relay.set_config("cluster", "none");
    relay.restart();
    let client = TestClient::new(&relay, "acme");
    let (id, token) = (client.id.clone(), client.token.clone());
    let hook = client.add_unverified_hook("gini").path;
    let mut ids: Vec<String> =
        (0..5).map(|number| client.post_gini(&hook, &document(0, number), "COMPLETED")).collect();
    relay.stop();
    let alone = check(&relay);

    // It founds a cluster, two others join.
    cluster.configure(&mut relay);
    relay.restart();
    cluster.nodes.push(relay);
    cluster.add_node();
    cluster.add_node();
    for (node, number) in [(0, 5), (1, 6), (2, 7)] {
        let at = TestClient::with_token(&cluster.nodes[node], &id, token.clone());
        ids.push(at.post_gini(&hook, &document(0, number), "COMPLETED"));
        cluster.wait_until_caught_up();
    }
    for node in &cluster.nodes {
        assert_eq!(node.follow_from(&token, &ids[2]).event_ids(5), ids[3..]);
        assert_eq!(node.follow_from(&token, "earliest").event_ids(8), ids);
    }
    let together = cluster.assert_equal_digests();
    assert_eq!(together.epoch, alone.epoch);

    // Only a running node may change the cluster's data.
    let node = &mut cluster.nodes[1];
    let refused = refusal(&node.cli(&["client", "add", "offline"]));
    assert!(refused.contains("belongs to a cluster"), "{refused}");

    // One node becomes a relay of its own again, and does not return.
    node.set_config("cluster", "none");
    node.restart();
    assert_eq!(node.follow_from(&token, &ids[6]).event_ids(1), ids[7..]);
    let next = TestClient::with_token(node, &id, token.clone()).post_gini(&hook, &document(0, 8), "COMPLETED");
    assert_eq!(node.follow_from(&token, &ids[7]).event_ids(1), [next]);
    node.stop();
    assert_eq!(check(node).epoch, alone.epoch);
    let mut node = cluster.nodes.remove(1);
    cluster.configure(&mut node);
    cluster.nodes.iter_mut().for_each(TestRelay::restart);
    let refused = refused_start(&mut node);
    assert!(refused.contains("does not belong") || refused.contains("other data"), "{refused}");
    assert_eq!(cluster.nodes[0].follow_from(&token, "earliest").event_ids(8), ids);
}

#[test]
fn interrupted_founding_is_completed_by_next_start() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    let mut relay = cluster.new_node();
    relay.set_config("cluster", "none");
    relay.restart();
    relay.stop();
    cluster.configure(&mut relay);
    // The journal is made before the keys are shared, and this token is not accepted.
    let token = relay.data_dir().join("admin.token");
    fs::set_permissions(&token, Permissions::from_mode(0o644)).unwrap();
    let refused = refused_start(&mut relay);
    assert!(refused.contains("chmod 600"), "{refused}");
    fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
    relay.restart();
    cluster.nodes.push(relay);
    cluster.add_node();
    cluster.assert_equal_digests();
}
