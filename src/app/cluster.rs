//! This relay as a node of a cluster: how it joins the cluster or founds it, and what it shares with the other nodes beside
//! the journal.

mod join;
mod secrets;
mod snapshots;

use std::sync::Arc;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::data::{DataDirectory, LockOutcome, StoreSeal};
use crate::auth::Sealer;
use crate::config::ClusterConfig;
use crate::journal::Journal;
use crate::journal::jetstream::{JetStream, JetStreamOptions};
use crate::store::sqlite::replication::{ReplicatedStore, ReplicationOptions};
use crate::store::sqlite::{OpenError, SqliteOptions, SqliteStore};

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
        let journal = match broker.find().await.context("cannot join the cluster")? {
            Some(journal) => journal,
            None => match join::found(&broker, &key, directory, &options).await? {
                Some(journal) => journal,
                // Another node was faster.
                None => broker.find().await?.context("the journal was deleted while this node was joining: start it again")?,
            },
        };
        let cluster = Self { journal, key, directory: directory.clone() };
        join::restore(&cluster).await?;
        secrets::fetch(&cluster).await?;
        Ok(cluster)
    }

    /// Opens the store of this node.
    ///
    /// # Errors
    /// As when a store is opened without a cluster.
    pub(super) fn open_store(&self, options: SqliteOptions) -> anyhow::Result<ReplicatedStore> {
        let LockOutcome::Acquired(lock) = self.directory.lock()? else {
            return Err(OpenError::Locked(self.directory.database()).into());
        };
        let replication =
            ReplicationOptions { journal: Arc::new(self.journal.clone()), seal: Arc::new(StoreSeal(self.key.clone())) };
        let store = SqliteStore::open_replicated(lock, options, replication)?;
        self.directory.remove_address_file();
        Ok(store)
    }

    /// Shares signing keys with the other nodes until `stop` is cancelled.
    pub(super) async fn share_keys(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = secrets::share(&self) => {}
        }
    }

    /// Makes snapshots while this node leads, until `stop` is cancelled.
    pub(super) async fn make_snapshots(self, leads: impl Fn() -> bool, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = snapshots::run(&self, leads) => {}
        }
    }

    fn port(&self) -> Arc<dyn Journal> {
        Arc::new(self.journal.clone())
    }
}
