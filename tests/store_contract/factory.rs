//! What a store under test is made with, and the words that the tests are written in.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use docrelay::domain::{Client, ClientId, Secret, SharedEvent, Status, Timestamp, Update, Vendor};
use docrelay::store::sqlite::{OnCommit, Options, SqliteStore};
use docrelay::store::{
    AppendOutcome, Attempt, AttemptRecord, Disposition, DuplicateRule, NewEvent, PageLimit, QueueKey, RawRequest,
    Retention, Seal, Store,
};

/// Where a store lives that can be opened again; dropping it cleans up.
pub(crate) trait StoreFactory: Send + Sync + 'static {
    /// Opens the store, with what is in it. The one before must have been closed.
    fn open(&self, retention: Retention) -> impl Future<Output = Store> + Send;
}

/// A directory with a database of the embedded store.
pub(crate) struct SqliteFiles {
    directory: tempfile::TempDir,
}

impl SqliteFiles {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("docrelay.db")
    }

    pub(crate) fn options(&self, on_commit: Option<OnCommit>) -> Options {
        Options { path: self.path(), retention: retention(), readers: 4, seal: Arc::new(Mask(0x5a)), on_commit }
    }
}

impl StoreFactory for SqliteFiles {
    async fn open(&self, retention: Retention) -> Store {
        SqliteStore::open(Options { retention, ..self.options(None) }).unwrap()
    }
}

/// Stands in for real sealing: hides the text and is bound to the context, as a cipher would be.
pub(crate) struct Mask(pub(crate) u8);

impl Seal for Mask {
    fn seal(&self, text: &[u8], context: &[u8]) -> Vec<u8> {
        let mut sealed = vec![self.0, context.iter().fold(0, |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(*byte))];
        sealed.extend(text.iter().map(|byte| byte ^ self.0));
        sealed
    }

    fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, String> {
        match self.seal(&[], context).as_slice() == sealed.get(..2).unwrap_or_default() {
            true => Ok(sealed[2..].iter().map(|byte| byte ^ self.0).collect()),
            false => Err("the key is another one".into()),
        }
    }
}

/// Bounds that no test reaches by accident.
pub(crate) fn retention() -> Retention {
    Retention {
        max_event_age: Duration::from_secs(7 * 24 * 3600),
        max_events: 10_000_000,
        max_event_bytes: 100 << 30,
        max_reject_age: Duration::from_secs(7 * 24 * 3600),
        max_rejects: 1_000,
        max_reject_bytes: 64 << 20,
        max_delivery_age: Duration::from_secs(7 * 24 * 3600),
        max_deliveries: 1_000_000,
        max_attempt_bytes: 1 << 30,
    }
}

/// The time at which the tests play, and so many milliseconds later.
pub(crate) fn at(ms: u64) -> Timestamp {
    Timestamp::parse("2026-11-22T12:00:00Z").unwrap().plus(Duration::from_millis(ms))
}

pub(crate) const DAY: u64 = 24 * 3600 * 1000;

pub(crate) fn id(name: &str) -> ClientId {
    name.parse().unwrap()
}

pub(crate) fn client(name: &str) -> Client {
    Client { id: id(name), created: at(0), secret: Secret::new(&format!("secret of {name}")), previous: None }
}

/// A store with these clients in it.
pub(crate) async fn store_with(factory: &impl StoreFactory, retention: Retention, clients: &[&str]) -> Store {
    let store = factory.open(retention).await;
    for name in clients {
        store.registry.add_client(client(name)).await.unwrap();
    }
    store
}

/// A PPJ message without a key: news whenever the status is.
pub(crate) fn unkeyed(client: &str, vendor_id: &str, status: Status) -> NewEvent {
    NewEvent {
        client: id(client),
        vendor: Vendor::Ppj,
        update: Update::new(vendor_id.parse().unwrap(), status),
        labels: BTreeMap::new(),
        raw: None,
        duplicate_rule: DuplicateRule::SameStatus,
        route: None,
        now: at(0),
    }
}

/// The same with a key.
pub(crate) fn keyed(client: &str, vendor_id: &str, status: Status, key: &str) -> NewEvent {
    NewEvent { duplicate_rule: DuplicateRule::SameKey(key.into()), ..unkeyed(client, vendor_id, status) }
}

/// Something new about a new document.
pub(crate) fn new_document(client: &str, number: usize) -> NewEvent {
    unkeyed(client, &format!("job-{number}"), Status::Completed)
}

pub(crate) fn raw(body: &str) -> RawRequest {
    RawRequest {
        method: "POST".into(),
        query: Some("a=1&b=%00".into()),
        headers: vec![("content-type".into(), "text/plain".into()), ("x-odd".into(), "\"quoted\" \u{e9}".into())],
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

/// The event that an arrival became; a repeat fails the test.
pub(crate) async fn stored(store: &Store, arrival: NewEvent) -> SharedEvent {
    match store.log.append(arrival).await.unwrap() {
        AppendOutcome::Stored(event) => event,
        repeat => panic!("not stored: {repeat:?}"),
    }
}

/// The sequence that an arrival repeats; news fails the test.
pub(crate) async fn repeated(store: &Store, arrival: NewEvent) -> u64 {
    match store.log.append(arrival).await.unwrap() {
        AppendOutcome::Duplicate { id, .. } => id.sequence,
        AppendOutcome::Stored(event) => panic!("stored: {event:?}"),
    }
}

/// A page that is not cut.
pub(crate) const ALL: PageLimit = PageLimit { events: 1_000_000, bytes: usize::MAX };

/// The sequences of all that is retained of a client.
pub(crate) async fn sequences(store: &Store, client: &str) -> Vec<u64> {
    let page = store.log.events_after(&id(client), 0, ALL).await.unwrap();
    page.events.iter().map(|event| event.id.sequence).collect()
}

pub(crate) fn json(event: &SharedEvent) -> serde_json::Value {
    serde_json::from_slice(&event.json).unwrap()
}

/// The result of an attempt.
pub(crate) fn record(
    queue: &QueueKey,
    delivery: u64,
    attempt: Option<Attempt>,
    disposition: Disposition,
    now: Timestamp,
) -> AttemptRecord {
    AttemptRecord { queue: queue.clone(), delivery, attempt, disposition, now }
}
