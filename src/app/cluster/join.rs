//! How a node gets the database that belongs to the journal. The first node founds the cluster with its own: the
//! journal takes the epoch of its log, and its database becomes the first snapshot. Every other node begins with an
//! empty directory.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::time::Instant;

use super::continuity::{self, Continuity};
use super::rebuild::RebuildMarker;
use super::{Cluster, secrets, snapshots};
use crate::app::data::{DataDirectory, LockOutcome};
use crate::auth::{ClusterKey, files};
use crate::journal::jetstream::{Connected, JetStream};
use crate::journal::{Journal, JournalError, JournalRange, SnapshotInfo};
use crate::store::sqlite::snapshot::{self, AppliedJournal, DatabaseState};
use crate::store::sqlite::{DatabaseLock, OpenError, SqliteOptions, SqliteStore};

/// How long a new node waits for the first snapshot, which the founder is making.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(60);

/// How often it looks.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(250);

/// What a directory had before this start tried to found a cluster with it.
#[derive(Clone, Copy)]
pub(super) struct DirectoryBefore {
    has_database: bool,
    has_seal_key: bool,
}

impl DirectoryBefore {
    pub(super) fn of(directory: &DataDirectory) -> anyhow::Result<Self> {
        let _lock = locked(directory)?;
        let has_database = snapshot::describe(&directory.database())?.is_some();
        Ok(Self { has_database, has_seal_key: seal_key(directory).exists() })
    }

    /// Removes what this start has made: another node was faster, and its keys and database are the cluster's.
    fn restore(self, directory: &DataDirectory, lock: &DatabaseLock) -> anyhow::Result<()> {
        snapshot::remove(lock)?;
        if !self.has_seal_key && seal_key(directory).exists() {
            files::remove(&seal_key(directory))?;
        }
        Ok(())
    }
}

fn seal_key(directory: &DataDirectory) -> PathBuf {
    directory.file("seal.key")
}

/// Founds the cluster; `None` if another node was faster.
pub(super) async fn found(
    broker: &Connected,
    key: &ClusterKey,
    directory: &DataDirectory,
    before: DirectoryBefore,
    options: &impl Fn() -> anyhow::Result<SqliteOptions>,
) -> anyhow::Result<Option<JetStream>> {
    let state = {
        let _lock = locked(directory)?;
        snapshot::describe(&directory.database())?
    };
    let is_repeated = state.as_ref().is_some_and(|state| state.is_founding);
    if let Some(DatabaseState { journal: Some(_), is_founding: false, .. }) = state {
        bail!(
            "the cluster has no journal any more, and this node's database belongs to it: restore the NATS servers' data, or \
             start one node with docrelay serve without --cluster once and then found a new cluster with it"
        );
    }
    if !is_repeated {
        // Opened once without the cluster: creates or migrates the file, and gives a copy its own epoch.
        let store = SqliteStore::open(options()?)?;
        store.maintenance.close().await;
    }
    let identity = snapshot::begin_founding(&locked(directory)?)?;
    let created = broker.create(identity).await;
    let may_exist = match &created {
        Ok(_) | Err(JournalError::Unknown(_)) => true,
        Err(JournalError::Conflict) => false,
        // An earlier attempt may have made it all the same.
        Err(_) => is_repeated,
    };
    if !may_exist {
        snapshot::cancel_founding(&locked(directory)?)?;
    }
    let journal = match created {
        Ok(journal) => journal,
        Err(JournalError::Conflict) if !before.has_database => {
            before.restore(directory, &locked(directory)?)?;
            return Ok(None);
        }
        Err(JournalError::Conflict) => bail!(
            "another node has founded the cluster with other data: start this node with an empty --data to join it"
        ),
        Err(error) => return Err(error).context("cannot found the cluster"),
    };
    tracing::info!(epoch = format!("{:x}", identity.epoch), "cluster is founded with the data of this node");
    // A marker of an earlier cluster does not apply to the cluster that is founded with this data.
    RebuildMarker::clear(directory)?;
    let cluster = Cluster { journal, key: key.clone(), directory: directory.clone(), origin: None };
    secrets::publish(&cluster).await?;
    snapshot::complete_founding(&locked(directory)?, identity)?;
    snapshots::make(&cluster).await?;
    Ok(Some(cluster.journal))
}

