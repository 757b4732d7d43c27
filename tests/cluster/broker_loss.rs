//! A cluster whose brokers have no majority: it refuses changes, serves what it has, and goes on by itself.

use crate::harness::client::TestClient;
use crate::harness::cluster::{document, webhook};
use crate::harness::request::Request;
use crate::harness::response::stored_event_id;
use crate::harness::{TestCluster, wait_until};

#[test]
fn cluster_without_broker_majority_refuses_changes_and_recovers() {
    let Some(mut cluster) = TestCluster::start() else { return };
    let client = TestClient::new(&cluster.nodes[0], "acme");
    let (token, hook) = (client.token.clone(), client.add_unverified_hook("gini").path);
    let mut ids: Vec<String> =
        (0..3).map(|number| client.post_gini(&hook, &document(0, number), "COMPLETED")).collect();
    cluster.wait_until_caught_up();
    let mut followers: Vec<_> = cluster.nodes.iter().map(|node| node.follow(&token)).collect();

    cluster.brokers.servers[1].kill();
    cluster.brokers.servers[2].kill();
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

    // The surviving broker may answer one node as if it reached the others: see docs/CLUSTER.md.
    wait_until("a node is not ready", || {
        cluster.nodes.iter().any(|node| node.send_admin(&Request::get("/readyz")).status == 503)
    });

    for server in [1, 2] {
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
