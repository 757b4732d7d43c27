//! A load through one proxy: a vendor that repeats what is refused, and followers that return at once with
//! `Last-Event-ID`. It records which responses the vendor gets in each phase of a test, and how long each follower is
//! without a stream.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::attempt::{Stream, try_send};
use crate::harness::cluster::{document, webhook};
use crate::harness::request::Request;
use crate::harness::{delay, spawn_thread, wait_until};
use crate::history::{Acknowledged, Seen, change};
use crate::load::event;

/// How long a vendor waits for a response.
const POST_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest pause between two webhooks of a vendor.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a vendor repeats a webhook, and followers read on after the last one.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an attempt to open a stream waits, and the pause before the next one.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
const REOPEN_AFTER: Duration = Duration::from_millis(20);

/// What a load needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) proxy: SocketAddr,
    pub(crate) hook: String,
    pub(crate) token: String,
    /// Distinguishes the documents of this load from those of others.
    pub(crate) series: usize,
}

/// A time without a stream: its end, and the first line of the next stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outage {
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
}

/// The statuses of the responses to webhooks, `0` for none, and how often each came.
pub(crate) type Statuses = BTreeMap<u16, usize>;

/// A running load.
pub(crate) struct ProxiedLoad {
    shared: Arc<Shared>,
    vendors: Vec<JoinHandle<Vec<Acknowledged>>>,
    followers: Vec<JoinHandle<Vec<Seen>>>,
}

struct Shared {
    target: Target,
    acknowledged: AtomicUsize,
    statuses: Mutex<Statuses>,
    outages: Mutex<Vec<Outage>>,
    /// Followers that have a stream now.
    live: AtomicUsize,
    is_ending: AtomicBool,
    expected: OnceLock<HashSet<String>>,
}

impl ProxiedLoad {
    /// Begins, and waits until all followers have a stream.
    #[track_caller]
    pub(crate) fn start(target: Target, vendors: usize, followers: usize) -> Self {
        let shared = Arc::new(Shared {
            target,
            acknowledged: AtomicUsize::new(0),
            statuses: Mutex::default(),
            outages: Mutex::default(),
            live: AtomicUsize::new(0),
            is_ending: AtomicBool::new(false),
            expected: OnceLock::new(),
        });
        let vendor = |number: usize| {
            let shared = shared.clone();
            spawn_thread("vendor", move || publish(&shared, number))
        };
        let follower = |_| {
            let shared = shared.clone();
            spawn_thread("follower", move || follow(&shared))
        };
        let load = Self {
            vendors: (0..vendors).map(vendor).collect(),
            followers: (0..followers).map(follower).collect(),
            shared: shared.clone(),
        };
        load.wait_until_live();
        load
    }

    /// Waits until all followers have a stream.
    #[track_caller]
    pub(crate) fn wait_until_live(&self) {
        let count = self.followers.len();
        wait_until("all followers have a stream", || self.shared.live.load(Ordering::SeqCst) == count);
    }

    /// Waits until this many more events have been acknowledged.
    #[track_caller]
    pub(crate) fn wait_for_acknowledged(&self, count: usize) {
        let target = self.shared.acknowledged.load(Ordering::SeqCst) + count;
        wait_until("events are acknowledged", || self.shared.acknowledged.load(Ordering::SeqCst) >= target);
    }

    /// The responses to webhooks, and the times without a stream, since the last call.
    pub(crate) fn take_observations(&self) -> (Statuses, Vec<Outage>) {
        let statuses = std::mem::take(&mut *self.shared.statuses.lock().expect("statuses"));
        (statuses, std::mem::take(&mut *self.shared.outages.lock().expect("outages")))
    }

    /// Ends the vendors. Returns what was acknowledged, of each vendor in its order.
    pub(crate) fn end(&mut self) -> Vec<Acknowledged> {
        self.shared.is_ending.store(true, Ordering::SeqCst);
        self.vendors.drain(..).flat_map(|vendor| vendor.join().expect("a vendor")).collect()
    }

    /// What the followers have received when all of these documents have arrived.
    pub(crate) fn finish(self, expected: &HashSet<String>) -> Vec<Vec<Seen>> {
        self.shared.expected.set(expected.clone()).expect("set once");
        self.followers.into_iter().map(|follower| follower.join().expect("a follower")).collect()
    }
}

fn publish(shared: &Shared, number: usize) -> Vec<Acknowledged> {
    let Target { proxy, hook, series, .. } = &shared.target;
    let publisher = series + number;
    let mut acknowledged: Vec<Acknowledged> = Vec::new();
    while !shared.is_ending.load(Ordering::SeqCst) {
        let id = document(publisher, acknowledged.len());
        let request = webhook(hook, &id);
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        let event_id = loop {
            let response = try_send(*proxy, &request, POST_TIMEOUT);
            let status = response.as_ref().map_or(0, |response| response.status);
            *shared.statuses.lock().expect("statuses").entry(status).or_default() += 1;
            if status == 200 {
                break response.and_then(|response| response.header("docrelay-event-id").map(str::to_owned));
            }
            assert!(matches!(status, 0 | 502 | 503 | 504), "a vendor does not repeat after {response:?}");
            assert!(Instant::now() < deadline, "{id} is refused for {SETTLE_TIMEOUT:?}");
            delay(PAUSE);
        };
        let event_id = event_id.expect("the event id");
        acknowledged.push(Acknowledged { publisher, change: change(&id, "COMPLETED"), event_id });
        shared.acknowledged.fetch_add(1, Ordering::SeqCst);
        delay(PAUSE.mul_f64(fastrand::f64()));
    }
    acknowledged
}

fn follow(shared: &Shared) -> Vec<Seen> {
    let (mut seen, mut changes, mut position) = (Vec::new(), HashSet::new(), "earliest".to_owned());
    let (mut lost_at, mut deadline) = (None, None);
    loop {
        let request = Request::get("/events/client").bearer(&shared.target.token).header("Last-Event-ID", &position);
        let mut stream = Stream::try_open(shared.target.proxy, &request, OPEN_TIMEOUT);
        let mut is_live = false;
        while let Some(blocks) = stream.as_mut().and_then(|stream| stream.next(Duration::from_millis(100))) {
            if !blocks.is_empty() && !is_live {
                is_live = true;
                let now = Instant::now();
                let outage = lost_at.take().map(|began| Outage { began, ended: now });
                shared.outages.lock().expect("outages").extend(outage);
                shared.live.fetch_add(1, Ordering::SeqCst);
            }
            for block in blocks {
                position = block.id.clone().unwrap_or(position);
                if let Some(event) = event(block, 0) {
                    changes.insert(event.change.clone());
                    seen.push(event);
                }
            }
            if let Some(expected) = shared.expected.get() {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + SETTLE_TIMEOUT);
                if expected.is_subset(&changes) || Instant::now() >= deadline {
                    return seen;
                }
            }
        }
        if is_live {
            shared.live.fetch_sub(1, Ordering::SeqCst);
            lost_at = Some(Instant::now());
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return seen;
        }
        delay(REOPEN_AFTER);
    }
}
