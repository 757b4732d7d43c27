//! Endpoints that get no delivery: private addresses, redirect targets, removed notifications and clients.

use std::time::Duration;

use serde_json::json;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, string_at};

// Rule 20: addresses in URLs are checked.
#[test]
fn private_endpoints_are_refused_in_every_address_notation() {
    let relay = TestRelay::start();
    let acme = TestClient::new(&relay, "acme");
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST.",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fc00::1]",
        "[fe80::1]",
        "[::127.0.0.1]",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let body = json!({ "name": "n", "endpoint": format!("http://{host}:8080/x") }).to_string();
        let refused = acme.post("/v2/notification", &body);
        assert_eq!((refused.status, refused.json()["code"].as_str()), (400, Some("BceValidationException")), "{host}");
        assert!(string_at(&refused.json(), "message").starts_with("endpoint:endpoint="), "{refused:?}");
        let callback = json!({ "vendor": "gini", "vendorId": "a",
            "callback": { "url": format!("http://{host}/"), "format": "gini" } });
        assert_problem(&acme.post("/documents", &callback.to_string()), 400);
    }
    for bad in ["ftp://example.com/", "http://", "/x", "http://u:p@example.com/", "javascript:alert(1)"] {
        let body = json!({ "name": "n", "endpoint": bad }).to_string();
        assert_eq!(acme.post("/v2/notification", &body).status, 400, "{bad}");
    }
    assert!(acme.documents().is_empty());
}

#[test]
fn endpoint_closed_by_configuration_is_not_called() {
    let mut relay = TestRelay::allowing_loopback_endpoints();
    let receiver = Receiver::ok();
    let (token, hook) = {
        let acme = TestClient::new(&relay, "acme");
        acme.add_default_notification("gini", &receiver.url("/"));
        (acme.token.clone(), acme.add_unverified_hook("gini").path)
    };
    relay.set_config("allow_private_endpoints", "none");
    relay.restart();
    relay.send(&Request::post(&hook).json(r#"{"documentId":"a","status":"COMPLETED"}"#));
    let acme = TestClient::with_token(&relay, "acme", token);
    let delivery = acme.wait_for_attempt("state=pending");
    assert!(string_at(&delivery["attempts"][0], "reason").contains("no request was made"), "{delivery:?}");
    assert_eq!(receiver.connections(), 0);
}

#[test]
fn localhost_is_called_when_its_ipv4_range_is_open() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let receiver = Receiver::ok();
    let url = |path| receiver.url(path).replace("127.0.0.1", "localhost");
    acme.add_default_notification("gini", &url("/notification"));
    let callback =
        json!({ "vendor": "gini", "vendorId": "a", "callback": { "url": url("/callback"), "format": "gini" } });
    assert_eq!(acme.post("/documents", &callback.to_string()).status, 201);
    acme.post_gini(&acme.add_unverified_hook("gini").path, "a", "COMPLETED");
    // The registration, and the event that follows it, to both.
    acme.wait_for_delivery_count("state=delivered", 4);
    let hosts: Vec<_> = receiver.received().iter().filter_map(|r| r.header("host").map(str::to_owned)).collect();
    assert_eq!(hosts, vec![format!("localhost:{}", receiver.address.port()); 4]);
}

#[test]
fn redirect_is_a_failure_and_not_followed() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let receiver = Receiver::start(|_, _| Reply { headers: "Location: /elsewhere\r\n", ..Reply::status(302) });
    acme.add_default_notification("gini", &receiver.url("/"));
    acme.post_gini(&acme.add_unverified_hook("gini").path, "a", "COMPLETED");
    let delivery = acme.wait_for_attempt("state=pending");
    assert_eq!(delivery["attempts"][0]["status"], 302);
    assert_eq!(receiver.received().len(), 1);
}

/// Answers after 9 s, so that attempts stay in flight.
fn slow_endpoint() -> Receiver {
    Receiver::start(|_, _| Reply { after: Duration::from_secs(9), ..Reply::status(200) })
}

