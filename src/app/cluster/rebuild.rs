//! The rebuild of a node whose database is wrong. A marker in its data directory makes sure that the database is
//! replaced, also if the process is killed meanwhile. Snapshots of wrong databases are removed first.

use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::Cluster;
use crate::app::data::DataDirectory;
use crate::auth::files;
use crate::cluster::Divergence;
use crate::journal::{Journal, SnapshotInfo};

/// The file `rebuild.json` of a data directory: its database is wrong.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RebuildMarker {
    /// The position of the journal at which the database was found to be wrong.
    pub(super) position: u64,
    digest: Option<String>,
    expected: String,
    /// What the database was made of, if this process has done it: wrong as well, then.
    snapshot: Option<SnapshotInfo>,
}

fn file(directory: &DataDirectory) -> PathBuf {
    directory.file("rebuild.json")
}

impl RebuildMarker {
    /// Marks the database of this node as wrong.
    pub(super) fn write(cluster: &Cluster, divergence: &Divergence) -> anyhow::Result<()> {
        let Divergence { position, digest, expected, .. } = divergence.clone();
        let marker = Self { position, digest, expected, snapshot: cluster.origin.clone() };
        Ok(files::replace(&file(&cluster.directory), &serde_json::to_vec(&marker)?)?)
    }

    /// The marker of a directory, if it has one.
    pub(super) fn read(directory: &DataDirectory) -> anyhow::Result<Option<Self>> {
        let path = file(directory);
        let Some(content) = files::read(&path)? else { return Ok(None) };
        let marker = serde_json::from_slice(&content);
        marker.map(Some).with_context(|| format!("{} is damaged: remove it, or empty the directory", path.display()))
    }

    /// Removes the marker, if there is one: the database was replaced, or is to be used all the same.
    pub(super) fn clear(directory: &DataDirectory) -> anyhow::Result<()> {
        let path = file(directory);
        if path.exists() {
            files::remove(&path)?;
        }
        Ok(())
    }

    /// Removes the snapshots that this node has made, and the one that it was made of. The leader makes another one if
    /// none is left.
    pub(super) async fn remove_snapshots(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let own = cluster.node_id()?;
        for info in cluster.journal.snapshots().await? {
            if info.maker.as_deref() == Some(own.as_str()) || self.snapshot.as_ref() == Some(&info) {
                tracing::warn!(
                    position = info.position,
                    "removing a snapshot that may be wrong like this node's database"
                );
                cluster.journal.remove_snapshot(info).await?;
            }
        }
        Ok(())
    }
}
