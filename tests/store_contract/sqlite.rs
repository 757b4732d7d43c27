//! Tests of the embedded store: its files, locks, crash recovery and write-ahead log.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use docrelay::domain::{Format, Status};
use docrelay::store::sqlite::{OpenError, SqliteOptions, SqliteStore};
use docrelay::store::{DeliveryQuery, DeliveryState, GivenUp, Retention, Store, StoreError};
use futures::FutureExt;
use rusqlite::Connection;

use crate::factory::{
    Mask, SqliteFiles, StoreFactory, at, id, keyed, new_document, raw, retention, sequences, store_with, stored,
};
use crate::notifications::full_notification;
use crate::outbox::{default_notification, due, notification_queue};
use crate::registry::hook;
use crate::rejects::reject;
use crate::routing::{registration, route_to_callback};

/// All bytes of the store's files.
fn bytes(path: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        all.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    all
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn files_contain_no_plaintext_secret() {
    let files = SqliteFiles::new();
    let store = store_with(&files, retention(), &["a"]).await;
    store.registry.add_hook(&id("a"), hook("1")).await.unwrap();
    store.registry.add_notification(&id("a"), full_notification("main")).await.unwrap();
    stored(&store, registration("x", route_to_callback("https://app.example.com/path-of-the-callback"))).await;
    stored(&store, new_document("a", 1)).await;
    for closed in [false, true] {
        if closed {
            store.maintenance.close().await;
        }
        let bytes = bytes(&files.path());
        assert!(holds(&bytes, "job-1"), "the search finds plaintext");
        let of_hooks = ["secret of a", "key-1", "hmac-1"];
        let of_notifications =
            ["notification-secret", "token of the notification", "token of the callback", "path-of-the-callback"];
        for secret in of_hooks.into_iter().chain(of_notifications) {
            assert!(!holds(&bytes, secret), "{secret}");
        }
    }
}

#[tokio::test]
async fn files_are_readable_by_owner_only() {
    let files = SqliteFiles::new();
    std::fs::write(files.path(), "").unwrap();
    std::fs::set_permissions(files.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = store_with(&files, retention(), &["a"]).await;
    stored(&store, new_document("a", 1)).await;
    let mut seen = 0;
    for file in std::fs::read_dir(files.path().parent().unwrap()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
        seen += 1;
    }
    assert_eq!(seen, 5, "the database, -wal, -shm, .lock and .run");
}

fn refusal(options: SqliteOptions) -> OpenError {
    match SqliteStore::open(options) {
        Ok(_) => panic!("it opened"),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains('\n') && text.contains("docrelay.db"), "{text}");
            error
        }
    }
}

#[tokio::test]
async fn foreign_file_is_refused_and_left_unchanged() {
    let files = SqliteFiles::new();
    std::fs::write(
        files.path(),
        "a text that is longer than the header of a SQLite database file, so that the header is read".repeat(9),
    )
    .unwrap();
    let before = std::fs::read(files.path()).unwrap();
    assert!(matches!(refusal(files.options(None)), OpenError::Foreign(_)));
    assert_eq!(std::fs::read(files.path()).unwrap(), before);

    std::fs::remove_file(files.path()).unwrap();
    Connection::open(files.path()).unwrap().execute_batch("CREATE TABLE recipes (name)").unwrap();
    assert!(matches!(refusal(files.options(None)), OpenError::Foreign(_)));

    let options = SqliteOptions { path: files.path().join("docrelay.db"), ..files.options(None) };
    assert!(matches!(refusal(options), OpenError::Unusable { .. }), "a file in place of the directory");
}

#[tokio::test]
async fn newer_schema_version_is_refused() {
    let files = SqliteFiles::new();
    files.open(retention()).await.maintenance.close().await;
    Connection::open(files.path()).unwrap().execute_batch("PRAGMA user_version = 1000").unwrap();
    assert!(matches!(refusal(files.options(None)), OpenError::Newer { found: 1000, .. }));
}

#[tokio::test]
async fn secrets_do_not_open_with_another_key() {
    let files = SqliteFiles::new();
    store_with(&files, retention(), &["a"]).await.maintenance.close().await;
    let other = SqliteOptions { seal: Arc::new(Mask(1)), ..files.options(None) };
    assert!(matches!(refusal(other), OpenError::Sealed { .. }));
    // A sealed secret that was copied to another row does not open either.
    let store = store_with(&files, retention(), &["b"]).await;
    store.maintenance.close().await;
    let sql = "UPDATE client SET secrets = (SELECT secrets FROM client WHERE name = 'a') WHERE name = 'b'";
    assert_eq!(Connection::open(files.path()).unwrap().execute(sql, []).unwrap(), 1);
    assert!(matches!(refusal(files.options(None)), OpenError::Sealed { .. }));
}

