//! The use cases of whoever owns notifications: add, change and remove them, say where a document's events go, and
//! send again what has failed. What a notification may hold is `draft`'s business, what is sent is the engine's.

use std::sync::Arc;

use serde::Deserialize;

use super::commands::SchedulerCommand;
use super::{DeliveryHandle, draft};
use crate::domain::{
    ClientId, Format, Notification, NotificationName, NotificationState, Route, Secret, Target, Timestamp,
};
use crate::store::{Delivery, QueueKey, StoreError};

/// How often a change is tried when others change the same notification at the same time.
const CHANGES: usize = 20;

/// One secret, or two where the format can carry two signatures.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Secrets {
    /// The secret.
    One(Secret),
    /// All of them, the newest first.
    Many(Vec<Secret>),
}

/// What a client says of a notification it wants: the body of `POST /v2/notification`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewNotification {
    /// Its name, not looked at yet.
    pub name: String,
    /// Where it goes, not looked at yet.
    pub endpoint: String,
    /// In whose words; Baidu's unless said.
    pub format: Option<Format>,
    /// Whether it takes what names no other.
    pub is_default: Option<bool>,
    /// What it is signed with.
    pub secret: Option<Secrets>,
    /// `cookie`, `header` or empty.
    pub token_type: Option<String>,
    /// What is sent as that header.
    pub token_value: Option<Secret>,
}

/// What a client wants to be different about a notification: the body of `PUT /v2/notification/{name}`. What is left out
/// stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotificationChange {
    /// Where it goes.
    pub endpoint: Option<String>,
    /// In whose words.
    pub format: Option<Format>,
    /// Whether it takes what names no other.
    pub is_default: Option<bool>,
    /// What it is signed with from now on; the one before signs for 24 hours more where the format can carry two.
    pub secret: Option<Secrets>,
    /// `cookie`, `header` or empty.
    pub token_type: Option<String>,
    /// What is sent as that header.
    pub token_value: Option<Secret>,
}

/// Where else the events of one document go: `callback` of `POST /documents`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCallback {
    /// Where, not looked at yet.
    pub url: String,
    /// In whose words; Baidu's unless said.
    pub format: Option<Format>,
    /// `cookie`, `header` or empty.
    pub token_type: Option<String>,
    /// What is sent as that header.
    pub token_value: Option<Secret>,
}

/// Why a notification was not added, changed, verified or removed.
#[derive(Debug, thiserror::Error)]
pub enum NotificationRefusal {
    /// A field makes no sense.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which, in the wire's words.
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

impl DeliveryHandle {
    /// A client's notifications, oldest first.
    pub fn notifications(&self, client: &ClientId) -> Vec<Arc<Notification>> {
        self.store.registry.notifications(client)
    }

    /// One of them.
    pub fn notification(&self, client: &ClientId, name: &NotificationName) -> Result<Arc<Notification>, StoreError> {
        let found = self.notifications(client).into_iter().find(|n| n.name == *name);
        found.ok_or(StoreError::NotFound("notification"))
    }

    /// Checks a new notification and stores it; PPJ's handshake is tried at once, and its failure leaves it unverified.
    pub async fn add(
        &self,
        client: &ClientId,
        new: NewNotification,
        now: Timestamp,
    ) -> Result<Notification, NotificationRefusal> {
        let notification = draft::fresh(new, now)?;
        self.admit(&notification.endpoint, "endpoint").await?;
        self.store.registry.add_notification(client, notification.clone()).await?;
        Ok(self.tried(client, notification, now).await)
    }

    /// Changes a notification under the same checks; what is left out stays as it is. One that was disabled is called
    /// again, and what waits for it is tried now: its owner has touched it for a reason.
    pub async fn change(
        &self,
        client: &ClientId,
        name: &NotificationName,
        change: NotificationChange,
        now: Timestamp,
    ) -> Result<Notification, NotificationRefusal> {
        // Two changes at the same time are made one after the other: whoever comes second looks again.
        for _ in 0..CHANGES {
            let known = self.notification(client, name)?;
            let notification = draft::changed(&known, change.clone(), now)?;
            if notification.endpoint != known.endpoint {
                self.admit(&notification.endpoint, "endpoint").await?;
            }
            match self.store.registry.update_notification(client, &known, notification.clone()).await {
                Err(StoreError::Conflict(_)) => {}
                outcome => {
                    outcome?;
                    self.anew(client, name, now).await?;
                    return Ok(self.tried(client, notification, now).await);
                }
            }
        }
        Err(StoreError::Unavailable("the notification is being changed by others all the time".to_owned()).into())
    }

    /// Removes a notification. What is pending for it is dead, and what is on its way to it is broken off.
    pub async fn remove(&self, client: &ClientId, name: &NotificationName) -> Result<(), StoreError> {
        self.store.registry.remove_notification(client, name.as_str()).await?;
        self.cancel_queue(client, name).await;
        Ok(())
    }

