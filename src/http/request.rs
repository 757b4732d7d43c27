//! A request as the handlers get it, and the warp filter that extracts it.

use bytes::{Buf, Bytes};
use futures::stream::{BoxStream, StreamExt};
use http::{HeaderMap, Method};
use warp::{Filter, Rejection};

use super::transport::takeover::Takeover;
use crate::stream::hub::Framing;

/// Identifies a request in responses and logs.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) std::sync::Arc<str>);

/// A request whose body has not been read yet.
pub(super) struct Request {
    pub(super) method: Method,
    /// Still percent-encoded.
    pub(super) path: String,
    /// The value of the route's path parameter, still percent-encoded; empty if the route has none.
    pub(super) path_parameter: String,
    /// Still percent-encoded, without `?`.
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    /// The framing of a stream in response to it.
    pub(super) framing: Framing,
    /// What takes over the connection when the response opens a stream.
    pub(super) takeover: Takeover,
    pub(super) id: RequestId,
    pub(super) body: BoxStream<'static, Result<Bytes, warp::Error>>,
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
            headers: head.headers,
            framing: Framing::Bare,
            takeover: Takeover::default(),
            id: RequestId("in-process".into()),
            body: futures::stream::once(std::future::ready(Ok(body))).boxed(),
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
}

/// Extracts a [`Request`]. Never rejects.
pub(super) fn request() -> impl Filter<Extract = (Request,), Error = Rejection> + Clone {
    let query = warp::query::raw().map(Some).or(warp::any().map(|| None)).unify();
    let framing = warp::ext::get::<Framing>().or(warp::any().map(|| Framing::Bare)).unify();
    let takeover = warp::ext::get::<Takeover>().or(warp::any().map(Takeover::default)).unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(framing)
        .and(takeover)
        .and(warp::ext::get::<RequestId>())
        .and(warp::body::stream())
        .map(|method, path: warp::path::FullPath, query, headers, framing, takeover, id, body| Request {
            method,
            path: path.as_str().to_owned(),
            path_parameter: String::new(),
            query,
            headers,
            framing,
            takeover,
            id,
            body: chunks(body),
        })
}

fn chunks<S, B>(body: S) -> BoxStream<'static, Result<Bytes, warp::Error>>
where
    S: futures::Stream<Item = Result<B, warp::Error>> + Send + 'static,
    B: Buf,
{
    body.map(|chunk| chunk.map(|mut b| b.copy_to_bytes(b.remaining()))).boxed()
}
