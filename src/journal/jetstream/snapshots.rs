//! Snapshots in an object store: chunks of a file, and at the end one message that makes them an object. A reader sees the
//! object only then.

use std::path::Path;
use std::time::Duration;

use async_nats::jetstream::object_store::{DeleteErrorKind, ObjectInfo, ObjectMetadata, ObjectStore, PutErrorKind};
use futures::TryStreamExt;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connection::{ACK_TIMEOUT, BrokerConnection};
use crate::journal::{JournalError, SnapshotInfo};

/// The metadata of an object that holds its [`SnapshotInfo`] as JSON.
const INFO_KEY: &str = "docrelay_snapshot";
/// Of a download without a byte.
const STALL_TIMEOUT: Duration = Duration::from_secs(15);
const READ_BUFFER_BYTES: usize = 256 * 1024;

fn object_name(info: &SnapshotInfo) -> String {
    format!("{:020}-{}", info.position, info.digest)
}

fn unavailable(error: &dyn std::fmt::Display) -> JournalError {
    JournalError::Unavailable(error.to_string())
}

pub(super) async fn put(
    connection: &BrokerConnection,
    store: &ObjectStore,
    info: &SnapshotInfo,
    path: &Path,
) -> Result<(), JournalError> {
    connection.check_connected()?;
    let unreadable = |error| JournalError::Unavailable(format!("cannot read the snapshot {}: {error}", path.display()));
    let mut file = File::open(path).await.map_err(unreadable)?;
    let bytes = file.metadata().await.map_err(unreadable)?.len();
    if bytes != info.bytes {
        return Err(JournalError::Unavailable(format!("the snapshot has {bytes} bytes instead of {}", info.bytes)));
    }
    let description = serde_json::to_string(info).map_err(|error| unavailable(&error))?;
    let object = ObjectMetadata {
        name: object_name(info),
        metadata: [(INFO_KEY.to_owned(), description)].into(),
        ..Default::default()
    };
    match store.put(object, &mut file).await {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            // The object is complete.
            PutErrorKind::PurgeOldChunks => Ok(()),
            PutErrorKind::PublishMetadata | PutErrorKind::TimedOut => Err(JournalError::Unknown(error.to_string())),
            _ => Err(unavailable(&error)),
        },
    }
}

pub(super) async fn list(
    connection: &BrokerConnection,
    store: &ObjectStore,
) -> Result<Vec<SnapshotInfo>, JournalError> {
    connection.check_connected()?;
    let listing = async {
        let objects = store.list().await.map_err(|error| unavailable(&error))?;
        objects.try_collect::<Vec<ObjectInfo>>().await.map_err(|error| unavailable(&error))
    };
    let timed_out = |_| JournalError::Unknown("the list of snapshots timed out".into());
    let objects = tokio::time::timeout(ACK_TIMEOUT, listing).await.map_err(timed_out)??;
    let mut snapshots: Vec<SnapshotInfo> = objects.iter().filter_map(snapshot_info).collect();
    snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.position));
    Ok(snapshots)
}

fn snapshot_info(object: &ObjectInfo) -> Option<SnapshotInfo> {
    serde_json::from_str(object.metadata.get(INFO_KEY)?).ok()
}

pub(super) async fn get(
    connection: &BrokerConnection,
    store: &ObjectStore,
    info: &SnapshotInfo,
    path: &Path,
) -> Result<(), JournalError> {
    connection.check_connected()?;
    let unwritable =
        |error| JournalError::Unavailable(format!("cannot write the snapshot {}: {error}", path.display()));
    let mut file = File::create_new(path).await.map_err(unwritable)?;
    let copied = async {
        let bytes = copy(store, info, &mut file, &unwritable).await?;
        if bytes != info.bytes {
            return Err(JournalError::Unavailable(format!("the snapshot has {bytes} bytes instead of {}", info.bytes)));
        }
        file.flush().await.map_err(unwritable)?;
        file.sync_all().await.map_err(unwritable)
    }
    .await;
    if copied.is_err() {
        tokio::fs::remove_file(path).await.ok();
    }
    copied
}

/// Returns how many bytes were copied. The client compares the object's SHA-256 at the end.
async fn copy(
    store: &ObjectStore,
    info: &SnapshotInfo,
    file: &mut File,
    unwritable: &impl Fn(std::io::Error) -> JournalError,
) -> Result<u64, JournalError> {
    let mut object = store.get(object_name(info)).await.map_err(|error| unavailable(&error))?;
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    let mut bytes = 0;
    loop {
        let timed_out = |_| JournalError::Unknown("the download of the snapshot stalled".into());
        let read = tokio::time::timeout(STALL_TIMEOUT, object.read(&mut buffer)).await.map_err(timed_out)?;
        let read = read.map_err(|error| JournalError::Unavailable(format!("cannot read the snapshot: {error}")))?;
        if read == 0 {
            return Ok(bytes);
        }
        file.write_all(&buffer[..read]).await.map_err(unwritable)?;
        bytes += read as u64;
    }
}

pub(super) async fn remove(
    connection: &BrokerConnection,
    store: &ObjectStore,
    info: &SnapshotInfo,
) -> Result<(), JournalError> {
    connection.check_connected()?;
    match store.delete(object_name(info)).await {
        Ok(()) => Ok(()),
        Err(error) => match error.kind() {
            DeleteErrorKind::NotFound => Ok(()),
            DeleteErrorKind::TimedOut => Err(JournalError::Unknown(error.to_string())),
            _ => Err(unavailable(&error)),
        },
    }
}
