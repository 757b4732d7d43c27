//! The journal over NATS JetStream: one stream for the entries, one key-value bucket for the records, one object store
//! for the snapshots. This file owns the handle and its use as a [`Journal`]; nothing outside this folder knows the
//! broker.

mod address;
mod connection;
mod consumer;
mod creation;
mod entries;
mod failure;
mod health;
mod publisher;
mod records;
mod snapshots;

use std::path::PathBuf;
use std::sync::Arc;

use async_nats::jetstream::object_store::ObjectStore;
use bytes::Bytes;
use futures::future::FutureExt;
use futures::stream::BoxStream;

pub use self::creation::Connected;
pub use self::health::{JournalHealth, ReplicaHealth};

use self::connection::BrokerConnection;
use self::publisher::Publisher;
use self::snapshots::SnapshotBucket;
use super::{
    EntryRef, Journal, JournalEntry, JournalError, JournalFuture, JournalIdentity, JournalRange, MAX_PAYLOAD_BYTES,
    Record, SnapshotInfo,
};

/// Where the journal is, and how it is made.
#[derive(Clone)]
pub struct JetStreamOptions {
    /// `nats://host:port` or `tls://host:port`; may begin with `user:password@`.
    pub servers: Vec<String>,
    /// The name of the cluster: letters, digits, `-` and `_`. Streams and buckets begin with it.
    pub name: String,
    /// How many servers of the broker store the journal, the records and the snapshots.
    pub replicas: usize,
    /// A `.creds` file with the user's JWT and key.
    pub credentials: Option<PathBuf>,
    /// A PEM file with the only authorities that are trusted; the connection is then encrypted with any address.
    pub ca: Option<PathBuf>,
    /// Bound of the journal; entries beyond it are refused. Snapshots and records do not count.
    pub max_bytes: i64,
}

/// A journal on a broker. Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct JetStream(Arc<Inner>);

struct Inner {
    connection: BrokerConnection,
    identity: JournalIdentity,
    publisher: Publisher,
    snapshots: SnapshotBucket,
}

impl JetStream {
    /// Connects to a broker, and checks that it can hold a journal.
    ///
    /// # Errors
    /// `Unusable`, `Unavailable` with one sentence for the operator, that contains no secret.
    pub async fn connect(options: JetStreamOptions) -> Result<Connected, JournalError> {
        Connected::open(options).await
    }

    /// State of the broker and of the journal's replicas, as the leader of the journal sees them.
    ///
    /// # Errors
    /// `Unavailable`, `Unknown`, `Replaced`.
    pub async fn health(&self) -> Result<JournalHealth, JournalError> {
        health::read(&self.0.connection, self.0.identity).await
    }

    fn new(connection: BrokerConnection, identity: JournalIdentity, snapshots: ObjectStore) -> Self {
        let name = connection.names.snapshots(identity.id);
        let snapshots = SnapshotBucket::new(connection.clone(), name, snapshots);
        Self(Arc::new(Inner { connection, identity, publisher: Publisher::default(), snapshots }))
    }
}

impl Inner {
    /// Replaces `Unavailable` by `Replaced` if the journal no longer exists.
    async fn explain<T>(&self, result: Result<T, JournalError>) -> Result<T, JournalError> {
        if let Err(JournalError::Unavailable(_)) = &result
            && let Err(JournalError::Replaced) = self.connection.verify(self.identity).await
        {
            return Err(JournalError::Replaced);
        }
        result
    }
}

impl Journal for JetStream {
    fn identity(&self) -> JournalIdentity {
        self.0.identity
    }

    fn publish(&self, id: String, payload: Bytes) -> JournalFuture<u64> {
        let inner = Arc::clone(&self.0);
        async move {
            if payload.len() > MAX_PAYLOAD_BYTES {
                return Err(JournalError::Unavailable(format!("an entry has at most {MAX_PAYLOAD_BYTES} bytes")));
            }
            let message = publisher::entry(&inner.connection.names, inner.identity, &id, payload);
            let appended = inner.publisher.publish(&inner.connection, message).await;
            inner.explain(appended.map_err(JournalError::from)).await
        }
        .boxed()
    }

    fn entries(&self, after: EntryRef) -> BoxStream<'static, Result<JournalEntry, JournalError>> {
        entries::follow(self.0.connection.clone(), self.0.identity, after)
    }

    fn range(&self) -> JournalFuture<JournalRange> {
        let inner = Arc::clone(&self.0);
        async move { Ok(inner.connection.state(inner.identity).await?.quorum()?.range) }.boxed()
    }

    fn trim(&self, before: u64) -> JournalFuture<()> {
        let inner = Arc::clone(&self.0);
        async move {
            let trimmed = entries::trim(&inner.connection, inner.identity, before).await;
            inner.explain(trimmed).await
        }
        .boxed()
    }

    fn put_snapshot(&self, info: SnapshotInfo, file: PathBuf) -> JournalFuture<()> {
        let inner = Arc::clone(&self.0);
        async move { inner.explain(inner.snapshots.put(&info, &file).await).await }.boxed()
    }

    fn snapshots(&self) -> JournalFuture<Vec<SnapshotInfo>> {
        let inner = Arc::clone(&self.0);
        async move { inner.explain(inner.snapshots.list().await).await }.boxed()
    }

    fn get_snapshot(&self, info: SnapshotInfo, file: PathBuf) -> JournalFuture<()> {
        let inner = Arc::clone(&self.0);
        async move { inner.explain(inner.snapshots.get(&info, &file).await).await }.boxed()
    }

    fn remove_snapshot(&self, info: SnapshotInfo) -> JournalFuture<()> {
        let inner = Arc::clone(&self.0);
        async move { inner.explain(inner.snapshots.remove(&info).await).await }.boxed()
    }

    fn record(&self, key: String) -> JournalFuture<Option<Record>> {
        let inner = Arc::clone(&self.0);
        async move { inner.explain(records::read(&inner.connection, inner.identity, key).await).await }.boxed()
    }

    fn put_record(&self, key: String, value: Bytes, expected: Option<u64>) -> JournalFuture<u64> {
        self.change_record(key, Some(value), expected)
    }

    fn delete_record(&self, key: String, expected: Option<u64>) -> JournalFuture<()> {
        self.change_record(key, None, expected).map(|changed| changed.map(drop)).boxed()
    }

    fn records(&self) -> BoxStream<'static, Result<Record, JournalError>> {
        records::follow(self.0.connection.clone(), self.0.identity)
    }
}

impl JetStream {
    fn change_record(&self, key: String, value: Option<Bytes>, expected: Option<u64>) -> JournalFuture<u64> {
        let inner = Arc::clone(&self.0);
        async move {
            let change = records::Change { key, value, expected };
            let changed = records::change(&inner.connection, &inner.publisher, inner.identity, change).await;
            inner.explain(changed).await
        }
        .boxed()
    }
}
