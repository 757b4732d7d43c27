//! The ports of the store: each method becomes a command of the writer or a read on one of the readers.

mod log;
mod maintenance;
mod outbox;
mod registry;
mod rejects;

use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::SqliteStore;
use super::tables::events::EventReader;
use super::writer::command::{ReplySender, WriterCommand};
use crate::domain::ClientRef;
use crate::store::StoreError;

const UNKNOWN_CLIENT: StoreError = StoreError::NotFound("client");

impl SqliteStore {
    /// Sends a command to the writer and waits for the reply, which always comes.
    async fn request<T>(&self, command: impl FnOnce(ReplySender<T>) -> WriterCommand) -> Result<T, StoreError> {
        let (reply, result) = oneshot::channel();
        self.queue.send(command(reply)).await.map_err(|_| StoreError::Stopped)?;
        result.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// As [`SqliteStore::request`], past the cluster.
    async fn control<T>(&self, command: impl FnOnce(ReplySender<T>) -> WriterCommand) -> Result<T, StoreError> {
        let (reply, result) = oneshot::channel();
        self.control.send(command(reply)).await.map_err(|_| StoreError::Stopped)?;
        result.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// The number that the client's rows have.
    fn number(&self, client: &ClientRef) -> Result<i64, StoreError> {
        self.shared.registry.number(client).ok_or(UNKNOWN_CLIENT)
    }

    fn event_reader(&self, client: &ClientRef) -> Result<EventReader, StoreError> {
        let epoch = self.shared.identity.epoch;
        Ok(EventReader { epoch, client: client.id.clone(), number: self.number(client)? })
    }

    /// Raises the head to a sequence that `result` shows. A reader may see a commit before the writer has set the head;
    /// a follower that returns with that sequence would otherwise be ahead of the log.
    fn raise_head<T>(&self, sequence: u64, result: T) -> T {
        self.shared.head.fetch_max(sequence, Ordering::AcqRel);
        result
    }
}
