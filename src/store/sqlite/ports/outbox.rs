//! The port of the outbox.

use std::future::ready;

use futures::future::BoxFuture;

use super::UNKNOWN_CLIENT;
use crate::domain::{ClientRef, DocumentId, NotificationName, QueueKey, Target, Timestamp};
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::registry_cache::ClientTargets;
use crate::store::sqlite::tables::document_fifo::QueueRow;
use crate::store::sqlite::tables::due_deliveries::{self, DueReader};
use crate::store::sqlite::tables::events::EventReader;
use crate::store::sqlite::tables::{deliveries, documents};
use crate::store::sqlite::writer::bulk_update::{BulkUpdate, QueueSweep, RetrySweep};
use crate::store::sqlite::writer::command::{BatchCommand, BatchItem, CommandReply, WriterCommand};
use crate::store::{AttemptRecord, Backlog, Delivery, DeliveryQuery, DuePage, Outbox, StoreError, StoreFuture};

impl Outbox for SqliteStore {
    fn ready(&self) -> BoxFuture<'_, Vec<QueueKey>> {
        Box::pin(self.shared.ready_queues.next())
    }

    fn due(&self, queue: &QueueKey, now: Timestamp, limit: usize, except: Vec<u64>) -> StoreFuture<'_, DuePage> {
        let found = self.queue_row(queue);
        Box::pin(async move {
            let (targets, row) = found?;
            let Some(queue) = row else {
                // Deliveries of a removed notification are never due. The read reports a closed store.
                return self.readers.clone().read(|_| Ok(DuePage { deliveries: Vec::new(), next: None })).await;
            };
            let events = EventReader {
                epoch: self.shared.identity.epoch,
                client: targets.client.id.clone(),
                number: targets.number,
            };
            let receiver = targets.receiver(queue.notification);
            let reader = DueReader { events, client: targets.client, seal: self.seal.clone(), queue, receiver, now };
            let page = self.readers.clone().read(move |db| reader.page(db, limit, &except)).await?;
            let head = page.deliveries.iter().flat_map(|due| &due.event).map(|event| event.id.sequence).max();
            Ok(self.raise_head(head.unwrap_or(0), page))
        })
    }

    fn record_attempt(&self, record: AttemptRecord) -> StoreFuture<'_, ()> {
        let command = BatchCommand::RecordAttempt(Box::new(record));
        Box::pin(self.request(|reply| WriterCommand::Batch(BatchItem { command, reply: CommandReply::Done(reply) })))
    }

    fn deliveries(&self, client: &ClientRef, query: DeliveryQuery) -> StoreFuture<'_, Vec<Delivery>> {
        let (epoch, number) = (self.shared.identity.epoch, self.number(client));
        Box::pin(async move {
            let number = number?;
            let found = self.readers.clone().read(move |db| deliveries::list(db, epoch, number, &query)).await?;
            Ok(self.raise_head(found.iter().map(|delivery| delivery.event.sequence).max().unwrap_or(0), found))
        })
    }

    fn deliveries_of(
        &self,
        client: &ClientRef,
        document: DocumentId,
        query: DeliveryQuery,
    ) -> StoreFuture<'_, Vec<Delivery>> {
        let (epoch, ids, number) = (self.shared.identity.epoch, self.shared.identity.document_ids, self.number(client));
        Box::pin(async move {
            let number = number?;
            let readers = self.readers.clone();
            let found = readers
                .read(move |db| match documents::by_uuid(db, ids, number, document)? {
                    Some(known) => deliveries::list_of_document(db, epoch, number, known.number, &query),
                    None => Ok(Vec::new()),
                })
                .await?;
            Ok(self.raise_head(found.iter().map(|delivery| delivery.event.sequence).max().unwrap_or(0), found))
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
        let key = QueueKey { client: client.id.clone(), target: Target::Notification(name.clone()) };
        let targets = self.shared.registry.targets(client).ok_or(UNKNOWN_CLIENT);
        let row =
            targets.and_then(|targets| queue_row(&targets, &key.target).ok_or(StoreError::NotFound("notification")));
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
        let row = queue_row(&targets, &queue.target);
        Ok((targets, row))
    }
}

/// The rows of a queue; `None` for an unknown notification.
fn queue_row(targets: &ClientTargets, target: &Target) -> Option<QueueRow> {
    let notification = targets.notification_number(target)?;
    Some(QueueRow { client: targets.number, notification, target: target.key() })
}
