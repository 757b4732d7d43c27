//! A store on disk, a hub with a small ring, and the dispatch between them, with two clients.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use docrelay::domain::{Client, ClientRef, Secret, Status, Timestamp, Update, Vendor};
use docrelay::metrics::Metrics;
use docrelay::store::sqlite::{SqliteOptions, SqliteStore};
use docrelay::store::{AppendOutcome, DuplicateRule, NewEvent, PageLimit, Retention, Seal, Store};
use docrelay::stream::hub::{BufferSegment, Hub, HubOptions, WriteBuffer};
use docrelay::stream::{StreamOptions, Streams, dispatch};
use tempfile::TempDir;

pub(crate) const CLIENTS: [&str; 2] = ["acme", "other"];

/// Everything between a vendor and a follower except HTTP.
#[derive(Clone)]
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) hub: Hub,
    pub(crate) relay: Streams,
    pub(crate) metrics: Metrics,
    _directory: Arc<TempDir>,
}

/// The client of this name.
pub(crate) fn client_ref(name: &str) -> ClientRef {
    ClientRef { id: name.parse().expect("a name"), created: Timestamp::from_seconds(0) }
}

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

impl Fixture {
    /// Opens a store whose hub keeps `ring_events` events of each client. The dispatch runs until the store is dropped.
    pub(crate) async fn open(ring_events: usize) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("replay-live-race-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a directory");
        let retention = Retention {
            max_event_age: Duration::from_secs(86_400),
            max_events: 10_000_000,
            max_event_bytes: 1 << 40,
            max_total_bytes: u64::MAX,
            max_duplicate_keys: 1 << 40,
            max_reject_age: Duration::from_secs(1),
            max_rejects: 1,
            max_reject_bytes: 1,
            max_pending_age: std::time::Duration::from_secs(4 * 24 * 3600),
            max_pending: 1_000_000,
            max_pending_bytes: 1 << 40,
            max_delivery_age: Duration::from_secs(7 * 24 * 3600),
            max_deliveries: 1_000_000,
            max_attempt_bytes: 1 << 30,
        };
        let path = directory.path().join("docrelay.db");
        let store = SqliteStore::open(SqliteOptions {
            path,
            retention,
            readers: 3,
            seal: Arc::new(Open),
            may_leave_cluster: false,
            on_commit: None,
            on_thread_end: None,
            on_given_up: None,
        });
        let store = store.expect("a store");
        for name in CLIENTS {
            let ClientRef { id, created } = client_ref(name);
            let client = Client { id, created, secret: Secret::new("secret"), previous: None };
            store.registry.add_client(client).await.expect("a client");
        }
        let metrics = Metrics::new("test");
        let tail = store.log.tail();
        let hub = Hub::new(HubOptions { ring_events, ..HubOptions::default() }, store.log.head());
        let options = StreamOptions { page: PageLimit { events: 20, bytes: 64 << 10 }, ..StreamOptions::default() };
        let relay = Streams::new(store.clone(), hub.clone(), options, metrics.clone());
        tokio::spawn(dispatch(hub.clone(), metrics.clone(), tail));
        Self { store, hub, relay, metrics, _directory: Arc::new(directory) }
    }

    /// Appends an event with a new key and returns its sequence.
    pub(crate) async fn append(&self, client: usize, status: Status, key: &str) -> u64 {
        let new_event = NewEvent {
            client: client_ref(CLIENTS[client]),
            vendor: Vendor::Gini,
            update: Update::new(format!("document {}", key.len()).parse().expect("an id"), status),
            labels: BTreeMap::new(),
            raw: None,
            duplicate_rule: DuplicateRule::SameKey(key.to_owned()),
            destinations: None,
            now: Timestamp::now(),
        };
        match self.store.log.append(new_event).await.expect("a stored event") {
            AppendOutcome::Stored(event) => event.id.sequence,
            AppendOutcome::Duplicate { .. } => panic!("{key} is a duplicate"),
        }
    }
}

/// The sequences of the events in the bytes of a stream. Anything else than events, empty lines and positions fails the
/// test.
pub(crate) fn ids(out: WriteBuffer) -> Vec<u64> {
    let text = text(out);
    let mut sequences = Vec::new();
    let mut id = None;
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("id", position)) => id = Some(position.split_once('.').expect("epoch.sequence").1.parse()),
            Some(("data", _)) => sequences.push(id.take().expect("an id").expect("a sequence")),
            None if line.is_empty() => id = None,
            _ => panic!("neither an event nor an idle line: {text:?}"),
        }
    }
    sequences
}

/// The text of a stream.
pub(crate) fn text(out: WriteBuffer) -> String {
    let bytes = out.into_segments().iter().flat_map(BufferSegment::as_slice).copied().collect();
    String::from_utf8(bytes).expect("text")
}
