//! This relay as a node of a cluster: how it joins the cluster or founds it, and what it shares with the other nodes
//! beside the journal.

mod comparison;
mod continuity;
mod fault;
mod join;
mod node;
mod rebuild;
mod secrets;
mod signing_keys;
mod snapshot_failures;
mod snapshots;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustix::system::uname;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::data::{DataDirectory, LockOutcome, RelayAddress, StoreSeal};
use crate::auth::{ClusterKey, files};
use crate::cluster::{ClusterNode, Comparison, MEMBERSHIP_KEY, NodeAddress, NodeFormats, NodeId, NodeOptions, Timing};
use crate::config::ClusterConfig;
use crate::journal::jetstream::{Connected, JetStream, JetStreamOptions};
use crate::journal::{Journal, JournalError, SnapshotInfo};
use crate::metrics::Metrics;
use crate::store::sqlite::comparison::ComparisonHandle;
use crate::store::sqlite::replication::{
    ApplyProgress, LATEST_ENTRY_FORMAT, LeadershipHandle, ReplicatedStore, ReplicationOptions, ReplicationTask,
};
use crate::store::sqlite::{OpenError, SqliteOptions, SqliteStore, snapshot};
use crate::store::{Store, StoreError};

use comparison::NodeDigests;
use fault::FaultSignal;
use join::DirectoryBefore;
use node::NodeStore;
use snapshot_failures::{Abstention, SnapshotFailures};

pub(super) use fault::{FaultWatch, NodeFault};
pub(super) use node::NodeParts;

/// What this program reads.
const FORMATS: NodeFormats = NodeFormats { entry_format: LATEST_ENTRY_FORMAT, schema: snapshot::SCHEMA_VERSION };

/// How long a starting node waits for brokers that cannot be reached or cannot serve it yet. Then it exits: without the
/// journal it cannot know whether its database is the cluster's, and a supervisor's restarts are seen where an endless
/// start is not.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);

const JOIN_INTERVAL: Duration = Duration::from_millis(500);

/// The interval of a node that was running, which waits for its brokers without an end.
const REJOIN_INTERVAL: Duration = Duration::from_secs(5);

/// How often a starting node asks whether it has caught up.
const CATCH_UP_INTERVAL: Duration = Duration::from_millis(100);

/// Why a node joins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum JoinReason {
    /// Its process starts: what is wrong is reported soon.
    Start,
    /// It was running, and its database must be replaced: it waits for the brokers as a running node does.
    Rebuild,
}

/// A cluster that this node belongs to.
#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) journal: JetStream,
    /// Seals what other nodes read.
    key: ClusterKey,
    directory: DataDirectory,
    /// What the database was made of, if that was in this process.
    origin: Option<SnapshotInfo>,
}

