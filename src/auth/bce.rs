//! Baidu's `bce-auth-v1`: whether the signature that a request carries is that of a client. Knows the scheme to the
//! byte; knows neither routes nor where clients are kept.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::hmac;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use crate::domain::{Client, Secret, Timestamp};

/// What is not escaped in the canonical form: RFC 3986's unreserved characters.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same for a path, whose slashes stay.
const ESCAPED_IN_PATH: &AsciiSet = &ESCAPED.remove(b'/');

/// What is signed when the header names nothing, beside every `x-bce-*`.
const SIGNED_UNNAMED: [&str; 4] = ["host", "content-length", "content-type", "content-md5"];

/// How far the caller's clock may be from ours.
const CLOCKS_APART: Duration = Duration::from_secs(30 * 60);

/// The longest lifetime that a signature may claim, in seconds. The clocks end it sooner.
const LONGEST: u32 = 24 * 3600;

/// Why a signature gives no access; the names are Baidu's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BceSignatureError {
    /// `InvalidHTTPAuthHeader`
    #[error("the header must be bce-auth-v1/{{ak}}/{{YYYY-MM-DDThh:mm:ssZ}}/{{seconds}}/{{headers}}/{{signature}}")]
    InvalidHttpAuthHeader,
    /// `InvalidAccessKeyId`
    #[error("there is no client with this access key")]
    InvalidAccessKeyId,
    /// `SignatureDoesNotMatch`
    #[error("the signature is not that of this request with this client's secret")]
    SignatureDoesNotMatch,
    /// `RequestExpired`
    #[error("the signature has expired, or the clocks are more than 30 minutes apart")]
    RequestExpired,
}

/// What is signed of a request. The body is not: Baidu leaves that to TLS.
#[derive(Debug, Clone, Copy)]
pub struct BceRequest<'a> {
    /// GET, POST and so on.
    pub method: &'a str,
    /// The path as it was sent, percent-encoded.
    pub path: &'a str,
    /// The raw query, without `?`.
    pub query: Option<&'a str>,
    /// All headers, `host` as it was sent.
    pub headers: &'a HeaderMap,
}

/// A well-formed `Authorization: bce-auth-v1/…`, not checked yet.
#[derive(Debug)]
pub struct BceAuthorization<'a> {
    /// Everything up to the lifetime, which is what the signing key is made of.
    prefix: &'a str,
    key: &'a str,
    made: Timestamp,
    lifetime: Duration,
    /// In lower case; empty when the rule decides.
    signed: BTreeSet<String>,
    signature: [u8; 32],
}

impl<'a> BceAuthorization<'a> {
    /// Reads the header's value.
    pub fn parse(header: &'a str) -> Result<Self, BceSignatureError> {
        Self::read(header).ok_or(BceSignatureError::InvalidHttpAuthHeader)
    }

    fn read(header: &'a str) -> Option<Self> {
        let parts: Vec<&str> = header.split('/').collect();
        let [scheme, key, made, seconds, names, signature] = parts[..] else { return None };
        if scheme != "bce-auth-v1" || key.is_empty() || !seconds.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let lifetime: u32 = seconds.parse().ok().filter(|s| (1..=LONGEST).contains(s))?;
        let signed = match names {
            "" => BTreeSet::new(),
            names => names.split(';').map(header_name).collect::<Option<_>>()?,
        };
        let decoded = HEXLOWER_PERMISSIVE.decode(signature.as_bytes()).ok()?;
        Some(Self {
            prefix: &header[..header.len() - names.len() - signature.len() - 2],
            key,
            made: time(made)?,
            lifetime: Duration::from_secs(lifetime.into()),
            signed,
            // Only a signature of the full length is one: a shorter one must not be compared at all.
            signature: decoded.try_into().ok()?,
        })
    }

    /// The access key, which is the client's id.
    pub fn access_key(&self) -> &str {
        self.key
    }

    /// Whether `client` has signed `request`: the client of this access key, when there is one. Its secret before the
    /// present one is taken for as long as everywhere else.
    pub fn check(
        &self,
        request: &BceRequest<'_>,
        client: Option<&Client>,
        now: Timestamp,
    ) -> Result<(), BceSignatureError> {
        let client = client.filter(|c| c.id.as_str() == self.key).ok_or(BceSignatureError::InvalidAccessKeyId)?;
        let apart = self.made.until(now).max(now.until(self.made));
        if self.made.plus(self.lifetime) < now || apart > CLOCKS_APART {
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

    /// Every canonical request that the SDKs make of one: with the path as Baidu's pages have it (decoded, encoded anew)
    /// or as it was sent (SDKs that sign it untouched), and with the named headers alone (the pages, Java, JS, Go)
    /// or with every `x-bce-*` beside them (Python). Each of them covers the method, the path, the query and the
    /// headers that were meant, so taking all of them opens nothing.
    fn canonical_forms(&self, request: &BceRequest<'_>) -> Vec<String> {
        let decoded: Vec<u8> = percent_decode_str(request.path).collect();
        let encoded = percent_encode(&decoded, ESCAPED_IN_PATH).to_string();
        let query = canonical_query(request.query.unwrap_or_default());
        let named = self.canonical_headers(request.headers, self.signed.is_empty());
        let with_all = self.canonical_headers(request.headers, true);
        let mut forms = Vec::new();
        for path in [encoded.as_str(), request.path] {
            for headers in [&named, &with_all] {
                let form = format!("{}\n{path}\n{query}\n{headers}", request.method);
                if !forms.contains(&form) {
                    forms.push(form);
                }
            }
        }
        forms
    }

    fn canonical_headers(&self, headers: &HeaderMap, bce_too: bool) -> String {
        let meant = |name: &str| match self.signed.is_empty() {
            true => SIGNED_UNNAMED.contains(&name),
            false => self.signed.contains(name),
        };
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes().trim_ascii()))
            .filter(|(name, value)| !value.is_empty() && (meant(name) || bce_too && name.starts_with("x-bce-")))
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

/// `YYYY-MM-DDThh:mm:ssZ` and nothing else that RFC 3339 would allow.
fn time(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    (bytes.len() == 20 && bytes[10] == b'T' && bytes[19] == b'Z').then(|| Timestamp::parse(text)).flatten()
}

/// The hexadecimal text is the key of the signature, not the bytes that it stands for.
fn signing_key(secret: &Secret, prefix: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    HEXLOWER.encode(hmac::sign(&key, prefix.as_bytes()).as_ref())
}

/// A `+` is a plus here, not a space: this is no form.
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
