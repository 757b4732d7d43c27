//! How the calls of a hook are verified. Plain data; `vendor` checks signatures and credentials.

use serde::{Deserialize, Serialize};

use super::secret::Secret;

/// How the calls of a hook are verified: the `verify` object of `POST /hooks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Verify {
    /// No verification beyond the key in the address.
    None {},
    /// PPJ's signatures, editions A and B.
    Ppj {
        /// The application secret of PPJ's console.
        secret: Secret,
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
