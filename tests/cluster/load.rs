//! The load of one client over all nodes of a cluster: publishers that repeat until they are answered, followers that
//! move from node to node with `Last-Event-ID`, and an endpoint of deliveries.

pub(crate) mod endpoint;
mod follower;
mod publisher;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::client::TestClient;
use crate::harness::receiver::Receiver;
use crate::harness::{TestCluster, delay, spawn_thread, wait_until};
use crate::history::deliveries::{AttemptEnd, DeliveryAttempt};
use crate::history::{Acknowledged, History, Seen};
use endpoint::{EndpointPace, attempt};
pub(crate) use follower::event;

/// How long publishers repeat, followers read on, and deliveries may arrive after the last fault.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(90);

/// The size of a load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadOptions {
    /// Distinct among the loads of a cluster.
    pub(crate) client: usize,
    /// The times of attempts count from here.
    pub(crate) started: Instant,
    pub(crate) endpoint: EndpointPace,
    pub(crate) publishers: usize,
    pub(crate) followers: usize,
    /// Longest pause of a publisher between two events.
    pub(crate) pause: Duration,
    pub(crate) seed: u64,
}

impl LoadOptions {
    /// A small load of one client.
    pub(crate) fn with_seed(seed: u64) -> Self {
        let (started, pause) = (Instant::now(), Duration::from_millis(20));
        Self { client: 0, started, endpoint: EndpointPace::Prompt, publishers: 1, followers: 1, pause, seed }
    }
}

/// A running load.
pub(crate) struct Load {
    shared: Arc<Shared>,
    publishers: Vec<JoinHandle<(Vec<Acknowledged>, Option<String>)>>,
    followers: Vec<JoinHandle<Vec<Seen>>>,
    receiver: Receiver,
    started: Instant,
}

struct Shared {
    client: usize,
    addresses: Mutex<Vec<SocketAddr>>,
    hook: String,
    token: String,
    pause: Duration,
    acknowledged: AtomicUsize,
    is_ending: AtomicBool,
    /// Set when the last publisher has ended: the changes that every follower must receive.
    expected: OnceLock<HashSet<String>>,
}

/// A client whose load has not begun.
struct LoadClient {
    options: LoadOptions,
    receiver: Receiver,
    hook: String,
    token: String,
}

impl LoadClient {
    #[track_caller]
    fn create(cluster: &TestCluster, options: LoadOptions) -> Self {
        let receiver = Receiver::start(move |_, number| options.endpoint.answer(options.seed, number));
        let client = TestClient::new(&cluster.nodes[0], &format!("load-{}", options.client));
        client.add_default_notification("gini", &receiver.url("/"));
        let hook = client.add_unverified_hook("zoffice").path;
        Self { options, receiver, hook, token: client.token }
    }

    fn begin(self, cluster: &TestCluster) -> Load {
        let Self { options, receiver, hook, token } = self;
        let shared = Arc::new(Shared {
            client: options.client,
            addresses: Mutex::new(cluster.addresses()),
            hook,
            token,
            pause: options.pause,
            acknowledged: AtomicUsize::new(0),
            is_ending: AtomicBool::new(false),
            expected: OnceLock::new(),
        });
        let random = |number: usize| fastrand::Rng::with_seed(options.seed ^ (number as u64).wrapping_mul(0x9e37_79b9));
        let publisher = |number: usize| {
            let (shared, random) = (shared.clone(), random(number));
            spawn_thread("publisher", move || publisher::publish(&shared, number, random))
        };
        let follower = |number: usize| {
            let (shared, random) = (shared.clone(), random(1000 + number));
            spawn_thread("follower", move || follower::follow(&shared, number, random))
        };
        Load {
            publishers: (0..options.publishers).map(publisher).collect(),
            followers: (0..options.followers).map(follower).collect(),
            shared: shared.clone(),
            receiver,
            started: options.started,
        }
    }
}

impl Load {
    /// Creates a client with a hook and a notification on node 0, and begins.
    #[track_caller]
    pub(crate) fn start(cluster: &TestCluster, options: LoadOptions) -> Self {
        let client = LoadClient::create(cluster, options);
        cluster.wait_until_caught_up();
        client.begin(cluster)
    }

    /// The same with several clients. They begin together: under load the nodes are never all at one position.
    #[track_caller]
    pub(crate) fn start_all(cluster: &TestCluster, options: impl Iterator<Item = LoadOptions>) -> Vec<Self> {
        let clients: Vec<LoadClient> = options.map(|options| LoadClient::create(cluster, options)).collect();
        cluster.wait_until_caught_up();
        clients.into_iter().map(|client| client.begin(cluster)).collect()
    }

    /// Publishers and followers use this node from now on, too.
    pub(crate) fn add_node(&self, address: SocketAddr) {
        self.shared.addresses.lock().expect("addresses").push(address);
    }

    /// Waits until this many more events have been acknowledged.
    #[track_caller]
    pub(crate) fn wait_for_acknowledged(&self, count: usize) {
        let target = self.shared.acknowledged.load(Ordering::Relaxed) + count;
        wait_until("events are acknowledged", || self.shared.acknowledged.load(Ordering::Relaxed) >= target);
    }

    /// Ends the publishers and waits for followers and deliveries. All nodes must run.
    pub(crate) fn finish(self) -> History {
        self.shared.is_ending.store(true, Ordering::Relaxed);
        let mut history = History::default();
        for publisher in self.publishers {
            let (acknowledged, unanswered) = publisher.join().expect("a publisher");
            history.acknowledged.extend(acknowledged);
            history.unanswered.extend(unanswered);
        }
        let expected: HashSet<String> = history.acknowledged.iter().map(|event| event.change.clone()).collect();
        self.shared.expected.set(expected.clone()).expect("set once");
        history.followers = self.followers.into_iter().map(|follower| follower.join().expect("a follower")).collect();
        let origin = self.receiver.started() - self.started;
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        loop {
            let received = self.receiver.received();
            let attempts: Vec<_> = received.iter().filter_map(|received| attempt(received, origin)).collect();
            let accepted = attempts.iter().filter(|attempt| attempt.end == AttemptEnd::Accepted);
            let accepted: HashSet<String> = accepted.map(DeliveryAttempt::change).collect();
            let is_complete = expected.is_subset(&accepted) && attempts.len() == received.len();
            if is_complete || Instant::now() >= deadline {
                history.attempts = Some(attempts);
                return history;
            }
            delay(Duration::from_millis(250));
        }
    }

    /// Ends the load. Nothing was lost, repeated or out of order.
    #[track_caller]
    pub(crate) fn assert_complete(self) -> usize {
        let history = self.finish();
        let violations = history.violations();
        let shown = &violations[..violations.len().min(20)];
        assert!(violations.is_empty(), "{} violations: {shown:#?}", violations.len());
        history.acknowledged.len()
    }
}

impl Shared {
    fn choose(&self, random: &mut fastrand::Rng) -> (usize, SocketAddr) {
        let addresses = self.addresses.lock().expect("addresses");
        let node = random.usize(..addresses.len());
        (node, addresses[node])
    }
}
