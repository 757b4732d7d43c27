//! Crashes: after SIGKILL, every acknowledged webhook is one event under its acknowledged id, in order.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::harness::client::{TestClient, try_store_event};
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::string_at;
use crate::harness::sse::Event;
use crate::harness::{TIMEOUT, TestRelay};

const KILLS: usize = 20;
const SENDERS: usize = 4;

#[test]
fn restart_after_sigkill_keeps_ports_and_acknowledged_events() {
    let mut relay = TestRelay::start();
    relay.add_client("acme");
    let hook = relay.add_hook("acme", "gini", &[]);
    let token = relay.token("acme");

    let mut follower = relay.follow(&token);
    assert_eq!(follower.head.status, 200);
    assert_eq!(follower.head.header("content-type"), Some("text/event-stream"));
    let body = r#"{"documentId":"626626a0-749f-11e2-bfd6-000000000000","status":"COMPLETED"}"#;
    let response = relay.send(&Request::post(&hook.path).json(body));
    assert_eq!(response.status, 200, "{response:?}");
    let event = follower.next_event();
    assert_eq!(Some(event.id.as_str()), response.header("docrelay-event-id"));
    assert!(event.data.starts_with(&body[..body.len() - 1]), "{}", event.data);

    relay.kill();
    assert!(follower.ends());
    relay.restart();
    let mut replay = relay.follow_from(&token, "earliest");
    assert_eq!(replay.next_event(), event);

    assert_eq!(relay.stop().code(), Some(0));
    assert!(replay.ends());
}

#[test]
fn sigkill_under_load_loses_and_duplicates_nothing() {
    let mut relay = TestRelay::start();
    let (token, path) = {
        let acme = TestClient::new(&relay, "acme");
        (acme.token.clone(), acme.add_unverified_hook("gini").path)
    };
    let mut acknowledged: HashMap<String, String> = HashMap::new();
    let mut pending: Vec<String> = Vec::new();
    for round in 0..KILLS {
        // The kill comes after a random number of responses, sometimes before the first.
        let load = Load {
            to: relay.listen,
            path: &path,
            round,
            kill_after: fastrand::usize(0..400),
            pending: std::mem::take(&mut pending),
        };
        let result = load.run(|| relay.kill());
        for (job, id) in result.acknowledged {
            let before = acknowledged.insert(job.clone(), id.clone());
            assert!(before.is_none_or(|b| b == id), "{job} was acknowledged under two event ids");
        }
        pending = result.pending;
        relay.restart();
        let replay = all_events(&relay, &token);
        let sequences: Vec<u64> = replay.iter().map(|e| sequence(&e.id)).collect();
        assert!(sequences.is_sorted_by(|a, b| a < b), "round {round}: events out of order");
        let mut stored: HashMap<String, String> = HashMap::new();
        for event in replay {
            let duplicate = stored.insert(string_at(&event.json(), "vendorId"), event.id);
            assert_eq!(duplicate, None, "round {round}: one message is stored as two events");
        }
        for (job, id) in &acknowledged {
            assert_eq!(stored.get(job), Some(id), "round {round}: {job} was acknowledged and is lost");
        }
    }
    assert!(acknowledged.len() > 10 * KILLS, "only {} messages were acknowledged", acknowledged.len());
}

/// Senders of one round.
struct Load<'a> {
    to: SocketAddr,
    path: &'a str,
    round: usize,
    /// The number of responses after which the relay is killed.
    kill_after: usize,
    /// Jobs that earlier rounds have sent without a response.
    pending: Vec<String>,
}

/// The jobs of one round.
#[derive(Default)]
struct LoadResult {
    /// Each job with its event id.
    acknowledged: Vec<(String, String)>,
    /// Jobs without a response, which a vendor would send again.
    pending: Vec<String>,
}

impl Load<'_> {
    /// Sends on several connections until the relay is killed.
    fn run(&self, kill: impl FnOnce()) -> LoadResult {
        let responses = AtomicUsize::new(0);
        let mut all = LoadResult::default();
        thread::scope(|scope| {
            let responses = &responses;
            // The connections are open before the kill, which may come first.
            let connections: Vec<Connection> = (0..SENDERS).map(|_| Connection::open(self.to)).collect();
            let start = |(sender, connection)| scope.spawn(move || self.send_jobs(sender, connection, responses));
            let senders: Vec<_> = connections.into_iter().enumerate().map(start).collect();
            let deadline = Instant::now() + TIMEOUT;
            while responses.load(Ordering::Relaxed) < self.kill_after && Instant::now() < deadline {
                thread::yield_now();
            }
            kill();
            for result in senders.into_iter().map(|s| s.join().expect("a sender that ends with its connection")) {
                all.acknowledged.extend(result.acknowledged);
                all.pending.extend(result.pending);
            }
        });
        all
    }

    fn send_jobs(&self, sender: usize, mut connection: Connection, responses: &AtomicUsize) -> LoadResult {
        let mut pending: Vec<String> = self.pending.iter().skip(sender).step_by(SENDERS).cloned().collect();
        let mut acknowledged = Vec::new();
        for n in 0.. {
            let job = pending.pop().unwrap_or_else(|| format!("r{}-s{sender}-{n}", self.round));
            let body = format!(r#"{{"documentId":"{job}","status":"COMPLETED"}}"#);
            let Some(id) = try_store_event(&mut connection, &Request::post(self.path).json(&body)) else {
                pending.push(job);
                break;
            };
            acknowledged.push((job, id));
            responses.fetch_add(1, Ordering::Relaxed);
        }
        LoadResult { acknowledged, pending }
    }
}

/// All retained events.
fn all_events(relay: &TestRelay, token: &str) -> Vec<Event> {
    let list = relay.send(&Request::get("/documents?limit=1").bearer(token)).json();
    let head = sequence(&string_at(&list, "lastEventId"));
    let mut follower = relay.follow_from(token, "earliest");
    let mut events: Vec<Event> = Vec::new();
    while events.last().map_or(0, |e| sequence(&e.id)) < head {
        events.push(follower.next_event());
    }
    events
}

fn sequence(id: &str) -> u64 {
    id.rsplit_once('.').and_then(|(_, sequence)| sequence.parse().ok()).unwrap_or_else(|| panic!("no event id: {id}"))
}
