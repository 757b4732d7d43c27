//! Power cuts: the relay is killed in the middle of a load, again and again on the same data, and whoever was told 200
//! finds the event, once, where it was said to be.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::TestRelay;
use crate::harness::client::TestClient;
use crate::harness::connection::{Connection, ReadOutcome};
use crate::harness::request::Request;
use crate::harness::response::string_at;
use crate::harness::sse::Event;

const KILLS: usize = 20;
const SENDERS: usize = 4;

#[test]
fn sigkill_under_load_loses_and_duplicates_nothing() {
    let mut relay = TestRelay::start();
    let (token, path) = {
        let acme = TestClient::new(&relay, "acme");
        (acme.token.clone(), acme.add_unverified_hook("gini").path)
    };
    let mut acknowledged: HashMap<String, String> = HashMap::new();
    let mut unanswered: Vec<String> = Vec::new();
    for round in 0..KILLS {
        // After so many responses of this round the power goes: sometimes at once, sometimes in full flight.
        let enough = fastrand::usize(0..400);
        let load = load(relay.listen, &path, round, enough, std::mem::take(&mut unanswered), || relay.kill());
        for (job, id) in load.answered {
            let before = acknowledged.insert(job.clone(), id.clone());
            assert!(before.is_none_or(|b| b == id), "{job} was told two events");
        }
        unanswered = load.unanswered;
        relay.restart();
        let replay = everything(&relay, &token);
        let sequences: Vec<u64> = replay.iter().map(|e| sequence(&e.id)).collect();
        assert!(sequences.is_sorted_by(|a, b| a < b), "round {round}: out of order or twice");
        let mut stored: HashMap<String, String> = HashMap::new();
        for event in replay {
            let twice = stored.insert(string_at(&event.json(), "vendorId"), event.id);
            assert_eq!(twice, None, "round {round}: one message became two events");
        }
        for (job, id) in &acknowledged {
            assert_eq!(stored.get(job), Some(id), "round {round}: {job} was acknowledged");
        }
    }
    assert!(acknowledged.len() > 10 * KILLS, "only {} messages were answered: no load", acknowledged.len());
}

/// What became of the messages of one round.
struct Load {
    answered: Vec<(String, String)>,
    /// Sent, or about to be: a vendor would send them again.
    unanswered: Vec<String>,
}

/// Sends from all sides, begins with what was left unanswered, and cuts the power after `enough` responses.
fn load(to: SocketAddr, path: &str, round: usize, enough: usize, again: Vec<String>, cut: impl FnOnce()) -> Load {
    let responses = AtomicUsize::new(0);
    let mut all = Load { answered: Vec::new(), unanswered: Vec::new() };
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let mut jobs: Vec<String> = again.iter().skip(sender).step_by(SENDERS).cloned().collect();
                let responses = &responses;
                scope.spawn(move || {
                    let mut connection = Connection::open(to);
                    let mut answered = Vec::new();
                    for n in 0.. {
                        let job = jobs.pop().unwrap_or_else(|| format!("r{round}-s{sender}-{n}"));
                        match send(&mut connection, path, &job) {
                            Some(id) => answered.push((job, id)),
                            None => {
                                jobs.push(job);
                                break;
                            }
                        }
                        responses.fetch_add(1, Ordering::Relaxed);
                    }
                    Load { answered, unanswered: jobs }
                })
            })
            .collect();
        let deadline = Instant::now() + Duration::from_secs(30);
        while responses.load(Ordering::Relaxed) < enough && Instant::now() < deadline {
            thread::yield_now();
        }
        cut();
        for load in senders.into_iter().map(|s| s.join().expect("a sender that ends with the connection")) {
            all.answered.extend(load.answered);
            all.unanswered.extend(load.unanswered);
        }
    });
    all
}

/// The id of the stored event; `None` when the connection ended without a whole response.
fn send(connection: &mut Connection, path: &str, job: &str) -> Option<String> {
    let body = format!(r#"{{"documentId":"{job}","status":"COMPLETED"}}"#);
    connection.try_write(Request::post(path).json(&body).bytes()).ok()?;
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n{}") {
        match connection.read(Duration::from_secs(30)) {
            ReadOutcome::Bytes(bytes) => read.extend(bytes),
            ReadOutcome::Closed | ReadOutcome::TimedOut => return None,
        }
    }
    let head = String::from_utf8(read).expect("text");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let id = head.lines().find_map(|line| line.strip_prefix("docrelay-event-id: "));
    Some(id.expect("an event").to_owned())
}

/// All retained events, up to the head of the log.
fn everything(relay: &TestRelay, token: &str) -> Vec<Event> {
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
    id.rsplit_once('.').and_then(|(_, sequence)| sequence.parse().ok()).unwrap_or_else(|| panic!("not an id: {id}"))
}
