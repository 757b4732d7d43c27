//! Deliveries: the target of a delivery, the queue it belongs to, and its state after an attempt.

use std::sync::Arc;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use super::client::ClientId;
use super::destinations::Callback;
use super::notification::{InvalidName, NotificationName};
use super::time::Timestamp;

/// The target of a delivery: a notification, or one callback address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// A notification.
    Notification(NotificationName),
    /// The callbacks to one address.
    Callback {
        /// Scheme, host and port, as in `https://app.example.com`.
        origin: Arc<str>,
        /// The first 64 bits of the SHA-256 of the whole address: the path may hold a secret, and this is stored in the
        /// clear.
        digest: u64,
    },
}

impl Target {
    /// The text form: the notification's name, or `@origin#digest`. No name begins with `@`.
    pub fn key(&self) -> String {
        match self {
            Target::Notification(name) => name.as_str().to_owned(),
            Target::Callback { origin, digest } => format!("@{origin}#{digest:016x}"),
        }
    }

    /// Parses [`Target::key`].
    pub fn from_key(key: &str) -> Result<Self, InvalidName> {
        match key.strip_prefix('@') {
            Some(key) => {
                let (origin, digest) = key.split_once('#').ok_or(InvalidName)?;
                let digest = u64::from_str_radix(digest, 16).map_err(|_| InvalidName)?;
                Ok(Target::Callback { origin: origin.into(), digest })
            }
            None => key.parse().map(Target::Notification),
        }
    }

    /// The target of the queue that holds the deliveries to this target.
    pub fn queue_target(&self) -> QueueTarget {
        match self {
            Target::Notification(name) => QueueTarget::Notification(name.clone()),
            Target::Callback { origin, .. } => QueueTarget::Origin(origin.clone()),
        }
    }

    /// The target of a callback; `None` if its address is not absolute.
    pub fn of(callback: &Callback) -> Option<Self> {
        let url = url::Url::parse(&callback.url).ok()?;
        url.host()?;
        let digest = digest::digest(&digest::SHA256, callback.url.as_bytes());
        let digest = digest.as_ref().first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        Some(Target::Callback { origin: url.origin().ascii_serialization().into(), digest })
    }
}

/// The target of a delivery queue. Callback addresses usually hold a document's id in path or query, so all of them at
/// one origin are one target: one queue, one circuit breaker.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum QueueTarget {
    /// A notification.
    Notification(NotificationName),
    /// Callbacks to one origin: scheme, host and port.
    Origin(Arc<str>),
}

impl QueueTarget {
    /// The text form: the notification's name, or `@origin`. No name begins with `@`.
    pub fn key(&self) -> String {
        match self {
            QueueTarget::Notification(name) => name.as_str().to_owned(),
            QueueTarget::Origin(origin) => format!("@{origin}"),
        }
    }

    /// Parses [`QueueTarget::key`].
    pub fn from_key(key: &str) -> Result<Self, InvalidName> {
        match key.strip_prefix('@') {
            Some("") => Err(InvalidName),
            Some(origin) => Ok(QueueTarget::Origin(origin.into())),
            None => key.parse().map(QueueTarget::Notification),
        }
    }
}

impl TryFrom<String> for QueueTarget {
    type Error = InvalidName;

    fn try_from(key: String) -> Result<Self, InvalidName> {
        Self::from_key(&key)
    }
}

impl From<QueueTarget> for String {
    fn from(target: QueueTarget) -> Self {
        target.key()
    }
}

/// Names a delivery queue: the deliveries of one client to one target. A slow endpoint delays its own queue only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct QueueKey {
    /// The owner of the deliveries.
    pub client: ClientId,
    /// Their target.
    pub target: QueueTarget,
}

/// The state of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Disposition {
    /// The endpoint accepted it.
    Delivered,
    /// The attempt failed; the next one is due at this time.
    Retry(Timestamp),
    /// The attempt failed and no further one is made.
    Dead,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Format;

    #[test]
    fn target_survives_a_round_trip_through_its_key() {
        let callback = |url: &str| Callback { url: url.into(), format: Format::Gini, credential: None };
        let named = Target::Notification("main".parse().expect("good"));
        let origin = Target::of(&callback("https://App.example.com:8443/x?y=1")).expect("absolute");
        assert!(origin.key().starts_with("@https://app.example.com:8443#"), "{}", origin.key());
        assert_ne!(Target::of(&callback("https://app.example.com:8443/x?y=2")), Some(origin.clone()));
        for target in [named.clone(), origin.clone()] {
            assert_eq!(Target::from_key(&target.key()), Ok(target));
        }
        let second = Target::of(&callback("https://app.example.com:8443/x?y=2")).expect("absolute");
        assert_eq!(second.queue_target(), origin.queue_target(), "addresses of one origin share a queue");
        for target in [named.queue_target(), second.queue_target()] {
            assert_eq!(QueueTarget::from_key(&target.key()), Ok(target));
        }
        assert_eq!(Target::of(&callback("/x")), None);
        assert_eq!(Target::of(&callback("mailto:a@b")), None);
    }
}
