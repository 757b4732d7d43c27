//! A client with a steady load, whose webhooks and deliveries are timed before and during the trouble of another client,
//! and the relay's memory with them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::TestClient;
use super::connection::Connection;
use super::receiver::{Receiver, Reply};
use super::request::Request;
use super::{TIMEOUT, TestRelay, delay, spawn_thread};

/// Webhooks per second.
const RATE: u32 = 150;
/// Of one window. The 99th percentile is the second longest time.
const EVENTS: usize = 150;
const WINDOWS: usize = 3;

/// Added to the allowed times: less than this is the scheduler of a busy machine, a query of a name server is much more.
const TOLERANCE: Duration = Duration::from_millis(30);

type Times = Arc<Mutex<Vec<Duration>>>;

type Figure = fn(&Window) -> Duration;

/// The client. The relay must allow endpoints on the loopback interface. A relay of its own has the same load at the same
/// time and no trouble: times that both have come from other load on the machine.
pub(crate) struct SecondClient<'a> {
    relay: &'a TestRelay,
    load: Load,
    control: Option<JoinHandle<Vec<Window>>>,
    ended: Arc<AtomicBool>,
}

/// The load of one relay.
struct Load {
    hook: String,
    receiver: Receiver,
    /// The documents whose deliveries are awaited, with the time at which their webhooks were due.
    due: Arc<Mutex<HashMap<String, Instant>>>,
    deliveries: Times,
}

/// 99th percentiles of one window, from the time at which a webhook was due, and the relay's memory at its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    webhooks: Duration,
    deliveries: Duration,
    resident: usize,
}

/// Several windows: other load on the machine spoils some, trouble in the relay slows all of them.
#[derive(Debug)]
pub(crate) struct Windows([Window; WINDOWS]);

impl<'a> SecondClient<'a> {
    #[track_caller]
    pub(crate) fn new(relay: &'a TestRelay) -> Self {
        let load = Load::new(relay);
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        let control = spawn_thread("control", move || {
            let relay = TestRelay::allowing_loopback_endpoints();
            let load = Load::new(&relay);
            let mut windows = Vec::new();
            while !end.load(Ordering::Relaxed) {
                windows.push(load.window(&relay));
            }
            windows
        });
        Self { relay, load, control: Some(control), ended }
    }

    /// Measures all windows, one after the other.
    #[track_caller]
    pub(crate) fn measure(&self) -> Windows {
        Windows(std::array::from_fn(|_| self.load.window(self.relay)))
    }

    /// Compares the windows before and during the trouble. Its memory may be `peak` bytes more, of which `after` stay.
    #[track_caller]
    pub(crate) fn assert_undisturbed(mut self, before: &Windows, during: &Windows, memory: Memory) {
        let resident = self.relay.resident_bytes();
        self.ended.store(true, Ordering::Relaxed);
        let control = self.control.take().expect("not joined before").join().expect("the relay without trouble");
        let (lowest, highest) = (before.resident(), during.resident().max(resident));
        let mebibytes = |bytes: usize| bytes >> 20;
        eprintln!(
            "memory {} MiB before, {} MiB at its peak, {} MiB after; before {before:?}; during {during:?}; relay without \
             trouble {control:?}",
            mebibytes(lowest),
            mebibytes(highest),
            mebibytes(resident)
        );
        let figures: [(&str, Figure); 2] =
            [("webhooks", |window| window.webhooks), ("deliveries", |window| window.deliveries)];
        for (what, figure) in figures {
            let longest = before.0.iter().chain(&control).map(figure).max().expect("windows");
            let (best, allowed) = (during.0.iter().map(figure).min().expect("windows"), longest * 2 + TOLERANCE);
            assert!(best <= allowed, "{what}: {best:?} at best, allowed {allowed:?}");
        }
        assert!(highest <= lowest + memory.peak, "{} KiB more at the peak", (highest - lowest) >> 10);
        assert!(resident <= lowest + memory.after, "{} KiB more afterwards", (resident - lowest) >> 10);
    }
}

impl Drop for SecondClient<'_> {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

impl Load {
    #[track_caller]
    fn new(relay: &TestRelay) -> Self {
        let due = Arc::new(Mutex::new(HashMap::<String, Instant>::new()));
        let deliveries = Times::default();
        let (awaited, times) = (due.clone(), deliveries.clone());
        let receiver = Receiver::start(move |received, _| {
            let id = received.json()["documentId"].as_str().map(str::to_owned).unwrap_or_default();
            if let Some(at) = awaited.lock().expect("times").remove(&id) {
                times.lock().expect("times").push(at.elapsed());
            }
            Reply::status(200)
        });
        let client = TestClient::new(relay, "second");
        client.add_default_notification("gini", &receiver.url("/"));
        let hook = client.add_unverified_hook("gini").path;
        let load = Self { hook, receiver, due, deliveries };
        // Caches fill, and the endpoint is connected.
        load.window(relay);
        load
    }

    #[track_caller]
    fn window(&self, relay: &TestRelay) -> Window {
        self.deliveries.lock().expect("times").clear();
        let mut connection = Connection::open(relay.listen);
        let mut webhooks = Vec::with_capacity(EVENTS);
        let start = Instant::now();
        for event in 0..EVENTS {
            let due = start + Duration::from_secs(1) / RATE * u32::try_from(event).expect("small");
            delay(due.saturating_duration_since(Instant::now()));
            let id = format!("{:08x}-0000-4000-8000-{:012x}", fastrand::u32(..), fastrand::u64(..1 << 48));
            self.due.lock().expect("times").insert(id.clone(), due);
            let body = json!({"documentId": id, "status": "COMPLETED"}).to_string();
            assert_eq!(connection.send(&Request::post(&self.hook).json(&body)).status, 200);
            webhooks.push(due.elapsed());
        }
        self.receiver.wait_until(TIMEOUT, |_| self.due.lock().expect("times").is_empty());
        let mut deliveries = self.deliveries.lock().expect("times").clone();
        Window { webhooks: p99(&mut webhooks), deliveries: p99(&mut deliveries), resident: relay.resident_bytes() }
    }
}

/// How many bytes more than before the trouble the relay may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) peak: usize,
    pub(crate) after: usize,
}

impl Windows {
    fn resident(&self) -> usize {
        self.0.iter().map(|window| window.resident).max().expect("windows")
    }
}

fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * 99 / 100]
}
