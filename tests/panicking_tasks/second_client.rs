//! The webhooks and deliveries of one client while something panics for others: how long they take, and the memory. A
//! second relay has the same load at the same time and no panics: times that both have come from other load on the
//! machine.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use docrelay::delivery::{
    DeliveryHandle, DeliveryOptions, DeliveryWorker, ForbiddenEndpoint, HttpClient, HttpExchange, HttpResponse,
};
use docrelay::domain::{Callback, Client, ClientRef, Destinations, Format, Secret};
use docrelay::metrics::Metrics;
use docrelay::store::{NewEvent, RawRequest, Store, StoreError};
use docrelay::vendor::OutgoingRequest;
use futures::future::{BoxFuture, join_all};
use tempfile::TempDir;
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

use crate::faults::{self, Disturbance, Faults, FaultySeal, MARK};
use crate::streams::{StreamClient, StreamServer};
use crate::{SERIAL, add_client, append, client, new_event, open_store_with};

/// Each has an endpoint of its own: after ten panics of its attempts the circuit breaker opens.
const DISTURBING_CLIENTS: usize = 10;
const EVENTS_PER_WINDOW: usize = 100;
const INTERVAL: Duration = Duration::from_millis(8);

/// After one that fills the caches.
const WINDOWS_BEFORE: usize = 2;
const WINDOWS_DURING: usize = 5;

/// Added to the allowed times: less is the scheduler of a busy machine.
const TOLERANCE: Duration = Duration::from_millis(20);
const MAX_GROWTH: usize = 16 << 20;
/// The same while the log is filled: with the events that wait for the writers.
const MAX_GROWTH_WHILE_FILLING: usize = 64 << 20;

/// Events whose requests fill the write-ahead log until a checkpoint begins, which is at 32 MiB.
const FILLING_EVENTS: usize = 640;
const FILLING_BYTES: usize = 64 << 10;

/// Endpoints that respond at once.
struct Endpoints {
    faults: Arc<Faults>,
    /// When the second client's events were due that have not been delivered.
    due: Mutex<HashMap<String, Instant>>,
    delivered: Mutex<Vec<Duration>>,
}

impl HttpClient for Endpoints {
    fn check<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), ForbiddenEndpoint>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn check_url(&self, _: &str) -> Result<(), ForbiddenEndpoint> {
        Ok(())
    }

    fn exchange(&self, request: OutgoingRequest) -> BoxFuture<'_, HttpExchange> {
        Box::pin(async move {
            if request.url.contains(MARK) {
                self.faults.trip(Disturbance::Attempts);
            } else {
                let event: serde_json::Value = serde_json::from_slice(&request.body).expect("an event");
                let document = event["vendorId"].as_str().unwrap_or_default();
                if let Some(due) = self.due.lock().expect("times").remove(document) {
                    self.delivered.lock().expect("times").push(due.elapsed());
                }
            }
            let response = HttpResponse { status: 200, body: Bytes::new(), retry_after: None };
            HttpExchange { duration: Duration::ZERO, result: Ok(response) }
        })
    }
}

type Figure = fn(&Window) -> Duration;

/// 99th percentiles of one window, and the memory of the process at its end.
#[derive(Debug, Clone, Copy)]
struct Window {
    webhooks: Duration,
    deliveries: Duration,
    resident: usize,
}

fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * 99 / 100]
}

/// The resident memory of this process.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of the process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")).expect("VmRSS");
    line.parse::<usize>().expect("a number") << 10
}

/// A store with its clients and their endpoints.
struct Relay {
    store: Store,
    faults: Arc<Faults>,
    endpoints: Arc<Endpoints>,
    /// The last document.
    number: AtomicUsize,
    _directory: TempDir,
}

