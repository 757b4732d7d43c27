//! A notification that is changed or removed, or whose deliveries are retried, at another node than the one that
//! attempts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::harness::client::TestClient;
use crate::harness::cluster::document;
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::request::Request;
use crate::harness::response::string_at;
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

#[test]
fn delivery_in_flight_is_attempted_again_at_once_when_another_node_retries_it() {
    let Some(cluster) = TestCluster::start() else { return };
    cluster.wait_until_active();
    let receiver = Receiver::start(|_, before| match before {
        0 => Reply { after: PROMPT, headers: "Retry-After: 86400\r\n", ..Reply::status(503) },
        _ => Reply::status(200),
    });
    let client = TestClient::new(&cluster.nodes[0], "acme");
    client.add_default_notification("gini", &receiver.url("/"));
    let hook = client.add_unverified_hook("gini").path;
    client.post_gini(&hook, &document(0, 0), "COMPLETED");
    receiver.wait(1);
    let owner = node_with(&cluster, "docrelay_deliveries_running");
    let other = cluster.client_at((owner + 1) % 3, &client);
    let id = string_at(&other.wait_for_delivery_count("state=pending", 1)[0], "id");
    let retried = other.post(&format!("/deliveries/{id}/retry"), "");
    assert_eq!(retried.status, 202, "{retried:?}");
    assert!(receiver.received()[0].ended.is_none(), "the attempt is in flight");
    receiver.wait_until(2 * PROMPT, |received| received.len() == 2);
    let delivered = other.wait_for_delivery_count("state=delivered", 1);
    let statuses: Vec<_> = delivered[0]["attempts"].as_array().unwrap().iter().map(|a| a["status"].as_u64()).collect();
    assert_eq!(statuses, [Some(503), Some(200)]);
}

/// An endpoint that responds with the status that is set.
fn endpoint_with(status: u16) -> (Receiver, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(status));
    let present = status.clone();
    (Receiver::start(move |_, _| Reply::status(present.load(Ordering::SeqCst))), status)
}

/// Waits until the failures of ten deliveries have opened the circuit breaker of the endpoint. Returns the node.
#[track_caller]
fn open_breaker(cluster: &TestCluster, client: &TestClient, hook: &str) -> usize {
    (1..=10).for_each(|number| drop(client.post_gini(hook, &document(0, number), "COMPLETED")));
    node_with(cluster, "docrelay_endpoints_open")
}

#[test]
fn open_breaker_is_reset_when_another_node_retries_a_delivery() {
    let Some(cluster) = TestCluster::start() else { return };
    cluster.wait_until_active();
    let (receiver, status) = endpoint_with(500);
    let client = TestClient::new(&cluster.nodes[0], "acme");
    client.add_default_notification("gini", &receiver.url("/"));
    let owner = open_breaker(&cluster, &client, &client.add_unverified_hook("gini").path);
    status.store(200, Ordering::SeqCst);
    let other = cluster.client_at((owner + 1) % 3, &client);
    let id = string_at(&other.wait_for_delivery_count("state=pending", 10)[4], "id");
    let before = receiver.received().len();
    let retried = other.post(&format!("/deliveries/{id}/retry"), "");
    assert_eq!(retried.status, 202, "{retried:?}");
    receiver.wait_until(PROMPT, |received| received.len() > before);
    other.wait_for_deliveries("state=delivered", |all| all.iter().any(|delivery| delivery["id"] == *id));
}

#[test]
fn open_breaker_is_reset_when_another_node_recovers_dead_deliveries() {
    let Some(cluster) = TestCluster::start() else { return };
    cluster.wait_until_active();
    let (receiver, status) = endpoint_with(410);
    let client = TestClient::new(&cluster.nodes[0], "acme");
    client.add_default_notification("gini", &receiver.url("/"));
    let hook = client.add_unverified_hook("gini").path;
    client.post_gini(&hook, &document(0, 0), "COMPLETED");
    let dead = string_at(&client.wait_for_delivery_count("state=dead", 1)[0], "id");
    status.store(500, Ordering::SeqCst);
    assert_eq!(client.send(Request::new("PUT", "/v2/notification/main").json("{}")).status, 200);
    let owner = open_breaker(&cluster, &client, &hook);
    status.store(200, Ordering::SeqCst);
    let before = receiver.received().len();
    let other = cluster.client_at((owner + 1) % 3, &client);
    let recovered = other.post("/v2/notification/main/recover", r#"{"since":"2020-01-01T00:00:00Z"}"#);
    assert_eq!((recovered.status, recovered.json()["recovered"].as_u64()), (200, Some(1)), "{recovered:?}");
    receiver.wait_until(PROMPT, |received| received.len() > before);
    other.wait_for_deliveries("state=delivered", |all| all.iter().any(|delivery| delivery["id"] == *dead));
}
