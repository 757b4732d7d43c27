//! A notification that is changed or removed at another node than the one that attempts its deliveries.

use std::time::{Duration, Instant};

use crate::harness::client::TestClient;
use crate::harness::cluster::document;
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::request::Request;
use crate::harness::{TestCluster, wait_until};

/// Much shorter than `delivery_timeout` and than the time for which a circuit breaker stays open.
const PROMPT: Duration = Duration::from_secs(3);

/// The only node with this metric at 1.
#[track_caller]
fn node_with(cluster: &TestCluster, metric: &str) -> usize {
    let find = || cluster.nodes.iter().position(|node| node.metric(metric) == 1);
    wait_until(metric, || find().is_some());
    find().expect("a node")
}

#[test]
fn request_in_flight_is_cancelled_when_another_node_removes_its_notification() {
    let Some(cluster) = TestCluster::start() else { return };
    cluster.wait_until_active();
    let receiver = Receiver::start(|_, _| Reply { after: Duration::from_secs(60), ..Reply::status(200) });
    let client = TestClient::new(&cluster.nodes[0], "acme");
    client.add_default_notification("gini", &receiver.url("/"));
    let hook = client.add_unverified_hook("gini").path;
    client.post_gini(&hook, &document(0, 0), "COMPLETED");
    receiver.wait(1);
    let owner = node_with(&cluster, "docrelay_deliveries_running");
    let begun = Instant::now();
    let removed = cluster.client_at((owner + 1) % 3, &client).delete("/v2/notification/main");
    assert_eq!(removed.status, 200, "{removed:?}");
    wait_until("the request has ended", || cluster.nodes[owner].metric("docrelay_deliveries_running") == 0);
    assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
}

#[test]
fn changed_endpoint_is_used_at_once_when_another_node_changes_it() {
    let Some(cluster) = TestCluster::start() else { return };
    cluster.wait_until_active();
    let (failing, working) = (Receiver::start(|_, _| Reply::status(500)), Receiver::ok());
    let client = TestClient::new(&cluster.nodes[0], "acme");
    client.add_default_notification("gini", &failing.url("/"));
    let hook = client.add_unverified_hook("gini").path;
    (0..15).for_each(|number| drop(client.post_gini(&hook, &document(0, number), "COMPLETED")));
    let owner = node_with(&cluster, "docrelay_endpoints_open");
    let body = format!(r#"{{"endpoint":"{}"}}"#, working.url("/"));
    let changed = Request::new("PUT", "/v2/notification/main").json(&body);
    let changed = cluster.client_at((owner + 1) % 3, &client).send(changed);
    assert_eq!(changed.status, 200, "{changed:?}");
    working.wait_until(PROMPT, |received| received.len() >= 15);
}