impl Cluster {
    /// Connects to the cluster's servers and prepares the data directory: an empty one is filled from the latest
    /// snapshot. The first node founds the cluster with what it has. `options` open the store without the cluster; they
    /// are made when the directory is prepared, because they read its keys. Waits for brokers that cannot serve yet:
    /// [`JoinReason`] says for how long.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub(super) async fn join(
        config: &ClusterConfig,
        directory: &DataDirectory,
        options: impl Fn() -> anyhow::Result<SqliteOptions>,
        reason: JoinReason,
    ) -> anyhow::Result<Self> {
        let key = ClusterKey::read(&config.key_file)?;
        let broker = JetStreamOptions {
            servers: config.servers.clone(),
            name: config.name.clone(),
            replicas: config.replicas,
            credentials: config.credentials.clone(),
            ca: config.ca.clone(),
            max_bytes: i64::try_from(config.journal_bytes).unwrap_or(i64::MAX),
        };
        // A running node waits for its brokers without an end.
        let deadline = (reason == JoinReason::Start).then(|| Instant::now() + JOIN_TIMEOUT);
        let connect = async || JetStream::connect(broker.clone()).await.context("cannot join the cluster");
        let connected = retry_until(deadline, connect).await?;
        let before = DirectoryBefore::of(directory)?;
        // A broker that has just started has no leader yet, or not all of its servers.
        retry_until(deadline, async || Self::enter(&connected, &key, directory, before, &options).await).await
    }

    /// Joins or founds the cluster over a connection. May be repeated after an error.
    async fn enter(
        broker: &Connected,
        key: &ClusterKey,
        directory: &DataDirectory,
        before: DirectoryBefore,
        options: &impl Fn() -> anyhow::Result<SqliteOptions>,
    ) -> anyhow::Result<Self> {
        let journal = match broker.find().await.context("cannot join the cluster")? {
            Some(journal) => journal,
            None => match join::found(broker, key, directory, before, options).await? {
                Some(journal) => journal,
                // Another node was faster.
                None => broker
                    .find()
                    .await?
                    .context("the journal was deleted while this node was joining: start it again")?,
            },
        };
        // Before anything of the cluster is read.
        if let Some(membership) = journal.record(MEMBERSHIP_KEY.to_owned()).await.context("cannot join the cluster")? {
            FORMATS.check(&membership)?;
        }
        let mut cluster = Self { journal, key: key.clone(), directory: directory.clone(), origin: None };
        cluster.origin = join::restore(&cluster, before).await?;
        secrets::fetch(&cluster).await?;
        Ok(cluster)
    }

    /// Opens the store of this node.
    ///
    /// # Errors
    /// As when a store is opened without a cluster.
    pub(super) fn open_store(&self, options: SqliteOptions) -> anyhow::Result<(Store, Option<ReplicationParts>)> {
        let LockOutcome::Acquired(lock) = self.directory.lock()? else {
            return Err(OpenError::Locked(self.directory.database()).into());
        };
        let replication = ReplicationOptions::new(self.port(), Arc::new(StoreSeal(self.key.values.clone())));
        let ReplicatedStore { store, tasks, leadership, progress, format, comparisons } =
            SqliteStore::open_replicated(lock, options, replication)?;
        self.directory.remove_address_file();
        Ok((store, Some(ReplicationParts { tasks, leadership, progress, format, comparisons })))
    }

    /// Prepares this node's tasks.
    ///
    /// # Errors
    /// The name of the node cannot be read or written.
    pub(super) fn start(
        self,
        replication: ReplicationParts,
        store: &Store,
        address: &RelayAddress,
        metrics: &Metrics,
    ) -> anyhow::Result<NodeParts> {
        let options = NodeOptions {
            id: self.node_id()?,
            address: NodeAddress {
                address: address.public_url.clone(),
                host: uname().nodename().to_string_lossy().into_owned(),
                listen: address.listen.to_string(),
            },
            version: env!("CARGO_PKG_VERSION").to_owned(),
            formats: FORMATS,
            incarnation: getrandom::u64()?,
            timing: Timing::default(),
        };
        tracing::info!(node = %options.id, "node joins the cluster");
        let ReplicationParts { tasks, leadership, progress, format, comparisons } = replication;
        let abstention = Abstention::new();
        let failures = SnapshotFailures::new(metrics.cluster_snapshot_failures.clone(), abstention.clone());
        let local = NodeStore { maintenance: store.maintenance.clone(), progress, format, abstention };
        let node = ClusterNode::new(options, self.port(), Arc::new(local));
        let comparison = Comparison::new(&node, self.port());
        let digests = NodeDigests::new(comparisons, metrics.cluster_comparisons.clone());
        let (store, fault) = (store.clone(), FaultSignal::new());
        Ok(NodeParts { cluster: self, store, node, tasks, leadership, comparison, digests, fault, failures })
    }

    /// The name of this node, which it gets at its first start.
    fn node_id(&self) -> anyhow::Result<NodeId> {
        let path = self.directory.file("node.id");
        let number = getrandom::u32()?;
        let name = files::read_or_create(&path, || Ok(format!("node-{number:08x}").into_bytes()))?;
        let name = String::from_utf8_lossy(&name);
        name.trim().parse().with_context(|| format!("{} does not contain the name of a node", path.display()))
    }

    fn port(&self) -> Arc<dyn Journal> {
        Arc::new(self.journal.clone())
    }
}

/// Repeats a step of joining while the broker is unavailable.
async fn retry_until<T>(deadline: Option<Instant>, step: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    loop {
        let error = match step().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let is_temporary =
            matches!(error.downcast_ref(), Some(JournalError::Unavailable(_) | JournalError::Unknown(_)));
        if !is_temporary || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(error);
        }
        tracing::warn!(error = format!("{error:#}"), "cannot join the cluster yet; retrying");
        sleep(if deadline.is_some() { JOIN_INTERVAL } else { REJOIN_INTERVAL }).await;
    }
}

/// The open parts of a replicated store.
pub(super) struct ReplicationParts {
    tasks: Vec<(&'static str, ReplicationTask)>,
    leadership: LeadershipHandle,
    progress: ApplyProgress,
    format: watch::Sender<u8>,
    comparisons: ComparisonHandle,
}

/// Waits until this node has applied what was in the journal when it started.
///
/// # Errors
/// The store was closed.
pub(super) async fn catch_up(store: &Store) -> anyhow::Result<()> {
    let mut is_logged = false;
    loop {
        match store.maintenance.catch_up().await {
            Ok(_) => return Ok(()),
            Err(StoreError::Unavailable(reason)) => {
                if !is_logged {
                    tracing::info!(reason, "node catches up with the cluster before it listens");
                    is_logged = true;
                }
                sleep(CATCH_UP_INTERVAL).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
