//! Loops: an event that comes back to its own client, and an event that goes round several clients.

use serde_json::json;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::receiver::Receiver;
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id};

/// A completed document in the format `standard`.
fn message() -> String {
    json!({ "type": "document.completed", "data": { "id": "a" } }).to_string()
}

#[test]
fn event_loop_through_own_hook_is_refused() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let (acme, other) = (TestClient::new(&relay, "acme"), TestClient::new(&relay, "other"));
    let (own, foreign) = (acme.add_unverified_hook("standard"), other.add_unverified_hook("standard"));
    acme.add_default_notification("standard", &own.url);
    stored_event_id(&relay.send(&Request::post(&own.path).json(&message())));
    let delivery = acme.wait_for_attempt("state=pending");
    assert_eq!(delivery["attempts"][0]["status"], 508, "{delivery:?}");
    // A delivery to a hook of another client is a webhook like any other.
    let changed = json!({ "endpoint": foreign.url }).to_string();
    assert_eq!(acme.send(Request::new("PUT", "/v2/notification/main").json(&changed)).status, 200);
    acme.wait_for_delivery_count("state=delivered", 1);
    assert_eq!((other.documents().len(), acme.documents().len()), (1, 1));
}

#[test]
fn clients_that_forward_to_each_other_stop_after_few_hops() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let (acme, other) = (TestClient::new(&relay, "acme"), TestClient::new(&relay, "other"));
    let (own, foreign) = (acme.add_unverified_hook("standard"), other.add_unverified_hook("standard"));
    acme.add_default_notification("standard", &foreign.url);
    other.add_default_notification("standard", &own.url);
    stored_event_id(&relay.send(&Request::post(&own.path).json(&message())));
    relay.wait_for_metric("docrelay_events_in_total{vendor=\"standard\",outcome=\"looped\"}", 1);
    // One event from outside and five hops.
    assert_eq!((acme.events(3).len(), other.events(3).len()), (3, 3));
    assert_eq!(relay.metric("docrelay_events_in_total{vendor=\"standard\",outcome=\"stored\"}"), 6);
    let refused = other.wait_for_attempt("state=pending");
    assert_eq!(refused["attempts"][0]["status"], 508, "{refused:?}");
}

#[test]
fn hops_are_counted_in_deliveries_and_refused_beyond_the_bound() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let (receiver, hook) = (Receiver::ok(), acme.add_unverified_hook("gini").path);
    acme.add_default_notification("gini", &receiver.url("/"));
    let send = |document: &str, hops: &str| {
        let body = json!({ "documentId": document, "status": "COMPLETED" }).to_string();
        relay.send(&Request::post(&hook).header("Docrelay-Hops", hops).json(&body))
    };
    acme.post_gini(&hook, "a", "COMPLETED");
    assert_eq!(receiver.wait(1)[0].header("docrelay-hops"), Some("1"));
    stored_event_id(&send("b", "5"));
    assert_eq!(receiver.wait(2)[1].header("docrelay-hops"), Some("6"));
    for beyond in ["6", "99999999999999999999", "-1", "x", ""] {
        assert_problem(&send("c", beyond), 508);
    }
    assert_eq!(acme.documents().len(), 2);
}

#[test]
fn test_event_and_handshake_to_own_hook_are_refused() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let (standard, ppj) = (acme.add_unverified_hook("standard"), acme.add_unverified_hook("ppj"));
    acme.add_default_notification("standard", &standard.url);
    let tested = acme.post("/v2/notification/main/test", "");
    assert_eq!((tested.status, &tested.json()["status"]), (200, &json!(508)), "{tested:?}");
    let shown = acme.add_notification(&json!({ "name": "own", "endpoint": ppj.url, "format": "ppj" }));
    assert_eq!(shown["state"], "unverified");
    assert!(acme.documents().is_empty(), "{:?}", acme.documents());
}