// Rule 35: one relay per data directory.
#[tokio::test]
async fn second_process_cannot_open_the_database() {
    let files = SqliteFiles::new();
    let store = files.open(retention()).await;
    assert!(matches!(refusal(files.options(None)), OpenError::Locked(_)));
    store.maintenance.close().await;
    files.open(retention()).await.maintenance.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_write_is_refused_and_next_succeeds() {
    let files = SqliteFiles::new();
    let store = store_with(&files, retention(), &["a"]).await;
    let before = stored(&store, new_document("a", 1)).await.id.sequence;
    // Another connection holds the write lock.
    let other = Connection::open(files.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = futures::future::join_all((2..20).map(|number| store.log.append(new_document("a", number)))).await;
    assert!(refused.iter().all(|answer| matches!(answer, Err(StoreError::Unavailable(_)))), "{refused:?}");
    assert!(matches!(store.maintenance.probe().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.registry.remove_client(&id("a").id).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.maintenance.prune(at(0)).await, Err(StoreError::Unavailable(_))));
    assert_eq!(sequences(&store, "a").await, [before], "reads still succeed");
    other.execute_batch("COMMIT").unwrap();
    store.maintenance.probe().await.unwrap();
    assert_eq!(stored(&store, new_document("a", 2)).await.id.sequence, before + 1);
    assert_eq!(sequences(&store, "a").await, [before, before + 1]);
}

#[tokio::test]
async fn interrupted_client_removal_completes_on_reopen() {
    let files = SqliteFiles::new();
    let store = store_with(&files, retention(), &["a", "b"]).await;
    for number in 0..700 {
        let mut new_event = keyed("a", &format!("x{number}"), Status::Completed, &number.to_string());
        new_event.raw = Some(raw("body"));
        store.log.append(new_event).await.unwrap();
    }
    store.rejects.add(&id("a"), reject(1)).await.unwrap();
    store.registry.add_notification(&id("a"), default_notification("main", Format::Gini)).await.unwrap();
    stored(&store, registration("x", route_to_callback("https://app.example.com/"))).await;
    let other = stored(&store, new_document("b", 1)).await.id.sequence;
    store.maintenance.close().await;
    // The state after a power failure right after the removal was committed.
    let db = Connection::open(files.path()).unwrap();
    assert_eq!(db.execute("UPDATE client SET name = NULL, secrets = x'' WHERE name = 'a'", []).unwrap(), 1);
    drop(db);
    let store = files.open(retention()).await;
    assert!(store.registry.client(&id("a").id).is_none());
    // Pruning runs after the removal, so its result means that both have completed.
    assert_eq!(store.maintenance.prune(at(0)).await.unwrap().events, 0);
    assert_eq!(sequences(&store, "b").await, [other]);
    store.maintenance.close().await;
    let db = Connection::open(files.path()).unwrap();
    for (table, left) in [
        // The row of the removed client keeps its time of creation.
        ("client", 2),
        ("usage", 1),
        ("event", 1),
        ("document", 1),
        ("raw", 0),
        ("dedup", 0),
        ("reject", 0),
        ("delivery", 0),
        ("route", 0),
    ] {
        let count: i64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(count, left, "{table}");
    }
}

#[tokio::test]
async fn interrupted_notification_removal_completes_on_reopen() {
    let files = SqliteFiles::new();
    let store = store_with(&files, retention(), &["a"]).await;
    store.registry.add_notification(&id("a"), default_notification("main", Format::Gini)).await.unwrap();
    futures::future::join_all((0..1_200).map(|number| store.log.append(new_document("a", number)))).await;
    store.maintenance.close().await;
    // The state after a power failure right after the removal was committed.
    let db = Connection::open(files.path()).unwrap();
    let sql = "UPDATE notification SET definition = x'', removed = ?1";
    assert_eq!(db.execute(sql, [at(0).millis()]).unwrap(), 1);
    drop(db);
    let store = files.open(retention()).await;
    assert!(store.registry.notifications(&id("a")).is_empty());
    assert!(store.outbox.ready().now_or_never().is_none(), "none of its queues is reported");
    store.registry.add_notification(&id("a"), default_notification("other", Format::Gini)).await.unwrap();
    // Pruning runs after the removal, so its result means that both have completed.
    store.maintenance.prune(at(0)).await.unwrap();
    let query = DeliveryQuery { state: Some(DeliveryState::Dead), limit: 2_000, ..DeliveryQuery::default() };
    assert_eq!(store.outbox.deliveries(&id("a"), query).await.unwrap().items.len(), 1_200);
    assert_eq!(store.outbox.backlog().await.unwrap().pending, 0);
    assert!(due(&store, &notification_queue("a", "other"), at(0)).await.is_empty());
    store.maintenance.close().await;
    let db = Connection::open(files.path()).unwrap();
    let left: i64 = db.query_row("SELECT count(*) FROM notification", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn copied_files_contain_all_acknowledged_events() {
    let files = SqliteFiles::new();
    let store = store_with(&files, retention(), &["a"]).await;
    let mut expected = Vec::new();
    for number in 0..50 {
        expected.push(stored(&store, new_document("a", number)).await.id.sequence);
    }
    // The files of a killed process: neither closed nor checkpointed.
    let copy = SqliteFiles::new();
    for suffix in ["", "-wal"] {
        let name = |files: &SqliteFiles| format!("{}{suffix}", files.path().display());
        std::fs::copy(name(&files), name(&copy)).unwrap();
    }
    let copied = copy.open(retention()).await;
    assert_eq!(sequences(&copied, "a").await, expected);
    assert_eq!(copied.log.head(), store.log.head());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wal_is_bounded_and_reset_under_load() {
    let files = SqliteFiles::new();
    let (largest, last, was_reset) = (AtomicU64::new(0), AtomicU64::new(0), Arc::new(AtomicBool::new(false)));
    let (largest, reset) = (Arc::new(largest), was_reset.clone());
    let most = largest.clone();
    let options = files.options(Some(Arc::new(move |report| {
        most.fetch_max(report.wal_bytes, Ordering::Relaxed);
        if report.wal_bytes < last.swap(report.wal_bytes, Ordering::Relaxed) / 2 {
            reset.store(true, Ordering::Relaxed);
        }
    })));
    let store = SqliteStore::open(options).unwrap();
    store.registry.add_client(crate::factory::client("a")).await.unwrap();
    let body = "x".repeat(256 << 10);
    // 1.5 GiB at most: enough to show a write-ahead log that is never reset.
    for round in 0..600_usize {
        let append = |number| {
            let mut new_event = new_document("a", round * 10 + number);
            new_event.raw = Some(raw(&body));
            store.log.append(new_event)
        };
        for outcome in futures::future::join_all((0..10).map(append)).await {
            outcome.unwrap();
        }
        if was_reset.load(Ordering::Relaxed) {
            break;
        }
    }
    assert!(was_reset.load(Ordering::Relaxed));
    assert!(largest.load(Ordering::Relaxed) < 512 << 20, "{} bytes", largest.load(Ordering::Relaxed));
    store.maintenance.close().await;
    let left = std::fs::metadata(format!("{}-wal", files.path().display())).map_or(0, |file| file.len());
    assert_eq!(left, 0, "closing resets it");
}

#[tokio::test]
async fn on_commit_reports_each_transaction() {
    let files = SqliteFiles::new();
    let reports = Arc::new(Mutex::new(Vec::new()));
    let collected = reports.clone();
    let store: Store =
        SqliteStore::open(files.options(Some(Arc::new(move |report| collected.lock().unwrap().push(report))))).unwrap();
    store.registry.add_client(crate::factory::client("a")).await.unwrap();
    stored(&store, new_document("a", 1)).await;
    store.log.append(new_document("a", 1)).await.unwrap();
    store.maintenance.close().await;
    let reports = reports.lock().unwrap();
    let counts: Vec<_> = reports.iter().map(|report| (report.commands, report.events, report.committed)).collect();
    assert_eq!(counts, [(1, 1, true), (1, 0, true)]);
    assert!(reports[0].wal_bytes > 0);
}

#[tokio::test]
async fn given_up_deliveries_are_reported() {
    let files = SqliteFiles::new();
    let counts = Arc::new(Mutex::new(Vec::new()));
    let counted = counts.clone();
    let options = SqliteOptions {
        retention: Retention { max_pending: 2, max_pending_age: Duration::from_secs(60), ..retention() },
        on_given_up: Some(Arc::new(move |reason, count| counted.lock().unwrap().push((reason, count)))),
        ..files.options(None)
    };
    let store = SqliteStore::open(options).unwrap();
    store.registry.add_client(crate::factory::client("a")).await.unwrap();
    store.registry.add_notification(&id("a"), default_notification("main", Format::Gini)).await.unwrap();
    futures::future::join_all((0..5).map(|number| store.log.append(new_document("a", number)))).await;
    store.maintenance.prune(at(60_001)).await.unwrap();
    store.maintenance.close().await;
    let counts = counts.lock().unwrap();
    let sum = |reason| counts.iter().filter(|(other, _)| *other == reason).map(|(_, count)| count).sum::<u64>();
    assert_eq!((sum(GivenUp::OverLimit), sum(GivenUp::Expired)), (3, 2));
}
