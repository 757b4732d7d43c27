//! A client with a steady load, whose webhooks and deliveries are timed before and during the disturbance of another
//! client, and the relay's memory with them. A relay of its own has the same load at the same time and no disturbance:
//! only what the two do not have in common comes from the disturbance, the rest from other load on the machine.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::assert_memory;
use crate::harness::client::TestClient;
use crate::harness::connection::Connection;
use crate::harness::receiver::{Receiver, Reply};
use crate::harness::request::Request;
use crate::harness::{TestRelay, delay, resident_bytes, wait_until};

/// Webhooks per second.
const RATE: u32 = 150;
/// Events of one round. The 99th percentile is the second longest time.
const EVENTS: usize = 100;
const ROUNDS_BEFORE: usize = 3;
const ROUNDS_DURING: usize = 5;

/// Added to the allowed times: less than this is the scheduler of a busy machine, a query of a name server is much
/// more.
const TOLERANCE: Duration = Duration::from_millis(15);

/// Between two looks at the memory of the relay.
const MEMORY_INTERVAL: Duration = Duration::from_millis(20);

type Times = Arc<Mutex<Vec<Duration>>>;

type Figure = fn(&Window) -> Duration;

/// The client. The relay must allow endpoints on the loopback interface.
pub(super) struct SecondClient<'a> {
    relay: &'a TestRelay,
    load: Load,
    control: Load,
    /// The relay without disturbance, and the endpoints of both.
    _running: (TestRelay, [Receiver; 2]),
}

/// The load of one relay.
struct Load {
    relay: SocketAddr,
    hook: String,
    /// The documents whose deliveries are awaited, with the time at which their webhooks were due.
    due: Arc<Mutex<HashMap<String, Instant>>>,
    deliveries: Times,
}

/// 99th percentiles of one window, from the time at which a webhook was due.
#[derive(Debug, Clone, Copy)]
struct Window {
    webhooks: Duration,
    deliveries: Duration,
}

/// Several windows of both relays, in pairs at the same time. Their medians count: other load on the machine spoils
/// some windows, a disturbance in the relay slows all of them.
#[derive(Debug)]
pub(super) struct Rounds {
    relay: Vec<Window>,
    control: Vec<Window>,
    /// The largest memory of the relay during the windows.
    resident: usize,
}

impl Rounds {
    pub(super) fn count(&self) -> usize {
        self.relay.len()
    }
}

impl<'a> SecondClient<'a> {
    #[track_caller]
    pub(super) fn new(relay: &'a TestRelay) -> Self {
        thread::scope(|scope| {
            let control = scope.spawn(|| {
                let relay = TestRelay::allowing_loopback_endpoints();
                let (load, receiver) = Load::start(&relay);
                (relay, load, receiver)
            });
            let (load, receiver) = Load::start(relay);
            let (control_relay, control, control_receiver) = control.join().expect("the relay without disturbance");
            Self { relay, load, control, _running: (control_relay, [receiver, control_receiver]) }
        })
    }

    #[track_caller]
    pub(super) fn measure_before(&self) -> Rounds {
        self.measure(ROUNDS_BEFORE)
    }

    #[track_caller]
    pub(super) fn measure_during(&self) -> Rounds {
        self.measure(ROUNDS_DURING)
    }

    /// At most as many rounds as [`Self::measure_during`], without the one in which the disturbance has ended.
    pub(super) fn measure_while(&self, is_disturbed: impl Fn() -> bool) -> Rounds {
        let mut measured = Rounds { relay: Vec::new(), control: Vec::new(), resident: 0 };
        while measured.relay.len() < ROUNDS_DURING {
            let round = self.measure(1);
            if !is_disturbed() {
                break;
            }
            measured.relay.extend(round.relay);
            measured.control.extend(round.control);
            measured.resident = measured.resident.max(round.resident);
        }
        measured
    }

