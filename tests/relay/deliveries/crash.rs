//! Power cuts in the middle of deliveries: nothing is forgotten, and only what was under way comes twice.

use std::collections::HashMap;
use std::time::Duration;

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::request::Request;
use crate::harness::response::string_at;

const KILLS: usize = 20;

/// More than one endpoint's window is never under way at the same time, nor answered and not stored yet.
const UNDER_WAY: usize = 2 * 64;

#[test]
fn sigkill_during_deliveries_loses_no_event() {
    let mut relay = TestRelay::allowing_loopback_endpoints();
    // Slow enough for the power to go while some are under way.
    let receiver = Receiver::start(|_, _| Reply { after: Duration::from_millis(2), ..Reply::status(200) });
    let (token, hook) = {
        let acme = TestClient::new(&relay, "acme");
        acme.add_default_notification("standard", &receiver.url("/"));
        (acme.token.clone(), acme.add_unverified_hook("gini").path)
    };
    let mut acknowledged = Vec::new();
    for round in 0..KILLS {
        let enough = fastrand::usize(20..200);
        let mut connection = Connection::open(relay.listen);
        for n in 0..enough {
            acknowledged.extend(send(&mut connection, &hook, &format!("r{round}-{n}")));
        }
        // Sometimes at once, sometimes when most has gone out.
        let seen = receiver.received().len();
        let more = fastrand::usize(0..enough);
        receiver.wait_until(Duration::from_secs(30), |all| all.len() >= (seen + more).min(acknowledged.len()));
        relay.kill();
        relay.restart();
    }
    assert!(acknowledged.len() >= 20 * KILLS, "no load: {}", acknowledged.len());
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
        assert!(before.is_none_or(|before| before == id), "{document} came under two ids");
    }
    let repeats = all.len() - documents.len();
    assert!(repeats <= KILLS * UNDER_WAY, "{repeats} repeats of {}", documents.len());
    eprintln!("{} events, {} requests, {repeats} repeats over {KILLS} kills", acknowledged.len(), all.len());
}

/// The message id of the stored event.
fn send(connection: &mut Connection, hook: &str, document: &str) -> Option<String> {
    let body = format!(r#"{{"documentId":"{document}","status":"COMPLETED"}}"#);
    connection.try_write(Request::post(hook).json(&body).bytes()).ok()?;
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n{}") {
        match connection.read(Duration::from_secs(30)) {
            ReadOutcome::Bytes(bytes) => read.extend(bytes),
            ReadOutcome::Closed | ReadOutcome::TimedOut => return None,
        }
    }
    let head = String::from_utf8(read).expect("text");
    let id = head.lines().find_map(|line| line.strip_prefix("docrelay-event-id: ")).expect("an event");
    Some(format!("msg_{}", id.replace('.', "_")))
}
