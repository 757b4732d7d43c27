//! Crashes during deliveries: no event is lost, and only deliveries in flight are repeated.

use std::collections::HashMap;
use std::time::Duration;

use crate::harness::TestRelay;
use crate::harness::client::{TestClient, try_store_event};
use crate::harness::connection::Connection;
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::request::Request;
use crate::harness::response::string_at;

const KILLS: usize = 20;

/// Upper bound of repeats for each crash: the concurrency limit of an endpoint, for deliveries in flight and for
/// responses that are not stored yet.
const MAX_REPEATS_PER_KILL: usize = 2 * 64;

#[test]
fn sigkill_during_deliveries_loses_no_event() {
    let mut relay = TestRelay::allowing_loopback_endpoints();
    // The delay keeps some deliveries in flight at each kill.
    let receiver = Receiver::start(|_, _| Reply { after: Duration::from_millis(2), ..Reply::status(200) });
    let (token, hook) = {
        let acme = TestClient::new(&relay, "acme");
        acme.add_default_notification("standard", &receiver.url("/"));
        (acme.token.clone(), acme.add_unverified_hook("gini").path)
    };
    let mut acknowledged = Vec::new();
    for round in 0..KILLS {
        let count = fastrand::usize(20..200);
        let mut connection = Connection::open(relay.listen);
        for n in 0..count {
            let body = format!(r#"{{"documentId":"r{round}-{n}","status":"COMPLETED"}}"#);
            let id = try_store_event(&mut connection, &Request::post(&hook).json(&body));
            acknowledged.extend(id.map(|id| format!("msg_{}", id.replace('.', "_"))));
        }
        // The kill comes after a random number of deliveries.
        let seen = receiver.received().len();
        let more = fastrand::usize(0..count);
        receiver.wait_until(Duration::from_secs(30), |all| all.len() >= (seen + more).min(acknowledged.len()));
        relay.kill();
        relay.restart();
    }
    assert!(acknowledged.len() >= 20 * KILLS, "only {} events were acknowledged", acknowledged.len());
    let all = receiver.wait_until(Duration::from_secs(60), |all| {
        let seen: std::collections::HashSet<_> = all.iter().filter_map(|r| r.header("webhook-id")).collect();
        acknowledged.iter().all(|id| seen.contains(id.as_str()))
    });
    let acme = TestClient::with_token(&relay, "acme", token);
    acme.wait_for_deliveries("state=pending", |waiting| waiting.is_empty());
    assert!(acme.deliveries("state=dead").is_empty());
    let mut documents: HashMap<String, String> = HashMap::new();
    for received in &all {
        let id = received.header("webhook-id").expect("a message id").to_owned();
        let document = string_at(&received.json()["data"], "vendorId");
        let before = documents.insert(document.clone(), id.clone());
        assert!(before.is_none_or(|before| before == id), "{document} was delivered under two message ids");
    }
    let repeats = all.len() - documents.len();
    assert!(repeats <= KILLS * MAX_REPEATS_PER_KILL, "{repeats} repeats of {}", documents.len());
    eprintln!("{} events, {} requests, {repeats} repeats over {KILLS} kills", acknowledged.len(), all.len());
}
