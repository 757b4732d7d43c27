//! Snapshots of the database: the leader makes one when the journal has grown, keeps the last two, and trims the journal behind
//! the older one, or behind the latest one if the journal is nearly full. A new node begins with the latest.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::Cluster;
use crate::journal::jetstream::JournalHealth;
use crate::journal::{Journal, SnapshotInfo};
use crate::store::sqlite::DatabaseLock;
use crate::store::sqlite::snapshot::{self, DatabaseCopy};

/// Entries after which the leader makes the next snapshot: a new node reads at most twice as many.
const ENTRIES_PER_SNAPSHOT: u64 = 20_000;

/// How often the leader looks.
const INTERVAL: Duration = Duration::from_secs(10);

/// Fast, because the leader serves requests meanwhile.
const COMPRESSION_LEVEL: i32 = 1;

/// Runs until it is cancelled.
pub(super) async fn run(cluster: &Cluster, leads: impl Fn() -> bool) {
    let mut tick = tokio::time::interval(INTERVAL);
    loop {
        tick.tick().await;
        if !leads() {
            continue;
        }
        if let Err(error) = keep(cluster).await {
            tracing::warn!(error = format!("{error:#}"), "cannot make a snapshot of the cluster; retrying");
        }
    }
}

/// Makes a snapshot if one is due, and removes what it replaces.
async fn keep(cluster: &Cluster) -> anyhow::Result<()> {
    let snapshots = cluster.journal.snapshots().await?;
    let latest = snapshots.first().map_or(0, |info| info.position);
    let JournalHealth { range, bytes, max_bytes, .. } = cluster.journal.health().await?;
    // Large entries fill the journal before they are many.
    let quarters = u64::try_from(max_bytes).ok().filter(|max| *max > 0).map_or(0, |max| bytes.saturating_mul(4) / max);
    let is_due = range.end >= latest + ENTRIES_PER_SNAPSHOT || (quarters >= 1 && range.end > latest);
    if snapshots.is_empty() || is_due {
        make(cluster).await?;
    }
    let kept = cluster.journal.snapshots().await?;
    for old in kept.iter().skip(2) {
        cluster.journal.remove_snapshot(old.clone()).await?;
    }
    // Never behind a snapshot of this round: a node that is a little behind would have to begin with it.
    let trimmed = if quarters >= 3 { snapshots.first() } else { kept.get(1) };
    if let Some(trimmed) = trimmed
        && trimmed.position >= range.first
    {
        cluster.journal.trim(trimmed.position + 1).await?;
    }
    Ok(())
}

/// Makes a snapshot of this node's database.
pub(super) async fn make(cluster: &Cluster) -> anyhow::Result<()> {
    let database = cluster.directory.database();
    let (copy, packed) = (cluster.directory.file("snapshot.db"), cluster.directory.file("snapshot.zst"));
    let (info, file) = (copy.clone(), packed.clone());
    let made = blocking(move || {
        remove_files(&[&info, &file])?;
        let DatabaseCopy { position, digest } = snapshot::copy(&database, &info)?;
        zstd::stream::copy_encode(File::open(&info)?, File::create(&file)?, COMPRESSION_LEVEL)?;
        let bytes = fs::metadata(&file)?.len();
        Ok(SnapshotInfo { position, digest, bytes })
    })
    .await;
    let stored = match made {
        Ok(info) => {
            tracing::info!(position = info.position, bytes = info.bytes, "snapshot of the cluster made");
            cluster.journal.put_snapshot(info, packed.clone()).await.map_err(Into::into)
        }
        Err(error) => Err(error),
    };
    remove_files(&[&copy, &packed])?;
    stored
}

/// Replaces the locked database by a snapshot.
pub(super) async fn restore(cluster: &Cluster, lock: &DatabaseLock, info: SnapshotInfo) -> anyhow::Result<()> {
    let (draft, packed) = (cluster.directory.file("restored.db"), cluster.directory.file("restored.zst"));
    remove_files(&[&draft, &packed])?;
    cluster.journal.get_snapshot(info.clone(), packed.clone()).await.context("cannot read the cluster's snapshot")?;
    let (file, target) = (draft.clone(), packed.clone());
    blocking(move || {
        zstd::stream::copy_decode(File::open(&target)?, File::create(&file)?)?;
        File::open(&file)?.sync_all()?;
        Ok(())
    })
    .await?;
    snapshot::remove(lock)?;
    fs::rename(&draft, cluster.directory.database()).context("cannot move the snapshot to its place")?;
    remove_files(&[&packed])?;
    tracing::info!(position = info.position, "database made of the cluster's snapshot");
    Ok(())
}

fn remove_files(paths: &[&PathBuf]) -> io::Result<()> {
    for path in paths {
        remove_file(path)?;
    }
    Ok(())
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Runs work that blocks on a thread for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("a snapshot was interrupted")?
}
