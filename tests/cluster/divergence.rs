//! A node whose database differs from the others': it notices, and replaces its database while it runs.

use std::time::Duration;

use crate::harness::attempt::try_send;
use crate::harness::client::TestClient;
use crate::harness::cluster::document;
use crate::harness::request::Request;
use crate::harness::{TestCluster, TestRelay, wait_until};

/// What a node logs when its database is wrong.
pub(crate) const DIFFERS: &str = "database of this node differs";

/// Changes a row behind the node's back.
fn change_title(node: &TestRelay) {
    let database = rusqlite::Connection::open(node.data_dir().join("docrelay.db")).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    let changed = database
        .execute("UPDATE document SET title = 'changed' WHERE id = (SELECT min(id) FROM document)", [])
        .unwrap();
    assert_eq!(changed, 1);
}

/// How often the node has begun to listen.
pub(crate) fn starts(node: &TestRelay) -> usize {
    node.output().matches("relay is listening").count()
}

/// Waits until the node has lost its readiness because of its database, and serves again.
#[track_caller]
fn wait_until_rebuilt(node: &TestRelay, starts_before: usize) {
    node.wait_for_output(DIFFERS);
    let probe = Request::get("/readyz");
    let mut refused = None;
    wait_until("the node is not ready", || {
        refused = try_send(node.admin_listen, &probe, Duration::from_secs(5));
        refused.as_ref().is_none_or(|response| response.status != 200)
    });
    let refused = refused.expect("an answer before the stop");
    assert!(refused.status == 503 && refused.text().contains("differs"), "{refused:?}");
    wait_until("the node has left", || starts(node) > starts_before);
    wait_until("the node is ready again", || {
        try_send(node.admin_listen, &probe, Duration::from_secs(5)).is_some_and(|response| response.status == 200)
    });
}

/// Whether the node has agreed in its last comparison, as another one sees it.
fn agrees(cluster: &TestCluster, seen_by: usize, node: usize) -> bool {
    let name = cluster.status(node)["node"].clone();
    let status = cluster.status(seen_by);
    let members = status["members"].as_array().cloned().unwrap_or_default();
    members.iter().any(|member| member["name"] == name && member["comparison"]["agrees"] == true)
}

pub(crate) fn leader(cluster: &TestCluster) -> Option<usize> {
    let status = cluster.status(0);
    let leader = status["members"].as_array()?.iter().find(|member| member["isLeader"] == true)?["name"].clone();
    (0..cluster.nodes.len()).find(|node| cluster.status(*node)["node"] == leader)
}

#[test]
fn node_with_changed_row_notices_and_rebuilds_itself() {
    let Some(mut cluster) = TestCluster::start() else { return };
    let client = TestClient::new(&cluster.nodes[0], "acme");
    let (id, token, hook) = (client.id.clone(), client.token.clone(), client.add_unverified_hook("gini").path);
    let ids: Vec<String> = (0..5).map(|number| client.post_gini(&hook, &document(0, number), "COMPLETED")).collect();
    cluster.wait_until_caught_up();
    cluster.nodes[2].stop();
    change_title(&cluster.nodes[2]);
    let before = starts(&cluster.nodes[2]);
    cluster.nodes[2].restart();
    let pid = cluster.nodes[2].pid();
    wait_until_rebuilt(&cluster.nodes[2], before + 1);

    assert_eq!(cluster.nodes[2].pid(), pid, "the process has not ended");
    assert_eq!(cluster.nodes[2].metric("docrelay_cluster_rebuilds_total"), 1);
    assert!(!cluster.nodes[0].output().contains(DIFFERS) && !cluster.nodes[1].output().contains(DIFFERS));
    let node = TestClient::with_token(&cluster.nodes[2], &id, token.clone());
    assert!(node.documents().iter().all(|document| document["title"] != "changed"));
    assert_eq!(cluster.nodes[2].follow_from(&token, "earliest").event_ids(5), ids);
    for node in 0..3 {
        wait_until("all nodes agree", || agrees(&cluster, 0, node) && agrees(&cluster, 2, node));
    }
    cluster.assert_equal_digests();
}

#[test]
fn leader_with_changed_row_gives_up_leadership_and_rebuilds_itself() {
    let Some(mut cluster) = TestCluster::start() else { return };
    let client = TestClient::new(&cluster.nodes[0], "acme");
    let hook = client.add_unverified_hook("gini").path;
    (0..5).for_each(|number| drop(client.post_gini(&hook, &document(0, number), "COMPLETED")));
    cluster.wait_until_caught_up();
    let wrong = leader(&cluster).expect("a leader");
    wait_until("the nodes were compared", || (0..3).all(|node| agrees(&cluster, wrong, node)));
    change_title(&cluster.nodes[wrong]);
    let (pid, before) = (cluster.nodes[wrong].pid(), starts(&cluster.nodes[wrong]));
    // The next start of a node begins a comparison.
    cluster.nodes[(wrong + 1) % 3].restart();
    wait_until_rebuilt(&cluster.nodes[wrong], before);

    assert_eq!(cluster.nodes[wrong].pid(), pid, "the process has not ended");
    assert_ne!(leader(&cluster), Some(wrong));
    wait_until("it agrees", || agrees(&cluster, (wrong + 2) % 3, wrong));
    cluster.assert_equal_digests();
}

#[test]
fn marked_database_is_replaced_although_the_process_was_killed() {
    let Some(mut cluster) = TestCluster::start() else { return };
    let client = TestClient::new(&cluster.nodes[0], "acme");
    let hook = client.add_unverified_hook("gini").path;
    client.post_gini(&hook, &document(0, 0), "COMPLETED");
    cluster.wait_until_caught_up();
    cluster.nodes[1].stop();
    change_title(&cluster.nodes[1]);
    cluster.nodes[1].restart();
    let marker = cluster.nodes[1].data_dir().join("rebuild.json");
    wait_until("the database is marked", || marker.exists());
    cluster.nodes[1].kill();
    assert!(marker.exists(), "the database was not replaced yet");
    cluster.nodes[1].restart();
    cluster.nodes[1].wait_for_output("database is marked as wrong");
    assert!(!marker.exists());
    cluster.assert_equal_digests();
}
