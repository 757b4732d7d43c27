//! The webhooks and deliveries of one client while the attempts of others panic: how long they take, and the memory.

use std::collections::HashMap;
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use docrelay::delivery::{
    DeliveryHandle, DeliveryOptions, DeliveryWorker, ForbiddenEndpoint, HttpClient, HttpExchange, HttpResponse,
};
use docrelay::metrics::Metrics;
use docrelay::store::Store;
use docrelay::vendor::OutgoingRequest;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::{SERIAL, add_client, append, client, open_store};

/// Each has an endpoint of its own: after ten panics of its attempts the circuit breaker opens.
const TROUBLED_CLIENTS: usize = 30;
const EVENTS_PER_WINDOW: usize = 150;
const WINDOWS: usize = 3;
const INTERVAL: Duration = Duration::from_millis(6);

/// Added to the allowed times: less is the scheduler of a busy machine.
const TOLERANCE: Duration = Duration::from_millis(20);
const MAX_GROWTH: usize = 16 << 20;

/// Endpoints that respond at once. If it panics, then in all calls but those of the second client.
#[derive(Default)]
struct TroubledClient {
    is_panicking: AtomicBool,
    panics: AtomicUsize,
    /// When the second client's events were due that have not been delivered.
    due: Mutex<HashMap<String, Instant>>,
    delivered: Mutex<Vec<Duration>>,
}

impl HttpClient for TroubledClient {
    fn check<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), ForbiddenEndpoint>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn check_url(&self, _: &str) -> Result<(), ForbiddenEndpoint> {
        Ok(())
    }

    fn exchange(&self, request: OutgoingRequest) -> BoxFuture<'_, HttpExchange> {
        Box::pin(async move {
            if self.is_panicking.load(Ordering::Relaxed) && !request.url.contains("second.example.com") {
                self.panics.fetch_add(1, Ordering::Relaxed);
                // Without the hook of the tests: it prints a backtrace, which takes a core for longer than a window.
                panic::resume_unwind(Box::new("an attempt"));
            }
            let event: serde_json::Value = serde_json::from_slice(&request.body).expect("an event");
            let document = event["vendorId"].as_str().unwrap_or_default();
            if let Some(due) = self.due.lock().expect("times").remove(document) {
                self.delivered.lock().expect("times").push(due.elapsed());
            }
            let response = HttpResponse { status: 200, body: Bytes::new(), retry_after: None };
            HttpExchange { duration: Duration::ZERO, result: Ok(response) }
        })
    }
}

type Figure = fn(&Window) -> Duration;

/// 99th percentiles of one window.
#[derive(Debug, Clone, Copy)]
struct Window {
    webhooks: Duration,
    deliveries: Duration,
}

fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * 99 / 100]
}

/// Stores events of the second client and waits until they are delivered. Each other client gets an event with every tenth
/// of them.
async fn window(store: &Store, http: &TroubledClient, number: &mut usize) -> Window {
    http.delivered.lock().expect("times").clear();
    let mut webhooks = Vec::new();
    let mut interval = tokio::time::interval(INTERVAL);
    for event in 0..EVENTS_PER_WINDOW {
        interval.tick().await;
        *number += 1;
        let due = Instant::now();
        http.due.lock().expect("times").insert(format!("job-{number}"), due);
        append(store, client("second"), *number).await;
        webhooks.push(due.elapsed());
        if event % 10 == 0 {
            let troubled = (0..TROUBLED_CLIENTS).map(|n| append(store, client(&format!("troubled-{n}")), *number));
            futures::future::join_all(troubled).await;
        }
    }
    while !http.due.lock().expect("times").is_empty() {
        interval.tick().await;
    }
    let deliveries = p99(&mut http.delivered.lock().expect("times"));
    Window { webhooks: p99(&mut webhooks), deliveries }
}

/// The resident memory of this process.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of the process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")).expect("VmRSS");
    line.parse::<usize>().expect("a number") << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panicking_attempts_delay_no_second_client() {
    let _serial = SERIAL.lock().await;
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let store = open_store(directory.path().join("docrelay.db"));
    add_client(&store, &client("second")).await;
    for number in 0..TROUBLED_CLIENTS {
        add_client(&store, &client(&format!("troubled-{number}"))).await;
    }
    let http = Arc::new(TroubledClient::default());
    let options = DeliveryOptions { concurrency: 64, memory_bytes: 1 << 20 };
    let handle = DeliveryHandle::new(store.clone(), http.clone(), options, Metrics::new("test"));
    let stop = CancellationToken::new();
    let measuring = async {
        let mut number = 0;
        let mut windows = Vec::new();
        // The first fills the caches.
        for measured in 0..=2 * WINDOWS {
            http.is_panicking.store(measured > WINDOWS, Ordering::Relaxed);
            let window = window(&store, &http, &mut number).await;
            windows.push((window, resident_bytes()));
        }
        stop.cancel();
        windows
    };
    let worker = DeliveryWorker::new(handle).run(stop.clone());
    let ((), windows) = tokio::join!(worker, measuring);
    let panics = http.panics.load(Ordering::Relaxed);
    eprintln!("{panics} panics; windows {windows:?}");
    assert!(panics >= 5 * TROUBLED_CLIENTS, "{panics} panics");
    let (before, during) = windows[1..].split_at(WINDOWS);
    let figures: [(&str, Figure); 2] =
        [("webhooks", |window| window.webhooks), ("deliveries", |window| window.deliveries)];
    for (what, figure) in figures {
        // Other load on the machine spoils some windows, the panics would slow all of them.
        let allowed = before.iter().map(|(window, _)| figure(window)).max().expect("windows") * 2 + TOLERANCE;
        let best = during.iter().map(|(window, _)| figure(window)).min().expect("windows");
        assert!(best <= allowed, "{what}: {best:?} at best, allowed {allowed:?}");
    }
    let grown =
        during.iter().map(|(_, resident)| resident).max().expect("windows").saturating_sub(before[WINDOWS - 1].1);
    assert!(grown < MAX_GROWTH, "{} KiB more", grown >> 10);
    store.maintenance.close().await;
}
