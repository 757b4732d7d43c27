//! Tests of the embedded store's background work: what it does to the files, and to those who send meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use docrelay::domain::Status;
use docrelay::store::sqlite::{CommitReport, SqliteStore};
use docrelay::store::{NewEvent, Store};
use rusqlite::Connection;

use crate::factory::{SqliteFiles, at, client, id, keyed, raw};

/// Held by each of these tests: they would disturb each other's measurements.
static DISK: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const DEADLINE: Duration = Duration::from_secs(120);

/// The bound of the write-ahead log, with the transaction that exceeds it.
const WAL_LIMIT: u64 = 272 << 20;

fn file_bytes(path: &Path, suffix: &str) -> u64 {
    std::fs::metadata(format!("{}{suffix}", path.display())).map_or(0, |file| file.len())
}

/// Opens the store; the number becomes the largest size of the file of the write-ahead log.
fn open(files: &SqliteFiles) -> (Store, Arc<AtomicU64>) {
    let largest = Arc::new(AtomicU64::new(0));
    let (seen, path) = (largest.clone(), files.path());
    let on_commit = Arc::new(move |_| {
        seen.fetch_max(file_bytes(&path, "-wal"), Ordering::Relaxed);
    });
    (SqliteStore::open(files.options(Some(on_commit))).unwrap(), largest)
}

/// A webhook with a key and a request of `bytes` bytes.
fn webhook(client: &str, number: usize, bytes: usize) -> NewEvent {
    let mut new_event =
        keyed(client, &format!("{number:x}-{}", fastrand::u64(..)), Status::Completed, &format!("key {number}"));
    new_event.raw = Some(raw(&"x".repeat(bytes)));
    new_event
}

async fn fill(store: &Store, name: &str, events: usize, bytes: usize) {
    store.registry.add_client(client(name)).await.unwrap();
    for first in (0..events).step_by(1_000) {
        let last = events.min(first + 1_000);
        let appends = (first..last).map(|number| store.log.append(webhook(name, number, bytes)));
        for appended in futures::future::join_all(appends).await {
            appended.unwrap();
        }
    }
}

