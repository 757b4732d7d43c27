//! Changes during deliveries: a notification, callback or client is changed, removed or created again while deliveries
//! are pending or in flight.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::request::Request;
use crate::harness::response::{assert_problem, stored_event_id, string_at};

/// Answers with 500 after a delay, so that several attempts fail at the same time.
fn failing_endpoint() -> Receiver {
    Receiver::start(|_, _| Reply { after: Duration::from_millis(300), ..Reply::status(500) })
}

/// Creates a default notification to a failing endpoint, with 40 pending deliveries and an open circuit breaker.
/// Returns the path of a hook.
fn open_breaker(client: &TestClient<'_>, endpoint: &Receiver) -> String {
    let hook = client.add_unverified_hook("gini").path;
    client.add_default_notification("gini", &endpoint.url("/"));
    for n in 0..40 {
        client.post_gini(&hook, &format!("d{n}"), "COMPLETED");
    }
    client.relay.wait_for_metric("docrelay_endpoints_open", 1);
    hook
}

#[test]
fn failing_endpoint_does_not_delay_other_clients() {
    let mut relay = TestRelay::allowing_loopback_endpoints();
    {
        let (acme, other) = (TestClient::new(&relay, "acme"), TestClient::new(&relay, "other"));
        let (failing, healthy) = (failing_endpoint(), Receiver::ok());
        open_breaker(&acme, &failing);
        let attempts = failing.received().len();
        other.add_default_notification("gini", &healthy.url("/"));
        let hook = other.add_unverified_hook("gini").path;
        // Until the circuit breaker is half open and the endpoint gets another attempt.
        let mut n = 0;
        while failing.received().len() == attempts {
            let began = Instant::now();
            n += 1;
            other.post_gini(&hook, &format!("x{n}"), "COMPLETED");
            healthy.wait(n);
            assert_eq!(relay.send_admin(&Request::get("/readyz")).status, 200);
            assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        }
        assert_eq!(acme.deliveries("state=pending&limit=100").len(), 40);
    }
    assert!(relay.stop().success());
}

#[test]
fn recreated_notification_does_not_inherit_breaker_state() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let (failing, next) = (failing_endpoint(), Receiver::ok());
    let hook = open_breaker(&acme, &failing);
    assert_eq!(acme.delete("/v2/notification/main").status, 200);
    acme.add_default_notification("standard", &next.url("/next"));
    let began = Instant::now();
    acme.post_gini(&hook, "fresh", "COMPLETED");
    next.wait(1);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    acme.wait_for_delivery_count("state=delivered", 1);
    assert_eq!(next.received().len(), 1, "the deliveries of the removed notification are dead");
    assert_eq!(acme.deliveries("state=dead&limit=100").len(), 40);
}

#[test]
fn recreated_client_does_not_inherit_deliveries() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let failing = failing_endpoint();
    open_breaker(&TestClient::new(&relay, "acme"), &failing);
    relay.remove_client("acme");
    let again = TestClient::new(&relay, "acme");
    let (next, hook) = (Receiver::ok(), again.add_unverified_hook("gini").path);
    again.add_default_notification("standard", &next.url("/next"));
    again.post_gini(&hook, "fresh", "COMPLETED");
    again.wait_for_delivery_count("state=delivered", 1);
    assert_eq!(next.received().len(), 1);
}

#[test]
fn changed_endpoint_receives_pending_deliveries_at_once() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let (failing, next) = (failing_endpoint(), Receiver::ok());
    open_breaker(&acme, &failing);
    let began = Instant::now();
    change_endpoint(&acme, &next.url("/next"));
    next.wait(40);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    acme.wait_for_delivery_count("state=delivered&limit=100", 40);
}

/// Changes the endpoint of the notification `main`. Returns its state.
fn change_endpoint(client: &TestClient<'_>, endpoint: &str) -> String {
    let body = json!({ "endpoint": endpoint }).to_string();
    let changed = client.send(Request::new("PUT", "/v2/notification/main").json(&body));
    assert_eq!(changed.status, 200, "{changed:?}");
    string_at(&changed.json(), "state")
}

#[test]
fn late_410_does_not_disable_the_new_endpoint() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let old = Receiver::start(|_, _| Reply { after: Duration::from_secs(2), ..Reply::status(410) });
    let (new, hook) = (Receiver::ok(), acme.add_unverified_hook("gini").path);
    acme.add_default_notification("gini", &old.url("/"));
    acme.post_gini(&hook, "a", "COMPLETED");
    old.wait(1);
    assert_eq!(change_endpoint(&acme, &new.url("/")), "active");
    // After the late response the event goes to the new endpoint.
    new.wait(1);
    acme.wait_for_delivery_count("state=delivered", 1);
    assert_eq!(acme.get("/v2/notification/main").json()["state"], "active");
}