impl Relay {
    async fn open() -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let faults = Arc::<Faults>::default();
        let store = open_store_with(directory.path().join("docrelay.db"), Arc::new(FaultySeal(faults.clone())));
        add_client(&store, &client("second")).await;
        for number in 0..DISTURBING_CLIENTS {
            let ClientRef { id, created } = disturbing(number);
            let added = Client { id, created, secret: Secret::new("secret"), previous: None };
            store.registry.add_client(added).await.expect("a client");
        }
        let endpoints = Endpoints { faults: faults.clone(), due: Mutex::default(), delivered: Mutex::default() };
        Self { store, faults, endpoints: Arc::new(endpoints), number: AtomicUsize::new(0), _directory: directory }
    }

    /// The number of another document.
    fn next_number(&self) -> usize {
        self.number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Fills the write-ahead log until a checkpoint begins.
    async fn fill_log(&self) {
        for _ in 0..FILLING_EVENTS / 64 {
            let raw = || RawRequest {
                method: "POST".into(),
                query: None,
                headers: Vec::new(),
                body: vec![b'x'; FILLING_BYTES].into(),
            };
            let events = (0..64).map(|_| {
                self.store.log.append(NewEvent { raw: Some(raw()), ..new_event(disturbing(0), self.next_number()) })
            });
            for stored in join_all(events.collect::<Vec<_>>()).await {
                stored.expect("a stored event");
            }
        }
    }

    /// An event with a callback for each disturbing client. Some are refused if commands panic.
    async fn store_disturbing(&self) {
        let events = (0..DISTURBING_CLIENTS).map(|number| {
            let client = disturbing(number);
            let url = format!("https://{}.example.com/done", client.id);
            let callback = Some(Callback { url, format: Format::Gini, credential: None });
            let destinations = Some(Destinations { notification: None, callback });
            self.store.log.append(NewEvent { destinations, ..new_event(client, self.next_number()) })
        });
        for stored in join_all(events.collect::<Vec<_>>()).await {
            assert!(matches!(stored, Ok(_) | Err(StoreError::Unavailable(_))), "{stored:?}");
        }
    }

    /// Stores events of the second client and waits until they are delivered. Each disturbing client gets a tenth as
    /// many meanwhile, and opens a stream with each if there is a server.
    async fn window(&self, streams: Option<&StreamClient>) -> Window {
        self.endpoints.delivered.lock().expect("times").clear();
        let mut webhooks = Vec::new();
        let mut interval = tokio::time::interval(INTERVAL);
        let second = async {
            for _ in 0..EVENTS_PER_WINDOW {
                interval.tick().await;
                let (number, due) = (self.next_number(), Instant::now());
                self.endpoints.due.lock().expect("times").insert(format!("job-{number}"), due);
                append(&self.store, client("second"), number).await;
                webhooks.push(due.elapsed());
            }
        };
        let disturbing = async {
            let mut interval = tokio::time::interval(INTERVAL * 10);
            for _ in 0..EVENTS_PER_WINDOW / 10 {
                interval.tick().await;
                self.store_disturbing().await;
                if let Some(streams) = streams {
                    let clients: Vec<_> = (0..DISTURBING_CLIENTS).map(disturbing).collect();
                    join_all(clients.iter().map(|client| streams.follow(client))).await;
                }
            }
        };
        tokio::join!(second, disturbing);
        while !self.endpoints.due.lock().expect("times").is_empty() {
            interval.tick().await;
        }
        let deliveries = p99(&mut self.endpoints.delivered.lock().expect("times"));
        Window { webhooks: p99(&mut webhooks), deliveries, resident: resident_bytes() }
    }

    /// Measures all windows, each together with the other relay, and closes the store.
    async fn measure(self, disturbance: Option<Disturbance>, load: Load, both: &Barrier) -> Windows {
        let options = DeliveryOptions { concurrency: 64, memory_bytes: 1 << 20 };
        let handle = DeliveryHandle::new(self.store.clone(), self.endpoints.clone(), options, Metrics::new("test"));
        let stop = CancellationToken::new();
        let server = match load {
            Load::Streams => Some(StreamServer::new(&self.store, &self.faults, handle.clone()).await),
            Load::Events | Load::FullLog => None,
        };
        let streams = server.as_ref().map(StreamServer::client);
        let streams = streams.as_ref();
        let serving = async {
            if let Some(server) = server {
                server.run(stop.clone()).await;
            }
        };
        let worker = DeliveryWorker::new(handle).run(stop.clone());
        let measuring = async {
            // Caches fill.
            self.window(streams).await;
            let mut before = Vec::new();
            for _ in 0..WINDOWS_BEFORE {
                both.wait().await;
                before.push(self.window(streams).await);
            }
            self.faults.set(disturbance);
            if load == Load::FullLog {
                self.fill_log().await;
                // It is tried again, after pauses that become longer.
                let mut interval = tokio::time::interval(INTERVAL);
                while disturbance.is_some() && self.faults.panics() < 3 {
                    interval.tick().await;
                }
            }
            let mut during = Vec::new();
            for _ in 0..WINDOWS_DURING {
                both.wait().await;
                during.push(self.window(streams).await);
            }
            self.faults.set(None);
            both.wait().await;
            let after = self.window(streams).await;
            stop.cancel();
            Windows { before, during, after }
        };
        let ((), (), windows) = tokio::join!(worker, serving, measuring);
        self.store.maintenance.close().await;
        windows
    }
}

