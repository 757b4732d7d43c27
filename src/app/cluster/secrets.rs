//! What all nodes must have besides the database: the key that seals its secrets, the signing keys of tokens, the admin token.
//! They are one record, sealed with the cluster's key. A signing key that is added to or removed from the directory of one
//! node is added or removed on all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use data_encoding::BASE64;
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::Cluster;
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
    /// The files in `keys` by name.
    signing_keys: BTreeMap<String, String>,
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
        signing_keys: signing_keys(&cluster.directory.file("keys"))?,
    };
    match put(cluster, &secrets, Some(0)).await {
        Ok(()) | Err(JournalError::Conflict) => Ok(()),
        Err(error) => Err(error).context("cannot share the keys of this node"),
    }
}

/// Writes the files that this node lacks.
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
    for (name, pem) in &secrets.signing_keys {
        add(&cluster.directory.file("keys"), name, pem)?;
    }
    Ok(())
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
        match synchronize(&directory, &mut known, secrets) {
            Ok(None) => {}
            // A conflict means that another node was faster: its record comes next.
            Ok(Some(changed)) => match put(cluster, &changed, Some(*revision)).await {
                Ok(()) | Err(JournalError::Conflict) => {}
                Err(error) => tracing::warn!(%error, "cannot share a signing key yet; retrying"),
            },
            Err(error) => tracing::warn!(error = format!("{error:#}"), "cannot synchronize the signing keys; retrying"),
        }
    }
}

/// Takes over what the record has gained and lost; returns a new record if the directory has gained or lost a key.
fn synchronize(
    directory: &Path,
    known: &mut BTreeSet<String>,
    secrets: &SharedSecrets,
) -> anyhow::Result<Option<SharedSecrets>> {
    let local = signing_keys(directory)?;
    let mut changed = secrets.clone();
    for (name, pem) in &local {
        if secrets.signing_keys.contains_key(name) {
            continue;
        }
        match known.contains(name) {
            true => files::remove(&directory.join(name))?,
            false => drop(changed.signing_keys.insert(name.clone(), pem.clone())),
        }
    }
    for (name, pem) in &secrets.signing_keys {
        if local.contains_key(name) {
            continue;
        }
        match known.contains(name) {
            true => drop(changed.signing_keys.remove(name)),
            false => add(directory, name, pem)?,
        }
    }
    // Without its last key no node could issue tokens.
    if changed.signing_keys.is_empty() {
        return Ok(None);
    }
    if changed != *secrets {
        return Ok(Some(changed));
    }
    *known = signing_keys(directory)?.into_keys().filter(|name| secrets.signing_keys.contains_key(name)).collect();
    Ok(None)
}

/// Adds a signing key unless the directory has it.
fn add(directory: &Path, name: &str, pem: &str) -> anyhow::Result<()> {
    let is_name = name.ends_with(".pem") && !name.contains('/') && !name.starts_with('.');
    anyhow::ensure!(is_name, "the cluster's record of keys is damaged");
    if files::read(&directory.join(name))?.is_none() {
        files::create(&directory.join(name), pem.as_bytes())?;
    }
    Ok(())
}

/// The signing keys of a directory by file name.
fn signing_keys(directory: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut keys = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".pem")
            && !name.starts_with('.')
            && let Some(text) = read_text(&directory.join(&name))?
        {
            keys.insert(name, text);
        }
    }
    Ok(keys)
}

fn read_text(path: &Path) -> anyhow::Result<Option<String>> {
    let content = files::read(path)?;
    content.map(|bytes| String::from_utf8(bytes).with_context(|| format!("{} is not text", path.display()))).transpose()
}

async fn put(cluster: &Cluster, secrets: &SharedSecrets, expected: Option<u64>) -> Result<(), JournalError> {
    let text = serde_json::to_vec(secrets).map_err(|error| JournalError::Unavailable(error.to_string()))?;
    let sealed = cluster.key.seal(&text, context(cluster).as_bytes());
    cluster.journal.put_record(RECORD.to_owned(), Bytes::from(sealed), expected).await.map(drop)
}

fn open(cluster: &Cluster, record: &Record) -> anyhow::Result<SharedSecrets> {
    let sealed = record.value.as_deref().unwrap_or_default();
    let text = cluster
        .key
        .open(sealed, context(cluster).as_bytes())
        .context("the cluster has another key: use the cluster_key_file of the other nodes")?;
    serde_json::from_slice(&text).context("the cluster's record of keys is damaged")
}

fn context(cluster: &Cluster) -> String {
    format!("secrets/{:x}", cluster.journal.identity().id)
}
