//! What is made on one node is valid on all: clients, hooks, tokens, notifications, and the positions of streams.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::client::TestClient;
use crate::harness::cluster::{document, webhook};
use crate::harness::receiver::Receiver;
use crate::harness::request::Request;
use crate::harness::response::stored_event_id;
use crate::harness::{TIMEOUT, TestCluster, delay, spawn_thread, wait_until};
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
fn streams_of_removed_client_end_on_every_node_before_events_of_its_successor() {
    let Some(cluster) = TestCluster::start() else { return };
    let first = TestClient::new(&cluster.nodes[0], "acme");
    let hook = first.add_unverified_hook("gini").path;
    cluster.wait_until_caught_up();
    let mut followers: Vec<_> = cluster.nodes.iter().map(|node| node.follow(&first.token)).collect();
    let event = first.post_gini(&hook, &document(0, 0), "COMPLETED");
    assert!(followers.iter_mut().all(|follower| follower.next_event().id == event));

    cluster.nodes[0].remove_client("acme");
    let successor = TestClient::new(&cluster.nodes[1], "acme");
    let hook = successor.add_unverified_hook("gini").path;
    cluster.wait_until_caught_up();
    let mut new: Vec<_> = cluster.nodes.iter().map(|node| node.follow(&successor.token)).collect();
    let event = cluster.client_at(2, &successor).post_gini(&hook, &document(0, 1), "COMPLETED");
    for (node, (old, new)) in followers.iter_mut().zip(&mut new).enumerate() {
        assert_eq!(new.next_event().id, event, "node {node}");
        old.read_to_end();
        assert!(!old.raw().contains(&event), "node {node}: {}", old.raw());
    }
}

#[test]
fn followers_that_change_nodes_miss_and_repeat_nothing() {
    let Some(mut cluster) = TestCluster::start() else { return };
    let options = LoadOptions { publishers: 3, followers: 3, ..LoadOptions::with_seed(1) };
    let load = Load::start(&cluster, options);
    load.wait_for_acknowledged(300);
    load.assert_complete();
    cluster.assert_equal_digests();
}

#[test]
fn limits_of_a_client_apply_on_all_nodes() {
    let Some(mut cluster) = TestCluster::start() else { return };
    let first = TestClient::new(&cluster.nodes[0], "acme");
    let admin = cluster.nodes[1].admin_token();
    let change = |limits: &str| {
        let request = Request::new("PATCH", "/admin/clients/acme").bearer(&admin);
        cluster.nodes[1].send_admin(&request.json(&format!(r#"{{"limits":{limits}}}"#)))
    };
    // Within seconds the nodes use the format of entries that has limits.
    wait_until("the change is accepted", || change(r#"{"followers":1,"eventsPerSecond":1}"#).status == 200);
    cluster.wait_until_caught_up();
    let hook = first.add_unverified_hook("gini").path;
    cluster.wait_until_caught_up();
    for node in &cluster.nodes {
        let _follower = node.follow(&first.token);
        let refused = node.send(&Request::get("/events/client").bearer(&first.token));
        assert!(
            refused.text().starts_with(": too many followers of this client (max_followers_per_client)\n"),
            "{}",
            refused.text()
        );
        let limited = (0..200).any(|number| node.send(&webhook(&hook, &document(0, number))).status == 429);
        assert!(limited, "a rate of one per second");
        assert_eq!(node.admin("GET", "/admin/clients/acme").json()["limits"]["followers"], 1);
    }
    assert_eq!(change(r#"{"followers":null}"#).status, 200);
    cluster.wait_until_caught_up();
    for node in &cluster.nodes {
        let _followers = [node.follow(&first.token), node.follow(&first.token)];
        assert_eq!(node.metric("docrelay_stream_refusals_total{reason=\"followers_per_client\"}"), 1);
    }
    cluster.assert_equal_digests();
}

#[test]
fn signing_key_retired_while_a_node_was_down_does_not_come_back() {
    let Some(mut cluster) = TestCluster::start() else { return };
    let client = TestClient::new(&cluster.nodes[0], "acme");
    let token = client.token.clone();
    let keys = |cluster: &TestCluster, node: usize| -> Vec<String> {
        let listed = cluster.nodes[node].cli(&["key", "list"]).succeeded().stdout;
        let kid = |line: &str| serde_json::from_str::<Value>(line).unwrap()["kid"].as_str().unwrap().to_owned();
        listed.lines().map(kid).collect()
    };
    let status = |cluster: &TestCluster, node: usize| {
        cluster.nodes[node].send(&Request::get("/documents").bearer(&token)).status
    };
    let old = keys(&cluster, 0).remove(0);
    cluster.nodes[0].cli(&["key", "rotate"]).succeeded();
    wait_until("all nodes have the new key", || (0..3).all(|node| keys(&cluster, node).len() == 2));
    assert!(cluster.nodes[2].stop().success());
    cluster.nodes[0].cli(&["key", "retire", &old]).succeeded();
    wait_until("the other node has retired it", || !keys(&cluster, 1).contains(&old));
    assert!(keys(&cluster, 2).contains(&old));
    cluster.nodes[2].restart();
    cluster.wait_until_active();
    assert_eq!(status(&cluster, 2), 401, "at once on the node that was down");
    // A running relay reads its directory every 30 s.
    let deadline = Instant::now() + 2 * TIMEOUT;
    while (0..2).any(|node| status(&cluster, node) != 401) {
        assert!(Instant::now() < deadline, "a running node accepts the token");
        assert!((0..3).all(|node| !keys(&cluster, node).contains(&old)), "the key must not come back");
        delay(Duration::from_millis(100));
    }
    assert!((0..3).all(|node| status(&cluster, node) == 401 && !keys(&cluster, node).contains(&old)));
}
