//! Makes the stores under test, and the events that the tests append to them.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use docrelay::domain::{
    Client, ClientRef, Disposition, DocumentId, QueueKey, Secret, SharedEvent, Status, Timestamp, Update, Vendor,
};
use docrelay::store::sqlite::{OnCommit, SqliteOptions, SqliteStore};
use docrelay::store::{
    AppendOutcome, Attempt, AttemptRecord, DuplicateRule, NewEvent, PageLimit, RawRequest, RecordEffect, Retention,
    SchedulePosition, Seal, Store, StoreError,
};

/// The data of a store that can be closed and opened again. Dropping it removes the data.
pub(crate) trait StoreFactory: Send + Sync + 'static {
    /// Opens the store with its data. A store that was opened before must be closed.
    fn open(&self, retention: Retention) -> impl Future<Output = Store> + Send;
}

/// A temporary directory with a database of the embedded store.
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

    pub(crate) fn options(&self, on_commit: Option<OnCommit>) -> SqliteOptions {
        SqliteOptions {
            path: self.path(),
            retention: retention(),
            readers: 4,
            seal: Arc::new(Mask(0x5a)),
            may_leave_cluster: false,
            on_commit,
            on_thread_end: None,
            on_given_up: None,
        }
    }
}

impl StoreFactory for SqliteFiles {
    async fn open(&self, retention: Retention) -> Store {
        SqliteStore::open(SqliteOptions { retention, ..self.options(None) }).unwrap()
    }
}

/// A substitute for encryption: hides the text and depends on the context, as the cipher does.
pub(crate) struct Mask(pub(crate) u8);

impl Seal for Mask {
    fn seal(&self, text: &[u8], context: &[u8]) -> Vec<u8> {
        let mut sealed = vec![self.0, context.iter().fold(0, |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(*byte))];
        sealed.extend(text.iter().map(|byte| byte ^ self.0));
        sealed
    }

    fn seal_with_nonce(&self, text: &[u8], context: &[u8], _: [u8; 12]) -> Vec<u8> {
        self.seal(text, context)
    }

    fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, String> {
        match self.seal(&[], context).as_slice() == sealed.get(..2).unwrap_or_default() {
            true => Ok(sealed[2..].iter().map(|byte| byte ^ self.0).collect()),
            false => Err("sealed with another key".into()),
        }
    }
}

/// Limits that no test reaches unintentionally.
pub(crate) fn retention() -> Retention {
    Retention {
        max_event_age: Duration::from_secs(7 * 24 * 3600),
        max_events: 10_000_000,
        max_event_bytes: 100 << 30,
        max_total_bytes: 200 << 30,
        max_duplicate_keys: 1 << 40,
        max_reject_age: Duration::from_secs(7 * 24 * 3600),
        max_rejects: 1_000,
        max_reject_bytes: 64 << 20,
        max_pending_age: Duration::from_secs(60 * 24 * 3600),
        max_pending: 1_000_000,
        max_pending_bytes: 1 << 40,
        max_delivery_age: Duration::from_secs(7 * 24 * 3600),
        max_deliveries: 1_000_000,
        max_attempt_bytes: 1 << 30,
    }
}

/// The start time of every test, plus `ms` milliseconds.
pub(crate) fn at(ms: u64) -> Timestamp {
    Timestamp::parse("2026-11-22T12:00:00Z").unwrap().plus(Duration::from_millis(ms))
}

pub(crate) const DAY: u64 = 24 * 3600 * 1000;

/// The client that [`client`] makes.
pub(crate) fn id(name: &str) -> ClientRef {
    client(name).reference()
}

/// A client that was created at the start time of the tests. `a'` is the successor of the removed client `a`: it has
/// the same name and was created a millisecond later.
pub(crate) fn client(name: &str) -> Client {
    let predecessors = name.bytes().filter(|byte| *byte == b'\'').count();
    Client {
        id: name.trim_end_matches('\'').parse().unwrap(),
        created: at(predecessors as u64),
        secret: Secret::new(&format!("secret of {name}")),
        previous: None,
    }
}

