//! Reads request bodies, the only way in: within a limit of bytes and of time, and as JSON. warp's own readers have no
//! limit, or refuse chunked bodies. `Content-Type` is not checked: SDKs spell it in three ways, and some omit it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::time::{Instant, timeout_at};

use super::request::Request;

/// A body that is too large is read and discarded up to this much, so that a sender that writes first and reads later
/// receives the response instead of a reset connection.
const DISCARD_LIMIT: usize = 16 << 20;

/// Bounds of one body.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimits {
    pub(super) max_bytes: usize,
    /// From the first read to the last byte.
    pub(super) timeout: Duration,
}

impl BodyLimits {
    /// The same with at most `bytes`.
    pub(super) fn at_most(self, bytes: usize) -> Self {
        Self { max_bytes: self.max_bytes.min(bytes), ..self }
    }
}

/// Why a body was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    /// More bytes than allowed, declared or sent.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not arrive within {} ms", .0.as_millis())]
    TooSlow(Duration),
    /// The connection broke.
    #[error("the body broke off")]
    Incomplete,
    /// It is not JSON.
    #[error("the body: {0}")]
    Malformed(String),
    /// It is JSON of another shape.
    #[error("the body: {0}")]
    Invalid(String),
}

/// Reads a body as a JSON object.
pub(super) async fn read_json<T: DeserializeOwned>(request: &mut Request, limits: BodyLimits) -> Result<T, BodyError> {
    parse_json(&read(request, limits).await?)
}

/// The same for a body that may be empty.
pub(super) async fn read_optional_json<T: DeserializeOwned>(
    request: &mut Request,
    limits: BodyLimits,
) -> Result<Option<T>, BodyError> {
    let bytes = read(request, limits).await?;
    if bytes.trim_ascii().is_empty() { Ok(None) } else { parse_json(&bytes).map(Some) }
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BodyError> {
    // First the syntax as a whole: an unknown key would hide an error behind it.
    serde_json::from_slice::<IgnoredAny>(bytes).map_err(|e| BodyError::Malformed(e.to_string()))?;
    // serde would read an array as the fields of a struct in their order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(BodyError::Invalid("a JSON object is needed".to_owned()));
    }
    serde_json::from_slice(bytes).map_err(|e| BodyError::Invalid(e.to_string()))
}

/// Reads a whole body.
pub(super) async fn read(request: &mut Request, limits: BodyLimits) -> Result<Bytes, BodyError> {
    let BodyLimits { max_bytes: limit, timeout } = limits;
    let declared = request.header("content-length").and_then(|l| l.parse::<u64>().ok());
    let too_large = declared.is_some_and(|l| l > limit as u64);
    if too_large && request.headers.contains_key("expect") {
        // The sender waits for `100 Continue` before it sends the body: there is nothing to discard.
        return Err(BodyError::TooLarge(limit));
    }
    let deadline = Instant::now() + timeout;
    let mut body = BytesMut::new();
    let mut received = 0;
    while let Some(chunk) = timeout_at(deadline, request.body.next()).await.map_err(|_| {
        if too_large || received > limit { BodyError::TooLarge(limit) } else { BodyError::TooSlow(timeout) }
    })? {
        let chunk = chunk.map_err(|_| BodyError::Incomplete)?;
        received += chunk.len();
        if too_large || received > limit {
            body.clear();
            if received > DISCARD_LIMIT {
                break;
            }
        } else if body.is_empty() && declared == Some(chunk.len() as u64) {
            // The common case, without a copy: the body is one chunk.
            return Ok(chunk);
        } else {
            body.extend_from_slice(&chunk);
        }
    }
    if too_large || received > limit { Err(BodyError::TooLarge(limit)) } else { Ok(body.freeze()) }
}
