//! Who receives a delivery, as things stand at the moment of the attempt: a notification or a document's callback.

use std::sync::Arc;

use super::DeliveryHandle;
use crate::domain::{Callback, Credential, Format, Notification, NotificationState, Secret, Target, Timestamp};
use crate::store::{DueDelivery, QueueKey};

/// The receiver of one delivery.
#[derive(Debug)]
pub(super) enum Receiver {
    /// A notification.
    Notification(Arc<Notification>),
    /// A document's callback.
    Callback(Callback),
}

/// Why there is nobody to send it to.
#[derive(Debug)]
pub(super) enum Gone {
    /// The client or the notification was removed, and the delivery with it.
    Receiver,
    /// The delivery is still there, and is not to be sent.
    Settings(&'static str),
}

impl DeliveryHandle {
    /// Looks up who receives this.
    pub(super) fn receiver(&self, lane: &QueueKey, due: &DueDelivery) -> Result<Receiver, Gone> {
        let registry = &self.store.registry;
        match &lane.target {
            Target::Notification(name) => {
                let all = registry.notifications(&lane.client);
                let known = all.into_iter().find(|n| n.name == *name && *n.id == *due.receiver);
                let notification = known.ok_or(Gone::Receiver)?;
                if notification.state == NotificationState::Disabled {
                    return Err(Gone::Settings("the notification is disabled: change or verify it, then recover"));
                }
                Ok(Receiver::Notification(notification))
            }
            Target::Callback { .. } => {
                let created = registry.client(&lane.client).map(|client| client.created.millis().to_string());
                if created.as_deref() != Some(&*due.receiver) {
                    return Err(Gone::Receiver);
                }
                match &due.callback {
                    // Announced anew with another address: what was queued for the old one is not for the new one's eyes.
                    Some(callback) if Target::of(callback).as_ref() == Some(&lane.target) => {
                        Ok(Receiver::Callback(callback.clone()))
                    }
                    Some(_) | None => Err(Gone::Settings("the document has another callback now")),
                }
            }
        }
    }
}

impl DeliveryHandle {
    /// Whether the lane's endpoint has yet to pass PPJ's handshake: then one attempt at a time is enough to find out.
    pub(super) fn is_unverified(&self, lane: &QueueKey) -> bool {
        let Target::Notification(name) = &lane.target else { return false };
        let all = self.store.registry.notifications(&lane.client);
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

    /// The notification, when nothing may be sent before it has passed PPJ's handshake.
    pub(super) fn unverified(&self) -> Option<&Notification> {
        self.notification().filter(|n| n.format == Format::Ppj && n.state == NotificationState::Unverified)
    }

    /// What Baidu's format calls the notification; nothing for a callback.
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

    /// The header that the receiver recognises.
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
