//! A slow or failing endpoint does not delay other endpoints.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Memory, SecondClient, assert_in_some_attempt};
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::request::Request;
use crate::harness::{TIMEOUT, TestRelay, delay, spawn_thread, wait_until};

const CLIENTS: usize = 200;
const ENDPOINTS: usize = 1_000;
const HANGING: usize = 100;
/// Events per second.
const RATE: u32 = 200;
const EVENTS: usize = 2_000;
/// Events of healthy endpoints.
const HEALTHY: usize = EVENTS * (ENDPOINTS - HANGING) / ENDPOINTS;

/// A relay with clients, their endpoints and two documents for each endpoint.
struct Load {
    relay: TestRelay,
    receiver: Receiver,
    /// Token and path of the hook of each client.
    hooks: Vec<(String, String)>,
    sent_at: Arc<Mutex<HashMap<String, Instant>>>,
    delays: Arc<Mutex<Vec<Duration>>>,
}

impl Load {
    /// Every tenth endpoint responds after `slow`.
    fn start(slow: Duration) -> Self {
        let relay = TestRelay::allowing_loopback_endpoints();
        let sent_at = Arc::new(Mutex::new(HashMap::<String, Instant>::new()));
        let delays = Arc::new(Mutex::new(Vec::new()));
        let (sent, measured) = (sent_at.clone(), delays.clone());
        let receiver = Receiver::start(move |received, _| {
            if received.target.starts_with("/slow") {
                return Reply { after: slow, ..Reply::status(200) };
            }
            let id = received.json()["vendorId"].as_str().map(str::to_owned).unwrap_or_default();
            if let Some(at) = sent.lock().expect("times").remove(&id) {
                measured.lock().expect("times").push(at.elapsed());
            }
            Reply::status(200)
        });
        let mut load = Self { relay, receiver, hooks: Vec::new(), sent_at, delays };
        for client in 0..CLIENTS {
            let tenant = TestClient::new(&load.relay, &format!("c{client}"));
            let hook = tenant.add_unverified_hook("standard").path;
            for n in 0..ENDPOINTS / CLIENTS {
                let endpoint = client * (ENDPOINTS / CLIENTS) + n;
                let speed = if endpoint.is_multiple_of(ENDPOINTS / HANGING) { "slow" } else { "fast" };
                let made = json!({ "name": format!("n{n}"), "format": "gini",
                    "endpoint": load.receiver.url(&format!("/{speed}/{endpoint}")) });
                assert_eq!(tenant.post("/v2/notification", &made.to_string()).status, 200);
            }
            load.hooks.push((tenant.token.clone(), hook));
        }
        // Registration spreads the documents over all endpoints. It also creates a first event for each document.
        for event in 0..EVENTS {
            let endpoint = event % ENDPOINTS;
            let (token, _) = &load.hooks[endpoint / (ENDPOINTS / CLIENTS)];
            let body = json!({ "vendor": "standard", "vendorId": format!("d{event}"),
                "notification": format!("n{}", endpoint % (ENDPOINTS / CLIENTS)) });
            let made = load.relay.send(&Request::post("/documents").bearer(token).json(&body.to_string()));
            assert_eq!(made.status, 201, "{made:?}");
        }
        load.receiver.wait_until(Duration::from_secs(60), |all| {
            all.iter().filter(|received| received.target.starts_with("/fast")).count() >= HEALTHY
        });
        load
    }

    /// Sends an event of each document. Returns the delays from webhook to delivery of the healthy endpoints.
    fn measure(&self) -> Delays {
        let mut connection = Connection::open(self.relay.listen);
        let began = Instant::now();
        for event in 0..EVENTS {
            let due = began + Duration::from_secs(1) / RATE * u32::try_from(event).expect("small");
            delay(due.saturating_duration_since(Instant::now()));
            let (_, hook) = &self.hooks[event % ENDPOINTS / (ENDPOINTS / CLIENTS)];
            let body = json!({ "type": "document.completed", "data": { "id": format!("d{event}") } }).to_string();
            self.sent_at.lock().expect("times").insert(format!("d{event}"), Instant::now());
            assert_eq!(connection.send(&Request::post(hook).json(&body)).status, 200);
        }
        self.receiver.wait_until(Duration::from_secs(60), |_| self.delays.lock().expect("times").len() >= HEALTHY);
        let mut all = self.delays.lock().expect("times").clone();
        assert_eq!(all.len(), HEALTHY);
        all.sort();
        Delays { median: all[all.len() / 2], p99: all[all.len() * 99 / 100] }
    }
}

/// From webhook to delivery.
#[derive(Debug)]
struct Delays {
    median: Duration,
    p99: Duration,
}

