//! Many pending callbacks to endpoints that never respond: memory, restart and metrics.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Memory, SecondClient, assert_in_some_attempt, assert_memory};
use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::request::Request;

const SENDERS: usize = 8;

/// The median of so many scrapes counts.
const SCRAPES: usize = 9;

/// How much longer a scrape may take with the callbacks than without: the time does not depend on their number. Other
/// load on the machine is what is left.
const SCRAPE_FACTOR: u32 = 4;
const SCRAPE_TOLERANCE: Duration = Duration::from_millis(50);

/// `CALLBACKS=50000` gives the figures in docs/PERFORMANCE.md.
fn callbacks() -> usize {
    std::env::var("CALLBACKS").map_or(10_000, |number| number.parse().expect("a number in CALLBACKS"))
}

/// The endpoints of the callbacks.
#[derive(Clone, Copy)]
enum Origins {
    One,
    /// Each callback has an address of its own on the loopback interface.
    Many,
}

impl Origins {
    /// The URL of a callback, to this port.
    fn url(self, port: u16, number: usize) -> String {
        let address = match self {
            Self::One => "127.0.0.1".to_owned(),
            Self::Many => format!("127.{}.{}.{}", 1 + (number >> 16), (number >> 8) & 0xff, number & 0xff),
        };
        format!("http://{address}:{port}/done?job={number}")
    }
}

#[test]
fn callbacks_to_a_silent_receiver_cost_little_memory_and_no_start_time() {
    assert_callbacks_are_cheap(Origins::One);
}

// Each has a queue of its own.
#[test]
fn callbacks_to_many_silent_receivers_cost_little_memory_and_no_start_time() {
    assert_callbacks_are_cheap(Origins::Many);
}

#[track_caller]
fn assert_callbacks_are_cheap(origins: Origins) {
    let count = callbacks();
    assert_in_some_attempt(|| {
        let mut relay = TestRelay::with_config(&[
            ("allow_private_endpoints", "127.0.0.0/8"),
            ("pending_deliveries_per_client", "1000000"),
        ]);
        // Connections are never accepted.
        let silent = TcpListener::bind("0.0.0.0:0").expect("a free port");
        let port = silent.local_addr().expect("bound").port();
        let registration = |number| registration(&origins.url(port, number), number);
        let acme = TestClient::new(&relay, "acme");
        acme.post("/documents", &registration(count));
        let second = SecondClient::new(&relay);
        let undisturbed = second.measure_before();
        let (before, scrape_before) = (relay.resident_bytes(), scrape_time(&relay));
        thread::scope(|scope| {
            for sender in 0..SENDERS {
                let (registration, token, listen) = (&registration, &acme.token, relay.listen);
                scope.spawn(move || {
                    let mut connection = Connection::open(listen);
                    for number in (sender..count).step_by(SENDERS) {
                        let request = Request::post("/documents").bearer(token).json(&registration(number));
                        assert_eq!(connection.send(&request).status, 201);
                    }
                });
            }
        });
        // While they are pending: at full speed the senders take all of the machine.
        let during = second.measure_during();
        second.assert_undisturbed(&undisturbed, &during, Memory { peak: 128 << 20, after: 128 << 20 });
        let grown = relay.resident_bytes().saturating_sub(before);
        assert_eq!(relay.metric("docrelay_deliveries_pending"), i64::try_from(count).expect("small") + 1);
        let scrape = scrape_time(&relay);
        relay.kill();
        let start = Instant::now();
        relay.restart();
        while relay.send_admin(&Request::get("/readyz")).status != 200 {}
        let ready = start.elapsed();
        let restarted = relay.resident_bytes();
        eprintln!(
            "{count} callbacks: memory +{grown} B, metrics {scrape:?}, before {scrape_before:?}, restart {ready:?}, \
             then {restarted} B"
        );
        assert_memory("with the callbacks", before, before + grown, 128 << 20);
        assert!(ready < Duration::from_secs(2), "ready after {ready:?}");
        let allowed = scrape_before * SCRAPE_FACTOR + SCRAPE_TOLERANCE;
        assert!(scrape <= allowed, "metrics: {scrape:?}, {scrape_before:?} without callbacks");
    });
}

/// The median time of `/metrics`.
#[track_caller]
fn scrape_time(relay: &TestRelay) -> Duration {
    let mut times: Vec<Duration> = (0..SCRAPES)
        .map(|_| {
            let start = Instant::now();
            assert!(relay.metrics().contains("docrelay_deliveries_pending "));
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[SCRAPES / 2]
}

fn registration(url: &str, number: usize) -> String {
    let callback = json!({ "url": url, "format": "gini" });
    let title = "A title of the usual length ".repeat(8);
    json!({ "vendor": "gini", "vendorId": format!("job-{number}"), "title": title, "callback": callback }).to_string()
}
