//! Passing events on: an event that came in one vendor's words goes out in another's, or in its own, byte for byte.

use bytes::Bytes;

use super::{Inexpressible, Outbound, Telling};
use crate::clock::Timestamp;
use crate::event::Vendor;
use crate::hook::Secret;
use crate::notification::Format;

/// The request that an event came in, in the words of the vendor that it now goes out in.
#[derive(Debug, Clone)]
pub struct Original<'a> {
    /// GET or POST.
    pub method: &'a str,
    /// The raw query, without `?`.
    pub query: Option<&'a str>,
    /// Headers in order, names in lower case, credentials removed.
    pub headers: &'a [(String, String)],
    /// The body's bytes.
    pub body: Bytes,
}

/// Reads a stored event's JSON again: who said it, and a telling of it. `None` when it is not one of ours.
pub fn retell(_event: &Bytes, _message_id: String, _notification: String) -> Option<(Vendor, Telling)> {
    None
}

/// Writes a telling for a receiver. `original` is given when the event came in this format: then the vendor's own body
/// goes out, and only the proof is ours. `secrets` may be none; the newest is first, and formats that carry one signature
/// use that.
pub fn tell(
    _format: Format,
    _telling: &Telling,
    _original: Option<&Original<'_>>,
    _endpoint: &str,
    _secrets: &[Secret],
    _now: Timestamp,
) -> Result<Outbound, Inexpressible> {
    Err(Inexpressible::Endpoint)
}

/// PPJ's handshake: the answer must bring `nonce` back, see [`passes`].
pub fn challenge(
    _endpoint: &str,
    _nonce: &str,
    _secrets: &[Secret],
    _now: Timestamp,
) -> Result<Outbound, Inexpressible> {
    Err(Inexpressible::Endpoint)
}

/// Whether the body of a successful answer passes the handshake.
pub fn passes(_nonce: &str, _answer: &[u8]) -> bool {
    false
}

/// Whether a notification of this format may have these secrets; if not, a sentence that says what to do.
pub fn check_secrets(_format: Format, _secrets: &[Secret]) -> Result<(), String> {
    Ok(())
}
