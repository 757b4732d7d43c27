//! The store and the delivery worker over a scripted HTTP client. What panics fails alone: an attempt releases its
//! permit and its delivery is retried later, a command of the writer is refused, and others go on.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a panic around the test fails it, one in it is its subject; standard error shows measurements"
)]

mod commands;
mod faults;
mod queue_ownership;
mod second_client;
mod streams;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use docrelay::delivery::{
    DeliveryHandle, DeliveryOptions, DeliveryWorker, ForbiddenEndpoint, HttpClient, HttpExchange, HttpResponse,
};
use docrelay::domain::{
    Client, ClientRef, Format, Notification, NotificationState, Secret, Status, Timestamp, Update, Vendor,
};
use docrelay::metrics::Metrics;
use docrelay::store::sqlite::{SqliteOptions, SqliteStore};
use docrelay::store::{Delivery, DeliveryQuery, DeliveryState, DuplicateRule, NewEvent, Retention, Seal, Store};
use docrelay::vendor::OutgoingRequest;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

/// Held by each test: some measure times and memory.
static SERIAL: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// No encryption: the test has no secrets.
struct Open;

impl Seal for Open {
    fn seal(&self, text: &[u8], _: &[u8]) -> Vec<u8> {
        text.to_vec()
    }

    fn seal_with_nonce(&self, text: &[u8], _: &[u8], _: [u8; 12]) -> Vec<u8> {
        text.to_vec()
    }

    fn open(&self, sealed: &[u8], _: &[u8]) -> Result<Vec<u8>, String> {
        Ok(sealed.to_vec())
    }
}

/// Panics on its first requests, then succeeds.
struct PanickingClient {
    panics: usize,
    requests: AtomicUsize,
}

impl HttpClient for PanickingClient {
    fn check<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), ForbiddenEndpoint>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn check_url(&self, _: &str) -> Result<(), ForbiddenEndpoint> {
        Ok(())
    }

    fn exchange(&self, _: OutgoingRequest) -> BoxFuture<'_, HttpExchange> {
        Box::pin(async {
            let number = self.requests.fetch_add(1, Ordering::SeqCst);
            assert!(number >= self.panics, "request {number} panics");
            let response = HttpResponse { status: 200, body: Bytes::new(), retry_after: None };
            HttpExchange { duration: Duration::ZERO, result: Ok(response) }
        })
    }
}

fn acme() -> ClientRef {
    client("acme")
}

fn client(id: &str) -> ClientRef {
    ClientRef { id: id.parse().expect("a name"), created: Timestamp::from_seconds(1) }
}

fn open_store(path: std::path::PathBuf) -> Store {
    open_store_with(path, Arc::new(Open))
}

fn open_store_with(path: std::path::PathBuf, seal: Arc<dyn Seal>) -> Store {
    let retention = Retention {
        max_event_age: Duration::from_secs(86_400),
        max_events: 1_000,
        max_event_bytes: 1 << 30,
        max_total_bytes: 1 << 30,
        max_duplicate_keys: 1 << 40,
        max_reject_age: Duration::from_secs(1),
        max_rejects: 1,
        max_reject_bytes: 1,
        max_pending_age: Duration::from_secs(86_400),
        max_pending: 1_000,
        max_pending_bytes: 1 << 30,
        max_delivery_age: Duration::from_secs(86_400),
        max_deliveries: 1_000,
        max_attempt_bytes: 1 << 30,
    };
    let options = SqliteOptions {
        path,
        retention,
        readers: 4,
        seal,
        may_leave_cluster: false,
        on_commit: None,
        on_thread_end: None,
        on_given_up: None,
    };
    SqliteStore::open(options).expect("a store")
}

/// Adds a client with a default notification to an endpoint on a host of the client's name.
async fn add_client(store: &Store, client: &ClientRef) {
    let ClientRef { id, created } = client.clone();
    let endpoint = format!("https://{id}.example.com/hook");
    let added = Client { id, created, secret: Secret::new("secret"), previous: None };
    store.registry.add_client(added).await.expect("a client");
    let notification = Notification {
        id: "main".into(),
        name: "main".parse().expect("a name"),
        endpoint,
        format: Format::Gini,
        is_default: true,
        secrets: Vec::new(),
        previous: None,
        credential: None,
        state: NotificationState::Active,
        created,
    };
    store.registry.add_notification(client, notification).await.expect("a notification");
}

fn new_event(client: ClientRef, number: usize) -> NewEvent {
    NewEvent {
        client,
        vendor: Vendor::Ppj,
        update: Update::new(format!("job-{number}").parse().expect("an id"), Status::Completed),
        labels: BTreeMap::new(),
        raw: None,
        duplicate_rule: DuplicateRule::SameStatus,
        destinations: None,
        now: Timestamp::now(),
    }
}

async fn append(store: &Store, client: ClientRef, number: usize) {
    store.log.append(new_event(client, number)).await.expect("a stored event");
}

async fn deliveries(store: &Store) -> Vec<Delivery> {
    let query = DeliveryQuery { limit: 100, ..DeliveryQuery::default() };
    store.outbox.deliveries(&acme(), query).await.expect("a list").items
}

// Rule 26: a panic releases its permit.
#[tokio::test]
async fn panicking_attempts_release_their_permits_and_are_retried() {
    let _serial = SERIAL.lock().await;
    let directory = tempfile::tempdir().expect("a directory");
    let store = open_store(directory.path().join("docrelay.db"));
    add_client(&store, &acme()).await;
    let (documents, panics) = (8, 3);
    for number in 0..documents {
        append(&store, acme(), number).await;
    }
    let metrics = Metrics::new("test");
    let client = Arc::new(PanickingClient { panics, requests: AtomicUsize::new(0) });
    // One permit in all: if one attempt kept it, no other could start.
    let handle = DeliveryHandle::new(
        store.clone(),
        client.clone(),
        DeliveryOptions { concurrency: 1, memory_bytes: 1 << 20 },
        metrics.clone(),
    );
    let stop = CancellationToken::new();
    let finished = async {
        let mut interval = tokio::time::interval(Duration::from_millis(10));
        loop {
            interval.tick().await;
            let all = deliveries(&store).await;
            let delivered = all.iter().filter(|delivery| delivery.state == DeliveryState::Delivered).count();
            let recorded = all.iter().filter(|delivery| !delivery.attempts.is_empty()).count();
            if delivered == documents - panics && recorded == documents {
                break;
            }
        }
        stop.cancel();
    };
    let worker = DeliveryWorker::new(handle).run(stop.clone());
    let both = tokio::time::timeout(Duration::from_secs(30), async { tokio::join!(worker, finished) }).await;
    assert!(both.is_ok(), "{:#?}", deliveries(&store).await);
    assert_eq!(client.requests.load(Ordering::SeqCst), documents);
    assert_eq!(metrics.deliveries_running.get(), 0);
    let pending: Vec<Delivery> =
        deliveries(&store).await.into_iter().filter(|delivery| delivery.state == DeliveryState::Pending).collect();
    assert_eq!(pending.len(), panics);
    for delivery in pending {
        assert!(delivery.due.is_some_and(|due| due > Timestamp::now()), "it is retried later: {delivery:?}");
        let reason = delivery.attempts[0].error.as_deref().unwrap_or_default();
        assert!(reason.contains("see its log"), "{reason}");
    }
    store.maintenance.close().await;
}
