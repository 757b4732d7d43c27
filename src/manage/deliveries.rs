//! Deliveries: list, show, retry.

use std::sync::Arc;

use crate::delivery::DeliveryHandle;
use crate::domain::{ClientRef, DocumentId, Target, Timestamp};
use crate::store::{Backlog, Delivery, DeliveryQuery, ListPage, Outbox, Registry, StoreError};

/// The use cases of deliveries.
#[derive(Clone)]
pub struct Deliveries {
    outbox: Arc<dyn Outbox>,
    registry: Arc<dyn Registry>,
    delivery: DeliveryHandle,
}

impl Deliveries {
    /// `delivery` is informed of each retry.
    pub fn new(outbox: Arc<dyn Outbox>, registry: Arc<dyn Registry>, delivery: DeliveryHandle) -> Self {
        Self { outbox, registry, delivery }
    }

    /// A client's deliveries, newest first; only those of one document if `document` is given.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Stopped`].
    pub async fn list(
        &self,
        client: &ClientRef,
        document: Option<DocumentId>,
        query: DeliveryQuery,
    ) -> Result<ListPage<Delivery>, StoreError> {
        match document {
            Some(document) => self.outbox.deliveries_of(client, document, query).await,
            None => self.outbox.deliveries(client, query).await,
        }
    }

    /// One delivery with its attempts.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the client has no such delivery.
    pub async fn get(&self, client: &ClientRef, id: u64) -> Result<Delivery, StoreError> {
        self.outbox.delivery(client, id).await?.ok_or(StoreError::NotFound("delivery"))
    }

    /// Makes a delivery pending and due now, whatever its state. Returns it as it is then; the outcome of the attempt
    /// is recorded later.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the client has no such delivery, or its notification was removed.
    pub async fn retry(&self, client: &ClientRef, id: u64, now: Timestamp) -> Result<Delivery, StoreError> {
        let known = self.get(client, id).await?;
        if let Target::Notification(name) = &known.target
            && !self.registry.notifications(client).iter().any(|n| n.name == *name)
        {
            return Err(StoreError::NotFound("notification"));
        }
        self.delivery.retry(client, known.target.queue_target(), id, now).await?;
        self.get(client, id).await
    }

    /// How many deliveries of all clients are pending, and since when the oldest is due.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Stopped`].
    pub async fn backlog(&self) -> Result<Backlog, StoreError> {
        self.outbox.backlog().await
    }
}
