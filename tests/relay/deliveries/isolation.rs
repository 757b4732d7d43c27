//! A slow or failing endpoint does not delay other endpoints.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::request::Request;
use crate::harness::{TestRelay, delay};

const CLIENTS: usize = 200;
const ENDPOINTS: usize = 1_000;
const HANGING: usize = 100;
/// Events per second.
const RATE: u32 = 200;
const EVENTS: usize = 2_000;

// Rule 27: retries are spread and endpoints isolated.
#[test]
fn hanging_endpoints_do_not_delay_healthy_ones() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let sent_at: &'static Mutex<HashMap<String, Instant>> = Box::leak(Box::default());
    let delays: &'static Mutex<Vec<Duration>> = Box::leak(Box::default());
    let receiver = Receiver::start(|received, _| {
        if received.target.starts_with("/slow") {
            return Reply { after: Duration::from_secs(10), ..Reply::status(200) };
        }
        let id = received.json()["vendorId"].as_str().map(str::to_owned).unwrap_or_default();
        if let Some(at) = sent_at.lock().expect("times").get(&id) {
            delays.lock().expect("times").push(at.elapsed());
        }
        Reply::status(200)
    });
    let mut hooks = Vec::new();
    for client in 0..CLIENTS {
        let tenant = TestClient::new(&relay, &format!("c{client}"));
        let hook = tenant.add_unverified_hook("standard").path;
        for n in 0..ENDPOINTS / CLIENTS {
            let endpoint = client * (ENDPOINTS / CLIENTS) + n;
            let speed = if endpoint.is_multiple_of(ENDPOINTS / HANGING) { "slow" } else { "fast" };
            let made = json!({ "name": format!("n{n}"), "endpoint": receiver.url(&format!("/{speed}/{endpoint}")),
                "format": "gini" });
            assert_eq!(tenant.post("/v2/notification", &made.to_string()).status, 200);
        }
        hooks.push((tenant.token.clone(), hook));
    }
    // Registration spreads the documents over all endpoints. It also creates a first event for each document.
    for event in 0..EVENTS {
        let endpoint = event % ENDPOINTS;
        let (token, _) = &hooks[endpoint / (ENDPOINTS / CLIENTS)];
        let body = json!({ "vendor": "standard", "vendorId": format!("d{event}"),
            "notification": format!("n{}", endpoint % (ENDPOINTS / CLIENTS)) });
        let made = relay.send(&Request::post("/documents").bearer(token).json(&body.to_string()));
        assert_eq!(made.status, 201, "{made:?}");
    }
    let healthy = EVENTS * (ENDPOINTS - HANGING) / ENDPOINTS;
    receiver.wait_until(Duration::from_secs(60), |all| {
        all.iter().filter(|r| r.target.starts_with("/fast")).count() >= healthy
    });
    let mut connection = Connection::open(relay.listen);
    let began = Instant::now();
    for event in 0..EVENTS {
        let due = began + Duration::from_secs(1) / RATE * u32::try_from(event).expect("small");
        delay(due.saturating_duration_since(Instant::now()));
        let (_, hook) = &hooks[event % ENDPOINTS / (ENDPOINTS / CLIENTS)];
        let body = json!({ "type": "document.completed", "data": { "id": format!("d{event}") } }).to_string();
        sent_at.lock().expect("times").insert(format!("d{event}"), Instant::now());
        assert_eq!(connection.send(&Request::post(hook).json(&body)).status, 200);
    }
    receiver.wait_until(Duration::from_secs(60), |all| {
        all.iter().filter(|r| r.target.starts_with("/fast")).count() >= 2 * healthy
    });
    let mut delays = delays.lock().expect("times").clone();
    delays.sort();
    assert_eq!(delays.len(), healthy);
    let (median, p99) = (delays[delays.len() / 2], delays[delays.len() * 99 / 100]);
    eprintln!("from webhook to delivery: median {median:?}, 99th percentile {p99:?}, of {}", delays.len());
    assert!(p99 < Duration::from_secs(1), "99th percentile {p99:?}");
}

#[test]
fn slow_callbacks_do_not_delay_other_clients_deliveries() {
    let relay = TestRelay::with_config(&[
        ("allow_private_endpoints", "127.0.0.0/8"),
        ("delivery_concurrency", "8"),
        ("delivery_timeout", "2s"),
    ]);
    let (many, one) = (TestClient::new(&relay, "many"), TestClient::new(&relay, "one"));
    let slow = Receiver::start(|_, _| Reply { after: Duration::from_secs(3), ..Reply::status(200) });
    let fast = Receiver::ok();
    one.add_default_notification("gini", &fast.url("/"));
    let hook = one.add_unverified_hook("gini").path;
    for n in 0..60 {
        let callback = json!({ "url": slow.url(&format!("/{n}")), "format": "gini" });
        let body = json!({ "vendor": "gini", "vendorId": format!("e{n}"), "callback": callback }).to_string();
        assert_eq!(many.post("/documents", &body).status, 201);
    }
    let began = Instant::now();
    one.post_gini(&hook, "a", "COMPLETED");
    fast.wait(1);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // Nor do callbacks to one address delay those of the same client to another.
    let other = Receiver::ok();
    let callback = json!({ "url": other.url("/"), "format": "gini" });
    let body = json!({ "vendor": "gini", "vendorId": "quick", "callback": callback }).to_string();
    assert_eq!(one.post("/documents", &body).status, 201);
    other.wait(1);
}
