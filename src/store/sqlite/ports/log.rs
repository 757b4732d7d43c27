//! The port of the log: appends are commands of the writer, everything else is read.

use std::sync::atomic::Ordering;

use futures::stream::BoxStream;

use crate::domain::{ClientRef, DocumentId, Epoch, SharedEvent, Timestamp};
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::tables::documents;
use crate::store::sqlite::writer::command::{BatchCommand, BatchItem, CommandReply, WriterCommand};
use crate::store::{
    AppendOutcome, Document, DocumentPage, DocumentQuery, EventCounts, ListPage, Log, LogChange, LogPage, NewEvent,
    PageLimit, RawRequest, StoreFuture,
};

impl Log for SqliteStore {
    fn epoch(&self) -> Epoch {
        self.shared.identity.epoch
    }

    fn head(&self) -> u64 {
        self.shared.head.load(Ordering::Acquire)
    }

    fn append(&self, event: NewEvent) -> StoreFuture<'_, AppendOutcome> {
        let command = BatchCommand::Append(Box::new(event));
        Box::pin(
            self.request(|reply| WriterCommand::Batch(BatchItem { command, reply: CommandReply::Appended(reply) })),
        )
    }

    fn events_after(&self, client: &ClientRef, sequence: u64, limit: PageLimit) -> StoreFuture<'_, LogPage> {
        let reader = self.event_reader(client);
        Box::pin(async move {
            let reader = reader?;
            let page = self.readers.clone().read(move |db| reader.after(db, sequence, limit)).await?;
            Ok(self.raise_head(page.through, page))
        })
    }

    fn document_events_after(
        &self,
        client: &ClientRef,
        documents: Vec<DocumentId>,
        sequence: u64,
        limit: PageLimit,
    ) -> StoreFuture<'_, LogPage> {
        let (ids, reader) = (self.shared.identity.document_ids, self.event_reader(client));
        Box::pin(async move {
            let reader = reader?;
            let readers = self.readers.clone();
            let page = readers.read(move |db| reader.after_of_documents(db, ids, &documents, sequence, limit)).await?;
            Ok(self.raise_head(page.through, page))
        })
    }

    fn tail(&self) -> BoxStream<'static, LogChange> {
        self.shared.tails.add(&self.shared.head)
    }

    fn raw_request(&self, client: &ClientRef, sequence: u64) -> StoreFuture<'_, Option<RawRequest>> {
        let reader = self.event_reader(client);
        Box::pin(async move {
            let reader = reader?;
            self.readers.clone().read(move |db| reader.raw_request(db, sequence)).await
        })
    }

    fn documents(&self, client: &ClientRef, query: DocumentQuery) -> StoreFuture<'_, DocumentPage> {
        let (epoch, number) = (self.shared.identity.epoch, self.number(client));
        Box::pin(async move {
            let number = number?;
            let page = self.readers.clone().read(move |db| documents::list(db, epoch, number, &query)).await?;
            Ok(self.raise_head(page.head.sequence, page))
        })
    }

    fn document(&self, client: &ClientRef, id: DocumentId) -> StoreFuture<'_, Option<Document>> {
        let (epoch, ids, number) = (self.shared.identity.epoch, self.shared.identity.document_ids, self.number(client));
        Box::pin(async move {
            let number = number?;
            let readers = self.readers.clone();
            let document = readers
                .read(move |db| match documents::by_uuid(db, ids, number, id)? {
                    Some(known) => documents::get(db, epoch, number, known.number),
                    None => Ok(None),
                })
                .await?;
            Ok(self.raise_head(document.as_ref().map_or(0, |d| d.event.sequence), document))
        })
    }

    fn history(
        &self,
        client: &ClientRef,
        id: DocumentId,
        limit: usize,
        cursor: Option<u64>,
    ) -> StoreFuture<'_, ListPage<SharedEvent>> {
        let (ids, reader) = (self.shared.identity.document_ids, self.event_reader(client));
        Box::pin(async move {
            let reader = reader?;
            let readers = self.readers.clone();
            let page = readers
                .read(move |db| match documents::by_uuid(db, ids, reader.number, id)? {
                    Some(known) => reader.history(db, &known, limit, cursor),
                    None => Ok(ListPage::empty()),
                })
                .await?;
            Ok(self.raise_head(page.items.last().map_or(0, |event| event.id.sequence), page))
        })
    }

    fn event_counts(&self, client: &ClientRef, since: Timestamp, limit: usize) -> StoreFuture<'_, EventCounts> {
        let reader = self.event_reader(client);
        Box::pin(async move {
            let reader = reader?;
            let counts = self.readers.clone().read(move |db| reader.counts(db, since, limit)).await?;
            Ok(self.raise_head(counts.head.sequence, counts))
        })
    }
}