/// A store with these clients.
pub(crate) async fn store_with(factory: &impl StoreFactory, retention: Retention, clients: &[&str]) -> Store {
    let store = factory.open(retention).await;
    for name in clients {
        store.registry.add_client(client(name)).await.unwrap();
    }
    store
}

/// A PPJ message without a deduplication key: a duplicate if the document has this status.
pub(crate) fn unkeyed(client: &str, vendor_id: &str, status: Status) -> NewEvent {
    NewEvent {
        client: id(client),
        vendor: Vendor::Ppj,
        update: Update::new(vendor_id.parse().unwrap(), status),
        labels: BTreeMap::new(),
        raw: None,
        duplicate_rule: DuplicateRule::SameStatus,
        destinations: None,
        now: at(0),
    }
}

/// A PPJ message with a deduplication key.
pub(crate) fn keyed(client: &str, vendor_id: &str, status: Status, key: &str) -> NewEvent {
    NewEvent { duplicate_rule: DuplicateRule::SameKey(key.into()), ..unkeyed(client, vendor_id, status) }
}

/// A message about a document of its own.
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

/// Appends an event and returns it as stored. A duplicate fails the test.
pub(crate) async fn stored(store: &Store, new_event: NewEvent) -> SharedEvent {
    match store.log.append(new_event).await.unwrap() {
        AppendOutcome::Stored(event) => event,
        duplicate => panic!("not stored: {duplicate:?}"),
    }
}

/// Appends a duplicate and returns the sequence of the original event. A new event fails the test.
pub(crate) async fn duplicate_of(store: &Store, new_event: NewEvent) -> u64 {
    match store.log.append(new_event).await.unwrap() {
        AppendOutcome::Duplicate { id, .. } => id.sequence,
        AppendOutcome::Stored(event) => panic!("stored: {event:?}"),
    }
}

/// No limit on a page.
pub(crate) const ALL: PageLimit = PageLimit { events: 1_000_000, bytes: usize::MAX };

/// The sequences of all retained events of a client.
pub(crate) async fn sequences(store: &Store, client: &str) -> Vec<u64> {
    let page = store.log.events_after(&id(client), 0, ALL).await.unwrap();
    page.events.iter().map(|event| event.id.sequence).collect()
}

/// The latest events of a document.
pub(crate) async fn history(store: &Store, client: &ClientRef, document: DocumentId) -> Vec<SharedEvent> {
    store.log.history(client, document, 1_000, None).await.unwrap().items
}

/// A message whose event has about this many bytes.
pub(crate) fn large(vendor_id: &str, status: Status, bytes: usize) -> NewEvent {
    let mut new_event = unkeyed("a", vendor_id, status);
    new_event.update.result = serde_json::json!({"blob": "x".repeat(bytes)}).as_object().cloned();
    new_event
}

pub(crate) fn json(event: &SharedEvent) -> serde_json::Value {
    serde_json::from_slice(&event.json).unwrap()
}

/// The result of an attempt that has read the delivery as it is now.
pub(crate) async fn record(
    store: &Store,
    queue: &QueueKey,
    delivery: u64,
    attempt: Option<Attempt>,
    disposition: Disposition,
    now: Timestamp,
) -> AttemptRecord {
    let content = store.outbox.content(queue, delivery).await.ok().flatten();
    // Where the delivery cannot be attempted, that of a new one.
    let schedule = content.map_or(SchedulePosition { failures: 0, queued: at(0) }, |content| content.schedule);
    AttemptRecord { queue: queue.clone(), delivery, schedule, attempt, disposition, now }
}

/// Records the result of an attempt that has read the delivery as it is now.
pub(crate) async fn record_attempt(
    store: &Store,
    queue: &QueueKey,
    delivery: u64,
    attempt: Option<Attempt>,
    disposition: Disposition,
    now: Timestamp,
) -> Result<RecordEffect, StoreError> {
    let record = record(store, queue, delivery, attempt, disposition, now).await;
    store.outbox.record_attempt(record).await
}
