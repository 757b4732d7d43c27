//! The port of the outbox.

use std::future::ready;

use futures::future::BoxFuture;

use super::UNKNOWN_CLIENT;
use crate::domain::{ClientRef, DocumentId, NotificationName, QueueKey, QueueTarget, Timestamp};
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::ready_queues::{MAX_CHANGED, QUEUES_PER_PAGE, ReadyStep};
use crate::store::sqlite::registry_cache::ClientTargets;
use crate::store::sqlite::tables::document_fifo::QueueRow;
use crate::store::sqlite::tables::due_deliveries::{self, ContentReader, DueRange, WokenQueues};
use crate::store::sqlite::tables::events::EventReader;
use crate::store::sqlite::tables::{deliveries, documents};
use crate::store::sqlite::writer::bulk_update::{BulkUpdate, QueueSweep, RetrySweep};
use crate::store::sqlite::writer::command::{BatchCommand, BatchItem, CommandReply, WriterCommand};
use crate::store::{
    AttemptRecord, Backlog, Delivery, DeliveryContent, DeliveryQuery, DuePage, ListPage, Outbox, ReceiverChange,
    RecordEffect, StoreError, StoreFuture,
};

impl Outbox for SqliteStore {
    fn ready(&self) -> StoreFuture<'_, Vec<QueueKey>> {
        Box::pin(async move {
            let ready = &self.shared.ready_queues;
            let mut changes = ready.changes();
            loop {
                let queues = match ready.step() {
                    ReadyStep::Return(queues) => queues,
                    ReadyStep::Scan(after) => self.scan(after).await?,
                    ReadyStep::Wait => {
                        // The sender lives as long as this borrow of it.
                        changes.changed().await.ok();
                        continue;
                    }
                };
                if !queues.is_empty() {
                    return Ok(queues);
                }
            }
        })
    }

    fn receiver_changes(&self) -> BoxFuture<'_, Vec<ReceiverChange>> {
        Box::pin(self.shared.receiver_changes.take())
    }

    fn rescan(&self) {
        self.shared.ready_queues.rescan();
    }

    fn wake_due(&self, after: Timestamp, now: Timestamp) -> StoreFuture<'_, Option<Timestamp>> {
        Box::pin(async move {
            let readers = self.readers.clone();
            let WokenQueues { queues, next } =
                readers.read(move |db| due_deliveries::woken_queues(db, after, now, MAX_CHANGED)).await?;
            if queues.len() > MAX_CHANGED {
                self.shared.ready_queues.rescan();
            } else {
                self.shared.ready_queues.add(self.queue_keys(&queues).collect());
            }
            Ok(next)
        })
    }

    fn due(&self, queue: &QueueKey, now: Timestamp, limit: usize, except: Vec<u64>) -> StoreFuture<'_, DuePage> {
        let found = self.queue_row(queue);
        Box::pin(async move {
            let (_, row) = found?;
            let readers = self.readers.clone();
            let page = readers.read(move |db| match &row {
                Some(queue) => due_deliveries::page(db, &DueRange { queue, now, limit, except: &except }),
                // Deliveries of a removed notification are never due. The read reports a closed store.
                None => Ok(DuePage { deliveries: Vec::new(), next: None }),
            });
            page.await
        })
    }

    fn content(&self, queue: &QueueKey, id: u64) -> StoreFuture<'_, Option<DeliveryContent>> {
        let found = self.queue_row(queue);
        Box::pin(async move {
            let (targets, Some(queue)) = found? else { return Ok(None) };
            let events = EventReader {
                epoch: self.shared.identity.epoch,
                client: targets.client.id.clone(),
                number: targets.number,
            };
            let receiver = targets.receiver(queue.notification);
            let reader = ContentReader { events, client: targets.client, seal: self.seal.clone(), queue, receiver };
            let content = self.readers.clone().read(move |db| reader.get(db, id)).await?;
            let sequence = content.as_ref().and_then(|content| Some(content.event.as_ref()?.id.sequence));
            Ok(self.raise_head(sequence.unwrap_or(0), content))
        })
    }

    fn record_attempt(&self, record: AttemptRecord) -> StoreFuture<'_, RecordEffect> {
        let command = BatchCommand::RecordAttempt(Box::new(record));
        Box::pin(
            self.request(|reply| WriterCommand::Batch(BatchItem { command, reply: CommandReply::Recorded(reply) })),
        )
    }

    fn deliveries(&self, client: &ClientRef, query: DeliveryQuery) -> StoreFuture<'_, ListPage<Delivery>> {
        let (epoch, number) = (self.shared.identity.epoch, self.number(client));
        Box::pin(async move {
            let number = number?;
            let found = self.readers.clone().read(move |db| deliveries::list(db, epoch, number, &query)).await?;
            Ok(self.raise_head(found.items.iter().map(|delivery| delivery.event.sequence).max().unwrap_or(0), found))
        })
    }

    fn deliveries_of(
        &self,
        client: &ClientRef,
        document: DocumentId,
        query: DeliveryQuery,
    ) -> StoreFuture<'_, ListPage<Delivery>> {
        let (epoch, ids, number) = (self.shared.identity.epoch, self.shared.identity.document_ids, self.number(client));
        Box::pin(async move {
            let number = number?;
            let readers = self.readers.clone();
            let found = readers
                .read(move |db| match documents::by_uuid(db, ids, number, document)? {
                    Some(known) => deliveries::list_of_document(db, epoch, number, known.number, &query),
                    None => Ok(ListPage::empty()),
                })
                .await?;
            Ok(self.raise_head(found.items.iter().map(|delivery| delivery.event.sequence).max().unwrap_or(0), found))
        })
    }

    fn delivery(&self, client: &ClientRef, id: u64) -> StoreFuture<'_, Option<Delivery>> {
        let (epoch, number) = (self.shared.identity.epoch, self.number(client));
        Box::pin(async move {
            let number = number?;
            let found = self.readers.clone().read(move |db| deliveries::get(db, epoch, number, id)).await?;
            Ok(self.raise_head(found.as_ref().map_or(0, |delivery| delivery.event.sequence), found))
        })
    }

    fn retry(&self, client: &ClientRef, id: u64, now: Timestamp) -> StoreFuture<'_, ()> {
        let command = BatchCommand::RetryDelivery { client: client.clone(), id, now };
        Box::pin(self.request(|reply| WriterCommand::Batch(BatchItem { command, reply: CommandReply::Done(reply) })))
    }

    fn retry_failed(
        &self,
        client: &ClientRef,
        name: &NotificationName,
        since: Timestamp,
        now: Timestamp,
    ) -> StoreFuture<'_, u64> {
        let key = QueueKey { client: client.id.clone(), target: QueueTarget::Notification(name.clone()) };
        let targets = self.shared.registry.targets(client).ok_or(UNKNOWN_CLIENT);
        let row = targets.and_then(|found| found.queue_row(&key.target).ok_or(StoreError::NotFound("notification")));
        match row {
            Ok(row) => {
                let queue = QueueSweep { key, row, now };
                let update = BulkUpdate::RetryFailed(RetrySweep { queue, since, after: 0, retried: 0 });
                Box::pin(self.request(|reply| WriterCommand::BulkUpdate(update, CommandReply::Number(reply))))
            }
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn make_due(&self, queue: &QueueKey, now: Timestamp) -> StoreFuture<'_, ()> {
        match self.queue_row(queue) {
            Ok((_, Some(row))) => {
                let update = BulkUpdate::MakeDue(QueueSweep { key: queue.clone(), row, now });
                Box::pin(self.request(|reply| WriterCommand::BulkUpdate(update, CommandReply::Done(reply))))
            }
            Ok((_, None)) => Box::pin(ready(Ok(()))),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn backlog(&self) -> StoreFuture<'_, Backlog> {
        Box::pin(self.readers.clone().read(|db| due_deliveries::backlog(db)))
    }
}

