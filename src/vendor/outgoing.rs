//! Passing events on: an event that came in one vendor's words goes out in another's, or in its own, byte for byte.
//! Decides which of the two, and adds the proof; the words themselves are each dialect's.

mod original;
mod secrets;
mod stored;

use bytes::Bytes;
use serde::Deserialize;
use url::Url;

use super::{OutgoingEvent, OutgoingRequest, RenderError, baidu, ppj, render, standard};
use crate::domain::{Format, Secret, Timestamp, Verify};

pub use secrets::check_secrets;

/// The request that an event came in, in the words of the vendor that it now goes out in.
#[derive(Debug, Clone)]
pub struct OriginalRequest<'a> {
    /// GET or POST.
    pub method: &'a str,
    /// The raw query, without `?`.
    pub query: Option<&'a str>,
    /// Headers in order, names in lower case, credentials removed.
    pub headers: &'a [(String, String)],
    /// The body's bytes.
    pub body: Bytes,
}

/// Writes a outgoing_event for a receiver. `original` is given when the event came in this format: then the vendor's own body
/// goes out, and only the proof is ours. `secrets` may be none; the newest is first, and formats that carry one signature
/// use that.
pub fn render_notification(
    format: Format,
    outgoing_event: &OutgoingEvent,
    original: Option<&OriginalRequest<'_>>,
    endpoint: &str,
    secrets: &[Secret],
    now: Timestamp,
) -> Result<OutgoingRequest, RenderError> {
    let (vendor, status) = (format.vendor(), outgoing_event.update.status);
    if !format.supports(status) {
        return Err(RenderError::UnsupportedStatus { vendor, status });
    }
    check_address(endpoint)?;
    let own = match original {
        Some(original) => original::repeat(format, original, endpoint)?,
        None => None,
    };
    let mut request = match own {
        Some(request) => request,
        // Written without a verification, so that there is one place that proves, whoever wrote the words.
        None => render(vendor, outgoing_event, endpoint, &Verify::None {}, now)?,
    };
    let signature = match (format, secrets.first()) {
        (Format::Baidu, Some(secret)) => baidu::sign_headers(secret, endpoint, &request.body, now)?,
        (Format::Ppj, Some(secret)) => ppj::write::sign_headers(secret, &request, now)?.into(),
        // The identifier goes out without a secret, too: it is by this that a receiver knows a repeat.
        (Format::Standard, _) => standard::sign_headers(secrets, &outgoing_event.message_id, &request.body, now)?,
        (Format::Baidu | Format::Ppj, None) | (Format::Zoffice | Format::Gini, _) => Vec::new(),
    };
    request.headers.extend(signature);
    Ok(request)
}

/// PPJ's handshake, as edition A has it: the answer must bring `nonce` back, see [`passes`].
pub fn handshake_request(
    endpoint: &str,
    nonce: &str,
    secrets: &[Secret],
    now: Timestamp,
) -> Result<OutgoingRequest, RenderError> {
    check_address(endpoint)?;
    ppj::write::handshake(ppj::write::Edition::A, endpoint, nonce, secrets.first(), now)
}

/// Whether the body of a successful answer passes the handshake: a JSON object, with white space around it if need be,
/// whose `nonce` is this one.
pub fn is_handshake_response(nonce: &str, answer: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct HandshakeAnswer {
        nonce: String,
    }
    // An array would do for serde, and an empty nonce is one that nobody had to read.
    let is_object = answer.trim_ascii_start().starts_with(b"{");
    is_object && !nonce.is_empty() && serde_json::from_slice::<HandshakeAnswer>(answer).is_ok_and(|a| a.nonce == nonce)
}

/// An absolute `http` or `https` address, and one that means what it says: a parser takes line breaks out of an address,
/// and spaces off its ends, without a word.
fn check_address(endpoint: &str) -> Result<(), RenderError> {
    let is_plain = endpoint.trim() == endpoint && !endpoint.chars().any(char::is_control);
    match Url::parse(endpoint) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && is_plain => Ok(()),
        _ => Err(RenderError::InvalidEndpoint),
    }
}

#[cfg(test)]
mod tests;
