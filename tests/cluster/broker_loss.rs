//! A cluster whose brokers have no majority: it refuses changes, serves what it has, and goes on by itself.

use std::time::{Duration, Instant};

use crate::harness::api;
use crate::harness::client::TestClient;
use crate::harness::cluster::{document, webhook};
use crate::harness::request::Request;
use crate::harness::response::stored_event_id;
use crate::harness::{TestCluster, wait_until};

/// How long the surviving broker may take to answer a request for the state of the journal.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// How long every node must stay unready after that: its answers differ from second to second.
const STAYS_UNREADY: Duration = Duration::from_secs(4);

#[test]
fn cluster_without_broker_majority_refuses_changes_and_recovers() {
    let Some(mut cluster) = TestCluster::start() else { return };
    let client = TestClient::new(&cluster.nodes[0], "acme");
    let (token, hook) = (client.token.clone(), client.add_unverified_hook("gini").path);
    let mut ids: Vec<String> =
        (0..3).map(|number| client.post_gini(&hook, &document(0, number), "COMPLETED")).collect();
    cluster.wait_until_caught_up();
    let mut followers: Vec<_> = cluster.nodes.iter().map(|node| node.follow(&token)).collect();

    // A follower survives: it notices earlier than a leader that it has lost the others.
    let leader = cluster.status(0)["broker"]["leader"].clone();
    let (survivor, lost): (Vec<usize>, Vec<usize>) = {
        let followers: Vec<usize> = (0..3).filter(|server| cluster.brokers.servers[*server].name() != leader).collect();
        (0..3).partition(|server| *server == followers[0])
    };
    for server in &lost {
        cluster.brokers.servers[*server].kill();
    }
    // The outcome of an event that meets the loss is unknown: its sender repeats it later.
    let request = webhook(&hook, &document(0, 3));
    for node in &cluster.nodes {
        let refused = node.send(&request);
        assert_eq!(refused.status, 503, "{refused:?}");
        assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{refused:?}");
        assert_eq!(node.send_admin(&Request::get("/livez")).status, 200);
        assert_eq!(node.send(&Request::get("/documents").bearer(&token)).status, 200);
        assert_eq!(node.follow_from(&token, "earliest").event_ids(3), ids);
    }

    for node in &cluster.nodes {
        wait_until("the node is not ready", || node.send_admin(&Request::get("/readyz")).status == 503);
    }
    // Without a leader the survivor answers for it, and lists itself among the replicas: no node takes that for a
    // majority.
    wait_until("the survivor answers without a leader", || {
        let broker = &cluster.brokers.servers[survivor[0]];
        let info = api::request(broker, "STREAM.INFO.docrelay_journal", ANSWER_TIMEOUT);
        info.is_some_and(|info| info["cluster"].is_object() && info["cluster"]["leader"].is_null())
    });
    let until = Instant::now() + STAYS_UNREADY;
    while Instant::now() < until {
        for node in &cluster.nodes {
            let ready = node.send_admin(&Request::get("/readyz"));
            assert_eq!(ready.status, 503, "{ready:?}");
        }
    }

    for server in lost {
        cluster.brokers.servers[server].start();
    }
    for node in &cluster.nodes {
        wait_until("the node is ready", || node.send_admin(&Request::get("/readyz")).status == 200);
    }
    for number in 3..9 {
        // A vendor repeats what is refused while the journal elects its leader.
        let request = webhook(&hook, &document(0, number));
        let mut response = cluster.nodes[number % 3].send(&request);
        wait_until("the node accepts webhooks", || {
            let accepted = response.status == 200;
            if !accepted {
                response = cluster.nodes[number % 3].send(&request);
            }
            accepted
        });
        ids.push(stored_event_id(&response));
    }
    for follower in &mut followers {
        assert_eq!(follower.event_ids(6), ids[3..], "on the streams that were open all the time");
    }
    drop(followers);
    cluster.wait_until_active();
    cluster.assert_equal_digests();
}