    #[track_caller]
    fn measure(&self, rounds: usize) -> Rounds {
        let mut measured = Rounds { relay: Vec::new(), control: Vec::new(), resident: 0 };
        let (load, control) = (&self.load, &self.control);
        let (relay, is_measured) = (self.relay.pid(), AtomicBool::new(false));
        for _ in 0..rounds {
            is_measured.store(false, Ordering::Relaxed);
            let (window, control, resident) = thread::scope(|scope| {
                let memory = scope.spawn(|| {
                    let mut largest = resident_bytes(relay);
                    while !is_measured.load(Ordering::Relaxed) {
                        delay(MEMORY_INTERVAL);
                        largest = largest.max(resident_bytes(relay));
                    }
                    largest
                });
                // Also after a failed assertion: the scope waits for the thread.
                let _end = SetOnDrop(&is_measured);
                let control = scope.spawn(|| control.window());
                let window = load.window();
                is_measured.store(true, Ordering::Relaxed);
                (window, control.join().expect("the relay without disturbance"), memory.join().expect("the memory"))
            });
            measured.relay.push(window);
            measured.control.push(control);
            measured.resident = measured.resident.max(resident);
        }
        measured
    }

    /// Compares the rounds before and during the disturbance. Its memory may be `peak` bytes more, of which `after`
    /// stay.
    #[track_caller]
    pub(super) fn assert_undisturbed(self, before: &Rounds, during: &Rounds, memory: Memory) {
        let resident = self.relay.resident_bytes();
        let (lowest, highest) = (before.resident, during.resident.max(resident));
        let mebibytes = |bytes: usize| bytes >> 20;
        eprintln!(
            "memory {} MiB before, {} MiB at its peak, {} MiB after; before {before:?}; during {during:?}",
            mebibytes(lowest),
            mebibytes(highest),
            mebibytes(resident)
        );
        assert_memory("at its peak", lowest, highest, memory.peak);
        assert_memory("after the disturbance", lowest, resident, memory.after);
        let figures: [(&str, Figure); 2] =
            [("webhooks", |window| window.webhooks), ("deliveries", |window| window.deliveries)];
        for (what, figure) in figures {
            let (measured, allowed) = (median(&during.relay, figure), allowed(before, during, figure));
            assert!(measured <= allowed, "{what}: {measured:?}, allowed {allowed:?}; {before:?}; during {during:?}");
        }
    }
}

/// Twice what the relay without disturbance takes at the same time. If the relay was the slower one before the
/// disturbance, because of load that the other one does not have, by that factor more.
fn allowed(before: &Rounds, during: &Rounds, figure: Figure) -> Duration {
    let seconds = |windows: &[Window]| median(windows, figure).as_secs_f64();
    let handicap = (seconds(&before.relay) / seconds(&before.control)).max(1.0);
    median(&during.control, figure).mul_f64(2.0 * handicap) + TOLERANCE
}

fn median(windows: &[Window], figure: Figure) -> Duration {
    let mut values: Vec<Duration> = windows.iter().map(figure).collect();
    values.sort_unstable();
    values[values.len() / 2]
}

impl Load {
    /// Returns the client's endpoint with its load.
    #[track_caller]
    fn start(relay: &TestRelay) -> (Self, Receiver) {
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
        let load = Self { relay: relay.listen, hook, due, deliveries };
        // Caches fill, and the endpoint is connected.
        load.window();
        (load, receiver)
    }

    #[track_caller]
    fn window(&self) -> Window {
        self.deliveries.lock().expect("times").clear();
        let mut connection = Connection::open(self.relay);
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
        wait_until("all events are delivered", || self.due.lock().expect("times").is_empty());
        let mut deliveries = self.deliveries.lock().expect("times").clone();
        Window { webhooks: p99(&mut webhooks), deliveries: p99(&mut deliveries) }
    }
}

/// Sets a flag when it is dropped, also by a failed assertion.
pub(super) struct SetOnDrop<'a>(pub(super) &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How many bytes more than before the disturbance the relay may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    pub(super) peak: usize,
    pub(super) after: usize,
}

fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * 99 / 100]
}
