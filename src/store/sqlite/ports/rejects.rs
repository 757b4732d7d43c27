//! The port of the rejects: changes share the batches of the log, lists are read.

use crate::domain::ClientRef;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::tables::rejects;
use crate::store::sqlite::writer::command::{BatchCommand, BatchItem, CommandReply, WriterCommand};
use crate::store::{ListPage, Reject, RejectStore, StoreFuture};

impl RejectStore for SqliteStore {
    fn add(&self, client: &ClientRef, reject: Reject) -> StoreFuture<'_, u64> {
        let command = BatchCommand::AddReject { client: client.clone(), reject: Box::new(reject) };
        Box::pin(self.request(|reply| WriterCommand::Batch(BatchItem { command, reply: CommandReply::Number(reply) })))
    }

    fn list(&self, client: &ClientRef, limit: usize, before: Option<u64>) -> StoreFuture<'_, ListPage<Reject>> {
        let number = self.number(client);
        Box::pin(async move {
            let number = number?;
            self.readers.clone().read(move |db| rejects::list(db, number, limit, before)).await
        })
    }

    fn get(&self, client: &ClientRef, id: u64) -> StoreFuture<'_, Option<Reject>> {
        let number = self.number(client);
        Box::pin(async move {
            let number = number?;
            self.readers.clone().read(move |db| rejects::get(db, number, id)).await
        })
    }

    fn remove(&self, client: &ClientRef, id: u64) -> StoreFuture<'_, ()> {
        let command = BatchCommand::RemoveReject { client: client.clone(), id };
        Box::pin(self.request(|reply| WriterCommand::Batch(BatchItem { command, reply: CommandReply::Done(reply) })))
    }
}