#[test]
fn handshake_of_old_endpoint_does_not_verify_new_one() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let old = Receiver::start(|received, before| {
        let body = received.parameter("nonce").map(|nonce| format!(r#"{{"nonce":"{nonce}"}}"#)).unwrap_or_default();
        // The first request is the handshake at the creation of the notification.
        Reply { body, after: Duration::from_secs(if before == 0 { 0 } else { 2 }), ..Reply::status(200) }
    });
    let (new, hook) = (Receiver::ok(), acme.add_unverified_hook("gini").path);
    acme.add_default_notification("ppj", &old.url("/"));
    std::thread::scope(|scope| {
        let (to, request) = (relay.listen, Request::post("/v2/notification/main/verify").bearer(&acme.token));
        let verifying = scope.spawn(move || Connection::open(to).send(&request));
        old.wait(2);
        assert_eq!(change_endpoint(&acme, &new.url("/")), "unverified");
        assert_eq!(verifying.join().expect("an answer").status, 400);
    });
    assert_eq!(acme.get("/v2/notification/main").json()["state"], "unverified");
    acme.post_gini(&hook, "a", "COMPLETED");
    acme.wait_for_attempt("state=pending");
    assert!(new.received().iter().all(|r| r.parameter("type").as_deref() == Some("verify")), "{:?}", new.received());
}

/// Sends an event, retries its delivery by hand during its first attempt, and expects the second one to succeed.
#[track_caller]
fn retry_during_first_attempt(client: &TestClient<'_>, receiver: &Receiver) {
    client.post_gini(&client.add_unverified_hook("gini").path, "a", "COMPLETED");
    receiver.wait(1);
    let id = string_at(&client.deliveries("")[0], "id");
    assert_eq!(client.post(&format!("/deliveries/{id}/retry"), "").status, 202);
    receiver.wait(2);
    client.wait_for_delivery_count("state=delivered", 1);
}

#[test]
fn manual_retry_during_running_attempt_is_kept() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let receiver = Receiver::start(|_, before| Reply {
        headers: "Retry-After: 80000\r\n",
        after: Duration::from_secs(if before == 0 { 1 } else { 0 }),
        ..Reply::status(if before == 0 { 503 } else { 200 })
    });
    acme.add_default_notification("gini", &receiver.url("/"));
    retry_during_first_attempt(&acme, &receiver);
}

// The first response ends the delivery for good, but arrives after the owner's retry.
#[test]
fn manual_retry_during_attempt_of_a_callback_that_ends_it_is_kept() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let receiver = Receiver::start(|_, before| Reply {
        after: Duration::from_secs(if before == 0 { 1 } else { 0 }),
        ..Reply::status(if before == 0 { 410 } else { 200 })
    });
    let callback = json!({ "url": receiver.url("/"), "format": "gini" });
    let document = json!({ "vendor": "gini", "vendorId": "a", "callback": callback });
    assert_eq!(acme.post("/documents", &document.to_string()).status, 201);
    retry_during_first_attempt(&acme, &receiver);
}

#[test]
fn concurrent_notification_updates_are_all_applied() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    acme.add_notification(&json!({ "name": "main", "endpoint": "http://127.0.0.1:9/", "format": "zoffice" }));
    let (to, token) = (relay.listen, acme.token.clone());
    let put = |body: &str| {
        let request = Request::new("PUT", "/v2/notification/main").bearer(&token).json(body);
        let changed = Connection::open(to).send(&request);
        assert_eq!(changed.status, 200, "{changed:?}");
    };
    for _ in 0..20 {
        put(r#"{"isDefault":false,"tokenType":""}"#);
        std::thread::scope(|scope| {
            scope.spawn(|| put(r#"{"isDefault":true}"#));
            scope.spawn(|| put(r#"{"tokenType":"header","tokenValue":"z"}"#));
        });
        let shown = acme.get("/v2/notification/main").json();
        assert_eq!((&shown["isDefault"], &shown["tokenType"]), (&json!(true), &json!("header")));
    }
}

#[test]
fn changed_callback_on_same_host_replaces_old_one() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let acme = TestClient::new(&relay, "acme");
    let receiver = Receiver::start(|received, _| Reply::status(if received.target == "/old" { 500 } else { 200 }));
    let hook = acme.add_unverified_hook("zoffice").path;
    let register = |path: &str, token: &str| {
        let callback =
            json!({ "url": receiver.url(path), "format": "gini", "tokenType": "header", "tokenValue": token });
        acme.post("/documents", &json!({ "vendor": "zoffice", "vendorId": "a", "callback": callback }).to_string())
    };
    let done = json!({ "taskId": "a", "code": "TaskSuccessNotify", "detail": {} }).to_string();
    stored_event_id(&relay.send(&Request::post(&hook).json(&done)));
    assert_eq!(register("/old", "old").status, 200);
    receiver.wait(1);
    assert_eq!(register("/new", "new").status, 200);
    let received = receiver.wait(2);
    assert_eq!((received[1].target.as_str(), received[1].header("authorization")), ("/new", Some("new")));
    // The next attempt finds that the old callback does not belong to the document any more.
    acme.wait_for_delivery_count("state=dead", 1);
    assert_eq!(receiver.received().iter().filter(|r| r.target == "/old").count(), 1);
    assert_problem(&register("/x\\y", "x"), 400);
}
