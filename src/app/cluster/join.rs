//! How a node gets the database that belongs to the journal. The first node founds the cluster with its own: the journal takes
//! the epoch of its log, and its database becomes the first snapshot. Every other node begins with an empty directory.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::Instant;

use super::{Cluster, secrets, snapshots};
use crate::app::data::{DataDirectory, LockOutcome};
use crate::auth::Sealer;
use crate::journal::jetstream::{Connected, JetStream};
use crate::journal::{Journal, JournalError};
use crate::store::sqlite::snapshot::{self, DatabaseState};
use crate::store::sqlite::{DatabaseLock, OpenError, SqliteOptions, SqliteStore};

/// How long a new node waits for the first snapshot, which the founder is making.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(60);

/// How often it looks.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(250);

/// Founds the cluster; `None` if another node was faster.
pub(super) async fn found(
    broker: &Connected,
    key: &Sealer,
    directory: &DataDirectory,
    options: &impl Fn() -> anyhow::Result<SqliteOptions>,
) -> anyhow::Result<Option<JetStream>> {
    let is_new = {
        let lock = locked(directory)?;
        let state = snapshot::describe(&directory.database())?;
        if let Some(DatabaseState { journal: Some(_), .. }) = state {
            bail!(
                "the cluster has no journal any more, and this node's database belongs to it: restore the NATS servers' data, or \
                 start one node with docrelay serve without --cluster once and then found a new cluster with it"
            );
        }
        drop(lock);
        state.is_none()
    };
    // Opened once without the cluster: creates or migrates the file, and gives a copy its own epoch.
    let store = SqliteStore::open(options()?)?;
    let epoch = store.log.epoch().number();
    store.maintenance.close().await;
    let lock = locked(directory)?;
    snapshot::forget_cluster(&lock)?;
    drop(lock);
    let journal = match broker.create(epoch).await {
        Ok(journal) => journal,
        Err(JournalError::Conflict) if is_new => {
            snapshot::remove(&locked(directory)?)?;
            return Ok(None);
        }
        Err(JournalError::Conflict) => bail!(
            "another node has founded the cluster with other data: start this node with an empty --data to join it"
        ),
        Err(error) => return Err(error).context("cannot found the cluster"),
    };
    tracing::info!(epoch = format!("{epoch:x}"), "cluster is founded with the data of this node");
    let cluster = Cluster { journal, key: key.clone(), directory: directory.clone() };
    secrets::publish(&cluster).await?;
    snapshots::make(&cluster).await?;
    Ok(Some(cluster.journal))
}

/// Fills the directory from the latest snapshot if it is empty, or if the journal no longer reaches back to its database.
pub(super) async fn restore(cluster: &Cluster) -> anyhow::Result<()> {
    let lock = locked(&cluster.directory)?;
    let database = cluster.directory.database();
    let identity = cluster.journal.identity();
    match snapshot::describe(&database)? {
        None => {}
        Some(DatabaseState { journal: Some((id, position)), .. }) if id == identity.id => {
            let range = cluster.journal.range().await?;
            if position + 1 >= range.first && position <= range.end {
                return Ok(());
            }
            tracing::warn!(
                position,
                first = range.first,
                end = range.end,
                "journal does not continue this node's database: replacing it by a snapshot"
            );
        }
        // The founder was interrupted before it opened the database as a node, perhaps before it shared its keys. The leader
        // makes the first snapshot if it is missing.
        Some(DatabaseState { journal: None, epoch }) if epoch == identity.epoch => {
            return secrets::publish(cluster).await;
        }
        Some(DatabaseState { journal, epoch }) => {
            tracing::warn!(?journal, epoch, expected = ?identity, "database does not belong to the cluster's journal");
            return Err(OpenError::OtherJournal(database).into());
        }
    }
    let deadline = Instant::now() + SNAPSHOT_TIMEOUT;
    let info = loop {
        if let Some(latest) = cluster.journal.snapshots().await?.into_iter().next() {
            break latest;
        }
        if Instant::now() >= deadline {
            bail!("the cluster has no snapshot yet: start the node that has founded it first");
        }
        tokio::time::sleep(SNAPSHOT_INTERVAL).await;
    };
    secrets::fetch(cluster).await?;
    snapshots::restore(cluster, &lock, info).await
}

fn locked(directory: &DataDirectory) -> anyhow::Result<DatabaseLock> {
    match directory.lock()? {
        LockOutcome::Acquired(lock) => Ok(lock),
        LockOutcome::Held(_) => Err(OpenError::Locked(directory.database()).into()),
    }
}
