//! Requests of notifications. An event that came in the notification's own format is sent with the vendor's original
//! content; any other event is translated by the dialect. Both are signed here, with the notification's secrets.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderValue, Method};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::{OutgoingEvent, OutgoingRequest, RenderError, baidu, ppj, render, standard};
use crate::domain::{Format, Secret, Status, Timestamp, Update, Vendor, VendorError, Verify};

/// Upper bound on the query: RFC 9110 recommends support for URIs of 8000 bytes. A longer form is translated instead.
const MAX_QUERY_BYTES: usize = 8000;

/// The bytes of a form that a query cannot contain.
const NOT_ALLOWED_IN_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

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
        Some(original) => original_content(format, original, endpoint)?,
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

/// The request with the vendor's content byte for byte: its body, or PPJ's parameters. The vendor's signature and
/// credentials are not forwarded, because they are valid for the hook only. `None` if the content does not fit into a
/// request of this format.
fn original_content(
    format: Format,
    original: &OriginalRequest<'_>,
    endpoint: &str,
) -> Result<Option<OutgoingRequest>, RenderError> {
    match format {
        Format::Ppj => with_parameters(original, endpoint),
        // Its type is in a header, which the signature does not cover.
        Format::Standard if is_binary_cloudevent(original) => Ok(None),
        _ => Ok(Some(with_body(original, endpoint))),
    }
}

fn is_binary_cloudevent(original: &OriginalRequest<'_>) -> bool {
    let has_header = |name: &str| original.headers.iter().any(|(n, _)| n == name);
    standard::is_binary_cloudevent(header(original, "content-type"), has_header)
}

fn with_body(original: &OriginalRequest<'_>, endpoint: &str) -> OutgoingRequest {
    let mut headers = Vec::new();
    match header(original, "content-type") {
        Some(value) if value.to_ascii_lowercase().contains("json") => {
            headers.push(("content-type".to_owned(), value.to_owned()));
        }
        // The body was parsed as JSON, and many receivers require a content type that says so.
        _ if !original.body.is_empty() => headers.push(("content-type".to_owned(), "application/json".to_owned())),
        _ => {}
    }
    OutgoingRequest { method: Method::POST, url: endpoint.to_owned(), headers, body: original.body.clone() }
}

fn header<'a>(original: &'a OriginalRequest<'_>, name: &str) -> Option<&'a str> {
    original.headers.iter().find(|(n, value)| n == name && is_valid(value)).map(|(_, value)| value.as_str())
}

/// Stored header values are not necessarily valid: they may come from a restored backup.
fn is_valid(value: &str) -> bool {
    HeaderValue::from_bytes(value.as_bytes()).is_ok()
}

/// A GET with the parameters of the endpoint, of the original query, and of the form of edition C.
fn with_parameters(original: &OriginalRequest<'_>, endpoint: &str) -> Result<Option<OutgoingRequest>, RenderError> {
    let mut url = Url::parse(endpoint).map_err(|_| RenderError::InvalidEndpoint)?;
    url.set_fragment(None);
    let configured = url.query().unwrap_or_default().to_owned();
    url.set_query(None);
    let form: &[u8] = if original.method == "POST" { &original.body } else { &[] };
    let sent = [original.query.unwrap_or_default().as_bytes(), form]
        .map(|bytes| percent_encode(bytes, NOT_ALLOWED_IN_QUERY).to_string());
    if sent.iter().map(String::len).sum::<usize>() > MAX_QUERY_BYTES {
        return Ok(None);
    }
    let parts: Vec<&str> =
        [&configured, &sent[0], &sent[1]].into_iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
    // Joined as text, because `Url` would encode the apostrophe, which vendors send as it is.
    let url = format!("{url}?{}", parts.join("&"));
    Ok(Some(OutgoingRequest { method: Method::GET, url, headers: Vec::new(), body: Bytes::new() }))
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
