//! Notifications: add, change, remove, verify, test, retry what has failed; and where the events of a document go. The
//! fields and their rules are in `validation`; `delivery` sends.

mod validation;

use std::sync::Arc;

use super::{ChangeAttempt, change_item};
use crate::delivery::{DeliveryHandle, TestError};
use crate::domain::{
    ClientRef, Destinations, Format, Notification, NotificationName, NotificationState, QueueKey, QueueTarget,
    Timestamp,
};
use crate::store::{Attempt, Registry, StoreError};

pub use validation::{NewCallback, NewNotification, NotificationChange, Secrets};

/// Why a notification was not added, changed, verified or removed.
#[derive(Debug, thiserror::Error)]
pub enum NotificationError {
    /// A field is invalid.
    #[error("{field}: {reason}")]
    Invalid {
        /// Its name in JSON.
        field: &'static str,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The endpoint did not pass PPJ's handshake.
    #[error("{0}")]
    Unverified(String),
    /// The store refused: [`StoreError::Conflict`] for a name that is taken, [`StoreError::TooMany`],
    /// [`StoreError::NotFound`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The use cases of notifications.
#[derive(Clone)]
pub struct Notifications {
    registry: Arc<dyn Registry>,
    delivery: DeliveryHandle,
}

impl Notifications {
    /// `delivery` sends handshakes and test events, and is informed of each change.
    pub fn new(registry: Arc<dyn Registry>, delivery: DeliveryHandle) -> Self {
        Self { registry, delivery }
    }

    /// A client's notifications, oldest first.
    pub fn list(&self, client: &ClientRef) -> Vec<Arc<Notification>> {
        self.registry.notifications(client)
    }

    /// One notification.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the client has no notification of this name.
    pub fn get(&self, client: &ClientRef, name: &NotificationName) -> Result<Arc<Notification>, StoreError> {
        self.list(client).into_iter().find(|n| n.name == *name).ok_or(StoreError::NotFound("notification"))
    }

    /// Validates a new notification and stores it. For the format `ppj` the handshake is sent at once; if it fails, the
    /// notification stays unverified.
    ///
    /// # Errors
    /// [`NotificationError::Invalid`]; [`StoreError::Conflict`] if the name is taken, [`StoreError::TooMany`] at the
    /// limit.
    pub async fn add(
        &self,
        client: &ClientRef,
        new: NewNotification,
        now: Timestamp,
    ) -> Result<Notification, NotificationError> {
        let notification = validation::validate_new(new, now)?;
        self.check_endpoint(client, &notification.endpoint, "endpoint").await?;
        self.registry.add_notification(client, notification.clone()).await?;
        Ok(self.verify_if_needed(client, notification, now).await)
    }

    /// Changes the given fields of a notification. A disabled one becomes active, and its pending deliveries become
    /// due.
    ///
    /// # Errors
    /// [`NotificationError::Invalid`]; [`StoreError::NotFound`] if the client has no notification of this name.
    pub async fn change(
        &self,
        client: &ClientRef,
        name: &NotificationName,
        change: NotificationChange,
        now: Timestamp,
    ) -> Result<Notification, NotificationError> {
        let changed = change_item("notification", || async {
            let known = self.get(client, name)?;
            let notification = validation::apply_change(&known, change.clone(), now)?;
            if notification.endpoint != known.endpoint {
                self.check_endpoint(client, &notification.endpoint, "endpoint").await?;
            }
            let outcome = self.registry.update_notification(client, &known, notification.clone()).await;
            Ok::<_, NotificationError>(ChangeAttempt::new(outcome, notification)?)
        });
        let notification = changed.await?;
        self.delivery.reset(&queue(client, name), now).await?;
        Ok(self.verify_if_needed(client, notification, now).await)
    }

    /// Removes a notification. Its pending deliveries become dead, and its attempts in flight are cancelled.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the client has no notification of this name.
    pub async fn remove(&self, client: &ClientRef, name: &NotificationName) -> Result<(), StoreError> {
        self.registry.remove_notification(client, name.as_str()).await?;
        self.delivery.cancel_queue(&client.id, name).await;
        Ok(())
    }

    /// Sends PPJ's handshake; a disabled notification of another format becomes active. Returns the notification as it
    /// is then.
    ///
    /// # Errors
    /// [`NotificationError::Unverified`] if the handshake fails; [`StoreError::NotFound`].
    pub async fn verify(
        &self,
        client: &ClientRef,
        name: &NotificationName,
        now: Timestamp,
    ) -> Result<Notification, NotificationError> {
        let known = self.get(client, name)?;
        if known.format == Format::Ppj {
            self.delivery.handshake(client, &known, now).await.map_err(NotificationError::Unverified)?;
        } else if known.state != NotificationState::Active {
            self.registry.set_notification_state(client, &known, NotificationState::Active).await?;
            self.delivery.reset(&queue(client, name), now).await?;
        }
        Ok(self.get(client, name)?.as_ref().clone())
    }

    /// Makes all deliveries to a notification pending that failed for good at `since` or later; returns how many.
    ///
    /// # Errors
    /// [`NotificationError::Invalid`] if the notification is disabled; [`StoreError::NotFound`].
    pub async fn retry_failed(
        &self,
        client: &ClientRef,
        name: &NotificationName,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<u64, NotificationError> {
        if self.get(client, name)?.state == NotificationState::Disabled {
            // Its deliveries would fail again at once.
            return Err(validation::invalid("name", "the notification is disabled: change or verify it first"));
        }
        Ok(self.delivery.retry_failed(client, name, since, now).await?)
    }

    /// Sends a test event now, once. A failed attempt is not an error: it is returned.
    ///
    /// # Errors
    /// [`NotificationError::Unverified`] if the handshake fails; [`StoreError::NotFound`].
    pub async fn test(
        &self,
        client: &ClientRef,
        name: &NotificationName,
        now: Timestamp,
    ) -> Result<Attempt, NotificationError> {
        let notification = self.get(client, name)?;
        self.delivery.send_test(client, notification, now).await.map_err(|error| match error {
            TestError::Unverified(reason) => NotificationError::Unverified(reason),
            TestError::Unsupported(reason) => validation::invalid("endpoint", reason),
        })
    }

    /// Where a document's events go, as its application asked for; `None` if it asked for nothing.
    ///
    /// # Errors
    /// [`NotificationError::Invalid`] if the notification does not exist or the callback is not allowed.
    pub async fn destinations(
        &self,
        client: &ClientRef,
        notification: Option<&str>,
        callback: Option<NewCallback>,
    ) -> Result<Option<Destinations>, NotificationError> {
        let named = notification.map(|name| self.resolve(client, name)).transpose()?;
        let callback = callback.map(validation::validate_callback).transpose()?;
        if let Some(callback) = &callback {
            self.check_endpoint(client, &callback.url, "callback.url").await?;
        }
        Ok((named.is_some() || callback.is_some()).then_some(Destinations { notification: named, callback }))
    }

    /// Whether the client has a notification of this name.
    pub(super) fn exists(&self, client: &ClientRef, name: &str) -> bool {
        self.list(client).iter().any(|n| n.name.as_str() == name)
    }

    fn resolve(&self, client: &ClientRef, name: &str) -> Result<NotificationName, NotificationError> {
        let found = self.list(client).into_iter().find(|n| n.name.as_str() == name);
        found
            .map(|n| n.name.clone())
            .ok_or_else(|| validation::invalid("notification", format!("there is none called {name:?}: add it first")))
    }

    async fn check_endpoint(
        &self,
        client: &ClientRef,
        endpoint: &str,
        field: &'static str,
    ) -> Result<(), NotificationError> {
        let checked = self.delivery.check_endpoint(&client.id, endpoint).await;
        checked.map_err(|forbidden| validation::invalid(field, forbidden.0))
    }

    /// Sends the handshake if the notification needs one. Returns the notification as it is then. A failure is not an
    /// error: the handshake is repeated before the first delivery.
    async fn verify_if_needed(&self, client: &ClientRef, notification: Notification, now: Timestamp) -> Notification {
        if notification.state != NotificationState::Unverified {
            return notification;
        }
        match self.delivery.handshake(client, &notification, now).await {
            Ok(()) => self.get(client, &notification.name).map_or(notification, |n| n.as_ref().clone()),
            Err(reason) => {
                tracing::info!(%client, notification = %notification.name, reason, "notification handshake failed");
                notification
            }
        }
    }
}

fn queue(client: &ClientRef, name: &NotificationName) -> QueueKey {
    QueueKey { client: client.id.clone(), target: QueueTarget::Notification(name.clone()) }
}