fn disturbing(number: usize) -> ClientRef {
    client(&format!("{MARK}-{number}"))
}

/// What both relays do besides the events of their clients.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Load {
    Events,
    /// They fill the write-ahead log.
    FullLog,
    /// They serve streams of the disturbing clients.
    Streams,
}

/// What one relay has measured.
struct Windows {
    before: Vec<Window>,
    during: Vec<Window>,
    after: Window,
}

fn median(windows: &[Window], figure: Figure) -> Duration {
    let mut values: Vec<Duration> = windows.iter().map(figure).collect();
    values.sort_unstable();
    values[values.len() / 2]
}

/// Runs a current-thread runtime to the end of this future: each relay has a thread of its own.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), future).await.expect("an end in time") })
}

/// Measures a relay with the disturbance beside one without, and compares them.
fn assert_undisturbed(disturbance: Disturbance, min_panics: usize) {
    let _serial = SERIAL.blocking_lock();
    let load = match disturbance {
        Disturbance::Checkpoints => Load::FullLog,
        Disturbance::Streams => Load::Streams,
        Disturbance::Attempts | Disturbance::Commands | Disturbance::Reads => Load::Events,
    };
    let fills_log = load == Load::FullLog;
    let beside = block_on(async {
        let relay = Relay::open().await;
        if fills_log {
            faults::watch_checkpoints(relay.faults.clone());
            while !faults::is_checkpoint_thread_known() {
                relay.fill_log().await;
            }
        }
        relay
    });
    let without = block_on(async {
        let relay = Relay::open().await;
        if fills_log {
            relay.fill_log().await;
        }
        relay
    });
    let (faults, both) = (beside.faults.clone(), Barrier::new(2));
    let (beside, without) = thread::scope(|scope| {
        let control = scope.spawn(|| block_on(without.measure(None, load, &both)));
        let beside = block_on(beside.measure(Some(disturbance), load, &both));
        (beside, control.join().expect("the relay without disturbance"))
    });
    let panics = faults.panics();
    let mebibytes = |bytes: usize| format!("{:.1}", bytes as f64 / 1_048_576.0);
    let resident = beside.before.last().map_or(0, |window| window.resident);
    let peak = beside.during.iter().map(|window| window.resident).max().unwrap_or_default();
    let after = beside.after.resident;
    let figures: [(&str, Figure); 2] =
        [("webhooks", |window| window.webhooks), ("deliveries", |window| window.deliveries)];
    let mut row = format!("| {panics} panics: {disturbance:?} |");
    for bytes in [resident, peak, after] {
        row += &format!(" {} |", mebibytes(bytes));
    }
    let mut slow = Vec::new();
    for (name, figure) in figures {
        let [before, during, control] =
            [&beside.before, &beside.during, &without.during].map(|windows| median(windows, figure));
        for time in [before, during, control] {
            row += &format!(" {:.1} |", time.as_secs_f64() * 1e3);
        }
        if during > control * 2 + TOLERANCE {
            slow.push(format!("{name}: {during:?} beside panics, {control:?} without at the same time"));
        }
    }
    eprintln!("{row}");
    assert!(panics >= min_panics, "{panics} panics");
    assert!(slow.is_empty(), "{slow:?}; {:?} beside panics, {:?} without", beside.during, without.during);
    let max_growth = if fills_log { MAX_GROWTH_WHILE_FILLING } else { MAX_GROWTH };
    for (when, bytes) in [("after the panics", after), ("at the peak", peak)] {
        let grown = bytes.saturating_sub(resident);
        assert!(grown < max_growth, "{} MiB {when}, {} MiB before", mebibytes(bytes), mebibytes(resident));
    }
}

#[test]
fn panicking_attempts_delay_no_second_client() {
    assert_undisturbed(Disturbance::Attempts, 5 * DISTURBING_CLIENTS);
}

#[test]
fn panicking_commands_delay_no_second_client() {
    assert_undisturbed(Disturbance::Commands, 5 * DISTURBING_CLIENTS);
}

#[test]
fn panicking_reads_delay_no_second_client() {
    assert_undisturbed(Disturbance::Reads, DISTURBING_CLIENTS);
}

#[test]
fn panicking_checkpoints_delay_no_second_client() {
    assert_undisturbed(Disturbance::Checkpoints, 5);
}

// Rule 26: a panic releases its permit.
#[test]
fn panicking_streams_delay_no_second_client() {
    assert_undisturbed(Disturbance::Streams, 5 * DISTURBING_CLIENTS);
}
