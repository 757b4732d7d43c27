//! The port of maintenance. Closing stops the readers and then the writer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::timeout;

use crate::domain::Timestamp;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::writer::command::{BatchCommand, BatchItem, CommandReply, WriterCommand};
use crate::store::{Maintenance, PrunedRows, Retention, StoreError, StoreFuture};

/// How long a node waits for the broker's answer, and for its own writer, before it is not ready.
const PROBE_TIMEOUT: Duration = Duration::from_secs(4);

impl Maintenance for SqliteStore {
    fn probe(&self) -> StoreFuture<'_, ()> {
        if let Some(catch_up) = &self.catch_up {
            return Box::pin(async move {
                if self.control.is_closed() {
                    return Err(StoreError::Stopped);
                }
                let behind = |_| StoreError::Unavailable("the broker has not answered".to_owned());
                timeout(PROBE_TIMEOUT, catch_up.run()).await.map_err(behind)?.map(drop)
            });
        }
        let command = BatchCommand::Probe;
        Box::pin(self.request(|reply| WriterCommand::Batch(BatchItem { command, reply: CommandReply::Done(reply) })))
    }

    fn warning(&self) -> Option<&'static str> {
        self.shared.wal_over_limit.load(Ordering::Relaxed).then_some(
            "the write-ahead log grows, because another program reads the database, such as a backup: end it",
        )
    }

    fn prune(&self, now: Timestamp) -> StoreFuture<'_, PrunedRows> {
        Box::pin(self.request(move |reply| WriterCommand::Prune(now, reply)))
    }

    fn set_retention(&self, retention: Retention) -> StoreFuture<'_, ()> {
        self.proposed_bounds.replace(retention.clone());
        Box::pin(self.control(move |reply| WriterCommand::SetRetention(Box::new(retention), reply)))
    }

    fn catch_up(&self) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            match &self.catch_up {
                Some(catch_up) => catch_up.run().await,
                None => Ok(false),
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Readers first: then the last checkpoint can empty the write-ahead log.
            self.readers.close().await;
            self.shared.tails.close();
            // `Stopped` means that it is closed already.
            self.control(WriterCommand::Close).await.ok();
        })
    }
}
