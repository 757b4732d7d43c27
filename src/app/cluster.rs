//! This relay as a node of a cluster: how it joins the cluster or founds it, and what it shares with the other nodes beside
//! the journal.

mod join;
mod secrets;
mod snapshots;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::data::{DataDirectory, LockOutcome, StoreSeal};
use super::queue_ownership::ClusterOwnership;
use super::tasks::run_named;
use crate::auth::{Sealer, files};
use crate::cluster::{ClusterNode, LocalStore, NodeId, NodeOptions, Timing};
use crate::config::ClusterConfig;
use crate::delivery::QueueOwnership;
use crate::http::ClusterView;
use crate::journal::jetstream::{Connected, JetStream, JetStreamOptions};
use crate::journal::{Journal, JournalError};
use crate::store::sqlite::replication::{LeadershipHandle, ReplicatedStore, ReplicationOptions, ReplicationTask};
use crate::store::sqlite::{OpenError, SqliteOptions, SqliteStore};
use crate::store::{Maintenance, Store, StoreError};

/// How long to wait for the broker's state.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a starting node waits for a broker that is reached but cannot serve it yet.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);

const JOIN_INTERVAL: Duration = Duration::from_millis(500);

/// How often a starting node asks whether it has caught up.
const CATCH_UP_INTERVAL: Duration = Duration::from_millis(100);

/// A cluster that this node belongs to.
#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) journal: JetStream,
    /// Seals what other nodes read.
    key: Sealer,
    directory: DataDirectory,
}

