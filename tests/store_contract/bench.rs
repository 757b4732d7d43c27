//! Measurements of the embedded store: `cargo test --release --test store_contract -- --ignored bench --nocapture`.
//! `BENCH_EVENTS` is the number of events in the file (1 000 000). `BENCH_DIR` is the directory of the file, which is
//! then kept for the next run.

#![allow(clippy::print_stdout, reason = "a measurement prints its figures")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use docrelay::domain::{Status, Timestamp, Vendor};
use docrelay::store::sqlite::{SqliteOptions, SqliteStore};
use docrelay::store::{AppendOutcome, NewEvent, PageLimit, Store, StoreError};

use crate::factory::{Mask, at, client, id, keyed, raw, retention};

const CLIENTS: usize = 10;
const SENDERS: usize = 64;

/// A typical webhook: a new document with a random name, a random key, and a request of half a KiB.
fn webhook() -> NewEvent {
    let token = format!("{:016x}", fastrand::u64(..));
    let name = format!("client-{}", fastrand::usize(..CLIENTS));
    let mut new_event = keyed(&name, &token, Status::Completed, &format!("complete:{token}:0"));
    new_event.vendor = Vendor::Ppj;
    new_event.update.title = Some("Quarterly report (final).docx".into());
    new_event.raw =
        Some(raw(&"type=complete&code=0&token=0123456789abcdef&url=https%3A%2F%2Fexample.org%2F".repeat(4)));
    new_event.now = Timestamp::now();
    new_event
}

/// Senders that each wait for a result before they append the next event. Returns the times of all appends.
async fn send(store: &Store, senders: usize, until: Until) -> Vec<Duration> {
    let sent = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let tasks: Vec<_> = (0..senders)
        .map(|_| {
            let (store, sent) = (store.clone(), sent.clone());
            tokio::spawn(async move {
                let mut waits = Vec::new();
                while match until {
                    Until::Number(number) => sent.fetch_add(1, Ordering::Relaxed) < number,
                    Until::Time(time) => started.elapsed() < time,
                } {
                    let begun = Instant::now();
                    let appended = store.log.append(webhook()).await.unwrap();
                    assert!(matches!(appended, AppendOutcome::Stored(_)));
                    waits.push(begun.elapsed());
                }
                waits
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all
}

#[derive(Clone, Copy)]
enum Until {
    Number(u64),
    Time(Duration),
}

async fn appends(store: &Store, label: &str, wal: &AtomicU64) {
    for round in 1..=3 {
        wal.store(0, Ordering::Relaxed);
        let time = Duration::from_secs(8);
        let mut waits = send(store, SENDERS, Until::Time(time)).await;
        waits.sort_unstable();
        let of = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        println!(
            "{label}, round {round}: {:6.0}/s  p50 {:6.2} ms  p99 {:6.2} ms  p99.9 {:6.2} ms  max {:6.1} ms  wal ≤ {} MiB",
            waits.len() as f64 / time.as_secs_f64(),
            of(0.5),
            of(0.99),
            of(0.999),
            of(1.0),
            wal.load(Ordering::Relaxed) >> 20,
        );
    }
}

async fn replays(store: &Store, label: &str) -> Result<(), StoreError> {
    let name = id("client-0");
    let head = store.log.head();
    for (what, back) in [("the last 100", 100 * CLIENTS as u64), ("100 anywhere", 0)] {
        let mut times = Vec::new();
        for _ in 0..300 {
            let after = if back == 0 { fastrand::u64(..head.max(1)) } else { head.saturating_sub(back) };
            let begun = Instant::now();
            store.log.events_after(&name, after, PageLimit { events: 100, bytes: 1 << 20 }).await?;
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        println!(
            "{label}: after() of {what}: p50 {:4.0} µs  p99 {:4.0} µs",
            times[150].as_secs_f64() * 1e6,
            times[296].as_secs_f64() * 1e6
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of a minute or two"]
async fn bench_appends_and_replays() {
    let number: u64 = std::env::var("BENCH_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let temporary = tempfile::tempdir().unwrap();
    let directory = std::env::var_os("BENCH_DIR").map_or(temporary.path().to_owned(), Into::into);
    let wal = Arc::new(AtomicU64::new(0));
    let open = |name: &str| {
        let wal = wal.clone();
        SqliteStore::open(SqliteOptions {
            path: directory.join(name),
            retention: retention(),
            readers: 4,
            seal: Arc::new(Mask(1)),
            may_leave_cluster: false,
            on_commit: Some(Arc::new(move |report| {
                wal.fetch_max(report.wal_bytes, Ordering::Relaxed);
            })),
            on_thread_end: None,
            on_given_up: None,
        })
        .unwrap()
    };
    let store = open("empty.db");
    if store.registry.clients().is_empty() {
        for number in 0..CLIENTS {
            store.registry.add_client(client(&format!("client-{number}"))).await.unwrap();
        }
    }
    send(&store, SENDERS, Until::Number(1_000)).await;
    replays(&store, "1 000 events").await.unwrap();
    appends(&store, "empty", &wal).await;
    store.maintenance.close().await;
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(directory.join(format!("empty.db{suffix}"))).ok();
    }

    let store = open("full.db");
    if store.registry.clients().is_empty() {
        for number in 0..CLIENTS {
            store.registry.add_client(client(&format!("client-{number}"))).await.unwrap();
        }
    }
    let begun = Instant::now();
    send(&store, 512, Until::Number(number.saturating_sub(store.log.head()))).await;
    println!("filled to {} in {:.0} s by 512 senders", store.log.head(), begun.elapsed().as_secs_f64());
    let label = format!("{} events", store.log.head());
    replays(&store, &label).await.unwrap();
    appends(&store, &label, &wal).await;
    let begun = Instant::now();
    let pruned = store.maintenance.prune(at(0)).await.unwrap();
    println!("a pass of pruning that finds {pruned:?}: {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
    store.maintenance.close().await;
}
