//! A request as the handlers get it, the warp filter that extracts it, and its body, which is read within a limit of
//! bytes and of time. warp's own body filters have no limit, or refuse chunked bodies. `Content-Type` is not checked:
//! SDKs spell it in three ways, and some omit it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt};
use http::{HeaderMap, Method};
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use tracing::field::DisplayValue;
use warp::{Filter, Rejection};

use super::remote_address::RemoteAddress;
use super::transport::takeover::Takeover;
use crate::stream::hub::Framing;

/// A body that is too large is read and discarded up to this much, so that a sender that writes first and reads later
/// receives the response instead of a reset connection.
const MAX_DISCARDED_BYTES: usize = 16 << 20;

/// Identifies a request in responses and logs.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) Arc<str>);

/// The headers of a request.
#[derive(Debug, Clone)]
pub(super) struct RequestHeaders(pub(super) Arc<HeaderMap>);

/// A request whose body has not been read yet.
pub(super) struct Request {
    pub(super) method: Method,
    /// As it was sent, because signatures cover it. Routes match its [`normalize_path`].
    pub(super) path: String,
    /// The value of the route's path parameter, still percent-encoded; empty if the route has none.
    pub(super) path_parameter: String,
    /// Still percent-encoded, without `?`.
    pub(super) query: Option<String>,
    pub(super) headers: Arc<HeaderMap>,
    /// Where it comes from, as far as this can be known; `None` for a request of this process.
    pub(super) address: Option<IpAddr>,
    /// The framing of a stream in response to it.
    pub(super) framing: Framing,
    /// What takes over the connection when the response opens a stream.
    pub(super) takeover: Takeover,
    pub(super) id: RequestId,
    body: Arc<Mutex<Body>>,
}

/// A body, which its request and the copy of it share.
struct Body {
    chunks: BoxStream<'static, Result<Bytes, warp::Error>>,
    /// The whole body once it is read.
    content: Option<Bytes>,
}

/// Bounds of one body.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimits {
    pub(super) max_bytes: usize,
    /// The longest time from the first read to the last byte.
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
    /// The connection was closed before the last byte.
    #[error("request body incomplete: the connection was closed")]
    Incomplete,
    /// It is not JSON.
    #[error("the body: {0}")]
    Malformed(String),
    /// It is JSON of another shape.
    #[error("the body: {0}")]
    Invalid(String),
}

impl Request {
    /// A request of this process itself.
    pub(super) fn in_process(request: http::Request<Bytes>) -> Self {
        let (head, body) = request.into_parts();
        Self {
            method: head.method,
            path: head.uri.path().to_owned(),
            path_parameter: String::new(),
            query: head.uri.query().map(str::to_owned),
            headers: Arc::new(head.headers),
            address: None,
            framing: Framing::Bare,
            takeover: Takeover::default(),
            id: RequestId("in-process".into()),
            body: unread(futures::stream::once(std::future::ready(Ok(body))).boxed()),
        }
    }

    /// Where it comes from, as a field of log lines: with it, an operator can tell whom to block.
    pub(super) fn logged_address(&self) -> Option<DisplayValue<IpAddr>> {
        self.address.map(tracing::field::display)
    }

    /// The same request for a second call of its handler, after the first call has refused it. Both share the body,
    /// read or not.
    pub(super) fn repeat(&self) -> Self {
        Self {
            method: self.method.clone(),
            path: self.path.clone(),
            path_parameter: self.path_parameter.clone(),
            query: self.query.clone(),
            headers: self.headers.clone(),
            address: self.address,
            framing: self.framing,
            takeover: self.takeover.clone(),
            id: self.id.clone(),
            body: self.body.clone(),
        }
    }

