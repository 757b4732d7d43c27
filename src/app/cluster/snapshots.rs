//! Snapshots of the database: the leader makes one when the journal has grown, keeps the last two, and trims the
//! journal behind the older one, or behind the latest one if the journal is nearly full. A new node begins with the
//! latest. The broker gets them compressed and sealed with the cluster key.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::Cluster;
use super::snapshot_failures::SnapshotFailures;
use crate::journal::jetstream::JournalHealth;
use crate::journal::{Journal, JournalRange, SnapshotInfo};
use crate::store::sqlite::DatabaseLock;
use crate::store::sqlite::snapshot::{self, DatabaseCopy};

/// Entries after which the leader makes the next snapshot: a new node reads at most twice as many.
const ENTRIES_PER_SNAPSHOT: u64 = 20_000;

/// The same for bytes of entries. A large database is copied less often: when the entries have half of its snapshot's
/// bytes, so that the work for snapshots and for joining stays in proportion.
const BYTES_PER_SNAPSHOT: u64 = 32 << 20;

/// How often the leader looks.
const INTERVAL: Duration = Duration::from_secs(10);

/// Fast, because the leader serves requests meanwhile.
const COMPRESSION_LEVEL: i32 = 1;

/// Runs until it is cancelled.
pub(super) async fn run(cluster: &Cluster, leads: impl Fn() -> bool, mut failures: SnapshotFailures) {
    let mut tick = tokio::time::interval(INTERVAL);
    loop {
        tick.tick().await;
        if !leads() {
            continue;
        }
        if let Err(error) = keep(cluster, &mut failures).await {
            tracing::warn!(error = format!("{error:#}"), "cannot keep the snapshots of the cluster; retrying");
        }
    }
}

/// Makes a snapshot if one is due, and removes what older ones have replaced, also without a new one.
async fn keep(cluster: &Cluster, failures: &mut SnapshotFailures) -> anyhow::Result<()> {
    let snapshots = cluster.journal.snapshots().await?;
    let health = cluster.journal.health().await?;
    let (range, quarters) = (health.range, full_quarters(&health));
    if is_due(snapshots.first(), &health) {
        let made = make(cluster).await;
        failures.count(&made, Instant::now());
        if let Err(error) = made {
            tracing::warn!(error = format!("{error:#}"), "cannot make a snapshot of the cluster; retrying");
        }
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

/// Whether the next snapshot is due.
fn is_due(latest: Option<&SnapshotInfo>, health: &JournalHealth) -> bool {
    let Some(latest) = latest else { return true };
    let JournalRange { first, end } = health.range;
    let new_entries = end.saturating_sub(latest.position);
    // The broker does not tell the bytes after a position: entries count as equally large.
    let new_bytes = health.bytes.saturating_mul(new_entries) / (end + 1).saturating_sub(first).max(1);
    let is_long = new_entries >= ENTRIES_PER_SNAPSHOT || new_bytes >= BYTES_PER_SNAPSHOT.max(latest.bytes / 2);
    // Large entries fill the journal before they are many.
    new_entries > 0 && (is_long || full_quarters(health) >= 1)
}

/// How many quarters of the journal are used; 0 if it has no bound.
fn full_quarters(health: &JournalHealth) -> u64 {
    let bound = u64::try_from(health.max_bytes).ok().filter(|bound| *bound > 0);
    bound.map_or(0, |bound| health.bytes.saturating_mul(4) / bound)
}

/// Makes a snapshot of this node's database.
pub(super) async fn make(cluster: &Cluster) -> anyhow::Result<()> {
    let database = cluster.directory.database();
    let (copy, packed) = (cluster.directory.file("snapshot.db"), cluster.directory.file("snapshot.zst"));
    let (source, file, sealer, journal) = (copy.clone(), packed.clone(), cluster.key.streams.clone(), journal(cluster));
    let maker = Some(cluster.node_id()?.to_string());
    let made = blocking(move || {
        remove_files(&[&source, &file])?;
        let DatabaseCopy { position, digest } = snapshot::copy(&database, &source)?;
        let mut info = SnapshotInfo { position, digest, bytes: 0, maker };
        let mut sealing = sealer.seal(BufWriter::new(File::create(&file)?), &context(journal, &info))?;
        zstd::stream::copy_encode(File::open(&source)?, &mut sealing, COMPRESSION_LEVEL)?;
        sealing.finish()?.flush()?;
        info.bytes = fs::metadata(&file)?.len();
        Ok(info)
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
    let (source, file, sealer) = (packed.clone(), draft.clone(), cluster.key.streams.clone());
    let context = context(journal(cluster), &info);
    let unpacked = blocking(move || {
        let opening = sealer.open(File::open(&source)?, &context)?;
        zstd::stream::copy_decode(opening, File::create(&file)?)?;
        File::open(&file)?.sync_all()?;
        // A later program's must not replace the database that this program has.
        snapshot::describe(&file)?;
        Ok(())
    })
    .await;
    if unpacked.is_err() {
        remove_files(&[&draft, &packed])?;
    }
    unpacked.context("cannot use the cluster's snapshot")?;
    snapshot::remove(lock)?;
    fs::rename(&draft, cluster.directory.database()).context("cannot move the snapshot to its place")?;
    remove_files(&[&packed])?;
    tracing::info!(position = info.position, "database made of the cluster's snapshot");
    Ok(())
}

/// What a sealed snapshot is bound to.
fn context(journal: u64, info: &SnapshotInfo) -> Vec<u8> {
    format!("snapshot/{journal:x}/{}/{}", info.position, info.digest).into_bytes()
}

fn journal(cluster: &Cluster) -> u64 {
    cluster.journal.identity().id
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

#[cfg(test)]
mod tests {
    use super::*;

    fn health(end: u64, bytes: u64) -> JournalHealth {
        JournalHealth {
            server_name: String::new(),
            server_version: String::new(),
            replicas: 3,
            leader: None,
            followers: Vec::new(),
            range: JournalRange { first: 1, end },
            bytes,
            max_bytes: 4 << 30,
        }
    }

    fn snapshot(position: u64, bytes: u64) -> SnapshotInfo {
        SnapshotInfo { position, digest: String::new(), bytes, maker: None }
    }

    #[test]
    fn snapshot_is_due_when_a_new_node_would_read_many_entries_or_bytes() {
        assert!(is_due(None, &health(0, 0)), "a new node has nothing to begin with");
        assert!(!is_due(Some(&snapshot(100, 1)), &health(100, 1 << 30)), "nothing is new");
        assert!(!is_due(Some(&snapshot(100, 1)), &health(20_099, 1 << 20)));
        assert!(is_due(Some(&snapshot(100, 1)), &health(20_100, 1 << 20)));
        assert!(!is_due(Some(&snapshot(500, 1)), &health(1000, 63 << 20)));
        assert!(is_due(Some(&snapshot(500, 1)), &health(1000, 64 << 20)));
        assert!(
            !is_due(Some(&snapshot(500, 128 << 20)), &health(1000, 127 << 20)),
            "a large database is copied less often"
        );
        assert!(is_due(Some(&snapshot(500, 128 << 20)), &health(1000, 128 << 20)));
        assert!(is_due(Some(&snapshot(999, 8 << 30)), &health(1000, 1 << 30)), "the journal must be trimmed");
    }
}
