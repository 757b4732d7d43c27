//! Several delivery queues, so that every node of a cluster owns some, and an endpoint that records their deliveries.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::client::TestClient;
use super::cluster::{document, webhook};
use super::receiver::{Receiver, Reply};
use super::response::stored_event_id;
use super::{TestCluster, TestRelay};

/// More queues than nodes: each node owns at least one, with a probability of more than 99 % for three nodes.
const QUEUES: usize = 16;

/// How long an attempt takes, so that some are under way at any time of a load.
const ANSWER_AFTER: Duration = Duration::from_millis(20);

/// Clients with one delivery queue each, and the documents that were posted to them.
pub(crate) struct Queues {
    hooks: Vec<String>,
    started: Instant,
    receiver: Receiver,
    posted: Vec<(String, String)>,
}

/// The times of the attempts of one delivery, since the receiver started.
pub(crate) type Attempts = BTreeMap<(String, String), Vec<Duration>>;

impl Queues {
    /// Creates the clients on node 0, and waits until all nodes have them.
    #[track_caller]
    pub(crate) fn create(cluster: &TestCluster) -> Self {
        let started = Instant::now();
        let receiver = Receiver::start(|_, _| Reply { after: ANSWER_AFTER, ..Reply::status(200) });
        let add = |queue: usize| {
            let client = TestClient::new(&cluster.nodes[0], &format!("queue-{queue}"));
            client.add_default_notification("gini", &receiver.url(&format!("/{queue}")));
            client.add_unverified_hook("gini").path
        };
        let hooks = (0..QUEUES).map(add).collect();
        cluster.wait_until_caught_up();
        Self { hooks, started, receiver, posted: Vec::new() }
    }

    /// Posts these documents of each queue to a node, which must accept them.
    #[track_caller]
    pub(crate) fn post(&mut self, node: &TestRelay, numbers: std::ops::Range<usize>) {
        for number in numbers {
            for (queue, hook) in self.hooks.iter().enumerate() {
                let id = document(1000 + queue, number);
                stored_event_id(&node.send(&webhook(hook, &id)));
                self.posted.push((format!("/{queue}"), id));
            }
        }
    }

    /// Waits until every posted document has been delivered. Returns the attempts of each.
    #[track_caller]
    pub(crate) fn wait_until_delivered(&self, timeout: Duration) -> Attempts {
        let received = self.receiver.wait_until(timeout, |all| {
            let attempts = attempts(all);
            self.posted.iter().all(|posted| attempts.contains_key(posted))
        });
        attempts(&received)
    }

    /// Time since the receiver started.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

fn attempts(all: &[super::receiver::Received]) -> Attempts {
    let mut attempts = Attempts::new();
    for received in all {
        let id = received.json()["documentId"].as_str().unwrap_or_default().to_owned();
        attempts.entry((received.target.clone(), id)).or_default().push(received.at);
    }
    attempts
}
