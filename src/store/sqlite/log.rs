//! The port of the log: each method becomes a command of the writer or a read on one of the readers.

use std::sync::atomic::Ordering;

use futures::future::BoxFuture;
use futures::stream::BoxStream;

use super::events::Owner;
use super::writer::{Command, Item};
use super::{SqliteStore, documents};
use crate::domain::{ClientId, DocumentId, Epoch, SharedEvent, Timestamp};
use crate::store::{
    AppendOutcome, CommittedBatch, Document, DocumentPage, DocumentQuery, EventCounts, Log, LogPage, NewEvent,
    PageLimit, RawRequest, StoreError, StoreFuture,
};

impl Log for SqliteStore {
    fn epoch(&self) -> Epoch {
        self.shared.epoch
    }

    fn head(&self) -> u64 {
        self.shared.head.load(Ordering::Acquire)
    }

    fn append(&self, arrival: NewEvent) -> StoreFuture<'_, AppendOutcome> {
        Box::pin(self.ask(|reply| Command::Item(Item::Append(Box::new(arrival), reply))))
    }

    fn events_after(&self, client: &ClientId, sequence: u64, limit: PageLimit) -> StoreFuture<'_, LogPage> {
        let owner = self.owner(client);
        Box::pin(async move {
            let owner = owner?;
            let page = self.readers.clone().read(move |db| owner.after(db, sequence, limit)).await?;
            Ok(self.shown(page.through, page))
        })
    }

    fn tail(&self) -> BoxStream<'static, CommittedBatch> {
        self.shared.tails.add(&self.shared.head)
    }

    fn raw_request(&self, client: &ClientId, sequence: u64) -> StoreFuture<'_, Option<RawRequest>> {
        let owner = self.owner(client);
        Box::pin(async move {
            let owner = owner?;
            self.readers.clone().read(move |db| owner.raw(db, sequence)).await
        })
    }

    fn documents(&self, client: &ClientId, query: DocumentQuery) -> StoreFuture<'_, DocumentPage> {
        let (epoch, number) = (self.shared.epoch, self.number(client));
        Box::pin(async move {
            let number = number?;
            let page = self.readers.clone().read(move |db| documents::list(db, epoch, number, &query)).await?;
            Ok(self.shown(page.head.sequence, page))
        })
    }

    fn document(&self, client: &ClientId, id: DocumentId) -> StoreFuture<'_, Option<Document>> {
        let (epoch, mint, number) = (self.shared.epoch, self.shared.mint, self.number(client));
        Box::pin(async move {
            let number = number?;
            let readers = self.readers.clone();
            let document = readers
                .read(move |db| match documents::by_uuid(db, mint, number, id)? {
                    Some(known) => documents::get(db, epoch, number, known.number),
                    None => Ok(None),
                })
                .await?;
            Ok(self.shown(document.as_ref().map_or(0, |d| d.event.sequence), document))
        })
    }

    fn history(&self, client: &ClientId, id: DocumentId) -> StoreFuture<'_, Vec<SharedEvent>> {
        let (mint, owner) = (self.shared.mint, self.owner(client));
        Box::pin(async move {
            let owner = owner?;
            let readers = self.readers.clone();
            let events = readers
                .read(move |db| match documents::by_uuid(db, mint, owner.number, id)? {
                    Some(known) => owner.history(db, known.last_seq),
                    None => Ok(Vec::new()),
                })
                .await?;
            Ok(self.shown(events.last().map_or(0, |event| event.id.sequence), events))
        })
    }

    fn event_counts(&self, client: &ClientId, since: Timestamp, most: usize) -> StoreFuture<'_, EventCounts> {
        let owner = self.owner(client);
        Box::pin(async move {
            let owner = owner?;
            let counts = self.readers.clone().read(move |db| owner.counts(db, since, most)).await?;
            Ok(self.shown(counts.head.sequence, counts))
        })
    }

    fn probe(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.ask(|reply| Command::Item(Item::Probe(reply))))
    }

    fn prune(&self, now: Timestamp) -> StoreFuture<'_, u64> {
        Box::pin(self.ask(move |reply| Command::Prune(now, reply)))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Readers first: the last checkpoint can then empty the write-ahead log.
            self.readers.close();
            self.shared.tails.close();
            // Stopped means that it is closed already.
            let (Ok(()) | Err(_)) = self.ask(Command::Close).await;
        })
    }
}

impl SqliteStore {
    /// A reader can see a commit before the writer has come to announce it. What an answer shows is committed, so the
    /// head is at least there: otherwise whoever comes back with that id at once would be told that it is ahead of the log.
    pub(super) fn shown<T>(&self, sequence: u64, answer: T) -> T {
        self.shared.head.fetch_max(sequence, Ordering::AcqRel);
        answer
    }

    fn owner(&self, client: &ClientId) -> Result<Owner, StoreError> {
        Ok(Owner { epoch: self.shared.epoch, client: client.clone(), number: self.number(client)? })
    }
}
