//! Snapshots in an object store: chunks of a file, and at the end one message that makes them an object. A reader sees
//! the object only then.

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
/// A download that gets no byte for this long fails.
const STALL_TIMEOUT: Duration = Duration::from_secs(15);
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// The bucket of a journal.
pub(super) struct SnapshotBucket {
    connection: BrokerConnection,
    name: String,
    store: ObjectStore,
}

fn object_name(info: &SnapshotInfo) -> String {
    format!("{:020}-{}", info.position, info.digest)
}

fn unavailable(error: &dyn std::fmt::Display) -> JournalError {
    JournalError::Unavailable(error.to_string())
}

/// Chunks of a snapshot by the subject that they share.
fn chunks_of(bucket: &str, nuid: &str) -> String {
    format!("$O.{bucket}.C.{nuid}")
}

fn snapshot_info(object: &ObjectInfo) -> Option<SnapshotInfo> {
    serde_json::from_str(object.metadata.get(INFO_KEY)?).ok()
}

impl SnapshotBucket {
    pub(super) fn new(connection: BrokerConnection, name: String, store: ObjectStore) -> Self {
        Self { connection, name, store }
    }

    pub(super) async fn put(&self, info: &SnapshotInfo, path: &Path) -> Result<(), JournalError> {
        self.connection.check_connected()?;
        let unreadable =
            |error| JournalError::Unavailable(format!("cannot read the snapshot {}: {error}", path.display()));
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
        self.remove_orphans().await?;
        match self.store.put(object, &mut file).await {
            Ok(object) => self.check_chunks(&object).await,
            Err(error) => match error.kind() {
                // The object is complete.
                PutErrorKind::PurgeOldChunks => Ok(()),
                PutErrorKind::PublishMetadata | PutErrorKind::TimedOut => Err(JournalError::Unknown(error.to_string())),
                _ => Err(unavailable(&error)),
            },
        }
    }

    pub(super) async fn list(&self) -> Result<Vec<SnapshotInfo>, JournalError> {
        self.connection.check_connected()?;
        let objects = self.list_objects().await?;
        let mut snapshots: Vec<SnapshotInfo> = objects.iter().filter_map(snapshot_info).collect();
        snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.position));
        Ok(snapshots)
    }

    async fn list_objects(&self) -> Result<Vec<ObjectInfo>, JournalError> {
        let listing = async {
            let objects = self.store.list().await.map_err(|error| unavailable(&error))?;
            objects.try_collect().await.map_err(|error| unavailable(&error))
        };
        let timed_out = |_| JournalError::Unknown("the list of snapshots timed out".into());
        tokio::time::timeout(ACK_TIMEOUT, listing).await.map_err(timed_out)?
    }

    /// How many chunks are stored, by subject.
    async fn count_chunks(&self, nuid: &str) -> Result<Vec<(String, usize)>, JournalError> {
        let counting = async {
            let stream = self.connection.context.get_stream_no_info(format!("OBJ_{}", self.name)).await;
            let stream = stream.map_err(|error| unavailable(&error))?;
            let subjects = stream.info_with_subjects(chunks_of(&self.name, nuid)).await;
            subjects.map_err(|error| unavailable(&error))?.try_collect().await.map_err(|error| unavailable(&error))
        };
        let timed_out = |_| JournalError::Unavailable("the list of chunks timed out".into());
        tokio::time::timeout(ACK_TIMEOUT, counting).await.map_err(timed_out)?
    }

    /// Removes the chunks of uploads that were not completed.
    async fn remove_orphans(&self) -> Result<(), JournalError> {
        let chunks = self.count_chunks("*").await?;
        let complete: Vec<String> =
            self.list_objects().await?.iter().map(|object| chunks_of(&self.name, &object.nuid)).collect();
        let stream = self.connection.context.get_stream_no_info(format!("OBJ_{}", self.name)).await;
        let stream = stream.map_err(|error| unavailable(&error))?;
        for (subject, _) in chunks.into_iter().filter(|(subject, _)| !complete.contains(subject)) {
            tracing::info!(%subject, "removing an incomplete snapshot");
            stream.purge().filter(subject).await.map_err(|error| unavailable(&error))?;
        }
        Ok(())
    }

    /// Another node may have taken the chunks for those of an upload that had failed.
    async fn check_chunks(&self, object: &ObjectInfo) -> Result<(), JournalError> {
        // The snapshot is visible already.
        let unknown = |why: String| JournalError::Unknown(format!("the snapshot cannot be checked: {why}"));
        let chunks = self.count_chunks(&object.nuid).await.map_err(|error| unknown(error.to_string()))?;
        if chunks.iter().map(|(_, count)| count).sum::<usize>() == object.chunks {
            return Ok(());
        }
        self.store.delete(&object.name).await.map_err(|error| unknown(error.to_string()))?;
        Err(JournalError::Unavailable("chunks of the snapshot were removed during the upload".into()))
    }

    pub(super) async fn get(&self, info: &SnapshotInfo, path: &Path) -> Result<(), JournalError> {
        self.connection.check_connected()?;
        let unwritable =
            |error| JournalError::Unavailable(format!("cannot write the snapshot {}: {error}", path.display()));
        let mut file = File::create_new(path).await.map_err(unwritable)?;
        let copied = async {
            let bytes = self.copy(info, &mut file, &unwritable).await?;
            if bytes != info.bytes {
                return Err(JournalError::Unavailable(format!(
                    "the snapshot has {bytes} bytes instead of {}",
                    info.bytes
                )));
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
        &self,
        info: &SnapshotInfo,
        file: &mut File,
        unwritable: &impl Fn(std::io::Error) -> JournalError,
    ) -> Result<u64, JournalError> {
        let mut object = self.store.get(object_name(info)).await.map_err(|error| unavailable(&error))?;
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

    pub(super) async fn remove(&self, info: &SnapshotInfo) -> Result<(), JournalError> {
        self.connection.check_connected()?;
        match self.store.delete(object_name(info)).await {
            Ok(()) => Ok(()),
            Err(error) => match error.kind() {
                DeleteErrorKind::NotFound => Ok(()),
                DeleteErrorKind::TimedOut => Err(JournalError::Unknown(error.to_string())),
                _ => Err(unavailable(&error)),
            },
        }
    }
}