    /// PPJ's handshake, again; of any other format, the end of being disabled. The notification as it is afterwards.
    pub async fn verify(
        &self,
        client: &ClientId,
        name: &NotificationName,
        now: Timestamp,
    ) -> Result<Notification, NotificationRefusal> {
        let known = self.notification(client, name)?;
        if known.format == Format::Ppj {
            self.handshake(client, &known, now).await.map_err(NotificationRefusal::Unverified)?;
        } else if known.state != NotificationState::Active {
            self.store.registry.set_notification_state(client, &known, NotificationState::Active).await?;
            self.anew(client, name, now).await?;
        }
        Ok(self.notification(client, name)?.as_ref().clone())
    }

    /// Sends everything again that has failed for good at `since` or later; how much that is.
    pub async fn recover(
        &self,
        client: &ClientId,
        name: &NotificationName,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<u64, NotificationRefusal> {
        self.enabled(client, name)?;
        let lane = QueueKey { client: client.clone(), target: Target::Notification(name.clone()) };
        self.commands.send(SchedulerCommand::Reset(lane)).await;
        Ok(self.store.outbox.retry_failed(client, name, since, now).await?)
    }

    /// Sends one delivery again, whatever became of it; the delivery as it is then. One to a notification that is gone
    /// has nowhere to go.
    pub async fn retry(&self, client: &ClientId, id: u64, now: Timestamp) -> Result<Delivery, StoreError> {
        const UNKNOWN: StoreError = StoreError::NotFound("delivery");
        let known = self.store.outbox.delivery(client, id).await?.ok_or(UNKNOWN)?;
        if let Target::Notification(name) = &known.target {
            self.notification(client, name)?;
        }
        let lane = QueueKey { client: client.clone(), target: known.target.clone() };
        self.commands.send(SchedulerCommand::RetryNow(lane, id)).await;
        self.store.outbox.retry(client, id, now).await?;
        self.store.outbox.delivery(client, id).await?.ok_or(UNKNOWN)
    }

    /// Where a document's events go, as its application says it; `None` when it says nothing.
    pub async fn route(
        &self,
        client: &ClientId,
        notification: Option<&str>,
        callback: Option<NewCallback>,
    ) -> Result<Option<Route>, NotificationRefusal> {
        let named = notification.map(|name| self.named(client, name)).transpose()?;
        let callback = callback.map(draft::callback).transpose()?;
        if let Some(callback) = &callback {
            self.admit(&callback.url, "callback.url").await?;
        }
        Ok((named.is_some() || callback.is_some()).then_some(Route { notification: named, callback }))
    }

    fn named(&self, client: &ClientId, name: &str) -> Result<NotificationName, NotificationRefusal> {
        let found = self.notifications(client).into_iter().find(|n| n.name.as_str() == name);
        found.map(|n| n.name.clone()).ok_or_else(|| NotificationRefusal::Invalid {
            field: "notification",
            reason: format!("there is none called {name:?}: add it first"),
        })
    }

    async fn admit(&self, endpoint: &str, field: &'static str) -> Result<(), NotificationRefusal> {
        let checked = self.http_client.check(endpoint).await;
        checked.map_err(|forbidden| NotificationRefusal::Invalid { field, reason: forbidden.0 })
    }

    /// Tries the handshake where one is needed; the notification as it is afterwards. A failure is no refusal: what is
    /// stored stays, and is tried again before anything is sent.
    async fn tried(&self, client: &ClientId, notification: Notification, now: Timestamp) -> Notification {
        if notification.state != NotificationState::Unverified {
            return notification;
        }
        match self.handshake(client, &notification, now).await {
            Ok(()) => self.notification(client, &notification.name).map_or(notification, |n| n.as_ref().clone()),
            Err(reason) => {
                let name = &notification.name;
                tracing::info!(%client, %name, reason, "a notification has not passed the handshake yet");
                notification
            }
        }
    }

    /// The notification, unless it is disabled: what is sent to it would only die again.
    fn enabled(&self, client: &ClientId, name: &NotificationName) -> Result<(), NotificationRefusal> {
        let reason = "the notification is disabled: change or verify it first";
        match self.notification(client, name)?.state {
            NotificationState::Disabled => {
                Err(NotificationRefusal::Invalid { field: "name", reason: reason.to_owned() })
            }
            NotificationState::Active | NotificationState::Unverified => Ok(()),
        }
    }

    /// Its owner has touched it for a reason: what is known of the endpoint counts no more, and what waits is due now.
    pub(super) async fn anew(
        &self,
        client: &ClientId,
        name: &NotificationName,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let lane = QueueKey { client: client.clone(), target: Target::Notification(name.clone()) };
        self.commands.send(SchedulerCommand::Reset(lane.clone())).await;
        self.store.outbox.make_due(&lane, now).await
    }
}
