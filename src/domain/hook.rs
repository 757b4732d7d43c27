//! Hooks and clients as the registry keeps them: who may call in, how callers prove themselves, what is copied into
//! the events. Plain data; how a proof is checked is the dialects' business.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{ClientId, Timestamp, Vendor};

/// A value that must not reach a log, an error or an answer: it prints as `[secret]`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// How a caller of a hook proves itself: the `verify` object of `POST /hooks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Verify {
    /// Not at all: the key in the address is all there is.
    None {},
    /// PPJ's signatures of the editions A and B.
    Ppj {
        /// The application secret of PPJ's console.
        secret: Secret,
    },
    /// `notification-auth-*` of Baidu's sibling products.
    Baidu {
        /// The token both sides know.
        secret: Secret,
    },
    /// The whole `Cookie` header equals this value.
    Cookie {
        /// The expected header value.
        secret: Secret,
    },
    /// The `Authorization` header equals this value.
    Authorization {
        /// The expected header value.
        secret: Secret,
    },
    /// Standard Webhooks.
    Standard {
        /// One `whsec_…`, or two while rotating.
        #[serde(alias = "secret", deserialize_with = "one_or_two")]
        secrets: Vec<Secret>,
    },
    /// HMAC-SHA256 over the body, in a header.
    #[serde(rename = "hmac-sha256")]
    HmacSha256 {
        /// The key, as text.
        secret: Secret,
        /// The header that carries the signature.
        header: String,
        /// What stands before the signature in that header, such as `sha256=`.
        #[serde(default)]
        prefix: String,
        /// How the signature is written.
        #[serde(default)]
        encoding: Encoding,
    },
}

impl Verify {
    /// The `verify.type` of the contract.
    pub fn kind(&self) -> &'static str {
        match self {
            Verify::None {} => "none",
            Verify::Ppj { .. } => "ppj",
            Verify::Baidu { .. } => "baidu",
            Verify::Cookie { .. } => "cookie",
            Verify::Authorization { .. } => "authorization",
            Verify::Standard { .. } => "standard",
            Verify::HmacSha256 { .. } => "hmac-sha256",
        }
    }
}

/// Accepts `"whsec_…"` as well as `["whsec_…", "whsec_…"]`.
fn one_or_two<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<Secret>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(Secret),
        Many(Vec<Secret>),
    }
    Ok(match OneOrMany::deserialize(d)? {
        OneOrMany::One(s) => vec![s],
        OneOrMany::Many(many) => many,
    })
}

/// How a signature is written in a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Hexadecimal, in any case.
    #[default]
    Hex,
    /// Standard base64 with padding.
    Base64,
}

/// Where a `generic` hook finds things: JSON Pointers (RFC 6901) into the vendor's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mapping {
    /// The vendor's identifier: a string or a number.
    pub vendor_id: String,
    /// The state: a string, number or boolean, looked up in `statuses` by its text.
    pub status: String,
    /// From the vendor's words to ours.
    pub statuses: BTreeMap<String, crate::domain::Status>,
    /// The title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// An object that becomes `result`; without it the whole body does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The error's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The error's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// The vendor's time: RFC 3339, or a number of seconds or milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// A key of the message, by which a repeat is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
}

/// What a client says of a hook it wants: the body of `POST /hooks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewHook {
    /// Who will call.
    pub vendor: Vendor,
    /// How callers prove themselves; not at all unless said.
    #[serde(default = "unproven")]
    pub verify: Verify,
    /// The client's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Copied into every event.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Names of inbound cookies that are copied into the labels (zOffice).
    #[serde(default)]
    pub label_cookies: Vec<String>,
    /// Where a `generic` hook finds things.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapping>,
}

/// What a client wants to be different about a hook: the body of `PATCH /hooks/{id}`. What is left out stays as it is,
/// so that a change of the mapping cannot take the verification away.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HookChange {
    /// How callers prove themselves from now on.
    pub verify: Option<Verify>,
    /// The client's own name for it.
    pub name: Option<String>,
    /// All labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// All names of inbound cookies that become labels.
    pub label_cookies: Option<Vec<String>>,
    /// Where a `generic` hook finds things.
    pub mapping: Option<Mapping>,
}

fn unproven() -> Verify {
    Verify::None {}
}

/// One inbound address of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// Its public name in the management API.
    pub id: String,
    /// The last segment of its address: at least 128 random bits. Whoever knows it may call.
    pub key: Secret,
    /// Who calls.
    pub vendor: Vendor,
    /// The client's own name for it.
    pub name: Option<String>,
    /// Copied into every event.
    pub labels: BTreeMap<String, String>,
    /// Names of inbound cookies that are copied into the labels (zOffice).
    pub label_cookies: Vec<String>,
    /// How callers prove themselves.
    pub verify: Verify,
    /// Only for [`Vendor::Generic`].
    pub mapping: Option<Mapping>,
    /// When it was made, in milliseconds since the epoch.
    #[serde(with = "millis")]
    pub created: Timestamp,
}

/// An application that owns hooks, documents and streams.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// Its name.
    pub id: ClientId,
    /// When it was made; tokens issued before are another client's of the same name.
    pub created: Timestamp,
    /// The present secret.
    pub secret: Secret,
    /// The secret before the last rotation, and until when it is still taken.
    pub previous: Option<(Secret, Timestamp)>,
}

pub(crate) mod millis {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::domain::Timestamp;

    pub(crate) fn serialize<S: Serializer>(t: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_i64(t.millis())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        Ok(Timestamp::from_millis(i64::deserialize(d)?))
    }
}
