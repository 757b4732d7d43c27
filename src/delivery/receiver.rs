//! Resolves the receiver of a delivery at the time of the attempt: a notification or a document's callback.

use std::sync::Arc;

use super::DeliveryHandle;
use crate::domain::{
    Callback, ClientRef, Credential, Format, Notification, NotificationState, QueueKey, QueueTarget, Secret, Target,
    Timestamp,
};
use crate::store::DeliveryContent;

#[derive(Debug)]
pub(super) enum Receiver {
    Notification(Arc<Notification>),
    Callback(Callback),
}

#[derive(Debug)]
pub(super) enum ReceiverError {
    /// The client or the notification was removed, and the delivery with it.
    Removed,
    /// The delivery exists, but must not be sent.
    Rejected(&'static str),
}

impl DeliveryHandle {
    /// Resolves the receiver. A successor of the same name is another receiver and does not get the delivery.
    ///
    /// # Errors
    ///
    /// [`ReceiverError`] if the delivery must not be sent.
    pub(super) fn receiver(&self, queue: &QueueKey, content: &DeliveryContent) -> Result<Receiver, ReceiverError> {
        let registry = &self.store.registry;
        match &content.target {
            Target::Notification(name) => {
                let client = self.present_client(queue).ok_or(ReceiverError::Removed)?;
                let all = registry.notifications(&client);
                let known = all.into_iter().find(|n| n.name == *name && *n.id == *content.receiver);
                let notification = known.ok_or(ReceiverError::Removed)?;
                if notification.state == NotificationState::Disabled {
                    return Err(ReceiverError::Rejected(
                        "the notification is disabled: change or verify it, then recover",
                    ));
                }
                Ok(Receiver::Notification(notification))
            }
            Target::Callback { .. } => {
                let created = registry.client(&queue.client).map(|client| client.created.millis().to_string());
                if created.as_deref() != Some(&*content.receiver) {
                    return Err(ReceiverError::Removed);
                }
                match &content.callback {
                    // The document was registered again with another URL: the new one must not get what was queued for
                    // the old one.
                    Some(callback) if Target::of(callback).as_ref() == Some(&content.target) => {
                        Ok(Receiver::Callback(callback.clone()))
                    }
                    Some(_) | None => Err(ReceiverError::Rejected("the document has another callback now")),
                }
            }
        }
    }

    /// The client that has the queue's client id at present. [`DeliveryContent::receiver`] tells whether a delivery is
    /// for it.
    pub(super) fn present_client(&self, queue: &QueueKey) -> Option<ClientRef> {
        self.store.registry.client(&queue.client).map(|client| client.reference())
    }

    /// Whether the queue has a receiver now.
    pub(super) fn is_registered(&self, queue: &QueueKey) -> bool {
        let Some(client) = self.present_client(queue) else { return false };
        match &queue.target {
            QueueTarget::Notification(name) => {
                self.store.registry.notifications(&client).iter().any(|n| n.name == *name)
            }
            QueueTarget::Origin(_) => true,
        }
    }

    /// Whether the queue's endpoint has not passed PPJ's handshake yet.
    pub(super) fn is_unverified(&self, queue: &QueueKey) -> bool {
        let QueueTarget::Notification(name) = &queue.target else { return false };
        let Some(client) = self.present_client(queue) else { return false };
        let all = self.store.registry.notifications(&client);
        all.iter().any(|n| n.name == *name && n.format == Format::Ppj && n.state == NotificationState::Unverified)
    }
}

impl Receiver {
    pub(super) fn notification(&self) -> Option<&Notification> {
        match self {
            Receiver::Notification(notification) => Some(notification),
            Receiver::Callback(_) => None,
        }
    }

    /// The notification, if PPJ's handshake must precede the first delivery.
    pub(super) fn unverified(&self) -> Option<&Notification> {
        self.notification().filter(|n| n.format == Format::Ppj && n.state == NotificationState::Unverified)
    }

    /// The `notification` field of Baidu's format; empty for a callback.
    pub(super) fn name(&self) -> String {
        self.notification().map_or_else(String::new, |n| n.name.to_string())
    }

    pub(super) fn format(&self) -> Format {
        match self {
            Receiver::Notification(notification) => notification.format,
            Receiver::Callback(callback) => callback.format,
        }
    }

    pub(super) fn endpoint(&self) -> &str {
        match self {
            Receiver::Notification(notification) => &notification.endpoint,
            Receiver::Callback(callback) => &callback.url,
        }
    }

    pub(super) fn secrets(&self, now: Timestamp) -> Vec<Secret> {
        self.notification().map(|n| n.signing_secrets(now)).unwrap_or_default()
    }

    /// The `Cookie` or `Authorization` header with the receiver's token.
    pub(super) fn credential(&self) -> Option<(String, String)> {
        let credential = match self {
            Receiver::Notification(notification) => notification.credential.as_ref(),
            Receiver::Callback(callback) => callback.credential.as_ref(),
        };
        credential.map(|credential| match credential {
            Credential::Cookie(value) => ("cookie".to_owned(), value.expose().to_owned()),
            Credential::Header(value) => ("authorization".to_owned(), value.expose().to_owned()),
        })
    }
}