impl Cluster {
    /// Connects to the cluster's servers and prepares the data directory: an empty one is filled from the latest snapshot. The
    /// first node founds the cluster with what it has. `options` open the store without the cluster; they are made when the
    /// directory is prepared, because they read its keys.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub(super) async fn join(
        config: &ClusterConfig,
        directory: &DataDirectory,
        options: impl Fn() -> anyhow::Result<SqliteOptions>,
    ) -> anyhow::Result<Self> {
        let key = Sealer::read_cluster_key(&config.key_file)?;
        let broker = JetStream::connect(JetStreamOptions {
            servers: config.servers.clone(),
            name: config.name.clone(),
            replicas: config.replicas,
            credentials: config.credentials.clone(),
            ca: config.ca.clone(),
            max_bytes: i64::try_from(config.journal_bytes).unwrap_or(i64::MAX),
        })
        .await
        .context("cannot join the cluster")?;
        // A broker that has just started has no leader yet, or not all of its servers.
        let deadline = Instant::now() + JOIN_TIMEOUT;
        loop {
            let error = match Self::enter(&broker, &key, directory, &options).await {
                Ok(cluster) => return Ok(cluster),
                Err(error) => error,
            };
            let is_temporary =
                matches!(error.downcast_ref(), Some(JournalError::Unavailable(_) | JournalError::Unknown(_)));
            if !is_temporary || Instant::now() >= deadline {
                return Err(error);
            }
            tracing::warn!(error = format!("{error:#}"), "cannot join the cluster yet; retrying");
            sleep(JOIN_INTERVAL).await;
        }
    }

    /// Joins or founds the cluster over a connection. May be repeated after an error.
    async fn enter(
        broker: &Connected,
        key: &Sealer,
        directory: &DataDirectory,
        options: &impl Fn() -> anyhow::Result<SqliteOptions>,
    ) -> anyhow::Result<Self> {
        let journal = match broker.find().await.context("cannot join the cluster")? {
            Some(journal) => journal,
            None => match join::found(broker, key, directory, options).await? {
                Some(journal) => journal,
                // Another node was faster.
                None => broker
                    .find()
                    .await?
                    .context("the journal was deleted while this node was joining: start it again")?,
            },
        };
        let cluster = Self { journal, key: key.clone(), directory: directory.clone() };
        join::restore(&cluster).await?;
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
        let replication = ReplicationOptions { journal: self.port(), seal: Arc::new(StoreSeal(self.key.clone())) };
        let ReplicatedStore { store, tasks, leadership, applied } =
            SqliteStore::open_replicated(lock, options, replication)?;
        self.directory.remove_address_file();
        Ok((store, Some(ReplicationParts { tasks, leadership, applied })))
    }

    /// Prepares this node's tasks. `address` is where it is reached.
    ///
    /// # Errors
    /// The name of the node cannot be read or written.
    pub(super) fn start(
        self,
        replication: ReplicationParts,
        store: &Store,
        address: &str,
    ) -> anyhow::Result<NodeParts> {
        let options = NodeOptions {
            id: self.node_id()?,
            address: address.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            incarnation: getrandom::u64()?,
            timing: Timing::default(),
        };
        tracing::info!(node = %options.id, "node joins the cluster");
        let local = NodeStore { maintenance: store.maintenance.clone(), applied: replication.applied };
        let node = ClusterNode::new(options, self.port(), Arc::new(local));
        Ok(NodeParts { cluster: self, node, tasks: replication.tasks, leadership: replication.leadership })
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

/// The open parts of a replicated store.
pub(super) struct ReplicationParts {
    tasks: Vec<(&'static str, ReplicationTask)>,
    leadership: LeadershipHandle,
    applied: watch::Receiver<u64>,
}

/// What a node runs besides a relay's own tasks.
pub(super) struct NodeParts {
    cluster: Cluster,
    node: ClusterNode,
    tasks: Vec<(&'static str, ReplicationTask)>,
    leadership: LeadershipHandle,
}

impl NodeParts {
    /// Which delivery queues this node attempts.
    pub(super) fn ownership(&self) -> Arc<dyn QueueOwnership> {
        Arc::new(ClusterOwnership(self.node.queues()))
    }

    /// Reads the state of the cluster for operators.
    pub(super) fn view(&self) -> ClusterView {
        let (status, journal) = (self.node.status(), self.cluster.journal.clone());
        Arc::new(move || {
            let (status, journal) = (status.borrow().clone(), journal.clone());
            Box::pin(async move {
                let broker = match tokio::time::timeout(HEALTH_TIMEOUT, journal.health()).await {
                    Ok(Ok(health)) => serde_json::json!(health),
                    Ok(Err(error)) => serde_json::json!({"error": error.to_string()}),
                    Err(_) => serde_json::json!({"error": "the broker has not answered"}),
                };
                let mut view = serde_json::json!(status);
                view["broker"] = broker;
                view
            })
        })
    }

    /// Starts the tasks. The node leaves the cluster when its deliveries end.
    #[expect(clippy::disallowed_methods, reason = "the sets are joined when the relay stops")]
    pub(super) fn spawn(
        self,
        deliveries: &mut JoinSet<&'static str>,
        rest: &mut JoinSet<&'static str>,
        stop_deliveries: &CancellationToken,
        stop_rest: &CancellationToken,
    ) {
        for (name, task) in self.tasks {
            rest.spawn(run_named(name, report(name, task)));
        }
        let (mut leads, handle) = (self.node.leadership(), self.leadership);
        let (is_leader, stop) = (leads.clone(), stop_rest.clone());
        rest.spawn(run_named("leadership", async move {
            let leading = async {
                loop {
                    let revision = *leads.borrow_and_update();
                    handle.set(revision).await;
                    if leads.changed().await.is_err() {
                        // The coordination has ended: this node stops.
                        return std::future::pending::<()>().await;
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = leading => {}
            }
        }));
        let (cluster, stop) = (self.cluster.clone(), stop_rest.clone());
        rest.spawn(run_named("key sharing", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = secrets::share(&cluster) => {}
            }
        }));
        let (cluster, stop) = (self.cluster, stop_rest.clone());
        rest.spawn(run_named("snapshots", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = snapshots::run(&cluster, || is_leader.borrow().is_some()) => {}
            }
        }));
        let coordination = self.node.run(stop_deliveries.clone());
        deliveries.spawn(run_named("cluster", report("cluster", Box::pin(coordination))));
    }
}

/// Runs a task and logs why it has ended.
async fn report(name: &'static str, task: ReplicationTask) {
    if let Err(error) = task.await {
        tracing::error!(%error, task = name, "node must stop");
    }
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

/// This node's store, as the coordination sees it.
struct NodeStore {
    maintenance: Arc<dyn Maintenance>,
    applied: watch::Receiver<u64>,
}

impl LocalStore for NodeStore {
    fn position(&self) -> u64 {
        *self.applied.borrow()
    }

    fn catch_up(&self) -> BoxFuture<'static, Result<(), String>> {
        let maintenance = self.maintenance.clone();
        Box::pin(async move { maintenance.catch_up().await.map(drop).map_err(|error| error.to_string()) })
    }
}
