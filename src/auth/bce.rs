//! Verifies Baidu's request signatures (`bce-auth-v1`). Independent of routes and of where clients are stored.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::hmac;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use crate::domain::{Client, Secret, Timestamp};

/// Percent-encodes everything but the unreserved characters of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same for a path: slashes are not encoded.
const ESCAPED_IN_PATH: &AsciiSet = &ESCAPED.remove(b'/');

/// The signed headers if the authorization names none, in addition to every `x-bce-*`.
const DEFAULT_SIGNED_HEADERS: [&str; 4] = ["host", "content-length", "content-type", "content-md5"];

/// Maximum difference between the sender's clock and ours.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(30 * 60);

/// Upper bound on the lifetime of a signature. [`MAX_CLOCK_SKEW`] is reached before it.
const MAX_LIFETIME_SECONDS: u32 = 24 * 3600;

/// A signature is not accepted. The variants are Baidu's error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BceSignatureError {
    #[error("the header must be bce-auth-v1/{{ak}}/{{YYYY-MM-DDThh:mm:ssZ}}/{{seconds}}/{{headers}}/{{signature}}")]
    InvalidHttpAuthHeader,
    #[error("there is no client with this access key")]
    InvalidAccessKeyId,
    #[error("the signature is not that of this request with this client's secret")]
    SignatureDoesNotMatch,
    #[error("the signature has expired, or the clocks are more than 30 minutes apart")]
    RequestExpired,
}

impl BceSignatureError {
    /// Whether the signature may be valid at a node of the cluster that knows more clients, or a newer secret, than
    /// this one.
    pub fn depends_on_registry(self) -> bool {
        matches!(self, Self::InvalidAccessKeyId | Self::SignatureDoesNotMatch)
    }
}

/// The signed parts of a request. The body is not signed.
#[derive(Debug, Clone, Copy)]
pub struct BceRequest<'a> {
    pub method: &'a str,
    /// As received, percent-encoded.
    pub path: &'a str,
    /// The raw query, without `?`.
    pub query: Option<&'a str>,
    /// All headers, `host` as received.
    pub headers: &'a HeaderMap,
}

/// A parsed but unverified `Authorization: bce-auth-v1/…`.
#[derive(Debug)]
pub struct BceAuthorization<'a> {
    /// The text up to the lifetime, from which the signing key is derived.
    prefix: &'a str,
    key: &'a str,
    signed_at: Timestamp,
    lifetime: Duration,
    /// In lower case. Empty for the default headers.
    signed_headers: BTreeSet<String>,
    signature: [u8; 32],
}

impl<'a> BceAuthorization<'a> {
    /// # Errors
    /// [`BceSignatureError::InvalidHttpAuthHeader`].
    pub fn parse(header: &'a str) -> Result<Self, BceSignatureError> {
        Self::parse_fields(header).ok_or(BceSignatureError::InvalidHttpAuthHeader)
    }

    fn parse_fields(header: &'a str) -> Option<Self> {
        let parts: Vec<&str> = header.split('/').collect();
        let [scheme, key, signed_at, seconds, names, signature] = parts[..] else { return None };
        if scheme != "bce-auth-v1" || key.is_empty() || !seconds.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let lifetime: u32 = seconds.parse().ok().filter(|s| (1..=MAX_LIFETIME_SECONDS).contains(s))?;
        let signed_headers = match names {
            "" => BTreeSet::new(),
            names => names.split(';').map(header_name).collect::<Option<_>>()?,
        };
        let decoded = HEXLOWER_PERMISSIVE.decode(signature.as_bytes()).ok()?;
        Some(Self {
            prefix: &header[..header.len() - names.len() - signature.len() - 2],
            key,
            signed_at: time(signed_at)?,
            lifetime: Duration::from_secs(lifetime.into()),
            signed_headers,
            // A truncated signature must not be compared.
            signature: decoded.try_into().ok()?,
        })
    }

    /// The client's id.
    pub fn access_key(&self) -> &str {
        self.key
    }

