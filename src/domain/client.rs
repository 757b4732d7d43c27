//! Clients, the applications that own documents, hooks and notifications, and the secret values of clients, hooks
//! and notifications.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::document::InvalidId;
use super::time::Timestamp;

/// The id of a client: 1 to 64 characters of `A-Za-z0-9._-`, the first a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(Arc<str>);

impl ClientId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let good = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            && text.as_bytes()[0].is_ascii_alphanumeric();
        if good {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId("a client id is 1 to 64 characters of A-Z a-z 0-9 . _ - and begins with a letter or digit"))
        }
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ClientId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for ClientId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// One client for its whole life: an id together with the time of creation, which distinguishes the client from earlier
/// and later ones of the same id. Requests and tokens refer to a client by this
/// value, so that those of a removed client have no effect on its successor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRef {
    pub id: ClientId,
    pub created: Timestamp,
}

impl fmt::Display for ClientRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// An application that owns documents, hooks and notifications.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Client {
    pub id: ClientId,
    /// Distinguishes the client from earlier ones of the same id.
    pub created: Timestamp,
    pub secret: Secret,
    /// The secret before the last rotation, and the end of its validity.
    pub previous: Option<(Secret, Timestamp)>,
}

impl Client {
    pub fn reference(&self) -> ClientRef {
        ClientRef { id: self.id.clone(), created: self.created }
    }
}

/// A value that must not reach a log, an error or a response: `Debug` prints `[secret]`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(Arc<str>);

impl Secret {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The secret in the clear. Only code that signs, compares or seals it calls this.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_id_with_control_character_is_refused() {
        assert!("a\nb".parse::<ClientId>().is_err());
        assert!("a-1.b_c".parse::<ClientId>().is_ok());
    }
}