    /// The first value of a query parameter, percent-decoded.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        self.parameters(name).next()
    }

    /// Every value of a query parameter, percent-decoded.
    pub(super) fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> + 'a {
        let query = self.query.as_deref().unwrap_or_default().as_bytes();
        form_urlencoded::parse(query).filter(move |(k, _)| k == name).map(|(_, v)| v.into_owned())
    }

    /// A header as text; `None` when it is missing or not ASCII.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Reads the whole body. A second call returns it again.
    pub(super) async fn read_body(&mut self, limits: BodyLimits) -> Result<Bytes, BodyError> {
        let BodyLimits { max_bytes: limit, timeout } = limits;
        let declared = self.header("content-length").and_then(|l| l.parse::<u64>().ok());
        let too_large = declared.is_some_and(|l| l > limit as u64);
        if too_large && self.headers.contains_key("expect") {
            // The sender waits for `100 Continue` before it sends the body: there is nothing to discard.
            return Err(BodyError::TooLarge(limit));
        }
        let deadline = Instant::now() + timeout;
        let shared = self.body.clone();
        let mut shared = shared.lock().await;
        if let Some(content) = &shared.content {
            return Ok(content.clone());
        }
        let mut body = BytesMut::new();
        let mut received = 0;
        while let Some(chunk) = timeout_at(deadline, shared.chunks.next()).await.map_err(|_| {
            if too_large || received > limit { BodyError::TooLarge(limit) } else { BodyError::TooSlow(timeout) }
        })? {
            let chunk = chunk.map_err(|_| BodyError::Incomplete)?;
            received += chunk.len();
            if too_large || received > limit {
                body.clear();
                if received > MAX_DISCARDED_BYTES {
                    break;
                }
            } else if body.is_empty() && declared == Some(chunk.len() as u64) {
                // The common case, without a copy: the body is one chunk.
                shared.content = Some(chunk.clone());
                return Ok(chunk);
            } else {
                body.extend_from_slice(&chunk);
            }
        }
        if too_large || received > limit {
            return Err(BodyError::TooLarge(limit));
        }
        Ok(shared.content.insert(body.freeze()).clone())
    }

    /// Reads the body as a JSON object.
    pub(super) async fn read_json<T: DeserializeOwned>(&mut self, limits: BodyLimits) -> Result<T, BodyError> {
        parse_json(&self.read_body(limits).await?)
    }

    /// Reads a body that may be empty as a JSON object.
    pub(super) async fn read_optional_json<T: DeserializeOwned>(
        &mut self,
        limits: BodyLimits,
    ) -> Result<Option<T>, BodyError> {
        let bytes = self.read_body(limits).await?;
        if bytes.trim_ascii().is_empty() { Ok(None) } else { parse_json(&bytes).map(Some) }
    }
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

/// A path in which unreserved characters are not percent-encoded: paths that are equivalent (RFC 3986, 6.2.2.2) become
/// equal. All other characters stay encoded, so no segment is split.
pub(super) fn normalize_path(path: &str) -> Cow<'_, str> {
    let mut parts = path.split('%');
    let mut normalized = match (parts.next(), path.contains('%')) {
        (Some(first), true) => first.to_owned(),
        _ => return Cow::Borrowed(path),
    };
    for part in parts {
        let code = part.get(..2).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = code.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte.filter(|b| b.is_ascii_alphanumeric() || b"-._~".contains(b)) {
            Some(unreserved) => {
                normalized.push(char::from(unreserved));
                normalized.push_str(&part[2..]);
            }
            None => {
                normalized.push('%');
                normalized.push_str(part);
            }
        }
    }
    Cow::Owned(normalized)
}

/// Extracts a [`Request`]. Never rejects.
pub(super) fn request() -> impl Filter<Extract = (Request,), Error = Rejection> + Clone {
    let query = warp::query::raw().map(Some).or(warp::any().map(|| None)).unify();
    let address = warp::ext::get::<RemoteAddress>().map(|address: RemoteAddress| Some(address.0));
    let address = address.or(warp::any().map(|| None)).unify();
    let framing = warp::ext::get::<Framing>().or(warp::any().map(|| Framing::Bare)).unify();
    let takeover = warp::ext::get::<Takeover>().or(warp::any().map(Takeover::default)).unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::ext::get::<RequestHeaders>())
        .and(address)
        .and(framing)
        .and(takeover)
        .and(warp::ext::get::<RequestId>())
        .and(warp::body::stream())
        .map(
            |method,
             path: warp::path::FullPath,
             query,
             headers: RequestHeaders,
             address,
             framing,
             takeover,
             id,
             body| Request {
                method,
                path: path.as_str().to_owned(),
                path_parameter: String::new(),
                query,
                headers: headers.0,
                address,
                framing,
                takeover,
                id,
                body: unread(chunks(body)),
            },
        )
}

fn unread(chunks: BoxStream<'static, Result<Bytes, warp::Error>>) -> Arc<Mutex<Body>> {
    Arc::new(Mutex::new(Body { chunks, content: None }))
}

fn chunks<S, B>(body: S) -> BoxStream<'static, Result<Bytes, warp::Error>>
where
    S: futures::Stream<Item = Result<B, warp::Error>> + Send + 'static,
    B: Buf,
{
    body.map(|chunk| chunk.map(|mut b| b.copy_to_bytes(b.remaining()))).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_are_decoded_and_once() {
        for (path, normalized) in [
            ("/docs", "/docs"),
            ("/%64%6F%63s", "/docs"),
            ("/a%2Db%2eC%5F%7e%30", "/a-b.C_~0"),
            ("/a%2Fb%25%3f%20%c3%BC", "/a%2Fb%25%3f%20%c3%BC"),
            ("/%2564", "/%2564"),
            ("/%%64", "/%d"),
            ("/%6", "/%6"),
            ("/%+4%ü", "/%+4%ü"),
            ("%", "%"),
        ] {
            assert_eq!(normalize_path(path), normalized);
        }
    }
}
