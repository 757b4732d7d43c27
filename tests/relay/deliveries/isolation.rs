//! One slow or dead endpoint delays no other.

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
const RATE: u32 = 200;
const EVENTS: usize = 2_000;

#[test]
fn hanging_endpoints_do_not_delay_healthy_ones() {
    let relay = TestRelay::allowing_loopback_endpoints();
    let sent: &'static Mutex<HashMap<String, Instant>> = Box::leak(Box::default());
    let late: &'static Mutex<Vec<Duration>> = Box::leak(Box::default());
    let receiver = Receiver::start(|received, _| {
        if received.target.starts_with("/hangs") {
            return Reply { after: Duration::from_secs(10), ..Reply::status(200) };
        }
        let id = received.json()["vendorId"].as_str().map(str::to_owned).unwrap_or_default();
        if let Some(at) = sent.lock().expect("times").get(&id) {
            late.lock().expect("times").push(at.elapsed());
        }
        Reply::status(200)
    });
    let mut hooks = Vec::new();
    for client in 0..CLIENTS {
        let tenant = TestClient::new(&relay, &format!("c{client}"));
        let hook = tenant.add_unverified_hook("standard").path;
        for n in 0..ENDPOINTS / CLIENTS {
            let endpoint = client * (ENDPOINTS / CLIENTS) + n;
            let place = if endpoint.is_multiple_of(ENDPOINTS / HANGING) { "hangs" } else { "hears" };
            let made = json!({ "name": format!("n{n}"), "endpoint": receiver.url(&format!("/{place}/{endpoint}")),
                "format": "gini" });
            assert_eq!(tenant.post("/v2/notification", &made.to_string()).status, 200);
        }
        hooks.push((tenant.token.clone(), hook));
    }
    // Every document is announced, so that the events go round all endpoints. That is told, too: a first round.
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
        all.iter().filter(|r| r.target.starts_with("/hears")).count() >= healthy
    });
    let mut connection = Connection::open(relay.listen);
    let began = Instant::now();
    for event in 0..EVENTS {
        let due = began + Duration::from_secs(1) / RATE * u32::try_from(event).expect("small");
        delay(due.saturating_duration_since(Instant::now()));
        let (_, hook) = &hooks[event % ENDPOINTS / (ENDPOINTS / CLIENTS)];
        let body = json!({ "type": "document.completed", "data": { "id": format!("d{event}") } }).to_string();
        sent.lock().expect("times").insert(format!("d{event}"), Instant::now());
        assert_eq!(connection.send(&Request::post(hook).json(&body)).status, 200);
    }
    receiver.wait_until(Duration::from_secs(60), |all| {
        all.iter().filter(|r| r.target.starts_with("/hears")).count() >= 2 * healthy
    });
    let mut late = late.lock().expect("times").clone();
    late.sort();
    assert_eq!(late.len(), healthy);
    let (middle, most) = (late[late.len() / 2], late[late.len() * 99 / 100]);
    eprintln!("from webhook to delivery: median {middle:?}, 99th percentile {most:?}, of {}", late.len());
    assert!(most < Duration::from_secs(1), "99th percentile {most:?}");
}
