//! Notifications: the outbound addresses of a client, with their formats and signing secrets. Plain data; `vendor`
//! renders the formats, `delivery` sends them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::client::Secret;
use super::document::{Status, Vendor};
use super::time::{Timestamp, millis};

/// Maximum number of notifications of a client (Baidu's limit).
pub const NOTIFICATIONS_PER_CLIENT: usize = 5;

/// A notification's name: a lower-case letter, then lower-case letters, digits and underscores, 40 characters at most.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NotificationName(Arc<str>);

/// The text is not a notification name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 40 lower-case letters, digits or underscores, and begin with a letter")]
pub struct InvalidName;

impl NotificationName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NotificationName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let begins = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let fits = text.len() <= 40 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if begins && fits { Ok(Self(text.into())) } else { Err(InvalidName) }
    }
}

impl TryFrom<String> for NotificationName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<NotificationName> for String {
    fn from(name: NotificationName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for NotificationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NotificationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// The format of an outgoing webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Baidu's envelope; final statuses only.
    #[default]
    Baidu,
    /// PPJ's GET; final statuses only, and only to an endpoint that has passed the handshake.
    Ppj,
    /// zOffice's callback.
    Zoffice,
    /// The event JSON of the stream.
    Gini,
    /// Standard Webhooks.
    Standard,
}

impl Format {
    /// Every format, in the order of the contract.
    pub const ALL: [Format; 5] = [Format::Baidu, Format::Ppj, Format::Zoffice, Format::Gini, Format::Standard];

    /// The vendor that defined the format.
    pub fn vendor(self) -> Vendor {
        match self {
            Format::Baidu => Vendor::Baidu,
            Format::Ppj => Vendor::Ppj,
            Format::Zoffice => Vendor::Zoffice,
            Format::Gini => Vendor::Gini,
            Format::Standard => Vendor::Standard,
        }
    }

    /// The name used in JSON, flags and metrics.
    pub fn as_str(self) -> &'static str {
        self.vendor().as_str()
    }

    /// Whether the format can express this status.
    pub fn supports(self, status: Status) -> bool {
        status != Status::Pending || !matches!(self, Format::Baidu | Format::Ppj)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Format::ALL
            .into_iter()
            .find(|f| f.as_str() == text)
            .ok_or_else(|| format!("must be one of {}", Format::ALL.map(Format::as_str).join(", ")))
    }
}

/// zOffice's `tokenType` and `tokenValue`: a header value that the receiver chose, sent verbatim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Credential {
    /// The whole `Cookie` header.
    Cookie(Secret),
    /// The whole `Authorization` header.
    Header(Secret),
}

/// Whether deliveries are sent to a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotificationState {
    /// The PPJ handshake has not succeeded yet; it is attempted before the first delivery.
    Unverified,
    Active,
    /// The endpoint responded 410; nothing is sent until the owner changes or verifies it.
    Disabled,
}

impl NotificationState {
    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            NotificationState::Unverified => "unverified",
            NotificationState::Active => "active",
            NotificationState::Disabled => "disabled",
        }
    }
}

/// One outbound address of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Distinguishes it from an earlier notification of the same name.
    pub id: String,
    pub name: NotificationName,
    /// An absolute `http` or `https` address, checked by [`check_endpoint`](super::check_endpoint).
    pub endpoint: String,
    pub format: Format,
    /// Whether it receives the events of documents that name no notification.
    pub is_default: bool,
    /// Signing secrets: none, one, or two if the format carries two signatures.
    pub secrets: Vec<Secret>,
    /// The previous secret: until its end, requests carry its signature as well.
    pub previous: Option<RetiredSecret>,
    /// Sent with every request.
    pub credential: Option<Credential>,
    pub state: NotificationState,
    #[serde(with = "millis")]
    pub created: Timestamp,
}

/// A replaced secret with the end of its use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetiredSecret {
    pub secret: Secret,
    #[serde(with = "millis")]
    pub until: Timestamp,
}

impl Notification {
    /// The secrets that sign at this time, newest first.
    pub fn signing_secrets(&self, now: Timestamp) -> Vec<Secret> {
        let previous = self.previous.iter().filter(|p| now < p.until).map(|p| p.secret.clone());
        self.secrets.iter().cloned().chain(previous).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notification_name_follows_the_rule_of_baidu() {
        for good in ["a", "doc_notification", "a0_", &"a".repeat(40)] {
            assert!(good.parse::<NotificationName>().is_ok(), "{good}");
        }
        for bad in ["", "A", "_a", "0a", "a-b", "a b", "ä", "a\n", &"a".repeat(41)] {
            assert!(bad.parse::<NotificationName>().is_err(), "{bad}");
        }
    }
}
