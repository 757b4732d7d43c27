//! Requests to an endpoint that are not deliveries: PPJ's handshake and the test event. They use the same HTTP client and
//! are cancelled like deliveries.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::attempt::reason;
use super::receiver::Receiver;
use super::{DeliveryHandle, HttpExchange};
use crate::auth::fresh_secret;
use crate::domain::{
    ClientId, DocumentId, EventJson, Notification, NotificationState, Status, Target, Timestamp, Vendor, VendorId,
};
use crate::store::{Attempt, QueueKey, StoreError};
use crate::vendor::{self, Telling};

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
    /// Asks an endpoint to bring a nonce back. When it does, the notification is active, and what has waited for that is
    /// due. The error is one clause that says what went wrong.
    pub async fn handshake(
        &self,
        client: &ClientId,
        notification: &Notification,
        now: Timestamp,
    ) -> Result<(), String> {
        let nonce = fresh_secret().map_err(|e| e.to_string())?;
        let secrets = notification.signing_secrets(now);
        let request =
            vendor::challenge(&notification.endpoint, nonce.expose(), &secrets, now).map_err(|e| e.to_string())?;
        let lane = QueueKey { client: client.clone(), target: Target::Notification(notification.name.clone()) };
        let exchange = self.call(&lane, request).await;
        match (exchange.status, exchange.failure) {
            (Some(200..=299), _) if vendor::passes(nonce.expose(), &exchange.answer) => {}
            (Some(200..=299), _) => return Err("the answer to type=verify does not bring the nonce back".to_owned()),
            (Some(status), _) => return Err(format!("type=verify was answered {status}")),
            (None, Some(failure)) => return Err(failure.to_string()),
            (None, None) => return Err("there was no answer".to_owned()),
        }
        match self.store.registry.set_notification_state(client, notification, NotificationState::Active).await {
            Err(StoreError::Conflict(_)) => return Err("the notification was changed meanwhile".to_owned()),
            marked => marked.map_err(|e| e.to_string())?,
        }
        tracing::info!(%client, notification = %notification.name, "an endpoint has passed the handshake");
        match self.reset(&lane, now).await {
            Ok(()) | Err(StoreError::NotFound(_)) => {}
            // They are due in their own time, all the same.
            Err(error) => tracing::warn!(%error, "deliveries that have waited could not be hurried"),
        }
        Ok(())
    }

    /// Sends a test event of a completed document to a notification, once. Nothing is stored. A failed attempt is not an
    /// error: it is returned.
    ///
    /// # Errors
    /// [`TestError`] if nothing was sent.
    pub async fn send_test(
        &self,
        client: &ClientId,
        notification: Arc<Notification>,
        now: Timestamp,
    ) -> Result<Attempt, TestError> {
        let lane = QueueKey { client: client.clone(), target: Target::Notification(notification.name.clone()) };
        let receiver = Receiver::Notification(notification);
        if let Some(notification) = receiver.unverified() {
            self.handshake(client, notification, now).await.map_err(TestError::Unverified)?;
        }
        let unsupported = |why: &str| TestError::Unsupported(why.to_owned());
        let telling = test_event(&receiver, now).ok_or_else(|| unsupported("the test event cannot be encoded"))?;
        let mut request =
            vendor::tell(receiver.format(), &telling, None, receiver.endpoint(), &receiver.secrets(now), now)
                .map_err(|e| unsupported(&e.to_string()))?;
        request.headers.extend(receiver.credential());
        let exchange = self.call(&lane, request).await;
        let reason = reason(&exchange);
        let HttpExchange { took, status, answer, .. } = exchange;
        Ok(Attempt { time: now, duration: took, status, response_body: answer, error: reason })
    }
}

fn test_event(receiver: &Receiver, now: Timestamp) -> Option<Telling> {
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
    let retold = vendor::retell(&draft.encode(), format!("msg_test_{}", id.simple()), receiver.name());
    retold.map(|(_, telling)| telling)
}