/// Waits until the file has at most these bytes. Each probe is a transaction, after which background work goes on.
async fn shrink(store: &Store, path: &Path, bytes: u64) {
    let begun = Instant::now();
    while file_bytes(path, "") > bytes {
        assert!(begun.elapsed() < DEADLINE, "{} bytes are left, more than {bytes}", file_bytes(path, ""));
        store.maintenance.probe().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_on_idle_store_bounds_wal_and_returns_disk_space() {
    let _disk = DISK.lock().await;
    let files = SqliteFiles::new();
    let (store, largest_wal) = open(&files);
    fill(&store, "large", 60_000, 1_000).await;
    largest_wal.store(0, Ordering::Relaxed);
    store.registry.remove_client(&id("large").id).await.unwrap();
    // Pruning runs after the erasing.
    store.maintenance.prune(at(0)).await.unwrap();
    let wal = largest_wal.load(Ordering::Relaxed);
    assert!(wal < WAL_LIMIT, "{} MiB of write-ahead log", wal >> 20);
    shrink(&store, &files.path(), 16 << 20).await;
    store.maintenance.close().await;
    let db = Connection::open(files.path()).unwrap();
    let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

/// Sends so many webhooks with 8 senders; returns the 99th percentile of their times.
async fn p99(store: &Store, webhooks: usize) -> Duration {
    let sender = |sender: usize| async move {
        let mut times = Vec::new();
        while times.len() < webhooks / 8 {
            let number = 1_000_000 * (sender + 1) + fastrand::usize(..) % 1_000_000_000 * 10;
            let begun = Instant::now();
            store.log.append(webhook("sender", number, 500)).await.unwrap();
            times.push(begun.elapsed());
        }
        times
    };
    let mut times: Vec<_> = futures::future::join_all((0..8).map(sender)).await.concat();
    times.sort_unstable();
    times[(times.len() - 1) * 99 / 100]
}

/// 99th percentiles of two stores in several rounds, both at the same time. Their medians count: other load on the
/// machine spoils some rounds of both stores.
#[derive(Default, Debug)]
struct Rounds {
    erasing: Vec<Duration>,
    control: Vec<Duration>,
}

impl Rounds {
    async fn measure(&mut self, erasing: &Store, control: &Store) {
        let (first, second) = tokio::join!(p99(erasing, 1_000), p99(control, 1_000));
        self.erasing.push(first);
        self.control.push(second);
    }

    /// How much slower the first store is than the other one.
    fn ratio(&self) -> f64 {
        let [erasing, control] = [&self.erasing, &self.control].map(|times| {
            let mut times = times.clone();
            times.sort_unstable();
            times[times.len() / 2].as_secs_f64()
        });
        erasing / control
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasing_large_client_at_most_doubles_webhook_times() {
    let _disk = DISK.lock().await;
    let (files, control_files) = (SqliteFiles::new(), SqliteFiles::new());
    let (store, _) = open(&files);
    store.registry.add_client(client("sender")).await.unwrap();
    fill(&store, "large", 100_000, 500).await;
    store.maintenance.close().await;
    // The same store, which erases nothing.
    std::fs::copy(files.path(), control_files.path()).unwrap();
    let ((store, _), (control, _)) = (open(&files), open(&control_files));
    let (mut before, mut during) = (Rounds::default(), Rounds::default());
    for _ in 0..5 {
        before.measure(&store, &control).await;
    }
    store.registry.remove_client(&id("large").id).await.unwrap();
    let erased = AtomicBool::new(false);
    let sending = async {
        for _ in 0..5 {
            during.measure(&store, &control).await;
            assert!(!erased.load(Ordering::Relaxed), "erasing has ended too early to measure it");
        }
    };
    let erasing = async {
        store.maintenance.prune(at(0)).await.unwrap();
        erased.store(true, Ordering::Relaxed);
    };
    tokio::join!(sending, erasing);
    let slower = during.ratio() / before.ratio();
    eprintln!("while erasing slower by a factor of {slower:.2}: {during:?} while erasing, {before:?} before");
    assert!(slower <= 2.0, "by {slower:.2}: {during:?} while erasing, {before:?} before");
    for store in [store, control] {
        store.maintenance.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_reader_delays_no_append_and_is_reported() {
    let _disk = DISK.lock().await;
    let files = SqliteFiles::new();
    let largest_used = Arc::new(AtomicU64::new(0));
    let used = largest_used.clone();
    let on_commit = Arc::new(move |report: CommitReport| {
        used.store(report.wal_bytes, Ordering::Relaxed);
    });
    let store = SqliteStore::open(files.options(Some(on_commit))).unwrap();
    fill(&store, "a", 10, 100).await;
    // A program that copies the database, for example.
    let reader = Connection::open(files.path()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM event;").unwrap();
    let begun = Instant::now();
    let mut number = 100;
    while store.maintenance.warning().is_none() {
        assert!(begun.elapsed() < DEADLINE, "{} MiB", largest_used.load(Ordering::Relaxed) >> 20);
        let appends = (0..20).map(|next| store.log.append(webhook("a", number + next, 256 << 10)));
        futures::future::join_all(appends).await.into_iter().for_each(|appended| drop(appended.unwrap()));
        number += 20;
    }
    // With a wait of a second for each of them this would take 20 s.
    let begun = Instant::now();
    for next in 0..20 {
        store.log.append(webhook("a", number + next, 1_000)).await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    drop(reader);
    let begun = Instant::now();
    while store.maintenance.warning().is_some() {
        assert!(begun.elapsed() < DEADLINE, "{} MiB", largest_used.load(Ordering::Relaxed) >> 20);
        store.maintenance.probe().await.unwrap();
    }
    store.maintenance.probe().await.unwrap();
    store.maintenance.close().await;
    assert!(largest_used.load(Ordering::Relaxed) < 64 << 20, "it was restarted");
}
