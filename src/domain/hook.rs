//! Hooks: the inbound addresses of a client, the verification and mapping of their webhooks. Plain data; `vendor`
//! checks signatures and credentials.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::client::Secret;
use super::document::{Status, Vendor};
use super::time::{Timestamp, millis};

/// How the webhooks of a hook are verified: the `verify` object of `POST /hooks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Verify {
    /// No verification beyond the key in the address.
    None {},
    /// PPJ's signatures, editions A and B.
    Ppj {
        /// The application secret of PPJ's console.
        secret: Secret,
        /// What must be signed. `None` accepts both handshakes and signed notifications only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<PpjEdition>,
    },
    /// `notification-auth-*` of Baidu's sibling products.
    Baidu {
        /// The shared token.
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
        /// The text before the signature in that header, such as `sha256=`.
        #[serde(default)]
        prefix: String,
        /// The encoding of the signature.
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

/// The editions of PPJ's format that have a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PpjEdition {
    /// Only the handshake is signed, in its query.
    #[serde(alias = "a")]
    A,
    /// Every request is signed, in headers.
    #[serde(alias = "b")]
    B,
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

/// The encoding of a signature in a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Hexadecimal, in any case.
    #[default]
    Hex,
    /// Standard base64 with padding.
    Base64,
}

/// How a `generic` hook reads a body: JSON Pointers (RFC 6901) into the vendor's JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mapping {
    /// The vendor's identifier: a string or a number.
    pub vendor_id: String,
    /// The status: a string, number or boolean, looked up in `statuses` by its text.
    pub status: String,
    /// The vendor's status texts and their [`Status`].
    pub statuses: BTreeMap<String, Status>,
    /// The title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The object that becomes `result`; without a pointer the whole body does.
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
    /// The message id, which identifies duplicates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
}

/// One inbound address of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// The id in the management API.
    pub id: String,
    /// The last segment of its address: at least 128 random bits. It is a credential.
    pub key: Secret,
    pub vendor: Vendor,
    pub name: Option<String>,
    /// Copied into every event of this hook.
    pub labels: BTreeMap<String, String>,
    /// Names of request cookies that are copied into the labels (zOffice).
    pub label_cookies: Vec<String>,
    pub verify: Verify,
    /// Only for [`Vendor::Generic`].
    pub mapping: Option<Mapping>,
    /// Stored as milliseconds since the Unix epoch.
    #[serde(with = "millis")]
    pub created: Timestamp,
}
