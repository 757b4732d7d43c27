//! Concurrent senders of webhooks to a relay that dies meanwhile, and the record of what it has acknowledged.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::client::try_store_event;
use crate::harness::connection::Connection;
use crate::harness::request::Request;
use crate::harness::response::string_at;
use crate::harness::sse::Event;
use crate::harness::{TIMEOUT, TestRelay, delay};

/// Upper bound of a round; only a failing test reaches it.
const MAX_ROUND: Duration = TIMEOUT.saturating_mul(4);

/// Senders of one round.
pub(super) struct Load<'a> {
    pub(super) to: SocketAddr,
    /// The path of a Gini hook.
    pub(super) path: &'a str,
    pub(super) senders: usize,
    pub(super) round: usize,
    /// The most webhooks that each sender sends.
    pub(super) per_sender: usize,
    /// Additional bytes of each webhook.
    pub(super) padding: usize,
    /// Jobs that earlier rounds have sent without a response.
    pub(super) pending: Vec<String>,
}

/// The jobs of one round.
#[derive(Default)]
pub(super) struct LoadResult {
    /// Each job with its event id.
    pub(super) acknowledged: Vec<(String, String)>,
    /// Jobs without a response, which a vendor would send again.
    pub(super) pending: Vec<String>,
}

/// How far the senders of a round are.
pub(super) struct Progress {
    senders: usize,
    responses: AtomicUsize,
    ended: AtomicUsize,
}

impl Progress {
    /// Waits until the condition on the number of responses holds, all senders have ended, or [`MAX_ROUND`] is over.
    pub(super) fn wait_until(&self, mut holds: impl FnMut(usize) -> bool) {
        let deadline = Instant::now() + MAX_ROUND;
        while !holds(self.responses.load(Ordering::Relaxed))
            && self.ended.load(Ordering::Relaxed) < self.senders
            && Instant::now() < deadline
        {
            delay(Duration::from_micros(100));
        }
    }
}

impl Load<'_> {
    /// Sends on several connections until the relay dies or every sender has sent its share. Meanwhile `kill` waits for
    /// its moment and kills the relay.
    pub(super) fn run(&self, kill: impl FnOnce(&Progress)) -> LoadResult {
        let (responses, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let progress = Progress { senders: self.senders, responses, ended };
        let mut all = LoadResult::default();
        thread::scope(|scope| {
            let progress = &progress;
            // The connections are open before the kill, which may come first.
            let connections: Vec<_> = (0..self.senders).map(|_| Connection::try_open(self.to).ok()).collect();
            let start = |(sender, connection)| {
                scope.spawn(move || {
                    let result = self.send_jobs(sender, connection, &progress.responses);
                    progress.ended.fetch_add(1, Ordering::Relaxed);
                    result
                })
            };
            let senders: Vec<_> = connections.into_iter().enumerate().map(start).collect();
            kill(progress);
            for result in senders.into_iter().map(|s| s.join().expect("a sender that ends with its connection")) {
                all.acknowledged.extend(result.acknowledged);
                all.pending.extend(result.pending);
            }
        });
        all
    }

    fn send_jobs(&self, sender: usize, connection: Option<Connection>, responses: &AtomicUsize) -> LoadResult {
        let mut pending: Vec<String> = self.pending.iter().skip(sender).step_by(self.senders).cloned().collect();
        let mut acknowledged = Vec::new();
        let Some(mut connection) = connection else { return LoadResult { acknowledged, pending } };
        let padding = "x".repeat(self.padding);
        for n in 0..self.per_sender {
            let job = pending.pop().unwrap_or_else(|| format!("r{}-s{sender}-{n}", self.round));
            let body = format!(r#"{{"documentId":"{job}","status":"COMPLETED","padding":"{padding}"}}"#);
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

/// Everything that a relay has acknowledged or streamed, over all its runs.
#[derive(Default)]
pub(super) struct Acknowledged {
    /// Each job with its event id.
    ids: HashMap<String, String>,
    /// The job of each event id.
    jobs: HashMap<String, String>,
}

impl Acknowledged {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &String> {
        self.ids.values()
    }

    /// Adds an acknowledged job.
    ///
    /// # Errors
    /// The job has another event id already, or the event id another job.
    pub(super) fn add(&mut self, job: String, id: String) -> Result<(), String> {
        if let Some(before) = self.ids.insert(job.clone(), id.clone()).filter(|before| *before != id) {
            return Err(format!("{job} was acknowledged as {before} and as {id}"));
        }
        match self.jobs.insert(id.clone(), job.clone()).filter(|before| *before != job) {
            Some(before) => Err(format!("{id} was given to {before} and to {job}")),
            None => Ok(()),
        }
    }

    /// Compares with all events of the log.
    ///
    /// # Errors
    /// An acknowledged job is missing, is stored twice or under another id, or the order is wrong.
    pub(super) fn check(&self, log: Vec<Event>) -> Result<(), String> {
        let sequences: Vec<u64> = log.iter().map(|event| sequence(&event.id)).collect();
        if !sequences.is_sorted_by(|a, b| a < b) {
            return Err("events out of order".to_owned());
        }
        let mut stored: HashMap<String, String> = HashMap::new();
        for event in log {
            let job = string_at(&event.json(), "vendorId");
            if let Some(id) = stored.insert(job.clone(), event.id.clone()) {
                return Err(format!("{job} is stored as {id} and as {}", event.id));
            }
            if let Some(other) = self.jobs.get(&event.id).filter(|other| **other != job) {
                return Err(format!("{} was given to {other} and to {job}", event.id));
            }
        }
        match self.ids.iter().find(|(job, id)| stored.get(*job) != Some(id)) {
            Some((job, id)) => Err(format!("{job} was acknowledged as {id} and is lost")),
            None => Ok(()),
        }
    }
}

/// All retained events.
pub(super) fn all_events(relay: &TestRelay, token: &str) -> Vec<Event> {
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
