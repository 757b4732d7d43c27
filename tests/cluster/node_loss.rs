//! A node that is killed under load: nothing acknowledged is lost, followers go on elsewhere, another node delivers.

use std::time::Duration;

use crate::harness::TestCluster;
use crate::harness::client::TestClient;
use crate::harness::cluster::document;
use crate::harness::receiver::{Receiver, Reply};
use crate::load::{Load, LoadOptions};

#[test]
fn sigkill_of_node_under_load_loses_and_repeats_nothing() {
    let Some(mut cluster) = TestCluster::start() else { return };
    let options = LoadOptions { publishers: 4, followers: 3, ..LoadOptions::with_seed(2) };
    let load = Load::start(&cluster, options);
    for node in 0..3 {
        load.wait_for_acknowledged(100);
        cluster.nodes[node].kill();
        load.wait_for_acknowledged(50);
        cluster.nodes[node].restart();
    }
    load.wait_for_acknowledged(100);
    load.assert_complete();
    cluster.assert_equal_digests();
}

#[test]
fn queues_of_killed_node_are_delivered_by_another() {
    let Some(mut cluster) = TestCluster::start() else { return };
    // Several queues, so that each node owns some.
    let receiver = Receiver::start(|_, _| Reply { after: Duration::from_millis(100), ..Reply::status(200) });
    let clients: Vec<TestClient> =
        (0..6).map(|queue| TestClient::new(&cluster.nodes[0], &format!("client-{queue}"))).collect();
    let add_queue = |(queue, client): (usize, &TestClient)| {
        client.add_default_notification("gini", &receiver.url(&format!("/{queue}")));
        client.add_unverified_hook("gini").path
    };
    let hooks: Vec<String> = clients.iter().enumerate().map(add_queue).collect();
    let mut expected = Vec::new();
    for number in 0..40 {
        for (queue, hook) in hooks.iter().enumerate() {
            let id = document(queue, number);
            clients[queue].post_gini(hook, &id, "COMPLETED");
            expected.push((format!("/{queue}"), id));
        }
    }
    receiver.wait(10);
    let tokens: Vec<String> = clients.iter().map(|client| client.token.clone()).collect();
    // Owns about a third of the queues, with attempts in flight.
    cluster.nodes[1].kill();
    let all = receiver.wait_until(Duration::from_secs(60), |all| {
        expected.iter().all(|(target, id)| {
            all.iter().any(|received| received.target == *target && received.json()["documentId"] == **id)
        })
    });
    // Twice only what was under way when its owner died.
    assert!(all.len() <= expected.len() + 60, "{} attempts for {} deliveries", all.len(), expected.len());
    cluster.nodes[1].restart();
    for (queue, token) in tokens.into_iter().enumerate() {
        let client = TestClient::with_token(&cluster.nodes[2], &format!("client-{queue}"), token);
        client.wait_for_deliveries("state=pending", <[_]>::is_empty);
    }
    cluster.assert_equal_digests();
}
