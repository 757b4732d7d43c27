//! The signature of Standard Webhooks over id, timestamp and body, checked and made. A list of them, so that a sender
//! can rotate its secret; two secrets here, so that a receiver can.

use super::key::{self, SigningKey};
use crate::domain::{Encoding, Secret, Timestamp};
use crate::vendor::{RenderError, WebhookError, WebhookRequest, verification};

const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

const WANTED: &str = "the headers webhook-id, webhook-timestamp and webhook-signature are needed, each once";
const STALE: &str = "webhook-timestamp is more than 5 minutes from this clock";
const WRONG: &str = "no v1 signature in webhook-signature matches";

/// Whether any of the listed signatures is by any of the secrets.
pub(super) fn check(secrets: &[Secret], request: &WebhookRequest<'_>, now: Timestamp) -> Result<(), WebhookError> {
    let id = verification::single_header(request.headers, ID, WANTED)?;
    let timestamp = verification::single_header(request.headers, TIMESTAMP, WANTED)?;
    let signatures = verification::single_header(request.headers, SIGNATURE, WANTED)?;
    // A blank id is one that is missing: it names no message, so that a replay could not be told from a new one.
    if id.trim_ascii().is_empty() {
        return Err(WebhookError::Unauthorized(WANTED));
    }
    if !verification::is_fresh(timestamp, now) {
        return Err(WebhookError::Unauthorized(STALE));
    }
    // Of the other versions, `v1a` needs a public key that a hook cannot be given.
    let sent: Vec<[u8; 32]> = signatures
        .split(|b| *b == b' ')
        .filter_map(|s| verification::decode_tag(Encoding::Base64, s.strip_prefix(b"v1,")?))
        .collect();
    for key in secrets.iter().filter_map(key::shared) {
        let tag = key::tag(&key, id, timestamp, request.body);
        if sent.iter().any(|s| verification::tags_equal(s, &tag)) {
            return Ok(());
        }
    }
    Err(WebhookError::Unauthorized(WRONG))
}

/// Id and timestamp, and one signature for each secret: none without a secret.
pub(crate) fn sign_headers(
    secrets: &[Secret],
    id: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<Vec<(String, String)>, RenderError> {
    const UNFIT: RenderError = RenderError::InvalidSecret("it must be whsec_ or whsk_ and the base64 of a key");
    let timestamp = now.seconds().to_string();
    let mut signatures = Vec::new();
    for secret in secrets {
        let key = SigningKey::of(secret).ok_or(UNFIT)?;
        signatures.push(key.sign(id.as_bytes(), timestamp.as_bytes(), body));
    }
    let mut headers = vec![(ID.to_owned(), id.to_owned()), (TIMESTAMP.to_owned(), timestamp)];
    if !signatures.is_empty() {
        headers.push((SIGNATURE.to_owned(), signatures.join(" ")));
    }
    Ok(headers)
}
