//! What all nodes must have besides the database: the key that seals its secrets, the signing keys of tokens, the admin
//! token. They are one record, sealed with the cluster's key.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use data_encoding::BASE64;
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::Cluster;
use super::signing_keys::{SigningKeys, read_text};
use crate::auth::files;
use crate::journal::{Journal, JournalError, Record};

const RECORD: &str = "secrets";

/// How often the directory is compared with the record.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long a starting node waits for the record, which the founder writes.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// The content of the record.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
struct SharedSecrets {
    /// The file `seal.key` in Base64.
    seal_key: String,
    /// The file `admin.token`.
    admin_token: Option<String>,
    #[serde(flatten)]
    signing_keys: SigningKeys,
}

/// Writes the record of a cluster that this node founds, unless an interrupted founding has written it.
pub(super) async fn publish(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.directory.keys()?;
    // Made now, so that all nodes have the same. A configured token takes precedence on the node that has it.
    cluster.directory.admin_token(None)?;
    let seal_key = files::read(&cluster.directory.file("seal.key"))?.context("the sealing key is missing")?;
    let secrets = SharedSecrets {
        seal_key: BASE64.encode(&seal_key),
        admin_token: read_text(&cluster.directory.file("admin.token"))?,
        signing_keys: SigningKeys::of(&cluster.directory.file("keys"))?,
    };
    match put(cluster, &secrets, Some(0)).await {
        Ok(()) | Err(JournalError::Conflict) => Ok(()),
        Err(error) => Err(error).context("cannot share the keys of this node"),
    }
}

/// Writes the files that this node lacks, and removes the signing keys that were retired while it was down.
///
/// # Errors
/// The record is missing, was sealed with another key, or differs from the node's own sealing key.
pub(super) async fn fetch(cluster: &Cluster) -> anyhow::Result<()> {
    let mut records = cluster.port().records();
    let find = async {
        while let Some(record) = records.next().await {
            let record = record?;
            if record.key == RECORD && record.value.is_some() {
                return Ok(record);
            }
        }
        Err(JournalError::Replaced)
    };
    let record = tokio::time::timeout(FETCH_TIMEOUT, find)
        .await
        .context("the cluster has no keys yet: start the node that has founded it first")??;
    let secrets = open(cluster, &record)?;
    let seal_key = BASE64.decode(secrets.seal_key.as_bytes()).context("the cluster's record of keys is damaged")?;
    let path = cluster.directory.file("seal.key");
    match files::read(&path)? {
        Some(own) => anyhow::ensure!(
            own == seal_key,
            "the sealing key in {} is not the cluster's: start this node with an empty --data to join the cluster",
            path.display()
        ),
        None => drop(files::create(&path, &seal_key)?),
    }
    if let Some(token) = &secrets.admin_token
        && files::read(&cluster.directory.file("admin.token"))?.is_none()
    {
        files::create(&cluster.directory.file("admin.token"), token.as_bytes())?;
    }
    secrets.signing_keys.restore(&cluster.directory.file("keys"))
}

/// Keeps the directory and the record equal. Runs until it is cancelled.
pub(super) async fn share(cluster: &Cluster) {
    let directory = cluster.directory.file("keys");
    let mut records = cluster.port().records();
    let mut tick = tokio::time::interval(INTERVAL);
    let mut shared: Option<(SharedSecrets, u64)> = None;
    // The names that both had the last time: what is missing now was removed.
    let mut known: BTreeSet<String> = BTreeSet::new();
    loop {
        tokio::select! {
            record = records.next() => match record {
                Some(Ok(record)) if record.key == RECORD => match open(cluster, &record) {
                    Ok(secrets) => shared = Some((secrets, record.revision)),
                    Err(error) => tracing::error!(error = format!("{error:#}"), "cannot read the cluster's keys"),
                },
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return std::future::pending().await,
            },
            _ = tick.tick() => {}
        }
        let Some((secrets, revision)) = &shared else { continue };
        match secrets.signing_keys.synchronize(&directory, &mut known) {
            Ok(None) => {}
            Ok(Some(signing_keys)) => {
                let changed = SharedSecrets { signing_keys, ..secrets.clone() };
                match put(cluster, &changed, Some(*revision)).await {
                    // A conflict means that another node was faster: its record comes next.
                    Ok(()) | Err(JournalError::Conflict) => {}
                    Err(error) => tracing::warn!(%error, "cannot share a signing key yet; retrying"),
                }
            }
            Err(error) => tracing::warn!(error = format!("{error:#}"), "cannot synchronize the signing keys; retrying"),
        }
    }
}

async fn put(cluster: &Cluster, secrets: &SharedSecrets, expected: Option<u64>) -> Result<(), JournalError> {
    let text = serde_json::to_vec(secrets).map_err(|error| JournalError::Unavailable(error.to_string()))?;
    let sealed = cluster.key.values.seal(&text, context(cluster).as_bytes());
    cluster.journal.put_record(RECORD.to_owned(), Bytes::from(sealed), expected).await.map(drop)
}

fn open(cluster: &Cluster, record: &Record) -> anyhow::Result<SharedSecrets> {
    let sealed = record.value.as_deref().unwrap_or_default();
    let text = cluster
        .key
        .values
        .open(sealed, context(cluster).as_bytes())
        .context("the cluster has another key: use the cluster_key_file of the other nodes")?;
    serde_json::from_slice(&text).context("the cluster's record of keys is damaged")
}

fn context(cluster: &Cluster) -> String {
    format!("secrets/{:x}", cluster.journal.identity().id)
}
