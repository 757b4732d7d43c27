//! Forwards a vendor's original content byte for byte: its body, or PPJ's parameters. The vendor's signature and
//! credentials are not forwarded, because they are valid for the hook only.

use bytes::Bytes;
use http::{HeaderValue, Method};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use url::Url;

use super::OriginalRequest;
use crate::domain::Format;
use crate::vendor::{OutgoingRequest, RenderError, standard};

/// Upper bound on the query: RFC 9110 recommends support for URIs of 8000 bytes. A longer form is translated instead.
const MAX_QUERY_BYTES: usize = 8000;

/// The bytes of a form that a query cannot contain.
const NOT_ALLOWED_IN_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

/// The request with the original content, or `None` if the content does not fit into a request of this format.
pub(super) fn request(
    format: Format,
    original: &OriginalRequest<'_>,
    endpoint: &str,
) -> Result<Option<OutgoingRequest>, RenderError> {
    match format {
        Format::Ppj => with_parameters(original, endpoint),
        _ => Ok(Some(with_body(format, original, endpoint))),
    }
}

fn with_body(format: Format, original: &OriginalRequest<'_>, endpoint: &str) -> OutgoingRequest {
    let mut headers = Vec::new();
    match header(original, "content-type") {
        Some(value) if value.to_ascii_lowercase().contains("json") => {
            headers.push(("content-type".to_owned(), value.to_owned()));
        }
        // The body was parsed as JSON, and many receivers require a content type that says so.
        _ if !original.body.is_empty() => headers.push(("content-type".to_owned(), "application/json".to_owned())),
        _ => {}
    }
    if format == Format::Standard && standard::has_attributes_in_headers(header(original, "content-type")) {
        let attributes = original.headers.iter().filter(|(name, value)| name.starts_with("ce-") && is_valid(value));
        headers.extend(attributes.cloned());
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
