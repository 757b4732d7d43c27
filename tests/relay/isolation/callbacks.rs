//! Many pending callbacks to an endpoint that never responds: memory, restart and metrics.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Memory, SecondClient, assert_in_some_attempt, assert_memory};
use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::request::Request;

/// Each to a URL of its own. Raise it to 50 000 for the figure in docs/PERFORMANCE.md.
const CALLBACKS: usize = 10_000;
const SENDERS: usize = 8;

#[test]
fn callbacks_to_a_silent_receiver_cost_little_memory_and_no_start_time() {
    assert_in_some_attempt(|| {
        let mut relay = TestRelay::with_config(&[
            ("allow_private_endpoints", "127.0.0.0/8"),
            ("pending_deliveries_per_client", "1000000"),
        ]);
        // Connections are never accepted.
        let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base = format!("http://{}", silent.local_addr().expect("bound"));
        let acme = TestClient::new(&relay, "acme");
        acme.post("/documents", &registration(&base, CALLBACKS));
        let second = SecondClient::new(&relay);
        let undisturbed = second.measure_before();
        let before = relay.resident_bytes();
        thread::scope(|scope| {
            for sender in 0..SENDERS {
                let (base, token, listen) = (&base, &acme.token, relay.listen);
                scope.spawn(move || {
                    let mut connection = Connection::open(listen);
                    for number in (sender..CALLBACKS).step_by(SENDERS) {
                        let request = Request::post("/documents").bearer(token).json(&registration(base, number));
                        assert_eq!(connection.send(&request).status, 201);
                    }
                });
            }
        });
        // While they are pending: at full speed the senders take all of the machine.
        let during = second.measure_during();
        second.assert_undisturbed(&undisturbed, &during, Memory { peak: 128 << 20, after: 128 << 20 });
        let grown = relay.resident_bytes().saturating_sub(before);
        let scrape = Instant::now();
        assert_eq!(relay.metric("docrelay_deliveries_pending"), i64::try_from(CALLBACKS).expect("small") + 1);
        let scraped = scrape.elapsed();
        relay.kill();
        let start = Instant::now();
        relay.restart();
        while relay.send_admin(&Request::get("/readyz")).status != 200 {}
        let ready = start.elapsed();
        let restarted = relay.resident_bytes();
        eprintln!(
            "{CALLBACKS} callbacks: memory +{grown} B, metrics {scraped:?}, restart {ready:?}, then {restarted} B"
        );
        assert_memory("with the callbacks", before, before + grown, 128 << 20);
        assert!(ready < Duration::from_secs(2), "ready after {ready:?}");
    });
}

fn registration(base: &str, number: usize) -> String {
    let callback = json!({ "url": format!("{base}/done?job={number}"), "format": "gini" });
    let title = "A title of the usual length ".repeat(8);
    json!({ "vendor": "gini", "vendorId": format!("job-{number}"), "title": title, "callback": callback }).to_string()
}
