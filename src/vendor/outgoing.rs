//! Requests of notifications. An event that came in the notification's own format is sent with the vendor's original
//! content; any other event is translated by the dialect. Both are signed here, with the notification's secrets.

mod passthrough;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::{OutgoingEvent, OutgoingRequest, RenderError, baidu, ppj, render, standard};
use crate::domain::{Format, Secret, Status, Timestamp, Update, Vendor, VendorError, Verify};

/// The stored webhook request of an event whose vendor defined the notification's format.
#[derive(Debug, Clone)]
pub struct OriginalRequest<'a> {
    /// GET or POST.
    pub method: &'a str,
    /// The raw query, without `?`.
    pub query: Option<&'a str>,
    /// Headers in order of arrival, names in lower case, without credentials.
    pub headers: &'a [(String, String)],
    pub body: Bytes,
}

/// Renders an event for a notification. With `original`, the vendor's own content is sent unchanged. The request is
/// signed with `secrets`, newest first; formats with one signature use the first. Without a secret it is not signed.
///
/// # Errors
/// [`RenderError`]: the format lacks the status, or the endpoint or a secret is invalid.
pub fn render_notification(
    format: Format,
    event: &OutgoingEvent,
    original: Option<&OriginalRequest<'_>>,
    endpoint: &str,
    secrets: &[Secret],
    now: Timestamp,
) -> Result<OutgoingRequest, RenderError> {
    let (vendor, status) = (format.vendor(), event.update.status);
    if !format.supports(status) {
        return Err(RenderError::UnsupportedStatus { vendor, status });
    }
    check_endpoint(endpoint)?;
    let unchanged = match original {
        Some(original) => passthrough::request(format, original, endpoint)?,
        None => None,
    };
    let mut request = match unchanged {
        Some(request) => request,
        // Rendered unsigned: original and translated requests are signed in one place, below.
        None => render(vendor, event, endpoint, &Verify::None {}, now)?,
    };
    let signature = match (format, secrets.first()) {
        (Format::Baidu, Some(secret)) => baidu::sign_headers(secret, endpoint, &request.body, now)?,
        (Format::Ppj, Some(secret)) => ppj::sign_headers(secret, &request, now)?.into(),
        // `webhook-id` is sent without a secret too, because receivers deduplicate by it.
        (Format::Standard, _) => standard::sign_headers(secrets, &event.message_id, &request.body, now)?,
        (Format::Baidu | Format::Ppj, None) | (Format::Zoffice | Format::Gini, _) => Vec::new(),
    };
    request.headers.extend(signature);
    Ok(request)
}

/// PPJ's handshake of edition A. The endpoint must return `nonce`; see [`is_handshake_response`].
///
/// # Errors
/// [`RenderError`]: the endpoint or the secret is invalid.
pub fn handshake_request(
    endpoint: &str,
    nonce: &str,
    secrets: &[Secret],
    now: Timestamp,
) -> Result<OutgoingRequest, RenderError> {
    check_endpoint(endpoint)?;
    ppj::handshake(ppj::Edition::A, endpoint, nonce, secrets.first(), now)
}

/// Whether a response body is a JSON object with this `nonce`. An empty nonce never matches.
pub fn is_handshake_response(nonce: &str, body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct NonceBody {
        nonce: String,
    }
    // serde would also accept an array for the struct.
    let is_object = body.trim_ascii_start().starts_with(b"{");
    is_object && !nonce.is_empty() && serde_json::from_slice::<NonceBody>(body).is_ok_and(|b| b.nonce == nonce)
}

/// Accepts absolute `http` and `https` URLs. Control characters and surrounding spaces are rejected, because the URL
/// parser removes them silently.
fn check_endpoint(endpoint: &str) -> Result<(), RenderError> {
    let is_plain = endpoint.trim() == endpoint && !endpoint.chars().any(char::is_control);
    match Url::parse(endpoint) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && is_plain => Ok(()),
        _ => Err(RenderError::InvalidEndpoint),
    }
}

/// The JSON of a stored event. Unknown keys are ignored: a later version may have stored them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredEvent {
    document_id: String,
    status: Status,
    vendor: Vendor,
    vendor_id: String,
    time: String,
    title: Option<String>,
    result: Option<Map<String, Value>>,
    error: Option<VendorError>,
    vendor_time: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl OutgoingEvent {
    /// Parses a stored event's JSON, the inverse of [`crate::domain::EventJson`]; also returns its vendor. The
    /// deduplication key is not part of the JSON. `None` if the JSON is not a stored event.
    pub fn from_stored(json: &Bytes, message_id: String, notification: String) -> Option<(Vendor, Self)> {
        let stored: StoredEvent = serde_json::from_slice(json).ok()?;
        let vendor_time = match stored.vendor_time {
            Some(text) => Some(Timestamp::parse(&text)?),
            None => None,
        };
        let update = Update {
            title: stored.title,
            result: stored.result,
            error: stored.error,
            vendor_time,
            labels: stored.labels,
            ..Update::new(stored.vendor_id.parse().ok()?, stored.status)
        };
        let event = Self {
            message_id,
            update,
            document_id: stored.document_id,
            notification,
            time: Timestamp::parse(&stored.time)?,
            event: Some(json.clone()),
        };
        Some((stored.vendor, event))
    }
}

#[cfg(test)]
mod tests;