impl SqliteStore {
    /// The client that has a queue's client id at present, and the queue's rows; `None` for an unknown notification.
    fn queue_row(&self, queue: &QueueKey) -> Result<(ClientTargets, Option<QueueRow>), StoreError> {
        let targets = self.shared.registry.present_targets(&queue.client).ok_or(UNKNOWN_CLIENT)?;
        let row = targets.queue_row(&queue.target);
        Ok((targets, row))
    }

    /// One step of the scan over all queues.
    async fn scan(&self, after: Option<QueueRow>) -> Result<Vec<QueueKey>, StoreError> {
        let readers = self.readers.clone();
        let rows = readers.read(move |db| due_deliveries::queues_after(db, after, QUEUES_PER_PAGE)).await?;
        let last = rows.last().filter(|_| rows.len() == QUEUES_PER_PAGE).cloned();
        Ok(self.shared.ready_queues.scanned(self.queue_keys(&rows).collect(), last))
    }

    /// The queues of these rows, without those of removed clients and notifications.
    fn queue_keys<'a>(&'a self, rows: impl IntoIterator<Item = &'a QueueRow>) -> impl Iterator<Item = QueueKey> {
        rows.into_iter().filter_map(|row| self.shared.registry.targets_of_number(row.client)?.queue_key(row))
    }
}
