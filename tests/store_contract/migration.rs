//! A database of schema version 1, as docrelay 0.1.0 wrote it, opens with the present code.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use docrelay::app::data::DataDirectory;
use docrelay::domain::{
    ClientLimits, ClientRef, Disposition, NotificationState, QueueKey, QueueTarget, Secret, Status, Vendor,
};
use docrelay::store::sqlite::{SqliteOptions, SqliteStore};
use docrelay::store::{AppendOutcome, DeliveryQuery, DeliveryState, DocumentQuery, DuplicateRule, NewEvent, Store};
use rusqlite::Connection;

use crate::factory::{ALL, SqliteFiles, history, id, record_attempt, unkeyed};

const DUMP: &str = include_str!("../fixtures/database-v1.sql");

/// The key that the secrets in the dump are sealed with.
const SEAL_KEY: &str = "9af8669ab8f4c5512da4d2605b3e9f9cb84bfb84ec305126b05b0f8d1f18f485";

/// Writes the database and its key into the directory of `files`, and opens the store.
fn open(files: &SqliteFiles) -> Store {
    let directory = files.path().parent().map(Path::to_path_buf).unwrap();
    let key: Vec<u8> =
        (0..SEAL_KEY.len()).step_by(2).map(|at| u8::from_str_radix(&SEAL_KEY[at..at + 2], 16).unwrap()).collect();
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(directory.join("seal.key")).unwrap();
    std::io::Write::write_all(&mut file, &key).unwrap();
    Connection::open(files.path()).unwrap().execute_batch(DUMP).unwrap();
    let seal = DataDirectory::open(&directory).unwrap().seal().unwrap();
    SqliteStore::open(SqliteOptions { seal: Arc::clone(&seal), ..files.options(None) }).unwrap()
}

/// A client of the database, which has its own time of creation.
fn found(store: &Store, name: &str) -> ClientRef {
    store.registry.client(&id(name).id).unwrap().reference()
}

#[tokio::test]
async fn version_1_registry_is_found() {
    let files = SqliteFiles::new();
    let store = open(&files);
    let clients: Vec<_> = store.registry.clients().iter().map(|client| client.id.to_string()).collect();
    assert_eq!(clients, ["alpha", "beta"]);
    let secret = &store.registry.client(&id("alpha").id).unwrap().secret;
    assert_eq!(secret.expose().len(), 32);
    let vendors: Vec<_> = store.registry.hooks(&found(&store, "alpha")).iter().map(|hook| hook.vendor).collect();
    assert_eq!(vendors, [Vendor::Gini, Vendor::Standard]);
    let (owner, hook) = store.registry.hook_by_key("no47drlu9hgarht4btk2n6vie89afiln").unwrap();
    assert_eq!((owner, hook.name.as_deref()), (found(&store, "alpha"), Some("first")));
    assert_eq!(hook.labels["tenant"], "t1");
    let notifications = store.registry.notifications(&found(&store, "alpha"));
    let rows: Vec<_> = notifications.iter().map(|n| (n.name.as_str(), n.is_default, n.state)).collect();
    let (active, disabled) = (NotificationState::Active, NotificationState::Disabled);
    assert_eq!(rows, [("main", true, active), ("slow", false, active), ("dead", false, disabled)]);
    let signing = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    assert_eq!(notifications[1].secrets, [signing]);
}

#[tokio::test]
async fn version_1_history_is_found_and_continued() {
    let files = SqliteFiles::new();
    let store = open(&files);
    let page = store.log.events_after(&found(&store, "alpha"), 0, ALL).await.unwrap();
    let sequences: Vec<_> = page.events.iter().map(|event| event.id.sequence).collect();
    assert_eq!((sequences, page.through, page.pruned_through), (vec![1, 2, 3, 5, 6, 7, 8], 8, 0));
    assert_eq!(page.events[0].id.to_string(), "3299ba4f07864.1");
    let raw = store.log.raw_request(&found(&store, "alpha"), 2).await.unwrap().unwrap();
    assert_eq!(raw.method, "POST");
    assert!(raw.body.starts_with(b"{\"documentId\""), "{:?}", raw.body);
    let query = DocumentQuery { limit: 10, ..DocumentQuery::default() };
    let documents = store.log.documents(&found(&store, "alpha"), query).await.unwrap().documents;
    let names: Vec<_> = documents.iter().map(|document| document.vendor_id.as_str()).collect();
    assert_eq!(names, ["dead-1", "slow-1", "job-2", "626626a0-749f-11e2-bfd6-000000000001"]);
    assert_eq!(documents[1].title.as_deref(), Some("Slow one"));
    let events = history(&store, &found(&store, "alpha"), documents[3].id).await;
    assert_eq!(events.iter().map(|event| event.status).collect::<Vec<_>>(), [Status::Pending, Status::Completed]);
    assert_eq!(
        store.rejects.list(&found(&store, "alpha"), 10, None).await.unwrap().items[0].reason,
        "status is missing"
    );

    // Its documents are known, and new events follow.
    let known = NewEvent {
        vendor: Vendor::Gini,
        duplicate_rule: DuplicateRule::KnownDocument,
        client: found(&store, "alpha"),
        ..unkeyed("alpha", "slow-1", Status::Pending)
    };
    let outcome = store.log.append(known).await.unwrap();
    assert!(matches!(&outcome, AppendOutcome::Duplicate { id, .. } if id.sequence == 7), "{outcome:?}");
    let new = NewEvent {
        client: found(&store, "beta"),
        now: documents[0].updated,
        ..unkeyed("beta", "new", Status::Completed)
    };
    let outcome = store.log.append(new).await.unwrap();
    assert!(matches!(&outcome, AppendOutcome::Stored(event) if event.id.sequence == 9), "{outcome:?}");
}