    /// Verifies the signature of `request` with the secrets of `client`, the client with this access key if it exists.
    /// Its previous secret is accepted while it is valid.
    ///
    /// # Errors
    /// [`BceSignatureError`]: unknown client, expired, or wrong signature.
    pub fn verify(
        &self,
        request: &BceRequest<'_>,
        client: Option<&Client>,
        now: Timestamp,
    ) -> Result<(), BceSignatureError> {
        let client = client.filter(|c| c.id.as_str() == self.key).ok_or(BceSignatureError::InvalidAccessKeyId)?;
        let skew = self.signed_at.until(now).max(now.until(self.signed_at));
        if self.signed_at.plus(self.lifetime) < now || skew > MAX_CLOCK_SKEW {
            return Err(BceSignatureError::RequestExpired);
        }
        let previous = client.previous.iter().filter(|(_, until)| now < *until).map(|(secret, _)| secret);
        let forms = self.canonical_forms(request);
        let matches = |secret: &Secret| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, signing_key(secret, self.prefix).as_bytes());
            // `verify` compares in constant time.
            forms.iter().any(|form| hmac::verify(&key, form.as_bytes(), &self.signature).is_ok())
        };
        let good = std::iter::once(&client.secret).chain(previous).any(matches);
        if good { Ok(()) } else { Err(BceSignatureError::SignatureDoesNotMatch) }
    }

    /// The canonical requests that Baidu's SDKs sign for one request. The path is normalised (the documentation) or
    /// signed as sent (some SDKs); the headers are the named ones (the documentation, Java, JS, Go) or those and every
    /// `x-bce-*` (Python). Each form covers method, path, query and named headers, so accepting all of them is safe.
    fn canonical_forms(&self, request: &BceRequest<'_>) -> Vec<String> {
        let decoded: Vec<u8> = percent_decode_str(request.path).collect();
        let encoded = percent_encode(&decoded, ESCAPED_IN_PATH).to_string();
        let query = canonical_query(request.query.unwrap_or_default());
        let is_bce = |name: &str| name.starts_with("x-bce-");
        let with_every_bce = Self::canonical_headers(request.headers, |name| self.is_signed(name) || is_bce(name));
        let signed_only = match self.signed_headers.is_empty() {
            true => with_every_bce.clone(),
            false => Self::canonical_headers(request.headers, |name| self.is_signed(name)),
        };
        let mut forms = Vec::new();
        for path in [encoded.as_str(), request.path] {
            for headers in [&signed_only, &with_every_bce] {
                let form = format!("{}\n{path}\n{query}\n{headers}", request.method);
                if !forms.contains(&form) {
                    forms.push(form);
                }
            }
        }
        forms
    }

    fn is_signed(&self, name: &str) -> bool {
        match self.signed_headers.is_empty() {
            true => DEFAULT_SIGNED_HEADERS.contains(&name),
            false => self.signed_headers.contains(name),
        }
    }

    fn canonical_headers(headers: &HeaderMap, is_signed: impl Fn(&str) -> bool) -> String {
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes().trim_ascii()))
            .filter(|(name, value)| !value.is_empty() && is_signed(name))
            .map(|(name, value)| {
                format!("{}:{}", percent_encode(name.as_bytes(), ESCAPED), percent_encode(value, ESCAPED))
            })
            .collect();
        lines.sort_unstable();
        lines.join("\n")
    }
}

fn header_name(name: &str) -> Option<String> {
    let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    good.then(|| name.to_ascii_lowercase())
}

/// Parses `YYYY-MM-DDThh:mm:ssZ`; other forms of RFC 3339 are rejected.
fn time(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    (bytes.len() == 20 && bytes[10] == b'T' && bytes[19] == b'Z').then(|| Timestamp::parse(text)).flatten()
}

/// The key is the hexadecimal text of the tag, not its bytes.
fn signing_key(secret: &Secret, prefix: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    HEXLOWER.encode(hmac::sign(&key, prefix.as_bytes()).as_ref())
}

/// `+` is not decoded to a space, because the query is not form-encoded.
fn canonical_query(query: &str) -> String {
    let encode = |text: &str| {
        let decoded: Vec<u8> = percent_decode_str(text).collect();
        percent_encode(&decoded, ESCAPED).to_string()
    };
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encode(name), encode(value)))
        .filter(|(name, _)| !name.eq_ignore_ascii_case("authorization"))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.sort_unstable();
    pairs.join("&")
}
