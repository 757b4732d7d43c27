//! Documents: register, list, show with their events and the requests behind them.

use std::sync::Arc;

use super::notifications::{NewCallback, NotificationError, Notifications};
use crate::domain::{ClientRef, DocumentId, EventId, SharedEvent, Timestamp, Vendor, VendorId};
use crate::ingest::{Ingest, Registration};
use crate::store::{
    AppendOutcome, Document, DocumentPage, DocumentQuery, EventCounts, ListPage, Log, RawRequest, StoreError,
};

/// A document that the application registers before the vendor's first webhook.
#[derive(Debug)]
pub struct NewDocument {
    pub vendor: Vendor,
    pub vendor_id: VendorId,
    pub title: Option<String>,
    /// The notification that gets its events instead of the client's default one.
    pub notification: Option<String>,
    /// Gets its events as well.
    pub callback: Option<NewCallback>,
}

/// The use cases of documents and of their events.
#[derive(Clone)]
pub struct Documents {
    log: Arc<dyn Log>,
    ingest: Ingest,
    notifications: Notifications,
}

impl Documents {
    /// `notifications` checks where a document's events go.
    pub fn new(log: Arc<dyn Log>, ingest: Ingest, notifications: Notifications) -> Self {
        Self { log, ingest, notifications }
    }

    /// Registers a document as `PENDING`; [`AppendOutcome::Duplicate`] if it is known.
    ///
    /// # Errors
    /// [`NotificationError::Invalid`] if its notification does not exist or its callback is not allowed.
    pub async fn register(
        &self,
        client: &ClientRef,
        new: NewDocument,
        now: Timestamp,
    ) -> Result<AppendOutcome, NotificationError> {
        let NewDocument { vendor, vendor_id, title, notification, callback } = new;
        if let Some(name) = &notification
            && !self.notifications.exists(client, name)
        {
            // Another node of the cluster may have just made it. When this node cannot catch up, it is refused as
            // unknown.
            self.ingest.catch_up().await.ok();
        }
        let destinations = self.notifications.destinations(client, notification.as_deref(), callback).await?;
        let registration = Registration { vendor, vendor_id, title, destinations };
        Ok(self.ingest.register(client, registration, now).await?)
    }

    /// A page of documents, newest first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Stopped`].
    pub async fn list(&self, client: &ClientRef, query: DocumentQuery) -> Result<DocumentPage, StoreError> {
        self.log.documents(client, query).await
    }

    /// One document.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the client has no such document.
    pub async fn get(&self, client: &ClientRef, id: DocumentId) -> Result<Document, StoreError> {
        self.log.document(client, id).await?.ok_or(StoreError::NotFound("document"))
    }

    /// The latest retained events of a document, oldest first; with the `cursor` of a page, the events before that
    /// page.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the client has no such document.
    pub async fn events(
        &self,
        client: &ClientRef,
        id: DocumentId,
        limit: usize,
        cursor: Option<u64>,
    ) -> Result<ListPage<SharedEvent>, StoreError> {
        self.get(client, id).await?;
        self.log.history(client, id, limit, cursor).await
    }

    /// The webhook request behind an event.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the client has no such event, or there is no retained request.
    pub async fn raw_request(&self, client: &ClientRef, event: EventId) -> Result<RawRequest, StoreError> {
        if event.epoch != self.log.epoch() {
            return Err(StoreError::NotFound("event"));
        }
        self.log.raw_request(client, event.sequence).await?.ok_or(StoreError::NotFound("event with a request"))
    }

    /// Events per minute and status since a time, of the latest `max_events` events.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Stopped`].
    pub async fn event_counts(
        &self,
        client: &ClientRef,
        since: Timestamp,
        max_events: usize,
    ) -> Result<EventCounts, StoreError> {
        self.log.event_counts(client, since, max_events).await
    }
}