/// Fills the directory from a snapshot if it is empty, if the journal no longer reaches back to its database, or if its
/// database is marked as wrong. Returns the snapshot.
pub(super) async fn restore(cluster: &Cluster, before: DirectoryBefore) -> anyhow::Result<Option<SnapshotInfo>> {
    let lock = locked(&cluster.directory)?;
    let database = cluster.directory.database();
    let identity = cluster.journal.identity();
    let marker = RebuildMarker::read(&cluster.directory)?;
    match snapshot::describe(&database)? {
        None => {}
        // The founder was interrupted, perhaps before it shared its keys. The leader makes the first snapshot if it is
        // missing.
        Some(DatabaseState { journal: Some(journal), is_founding: true, .. }) if journal.id == identity.id => {
            secrets::publish(cluster).await?;
            snapshot::complete_founding(&lock, identity)?;
            return Ok(None);
        }
        Some(DatabaseState { journal: Some(AppliedJournal { id, last }), .. }) if id == identity.id => {
            match continuity::compare(&cluster.journal, &last).await? {
                Continuity::Continued if marker.is_none() => return Ok(None),
                Continuity::Continued => {}
                Continuity::Trimmed(JournalRange { first, end }) => tracing::warn!(
                    position = last.position,
                    first,
                    end,
                    "journal does not continue this node's database: replacing it by a snapshot"
                ),
            }
        }
        // An earlier attempt of this start has made it, without an answer of the brokers.
        Some(state) if !before.has_database && (state.journal.is_none() || state.is_founding) => {
            before.restore(&cluster.directory, &lock)?
        }
        Some(DatabaseState { journal, epoch, .. }) => {
            tracing::warn!(?journal, epoch, expected = ?identity, "database does not belong to the cluster's journal");
            return Err(OpenError::OtherJournal(database).into());
        }
    }
    if let Some(marker) = &marker {
        tracing::warn!(position = marker.position, "database is marked as wrong: replacing it by a snapshot");
        marker.remove_snapshots(cluster).await?;
    }
    let deadline = Instant::now() + SNAPSHOT_TIMEOUT;
    let found = loop {
        let found = cluster.journal.snapshots().await?;
        if !found.is_empty() {
            break found;
        }
        // After a removal another node has to lead first.
        if Instant::now() >= deadline && marker.is_none() {
            bail!("the cluster has no snapshot yet: start the node that has founded it first");
        }
        tokio::time::sleep(SNAPSHOT_INTERVAL).await;
    };
    secrets::fetch(cluster).await?;
    let used = restore_first_usable(cluster, &lock, found).await?;
    RebuildMarker::clear(&cluster.directory)?;
    Ok(Some(used))
}

/// Replaces the database by the first of these snapshots that can be used: a damaged one must not keep a node out while
/// an older one is good.
async fn restore_first_usable(
    cluster: &Cluster,
    lock: &DatabaseLock,
    found: Vec<SnapshotInfo>,
) -> anyhow::Result<SnapshotInfo> {
    let mut first_error = None;
    for info in found {
        // A nearly full journal is trimmed behind the latest one.
        if first_error.is_some() && info.position + 1 < cluster.journal.range().await?.first {
            break;
        }
        match snapshots::restore(cluster, lock, info.clone()).await {
            Ok(()) => return Ok(info),
            Err(error) => {
                let position = info.position;
                tracing::warn!(position, error = format!("{error:#}"), "snapshot of the cluster cannot be used");
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| anyhow!("the cluster has no snapshot")))
}

fn locked(directory: &DataDirectory) -> anyhow::Result<DatabaseLock> {
    match directory.lock()? {
        LockOutcome::Acquired(lock) => Ok(lock),
        LockOutcome::Held(_) => Err(OpenError::Locked(directory.database()).into()),
    }
}