#[tokio::test]
async fn version_1_deliveries_are_found_and_continued() {
    let files = SqliteFiles::new();
    let store = open(&files);
    let states = async |store: &Store| {
        let query = DeliveryQuery { limit: 100, ..DeliveryQuery::default() };
        let deliveries = store.outbox.deliveries(&found(store, "alpha"), query).await.unwrap();
        deliveries.items.iter().map(|found| (found.id, found.state, found.attempts.len())).collect::<Vec<_>>()
    };
    use DeliveryState::{Dead, Delivered, Pending};
    let before = [
        (9, Dead, 1),
        (8, Pending, 0),
        (7, Pending, 0),
        (6, Dead, 1),
        (5, Pending, 1),
        (4, Pending, 1),
        (3, Delivered, 1),
        (2, Delivered, 1),
        (1, Delivered, 1),
    ];
    assert_eq!(states(&store).await, before);
    let queues = store.outbox.ready().await.unwrap();
    assert_eq!(queues.len(), 2, "{queues:?}");
    let slow = QueueKey { client: id("alpha").id, target: QueueTarget::Notification("slow".parse().unwrap()) };
    let now = store.outbox.backlog().await.unwrap().oldest_due.unwrap().plus(std::time::Duration::from_secs(60));
    for queue in queues {
        let page = store.outbox.due(&queue, now, 10, Vec::new()).await.unwrap();
        let [head] = &page.deliveries[..] else { panic!("{page:?}") };
        let content = store.outbox.content(&queue, head.id).await.unwrap().unwrap();
        assert_eq!((head.failures, content.event.as_ref().map(|event| event.id.sequence)), (1, Some(5)));
        assert!(head.bytes > 0, "sizes are computed by the migration");
        if queue == slow {
            record_attempt(&store, &queue, head.id, None, Disposition::Delivered, now).await.unwrap();
            let next = store.outbox.due(&queue, now, 10, Vec::new()).await.unwrap();
            assert_eq!(next.deliveries.iter().map(|due| due.id).collect::<Vec<_>>(), [7], "the next of its document");
        } else {
            let callback = content.callback.as_ref().unwrap();
            assert_eq!(callback.url, "http://127.0.0.1:18473/callback?key=secret");
        }
    }
    let name = "dead".parse().unwrap();
    assert_eq!(
        store
            .outbox
            .retry_failed(&found(&store, "alpha"), &name, docrelay::domain::Timestamp::from_millis(0), now)
            .await
            .unwrap(),
        2
    );
    assert_eq!(store.outbox.backlog().await.unwrap().pending, 5);
}

#[tokio::test]
async fn usage_of_migrated_database_is_exact() {
    let files = SqliteFiles::new();
    open(&files).maintenance.close().await;
    let db = rusqlite::Connection::open(files.path()).unwrap();
    let sum = "SELECT sum(settled_bytes > 0), sum(document_bytes > 0), sum(duplicate_keys > 0) FROM usage";
    let counted: [i64; 3] = db.query_row(sum, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?])).unwrap();
    assert!(counted.iter().all(|clients| *clients > 0), "{counted:?}");
    assert_eq!(crate::usage::differences(&files.path()), []);
}

#[tokio::test]
async fn migrated_database_without_marker_changes_the_epoch() {
    let files = SqliteFiles::new();
    let store = open(&files);
    assert_eq!(store.log.epoch().to_string(), "3299ba4f07864");
    store.maintenance.close().await;
    let directory = files.path().parent().map(Path::to_path_buf).unwrap();
    let reopen = || {
        let seal = DataDirectory::open(&directory).unwrap().seal().unwrap();
        SqliteStore::open(SqliteOptions { seal, ..files.options(None) }).unwrap()
    };
    let store = reopen();
    assert_eq!(store.log.epoch().to_string(), "3299ba4f07864", "its marker was written");
    store.maintenance.close().await;
    std::fs::remove_file(directory.join("docrelay.db.run")).unwrap();
    assert_ne!(reopen().log.epoch().to_string(), "3299ba4f07864");
}

#[tokio::test]
async fn clients_of_version_1_have_default_limits_that_can_be_changed() {
    let files = SqliteFiles::new();
    let store = open(&files);
    let (alpha, defaults) = (found(&store, "alpha"), ClientLimits::default());
    assert_eq!(store.registry.client_limits(&alpha), defaults);
    let limits = ClientLimits { stored_bytes: std::num::NonZeroU64::new(1), ..defaults };
    store.registry.set_client_limits(&alpha, defaults, limits).await.unwrap();
    store.maintenance.prune(docrelay::domain::Timestamp::from_millis(0)).await.unwrap();
    let page = store.log.events_after(&alpha, 0, ALL).await.unwrap();
    assert!(page.events.is_empty(), "its usage has a row with the new bound: {page:?}");
    store.maintenance.close().await;
    let directory = files.path().parent().map(Path::to_path_buf).unwrap();
    let seal = DataDirectory::open(&directory).unwrap().seal().unwrap();
    let store = SqliteStore::open(SqliteOptions { seal, ..files.options(None) }).unwrap();
    assert_eq!(store.registry.client_limits(&alpha), limits);
}
