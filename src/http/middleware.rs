//! What every request and every answer have in common, whichever route they take: a name, cross-origin headers, a
//! count, a log line.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use hyper::body::Incoming;
use tower_service::Service;
use warp::Reply;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::cors::Origins;
use super::request::{Peer, RequestId};
use crate::metrics::Metrics;

type Answering = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// The outermost service of one address.
#[derive(Clone)]
pub struct RequestMiddleware {
    inner: Arc<Inner>,
}

struct Inner {
    routes: BoxedFilter<(Response,)>,
    origins: Origins,
    metrics: Metrics,
    /// Begins at a random number, so that names are not repeated after a restart.
    next: AtomicU64,
}

impl RequestMiddleware {
    /// Around some routes.
    pub fn new(routes: BoxedFilter<(Response,)>, origins: Origins, metrics: Metrics) -> Self {
        Self { inner: Arc::new(Inner { routes, origins, metrics, next: AtomicU64::new(fastrand::u64(..)) }) }
    }
}

impl Service<Request<Incoming>> for RequestMiddleware {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Answering {
        let inner = self.inner.clone();
        let name = format!("{:016x}", inner.next.fetch_add(1, Ordering::Relaxed));
        let id = RequestId(name.into());
        request.extensions_mut().insert(id.clone());
        // CONNECT names an authority and no path, which warp's filters panic on.
        if request.uri().path_and_query().is_none() {
            *request.uri_mut() = Uri::from_static("/");
        }
        let origin = request.headers().get("origin").cloned();
        // The vendors' addresses are not for browsers; CloudEvents has an OPTIONS of its own there.
        let hook = request.uri().path().starts_with("/in/");
        let preflight = !hook && request.method() == Method::OPTIONS;
        let peer = request.extensions().get::<Peer>().copied();
        let what = (request.method().clone(), loggable(request.uri().path()));
        Box::pin(async move {
            let began = Instant::now();
            let mut response = if preflight {
                StatusCode::NO_CONTENT.into_response()
            } else {
                warp::service(inner.routes.clone()).call(request).await?
            };
            if !hook {
                inner.origins.mark(&mut response, origin.as_ref(), preflight);
            }
            let headers = response.headers_mut();
            for (name, value) in [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")] {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            if let Ok(value) = HeaderValue::from_str(&id.0) {
                headers.insert("x-request-id", value);
            }
            inner.metrics.response(response.status().as_u16());
            log(&id, peer, &what, response.status(), began);
            Ok(response)
        })
    }
}

/// Characters of a path that are worth a place in the log.
const LOGGED: usize = 200;

/// The path as it is logged, by its first segment. A hook's key stands in its path, and a mistyped address may hold one
/// anywhere: what is not an address of ours is not for the log. Nor is the query, which may hold a token.
fn loggable(path: &str) -> String {
    const OURS: [&str; 14] = [
        "events",
        "documents",
        "hooks",
        "rejects",
        "deliveries",
        "docs",
        "v1",
        "v2",
        "oauth",
        ".well-known",
        "admin",
        "livez",
        "readyz",
        "metrics",
    ];
    let first = path.strip_prefix('/').unwrap_or_default().split('/').next().unwrap_or_default();
    match first {
        "in" => "/in/…".to_owned(),
        _ if path == "/" || OURS.contains(&first) => path.chars().take(LOGGED).collect(),
        _ => "/…".to_owned(),
    }
}

/// What went well is told in detail only to those who ask for it.
fn log(id: &RequestId, peer: Option<Peer>, (method, path): &(Method, String), status: StatusCode, began: Instant) {
    let (request_id, status) = (&*id.0, status.as_u16());
    let peer = peer.map(|p| tracing::field::display(p.0));
    let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match status {
        500.. => tracing::warn!(request_id, peer, %method, path, status, duration_ms = millis, "a request failed"),
        400..=499 => {
            tracing::info!(request_id, peer, %method, path, status, duration_ms = millis, "a request was refused")
        }
        _ => tracing::debug!(request_id, peer, %method, path, status, duration_ms = millis, "a request was answered"),
    }
}
