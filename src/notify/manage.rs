//! Adding and changing notifications: the same checks whether they come by the management API or by the command line.

use serde::Deserialize;

use super::Notify;
use crate::clock::Timestamp;
use crate::event::ClientId;
use crate::hook::Secret;
use crate::notification::{Format, Notification};
use crate::store::StoreError;

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

impl Notify {
    /// Checks a new notification and stores it; PPJ's handshake is tried at once, and its failure leaves it unverified.
    pub async fn add(
        &self,
        client: &ClientId,
        _new: NewNotification,
        _now: Timestamp,
    ) -> Result<Notification, NotificationRefusal> {
        Err(StoreError::NotFound("client"))?;
        self.store.registry.notifications(client);
        Err(StoreError::NotFound("client"))?
    }
}
