//! Retries of failed deliveries: schedule, order, recovery of dead deliveries, and restarts in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::receiver::{Received, Receiver, Reply};
use crate::harness::request::Request;
use crate::harness::response::string_at;

fn vendor_ids(all: &[Received]) -> Vec<String> {
    all.iter().map(|r| string_at(&r.json(), "vendorId")).collect()
}

#[test]
fn failed_delivery_is_retried_across_sigkill() {
    let mut relay = TestRelay::allowing_loopback_endpoints();
    let receiver = Receiver::start(|_, before| match before {
        0 => Reply { body: "not now".into(), ..Reply::status(500) },
        1 => Reply { headers: "Retry-After: 1\r\n", ..Reply::status(503) },
        _ => Reply::status(204),
    });
    let id = {
        let acme = TestClient::new(&relay, "acme");
        acme.add_default_notification("standard", &receiver.url("/notify"));
        let id = acme.post_gini(&acme.add_unverified_hook("gini").path, "a", "COMPLETED");
        acme.wait_for_attempt("state=pending");
        id
    };
    relay.kill();
    relay.restart();
    let all = receiver.wait_until(Duration::from_secs(90), |all| all.len() == 3);
    let waits: Vec<f64> = all.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64()).collect();
    // Jitter of 20 % to either side, and a margin for a busy machine.
    assert!((3.9..12.0).contains(&waits[0]) && (23.9..45.0).contains(&waits[1]), "{waits:?}");
    let message = format!("msg_{}", id.replace('.', "_"));
    assert!(all.iter().all(|r| r.header("webhook-id") == Some(message.as_str()) && r.body == all[0].body), "{all:?}");
    let token = relay.token("acme");
    let delivered = || relay.send(&Request::get("/deliveries?state=delivered").bearer(&token)).json();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while delivered()["deliveries"][0].is_null() && std::time::Instant::now() < deadline {}
    let list = delivered();
    let attempts = list["deliveries"][0]["attempts"].as_array().expect("attempts").clone();
    assert_eq!(attempts.iter().map(|a| a["status"].as_u64()).collect::<Vec<_>>(), [Some(500), Some(503), Some(204)]);
    assert_eq!(attempts[0]["answer"], "not now");
    assert!(string_at(&attempts[0], "reason").contains("500"), "{list}");
    assert_eq!(list["deliveries"][0]["eventId"], id);
}

#[test]
fn delivery_order_is_kept_per_document_only() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let receiver = Receiver::start(|received, before| {
        let first_of_a = before == 0 && received.json()["vendorId"] == "a";
        Reply::status(if first_of_a { 500 } else { 200 })
    });
    acme.add_default_notification("gini", &receiver.url("/"));
    // Not Gini's hook: its messages would be delivered unchanged.
    let hook = acme.add_unverified_hook("standard").path;
    let post = |id: &str, kind: &str| {
        let body = json!({ "type": kind, "data": { "id": id } }).to_string();
        assert_eq!(acme.relay.send(&Request::post(&hook).json(&body)).status, 200);
    };
    post("a", "document.pending");
    receiver.wait(1);
    post("a", "document.completed");
    post("b", "document.completed");
    let all = receiver.wait(4);
    let received: Vec<_> =
        all.iter().map(|r| (string_at(&r.json(), "vendorId"), string_at(&r.json(), "status"))).collect();
    let received: Vec<_> = received.iter().map(|(id, status)| (id.as_str(), status.as_str())).collect();
    assert_eq!(received, [("a", "PENDING"), ("b", "COMPLETED"), ("a", "PENDING"), ("a", "COMPLETED")]);
}

#[test]
fn endpoint_answering_410_is_disabled_and_recoverable() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let gone = Arc::new(AtomicBool::new(true));
    let endpoint_gone = gone.clone();
    let receiver =
        Receiver::start(move |_, _| Reply::status(if endpoint_gone.load(Ordering::SeqCst) { 410 } else { 200 }));
    acme.add_default_notification("gini", &receiver.url("/"));
    let hook = acme.add_unverified_hook("zoffice").path;
    let post = |id: &str| {
        let body = json!({ "taskId": id, "code": "TaskSuccessNotify", "detail": {} }).to_string();
        assert_eq!(acme.relay.send(&Request::post(&hook).json(&body)).status, 200);
    };
    post("a");
    acme.wait_for_delivery_count("state=dead", 1);
    assert_eq!(acme.get("/v2/notification/main").json()["state"], "disabled");
    post("b");
    let dead = acme.wait_for_delivery_count("state=dead&notification=main", 2);
    assert!(string_at(&dead[0]["attempts"][0], "reason").contains("disabled"), "{dead:?}");
    assert_eq!(receiver.received().len(), 1, "a disabled endpoint gets no delivery");
    gone.store(false, Ordering::SeqCst);
    let enabled = acme.send(Request::new("PUT", "/v2/notification/main").json("{}"));
    assert_eq!((enabled.status, enabled.json()["state"].as_str()), (200, Some("active")), "{enabled:?}");
    // A manual retry of one delivery.
    let id = string_at(&dead[1], "id");
    assert_eq!(acme.post(&format!("/deliveries/{id}/retry"), "").status, 202);
    assert_eq!(vendor_ids(&receiver.wait(2)), ["a", "a"]);
    acme.wait_for_delivery_count("state=delivered", 1);
    // Recovery of the others.
    let recovered = acme.post("/v2/notification/main/recover", r#"{"since":"2020-01-01T00:00:00Z"}"#);
    assert_eq!((recovered.status, &recovered.json()["recovered"]), (200, &Value::from(1)), "{recovered:?}");
    assert_eq!(vendor_ids(&receiver.wait(3)), ["a", "a", "b"]);
    acme.wait_for_delivery_count("state=delivered", 2);
    assert!(acme.deliveries("state=dead").is_empty());
}

#[test]
fn manual_retry_ignores_the_retry_schedule() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let receiver = Receiver::start(|_, before| Reply {
        headers: "Retry-After: 86400\r\n",
        ..Reply::status(if before == 0 { 429 } else { 200 })
    });
    acme.add_default_notification("gini", &receiver.url("/"));
    acme.post_gini(&acme.add_unverified_hook("gini").path, "a", "COMPLETED");
    let delivery = acme.wait_for_attempt("state=pending");
    let next = OffsetDateTime::parse(&string_at(&delivery, "nextAttempt"), &Rfc3339).expect("a time");
    let wait = (next - OffsetDateTime::now_utc()).whole_seconds();
    assert!((86_300..=86_400).contains(&wait), "{wait}");
    let id = string_at(&delivery, "id");
    assert_eq!(acme.post(&format!("/deliveries/{id}/retry"), "").status, 202);
    receiver.wait(2);
    acme.wait_for_delivery_count("state=delivered", 1);
}
