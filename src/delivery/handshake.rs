//! PPJ's handshake, by which an endpoint is verified before its first delivery, and the test event. Neither is a
//! delivery, but both use the same HTTP client and are cancelled like deliveries.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::attempt::{attempt_of, reason};
use super::receiver::Receiver;
use super::{DeliveryHandle, HttpResponse};
use crate::auth::generate_secret;
use crate::domain::{
    ClientRef, DocumentId, EventJson, Notification, NotificationState, QueueKey, QueueTarget, Status, Timestamp,
    Vendor, VendorId,
};
use crate::store::{Attempt, StoreError};
use crate::vendor::{self, OutgoingEvent};

/// Why a test event was not sent.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// The endpoint did not pass PPJ's handshake.
    #[error("{0}")]
    Unverified(String),
    /// The notification's format cannot express the event.
    #[error("{0}")]
    Unsupported(String),
}

impl DeliveryHandle {
    /// PPJ's handshake: asks the endpoint to return a nonce. If it does, the notification becomes active and its
    /// pending deliveries are due now.
    ///
    /// # Errors
    ///
    /// One clause that says why the endpoint is not verified.
    pub async fn handshake(
        &self,
        client: &ClientRef,
        notification: &Notification,
        now: Timestamp,
    ) -> Result<(), String> {
        let nonce = generate_secret().map_err(|e| e.to_string())?;
        let secrets = notification.signing_secrets(now);
        let request = vendor::handshake_request(&notification.endpoint, nonce.expose(), &secrets, now)
            .map_err(|e| e.to_string())?;
        let queue =
            QueueKey { client: client.id.clone(), target: QueueTarget::Notification(notification.name.clone()) };
        let exchange = self.call(&queue, request).await;
        let HttpResponse { status, body, .. } = exchange.result.map_err(|error| error.to_string())?;
        if !(200..=299).contains(&status) {
            return Err(format!("the endpoint responded to type=verify with {status}"));
        }
        if !vendor::is_handshake_response(nonce.expose(), &body) {
            return Err("the response to type=verify does not contain the nonce".to_owned());
        }
        match self.store.registry.set_notification_state(client, notification, NotificationState::Active).await {
            Err(StoreError::Conflict(_)) => return Err("the notification was changed meanwhile".to_owned()),
            marked => marked.map_err(|e| e.to_string())?,
        }
        tracing::info!(%client, notification = %notification.name, "endpoint verified");
        match self.reset(&queue, now).await {
            Ok(()) | Err(StoreError::NotFound(_)) => {}
            Err(error) => tracing::warn!(%client, notification = %notification.name, %error,
                "cannot make pending deliveries due now; the retry schedule applies"),
        }
        Ok(())
    }

    /// Sends a test event of a completed document to a notification, once. Nothing is stored. A failed attempt is not
    /// an error: it is returned.
    ///
    /// # Errors
    ///
    /// [`TestError`] if nothing was sent.
    pub async fn send_test(
        &self,
        client: &ClientRef,
        notification: Arc<Notification>,
        now: Timestamp,
    ) -> Result<Attempt, TestError> {
        let queue =
            QueueKey { client: client.id.clone(), target: QueueTarget::Notification(notification.name.clone()) };
        let receiver = Receiver::Notification(notification);
        if let Some(notification) = receiver.unverified() {
            self.handshake(client, notification, now).await.map_err(TestError::Unverified)?;
        }
        let unsupported = |reason: &str| TestError::Unsupported(reason.to_owned());
        let outgoing_event =
            test_event(&receiver, now).ok_or_else(|| unsupported("the test event cannot be encoded"))?;
        let mut request = vendor::render_notification(
            receiver.format(),
            &outgoing_event,
            None,
            receiver.endpoint(),
            &receiver.secrets(now),
            now,
        )
        .map_err(|e| unsupported(&e.to_string()))?;
        request.headers.extend(receiver.credential());
        let exchange = self.call(&queue, request).await;
        let reason = reason(&exchange);
        Ok(attempt_of(exchange, reason, now))
    }
}

fn test_event(receiver: &Receiver, now: Timestamp) -> Option<OutgoingEvent> {
    let vendor_id: VendorId = "docrelay-test".parse().ok()?;
    let id = Uuid::new_v4();
    let draft = EventJson {
        document_id: DocumentId::new(id),
        status: Status::Completed,
        vendor: Vendor::Generic,
        vendor_id: &vendor_id,
        time: now,
        title: Some("a test of this notification"),
        result: None,
        error: None,
        vendor_time: None,
        labels: &BTreeMap::new(),
    };
    let stored = OutgoingEvent::from_stored(&draft.encode(), format!("msg_test_{}", id.simple()), receiver.name());
    stored.map(|(_, outgoing_event)| outgoing_event)
}
