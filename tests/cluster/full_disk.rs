//! A node whose disk is full: it refuses at once, the others go on and take its deliveries, and it continues by itself
//! when there is space again.

use std::time::{Duration, Instant};

use crate::harness::client::TestClient;
use crate::harness::cluster::document;
use crate::harness::disk::{self, SmallDisk};
use crate::harness::queues::Queues;
use crate::harness::request::Request;
use crate::harness::response::{Response, assert_problem, stored_event_id};
use crate::harness::{TestCluster, TestRelay, wait_until};

/// The node with the small disk.
const FULL: usize = 2;

/// Posts an event of several kilobytes.
fn post(node: &TestRelay, hook: &str, number: usize) -> Response {
    let (id, padding) = (document(0, number), "x".repeat(8000));
    node.send(&Request::post(hook).json(&format!(r#"{{"documentId":"{id}","status":"COMPLETED","pad":"{padding}"}}"#)))
}

#[test]
fn node_with_full_disk_refuses_while_others_go_on_and_recovers() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    let mut node = cluster.new_node();
    let Some(_disk) = SmallDisk::mount(&node.data_dir()) else { return };
    cluster.add_node();
    cluster.add_node();
    node.restart();
    cluster.nodes.push(node);
    cluster.wait_until_active();
    let mut queues = Queues::create(&cluster);
    let client = TestClient::new(&cluster.nodes[0], "acme");
    let (token, hook) = (client.token.clone(), client.add_unverified_hook("gini").path);
    cluster.wait_until_caught_up();
    let mut ids: Vec<String> =
        (0..3).map(|number| stored_event_id(&post(&cluster.nodes[number], &hook, number))).collect();
    let mut followers: Vec<_> = cluster.nodes.iter().map(|node| node.follow_from(&token, "earliest")).collect();

    let filler = disk::fill(&cluster.nodes[FULL].data_dir());
    // Its write-ahead log may have space for some more.
    wait_until("the node notices its full disk", || {
        ids.push(stored_event_id(&post(&cluster.nodes[ids.len() % FULL], &hook, ids.len())));
        !cluster.is_ready(FULL)
    });
    let full = &cluster.nodes[FULL];
    full.wait_for_output("store cannot accept events");
    let began = Instant::now();
    let refused = post(full, &hook, 1_000_000);
    assert_problem(&refused, 503);
    assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(2), "refused after {:?}", began.elapsed());
    let reason = assert_problem(&full.send_admin(&Request::get("/readyz")), 503);
    assert!(reason.contains("full"), "{reason}");
    assert_eq!(full.send_admin(&Request::get("/livez")).status, 200);
    assert_eq!(full.send(&Request::get("/documents").bearer(&token)).status, 200);

    // The others go on, also with the queues that the full node owned.
    queues.post(&cluster.nodes[0], 0..1);
    queues.post(&cluster.nodes[1], 1..2);
    queues.wait_until_delivered(Duration::from_secs(30));
    assert!(cluster.is_ready(0) && cluster.is_ready(1) && !cluster.is_ready(FULL));
    for _ in 0..4 {
        ids.push(stored_event_id(&post(&cluster.nodes[ids.len() % FULL], &hook, ids.len())));
    }

    std::fs::remove_file(filler).unwrap();
    wait_until("the node is ready", || cluster.is_ready(FULL));
    cluster.nodes[FULL].wait_for_output("store accepts events again");
    ids.push(stored_event_id(&post(&cluster.nodes[FULL], &hook, 1_000_000)));
    for follower in &mut followers {
        let events = follower.events(ids.len());
        assert!(events.iter().all(|event| event.name == "message"), "{events:?}");
        let streamed: Vec<String> = events.into_iter().map(|event| event.id).collect();
        assert_eq!(streamed, ids, "on the streams that were open all the time");
    }
    drop(followers);
    cluster.assert_streams(&token, &ids);
    cluster.wait_until_active();
    cluster.assert_equal_digests();
}
