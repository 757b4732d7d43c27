//! What is made on one node is valid on all: clients, hooks, tokens, notifications, and the positions of streams.

use std::time::Duration;

use crate::harness::client::TestClient;
use crate::harness::cluster::{document, webhook};
use crate::harness::receiver::Receiver;
use crate::harness::response::stored_event_id;
use crate::harness::{TestCluster, spawn_thread};
use crate::load::{Load, LoadOptions};

#[test]
fn client_of_one_node_works_on_all() {
    let Some(mut cluster) = TestCluster::start() else { return };
    let receiver = Receiver::ok();
    let first = TestClient::new(&cluster.nodes[0], "acme");
    cluster.wait_until_caught_up();
    let (second, third) = (cluster.client_at(1, &first), cluster.client_at(2, &first));
    let hook = second.add_unverified_hook("gini");
    third.add_default_notification("gini", &receiver.url("/"));
    cluster.wait_until_caught_up();
    // A token that another node has issued, and the position of another node.
    let before = first.post_gini(&hook.path, &document(0, 0), "COMPLETED");
    let mut followers = Vec::new();
    for node in &cluster.nodes {
        cluster.wait_until_caught_up();
        followers.push(node.follow_from(&first.token, &before));
    }
    let posting: Vec<_> = cluster
        .addresses()
        .into_iter()
        .enumerate()
        .map(|(series, address)| {
            let path = hook.path.clone();
            spawn_thread("posting", move || {
                let mut connection = crate::harness::connection::Connection::open(address);
                let mut post =
                    |number| stored_event_id(&connection.send(&webhook(&path, &document(series + 1, number))));
                (0..20).map(&mut post).collect::<Vec<String>>()
            })
        })
        .collect();
    let mut posted: Vec<String> = posting.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    let received: Vec<Vec<String>> = followers.iter_mut().map(|follower| follower.event_ids(60)).collect();
    assert!(received.iter().all(|ids| *ids == received[0]), "{received:#?}");
    let mut ids = received[0].clone();
    ids.sort();
    posted.sort();
    assert_eq!(ids, posted);
    let deliveries = receiver.wait(61);
    assert_eq!(deliveries.len(), 61, "no delivery is attempted twice in quiet times");
    second.wait_for_deliveries("state=pending", <[_]>::is_empty);
    let third = cluster.client_at(2, &first);
    assert!(third.get("/hooks").text().contains(&hook.id));
    drop(followers);
    cluster.assert_equal_digests();
}

#[test]
fn followers_that_change_nodes_miss_and_repeat_nothing() {
    let Some(mut cluster) = TestCluster::start() else { return };
    let options = LoadOptions { publishers: 3, followers: 3, pause: Duration::from_millis(20), seed: 1 };
    let load = Load::start(&cluster, options);
    load.wait_for_acknowledged(300);
    load.assert_complete();
    cluster.assert_equal_digests();
}
