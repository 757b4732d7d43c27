//! A vendor's own message, sent on as it came: its body, or PPJ's parameters, byte for byte. Adds no proof; what proved
//! the message to us proves nothing to the next receiver, and is left behind.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderValue, Method};
use url::Url;

use super::OriginalRequest;
use crate::domain::Format;
use crate::vendor::{OutgoingRequest, RenderError, standard};

/// Bytes of parameters at most: what RFC 9110 asks every receiver of an address to support. A form had no such bound,
/// and one that came with more than this is told in other words rather than lost.
const LONGEST_QUERY: usize = 8000;

/// The vendor's message for this endpoint, or `None` when it does not fit into a request of this format.
pub(super) fn repeat(
    format: Format,
    original: &OriginalRequest<'_>,
    endpoint: &str,
) -> Result<Option<OutgoingRequest>, RenderError> {
    if format == Format::Ppj { parameters(original, endpoint) } else { Ok(Some(body(format, original, endpoint))) }
}

fn body(format: Format, original: &OriginalRequest<'_>, endpoint: &str) -> OutgoingRequest {
    let mut headers = Vec::new();
    match header(original, "content-type") {
        Some(value) if value.to_ascii_lowercase().contains("json") => {
            headers.push(("content-type".to_owned(), value.to_owned()));
        }
        // It was understood as JSON, and many receivers understand no JSON that does not say so.
        _ if !original.body.is_empty() => headers.push(("content-type".to_owned(), "application/json".to_owned())),
        _ => {}
    }
    if format == Format::Standard && standard::has_attributes_in_headers(header(original, "content-type")) {
        let attributes = original.headers.iter().filter(|(name, value)| name.starts_with("ce-") && is_sendable(value));
        headers.extend(attributes.cloned());
    }
    OutgoingRequest { method: Method::POST, url: endpoint.to_owned(), headers, body: original.body.clone() }
}

fn header<'a>(original: &'a OriginalRequest<'_>, name: &str) -> Option<&'a str> {
    original.headers.iter().find(|(n, value)| n == name && is_sendable(value)).map(|(_, value)| value.as_str())
}

/// What came as a header can go as one; this holds for what was stored by other means, too.
fn is_sendable(value: &str) -> bool {
    HeaderValue::from_bytes(value.as_bytes()).is_ok()
}

/// A GET with all parameters: the endpoint's own, those of the hook's address, and those of the form of edition C.
fn parameters(original: &OriginalRequest<'_>, endpoint: &str) -> Result<Option<OutgoingRequest>, RenderError> {
    let mut url = Url::parse(endpoint).map_err(|_| RenderError::InvalidEndpoint)?;
    url.set_fragment(None);
    let own = url.query().unwrap_or_default().to_owned();
    url.set_query(None);
    let form: &[u8] = if original.method == "POST" { &original.body } else { &[] };
    let sent = [original.query.unwrap_or_default().as_bytes(), form].map(address_bytes);
    let parts: Vec<&str> =
        [&own, &sent[0], &sent[1]].into_iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
    if sent.iter().map(String::len).sum::<usize>() > LONGEST_QUERY {
        return Ok(None);
    }
    // Joined as text: a parser would write the apostrophe in another way than the vendor has.
    let url = format!("{url}?{}", parts.join("&"));
    Ok(Some(OutgoingRequest { method: Method::GET, url, headers: Vec::new(), body: Bytes::new() }))
}

/// Bytes as they came, but for those that cannot stand in an address (a form may hold a `#` or a line break as it is):
/// they are written in the only other way that means the same.
fn address_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for b in bytes {
        match b {
            0x21 | 0x24..=0x3B | 0x3D | 0x3F..=0x7E => out.push(char::from(*b)),
            _ => {
                // Writing into a String cannot fail.
                let _infallible = write!(out, "%{b:02X}");
            }
        }
    }
    out
}