#[test]
fn deleted_notification_receives_nothing_more() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let (receiver, hook) = (slow_endpoint(), acme.add_unverified_hook("gini").path);
    acme.add_default_notification("gini", &receiver.url("/"));
    for n in 0..50 {
        acme.post_gini(&hook, &format!("d{n}"), "COMPLETED");
    }
    receiver.wait(4);
    let deleted = acme.delete("/v2/notification/main");
    assert_eq!((deleted.status, deleted.body.len()), (200, 0), "{deleted:?}");
    let before = receiver.received().len();
    assert_eq!(relay.metric("docrelay_deliveries_running"), 0, "attempts in flight are cancelled");
    let dead = acme.deliveries("state=dead&limit=1000");
    assert_eq!((dead.len(), acme.deliveries("state=pending").len()), (50, 0));
    // A new notification of the same name inherits nothing.
    let next = Receiver::ok();
    acme.add_default_notification("gini", &next.url("/next"));
    acme.post_gini(&hook, "last", "COMPLETED");
    assert_eq!(next.wait(1).len(), 1);
    acme.wait_for_delivery_count("state=delivered", 1);
    assert_eq!((receiver.received().len(), next.received().len()), (before, 1));
}

#[test]
fn removed_client_receives_nothing_more() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let (receiver, hook) = (slow_endpoint(), acme.add_unverified_hook("gini").path);
    acme.add_default_notification("gini", &receiver.url("/"));
    let callback = json!({ "vendor": "standard", "vendorId": "x",
        "callback": { "url": receiver.url("/own"), "format": "zoffice" } });
    assert_eq!(acme.post("/documents", &callback.to_string()).status, 201);
    for n in 0..50 {
        acme.post_gini(&hook, &format!("d{n}"), "COMPLETED");
    }
    receiver.wait(5);
    relay.remove_client("acme");
    let before = receiver.received().len();
    assert_eq!(relay.metric("docrelay_deliveries_running"), 0);
    let recreated = TestClient::new(&relay, "acme");
    assert!(recreated.deliveries("").is_empty());
    let (next, hook) = (Receiver::ok(), recreated.add_unverified_hook("gini").path);
    recreated.add_default_notification("gini", &next.url("/"));
    recreated.post_gini(&hook, "first", "COMPLETED");
    recreated.wait_for_delivery_count("state=delivered", 1);
    assert_eq!((receiver.received().len(), next.received().len()), (before, 1));
    relay.wait_for_metric("docrelay_deliveries_pending", 0);
}

#[test]
fn deliveries_are_private_and_log_holds_no_secret() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let (acme, other) = (TestClient::new(&relay, "acme"), TestClient::new(&relay, "other"));
    let receiver = Receiver::start(|_, _| Reply { body: "response-with-a-secret".into(), ..Reply::status(500) });
    acme.add_notification(
        &json!({ "name": "main", "endpoint": receiver.url("/notify?key=endpoint-secret"), "format": "zoffice",
        "tokenType": "header", "tokenValue": "token-value-secret", "isDefault": true }),
    );
    acme.post_gini(&acme.add_unverified_hook("gini").path, "a", "COMPLETED");
    let delivery = acme.wait_for_attempt("");
    let id = string_at(&delivery, "id");
    assert!(other.deliveries("").is_empty());
    assert_problem(&other.get(&format!("/deliveries/{id}")), 404);
    assert_problem(&other.post(&format!("/deliveries/{id}/retry"), ""), 404);
    assert_problem(&relay.send(&Request::get("/deliveries")), 401);
    relay.wait_for_output("delivery attempt failed");
    let log = relay.output();
    for secret in ["endpoint-secret", "token-value-secret", "response-with-a-secret"] {
        assert!(!log.contains(secret), "{secret} in the log:\n{log}");
    }
    let metrics = relay.send_admin(&Request::get("/metrics"));
    assert!(metrics.text().contains("docrelay_delivery_attempts_total{outcome=\"failed\"} 1"), "{}", metrics.text());
    assert!(!metrics.text().contains("acme") && !metrics.text().contains("main"), "{}", metrics.text());
}
