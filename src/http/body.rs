//! Reading a body within a bound and a time. warp's own readers have no bound, or refuse chunked bodies.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::request::Request;

/// A body that is too large is read on and thrown away up to this much, so that a sender which writes first and reads
/// later gets to see the answer instead of a reset connection.
const DRAIN: usize = 16 << 20;

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    /// More bytes than allowed, declared or sent.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// It took too long.
    #[error("the body did not arrive within {} ms", .0.as_millis())]
    TooSlow(Duration),
    /// The connection broke.
    #[error("the body broke off")]
    Broken,
}

/// Reads a whole body.
pub(super) async fn read(request: &mut Request, limit: usize, patience: Duration) -> Result<Bytes, BodyError> {
    let declared = request.header("content-length").and_then(|l| l.parse::<u64>().ok());
    let too_large = declared.is_some_and(|l| l > limit as u64);
    if too_large && request.headers.contains_key("expect") {
        // The sender waits for our word before it sends anything: there is nothing to drain.
        return Err(BodyError::TooLarge(limit));
    }
    let deadline = Instant::now() + patience;
    let mut body = BytesMut::new();
    let mut seen = 0;
    while let Some(piece) = timeout_at(deadline, request.body.next()).await.map_err(|_| {
        if too_large || seen > limit { BodyError::TooLarge(limit) } else { BodyError::TooSlow(patience) }
    })? {
        let piece = piece.map_err(|_| BodyError::Broken)?;
        seen += piece.len();
        if too_large || seen > limit {
            body.clear();
            if seen > DRAIN {
                break;
            }
        } else if body.is_empty() && declared == Some(piece.len() as u64) {
            // The usual case: everything came in one piece, and is not copied.
            return Ok(piece);
        } else {
            body.extend_from_slice(&piece);
        }
    }
    if too_large || seen > limit { Err(BodyError::TooLarge(limit)) } else { Ok(body.freeze()) }
}

/// An error unless it is an object: the keys of a structure could be given as an array, too, which nobody means.
pub(super) fn object(json: &[u8]) -> Result<(), String> {
    match json.trim_ascii_start().first() {
        Some(b'{') => Ok(()),
        _ => Err("the body: a JSON object is needed".to_owned()),
    }
}
