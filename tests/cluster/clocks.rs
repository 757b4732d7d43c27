//! Nodes whose clocks are minutes apart: order, duplicates, deliveries, leases, and the expiry of tokens.

use std::time::{Duration, Instant};

use crate::harness::client::TestClient;
use crate::harness::cluster::{document, webhook};
use crate::harness::preload::PreloadLibrary;
use crate::harness::queues::Queues;
use crate::harness::request::Request;
use crate::harness::response::{stored_event_id, string_at};
use crate::harness::{TestCluster, TestRelay, delay};

/// Seconds by which the clock of each node is ahead.
const SHIFTS: [i64; 3] = [0, 180, -240];

/// Between the clocks of nodes 1 and 2 in their tokens: shorter than the difference.
const TOKEN_TTL: &str = "5m";

/// Longer than a lease.
const WATCHED: Duration = Duration::from_secs(6);

/// A token of a client that this node issues.
#[track_caller]
fn issue(cluster: &TestCluster, node: usize, client: &str, secret: &str) -> String {
    let form = format!("grant_type=client_credentials&client_id={client}&client_secret={secret}");
    string_at(&cluster.nodes[node].send(&Request::post("/oauth/token").form(&form)).json(), "access_token")
}

/// Starts a node with each of the shifts. The first one leads, because it starts alone.
fn start_with_shifts(cluster: &mut TestCluster, config: &[(&str, &str)]) {
    let library = PreloadLibrary::build("tests/cluster/harness/clock.c");
    for shift in SHIFTS {
        let mut node = cluster.new_node();
        let variables =
            [("LD_PRELOAD", library.path.display().to_string()), ("CLOCK_SHIFT_SECONDS", shift.to_string())];
        node.set_environment(variables.map(|(name, value)| (name.to_owned(), value.into())).into());
        for (key, value) in config {
            node.set_config(key, value);
        }
        node.restart();
        cluster.nodes.push(node);
        cluster.wait_until_active();
    }
}

#[test]
fn nodes_with_clocks_minutes_apart_agree() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    start_with_shifts(&mut cluster, &[("token_ttl", TOKEN_TTL)]);
    let (membership, began) = (cluster.status(0)["membership"].clone(), Instant::now());
    let mut queues = Queues::create(&cluster);
    let client = TestClient::new(&cluster.nodes[0], "acme");
    let (token, secret) = (client.token.clone(), client.secret.clone());
    let hook = client.add_unverified_hook("gini").path;
    cluster.wait_until_caught_up();

    // The order is that of the acknowledgements, and a duplicate is one on every node.
    let post =
        |node: usize, number: usize| stored_event_id(&cluster.nodes[node].send(&webhook(&hook, &document(0, number))));
    let ids: Vec<String> = (0..12).map(|number| post(number % 3, number)).collect();
    for (number, id) in ids.iter().enumerate().take(3) {
        assert!((0..3).all(|node| post(node, number) == *id), "event {number} was stored again");
    }
    cluster.assert_streams(&token, &ids);
    let times: Vec<String> = (0..3)
        .map(|number| {
            let event = &cluster.nodes[0].follow_from(&token, "earliest").events(12)[number];
            string_at(&event.json(), "time")
        })
        .collect();
    assert!(times[2] < times[0] && times[0] < times[1], "the clocks are minutes apart: {times:?}");

    // A first attempt waits for no clock, and none is made twice.
    for node in 0..3 {
        queues.post(&cluster.nodes[node], node..node + 1);
    }
    let attempts = queues.wait_until_delivered(Duration::from_secs(10));
    assert!(attempts.values().all(|times| times.len() == 1), "{attempts:?}");

    // A token ends by the clock of the node that checks it.
    let tokens: Vec<String> = (0..3).map(|node| issue(&cluster, node, "acme", &secret)).collect();
    let accepted =
        |node: usize, token: &str| cluster.nodes[node].send(&Request::get("/documents").bearer(token)).status == 200;
    let matrix = tokens.iter().map(|token| [0, 1, 2].map(|node| accepted(node, token)));
    let expected = [[true, true, true], [true, true, true], [true, false, true]];
    assert_eq!(matrix.collect::<Vec<_>>(), expected, "node 2 issues tokens that have expired by the clock of node 1");

    // No lease is affected.
    delay(WATCHED.saturating_sub(began.elapsed()));
    for node in 0..3 {
        let status = cluster.status(node);
        assert_eq!((&status["membership"], &status["ownership"]), (&membership, &"active".into()), "{status}");
        assert!(!cluster.nodes[node].output().contains("lost the lease"), "{}", cluster.nodes[node].output());
    }
    cluster.assert_streams(&token, &ids);
    cluster.assert_equal_digests();
}

/// The leader's clock is right, the one of node 2 is behind by more than this.
const HISTORY_AGE: &str = "2m";

/// The leader looks for old events every 30 s.
const PRUNED_WITHIN: Duration = Duration::from_secs(45);

#[test]
fn nodes_with_clocks_minutes_apart_prune_the_same_events() {
    let Some(mut cluster) = TestCluster::brokers_only() else { return };
    start_with_shifts(&mut cluster, &[("history_age", HISTORY_AGE)]);
    let client = TestClient::new(&cluster.nodes[0], "acme");
    let (token, hook) = (client.token.clone(), client.add_unverified_hook("gini").path);
    cluster.wait_until_caught_up();
    // By the leader's clock the event of node 2 is four minutes old, and that of node 1 not yet written.
    let post = |node: usize| stored_event_id(&cluster.nodes[node].send(&webhook(&hook, &document(0, node))));
    let ids = [2, 0, 1].map(post);
    let (earliest, deadline) =
        (|node: &TestRelay| node.follow_from(&token, "earliest").next_event().id, Instant::now() + PRUNED_WITHIN);
    for node in &cluster.nodes {
        while earliest(node) == ids[0] {
            assert!(Instant::now() < deadline, "the event of node 2 is not pruned");
            delay(Duration::from_millis(200));
        }
    }
    cluster.assert_streams(&token, &ids[1..]);
    cluster.assert_equal_digests();
}