/// Look-ups used to share threads with the readers of the database: one client could stop all reads.
#[test]
fn hanging_name_resolution_delays_no_other_client() {
    assert_in_some_attempt(|| {
        // A name server that receives queries and never responds.
        let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let server = silent.local_addr().expect("bound").to_string();
        let config =
            [("dns_servers", server.as_str()), ("allow_private_endpoints", "127.0.0.0/8"), ("delivery_timeout", "3s")];
        let relay = TestRelay::with_config(&config);
        let (acme, other) = (TestClient::new(&relay, "acme"), TestClient::new(&relay, "other"));
        let began = Instant::now();
        let mut waiting: Vec<Connection> = (0..60)
            .map(|number| {
                let url = format!("https://host-{number}.blackhole.example/done");
                let callback = json!({"url": url, "format": "gini"});
                let body = json!({"vendor": "gini", "vendorId": format!("job-{number}"), "callback": callback});
                let mut connection = Connection::open(relay.listen);
                connection.write(Request::post("/documents").bearer(&acme.token).json(&body.to_string()).bytes());
                connection
            })
            .collect();
        silent.set_read_timeout(Some(TIMEOUT)).expect("a socket option");
        let mut query = [0; 512];
        let (length, _) = silent.recv_from(&mut query).expect("a query");
        assert!(query[..length].windows(9).any(|part| part == b"blackhole"), "the look-up of an endpoint");

        let receiver = Receiver::ok();
        let callback = json!({"url": receiver.url("/done"), "format": "gini"});
        let registered =
            other.post("/documents", &json!({"vendor": "gini", "vendorId": "a", "callback": callback}).to_string());
        assert_eq!(registered.status, 201, "{registered:?}");
        assert_eq!(other.documents().len(), 1);
        assert_eq!(other.events(1).len(), 1);
        receiver.wait(1);
        let took = began.elapsed();
        for connection in &mut waiting {
            assert_eq!(connection.read_response().status, 201);
        }
        // The check gives up after two seconds; the client's further registrations do not wait for one another.
        let all = began.elapsed();
        assert!(took < Duration::from_secs(2), "another client waited for {took:?}");
        assert!(all < Duration::from_secs(10), "the registrations took {all:?}");
        assert!(relay.metric("docrelay_endpoint_checks_skipped_total") > 0);
    });
}

#[test]
fn hanging_name_server_delays_no_second_client() {
    assert_in_some_attempt(|| {
        let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let server = silent.local_addr().expect("bound").to_string();
        let config = [("dns_servers", server.as_str()), ("allow_private_endpoints", "127.0.0.0/8")];
        let relay = TestRelay::with_config(&config);
        let (acme, second) = (TestClient::new(&relay, "acme"), SecondClient::new(&relay));
        let before = second.measure_before();
        let ended = AtomicBool::new(false);
        let during = thread::scope(|scope| {
            for sender in 0..30 {
                let (token, listen, ended) = (&acme.token, relay.listen, &ended);
                scope.spawn(move || {
                    let mut connection = Connection::open(listen);
                    for number in (sender..).step_by(30) {
                        let url = format!("https://host-{number}.blackhole.example/done");
                        let callback = json!({"url": url, "format": "gini"});
                        let body = json!({"vendor": "gini", "vendorId": format!("job-{number}"), "callback": callback});
                        let request = Request::post("/documents").bearer(token).json(&body.to_string());
                        assert_eq!(connection.send(&request).status, 201);
                        if ended.load(Ordering::Relaxed) {
                            return;
                        }
                        delay(Duration::from_millis(300));
                    }
                });
            }
            wait_until("a look-up was given up", || relay.metric("docrelay_endpoint_checks_skipped_total") > 0);
            let during = second.measure_during();
            ended.store(true, Ordering::Relaxed);
            during
        });
        second.assert_undisturbed(&before, &during, Memory { peak: 32 << 20, after: 32 << 20 });
    });
}

// Rule 27: retries are spread and endpoints isolated.
#[test]
fn hanging_endpoints_do_not_delay_healthy_ones() {
    assert_in_some_attempt(|| {
        // Two relays with the same load at the same time: what only one of them shows comes from its hanging endpoints.
        // It starts last, so that the deliveries of its registrations still hang.
        let loads = [Duration::ZERO, Duration::from_secs(10)].map(Load::start);
        let measuring = loads.map(|load| spawn_thread("load", move || load.measure()));
        let [without, beside] = measuring.map(|thread| thread.join().expect("measured"));
        eprintln!("from webhook to delivery: {beside:?}; without hanging endpoints: {without:?}");
        assert!(beside.median < without.median * 4 + Duration::from_millis(5), "{beside:?}, without: {without:?}");
        assert!(beside.p99 < without.p99 * 4 + Duration::from_millis(20), "{beside:?}, without: {without:?}");
        assert!(beside.p99 < Duration::from_secs(1), "{beside:?}");
    });
}

#[test]
fn slow_callbacks_do_not_delay_other_clients_deliveries() {
    assert_in_some_attempt(|| {
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
    });
}
