//! What every request and response have in common, on all routes: a request id, the true address, cross-origin and
//! security headers, a metric, a log line.

use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use futures::FutureExt;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use hyper::body::Incoming;
use tower_service::Service;
use warp::Reply;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::remote_address::RemoteAddress;
use super::remote_address::trusted_proxies::TrustedProxies;
use super::request::{RequestHeaders, RequestId, normalize_path};
use super::response::Problem;
use super::routes::redact_path;
use super::transport::connection::Peer;
use crate::domain::Reloadable;
use crate::metrics::Metrics;

/// The outermost service of one address.
#[derive(Clone)]
pub struct RequestMiddleware {
    inner: Arc<MiddlewareState>,
    trusted_proxies: TrustedProxies,
}

/// What the clones of the middleware share.
struct MiddlewareState {
    routes: BoxedFilter<(Response,)>,
    origins: Reloadable<Origins>,
    metrics: Metrics,
    /// Starts at a random number, so that ids are not repeated after a restart.
    next_request_id: AtomicU64,
}

impl RequestMiddleware {
    pub fn new(routes: BoxedFilter<(Response,)>, origins: Reloadable<Origins>, metrics: Metrics) -> Self {
        let next_request_id = AtomicU64::new(fastrand::u64(..));
        let inner = Arc::new(MiddlewareState { routes, origins, metrics, next_request_id });
        Self { inner, trusted_proxies: TrustedProxies::new(Vec::new()) }
    }

    /// These proxies may name the address of a request; without this call, none.
    #[must_use]
    pub fn behind(self, trusted_proxies: TrustedProxies) -> Self {
        Self { trusted_proxies, ..self }
    }
}

impl Service<Request<Incoming>> for RequestMiddleware {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        let inner = self.inner.clone();
        let number = inner.next_request_id.fetch_add(1, Ordering::Relaxed);
        let id = RequestId(format!("{number:016x}").into());
        request.extensions_mut().insert(id.clone());
        let peer = request.extensions().get::<Peer>().copied();
        let address = peer.map(|peer| self.trusted_proxies.resolve(peer.0.ip(), request.headers()));
        if let Some(address) = address {
            request.extensions_mut().insert(RemoteAddress(address));
        }
        // CONNECT has an authority and no path, on which warp's filters panic.
        if request.uri().path_and_query().is_none() {
            *request.uri_mut() = Uri::from_static("/");
        }
        let origin = request.headers().get("origin").cloned();
        // The vendors' addresses are not for browsers; CloudEvents has an OPTIONS request of its own there.
        let path = normalize_path(request.uri().path());
        let is_hook = path.starts_with("/in/");
        let is_preflight = !is_hook && request.method() == Method::OPTIONS;
        let logged = LoggedRequest {
            id,
            address,
            peer,
            method: request.method().clone(),
            path: redact_path(&path),
            start: Instant::now(),
        };
        let has_valid_host = has_valid_host(&request);
        // warp would copy them for each request.
        let headers = RequestHeaders(Arc::new(std::mem::take(request.headers_mut())));
        request.extensions_mut().insert(headers);
        Box::pin(async move {
            let mut response = if !has_valid_host {
                Problem::bad_request("an HTTP/1.1 request has exactly one Host header").into_response(&logged.id)
            } else if is_preflight {
                StatusCode::NO_CONTENT.into_response()
            } else {
                let routed = async { warp::service(inner.routes.clone()).call(request).await };
                // The panic hook logs the reason. Without a response, a proxy would repeat the request on another
                // connection.
                AssertUnwindSafe(routed).catch_unwind().await.unwrap_or_else(|_| {
                    let address = logged.address.map(tracing::field::display);
                    tracing::error!(
                        request_id = &*logged.id.0,
                        address,
                        path = logged.path,
                        "request handler panicked"
                    );
                    let detail = "the relay failed on this request: its log has the reason";
                    Ok(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response(&logged.id))
                })?
            };
            if !is_hook {
                inner.origins.read(|origins| origins.add_headers(&mut response, origin.as_ref(), is_preflight));
            }
            let headers = response.headers_mut();
            for (name, value) in [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")] {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            if let Ok(value) = HeaderValue::from_str(&logged.id.0) {
                headers.insert("x-request-id", value);
            }
            inner.metrics.response(response.status().as_u16());
            logged.log(response.status());
            Ok(response)
        })
    }
}

/// RFC 9112, 3.2: a request without `Host`, or with two, is refused, because proxies may disagree about its host.
fn has_valid_host(request: &Request<Incoming>) -> bool {
    request.version() != Version::HTTP_11 || request.headers().get_all(header::HOST).iter().count() == 1
}

/// The origins whose pages may read responses. The relay uses no cookies, so a response that any origin may read gives
/// no access beyond that of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// `*`
    Any,
    /// These only, such as `https://app.example`.
    Only(Vec<String>),
}

impl Origins {
    /// Adds the headers for a request of this origin.
    fn add_headers(&self, response: &mut Response, origin: Option<&HeaderValue>, preflight: bool) {
        let headers = response.headers_mut();
        let allowed = match self {
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::Only(names) => {
                headers.append(header::VARY, HeaderValue::from_static("Origin"));
                origin.filter(|o| names.iter().any(|n| n.as_bytes() == o.as_bytes())).cloned()
            }
        };
        let Some(allowed) = allowed else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if preflight {
            for (name, value) in [
                (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, PATCH, DELETE, OPTIONS"),
                (
                    header::ACCESS_CONTROL_ALLOW_HEADERS,
                    "Authorization, Last-Event-ID, Cache-Control, Content-Type, X-Bce-Date, X-Bce-Request-Id",
                ),
                (header::ACCESS_CONTROL_MAX_AGE, "86400"),
            ] {
                headers.insert(name, HeaderValue::from_static(value));
            }
        } else {
            headers.insert(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("X-Request-Id, X-Bce-Request-Id, Location, Retry-After"),
            );
        }
    }
}

/// What the log line of a request says.
struct LoggedRequest {
    id: RequestId,
    /// The true one.
    address: Option<IpAddr>,
    peer: Option<Peer>,
    method: Method,
    path: String,
    start: Instant,
}

impl LoggedRequest {
    /// Successful requests are logged at debug level only.
    fn log(&self, status: StatusCode) {
        let (request_id, method, path, status) = (&*self.id.0, &self.method, &self.path, status.as_u16());
        let address = self.address.map(tracing::field::display);
        let peer = self.peer.map(|p| tracing::field::display(p.0));
        let duration_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        match status {
            500.. => tracing::warn!(request_id, address, peer, %method, path, status, duration_ms, "request failed"),
            400..=499 => {
                tracing::info!(request_id, address, peer, %method, path, status, duration_ms, "request refused")
            }
            _ => tracing::debug!(request_id, address, peer, %method, path, status, duration_ms, "request completed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio_util::sync::CancellationToken;
    use warp::Filter;

    use super::*;
    use crate::http::remote_address::connections::AddressConnections;
    use crate::http::transport::connection::ConnectionLimits;
    use crate::http::transport::server::{Http2Requests, Permits, Server, ServerOptions, listen};
    use crate::http::transport::workers::StreamWorkers;

    /// The relay accepts one connection at a time, so a permit that is not released ends the test.
    // Rule 26: a panic releases its permit.
    #[tokio::test]
    async fn panicking_handler_gets_500_and_releases_its_permit() {
        let metrics = Metrics::new("test");
        let routes = warp::any().map(|| -> Response { panic!("the handler panics") }).boxed();
        let timeout = Duration::from_secs(30);
        let connection = Reloadable::new(ConnectionLimits {
            max_header_bytes: 8192,
            header_timeout: timeout,
            keep_alive_timeout: timeout,
            write_timeout: timeout,
            response_timeout: timeout,
            max_concurrent_streams: 1,
        });
        let stop = CancellationToken::new();
        let server = Server {
            options: ServerOptions {
                permits: Permits::new(1),
                http2_requests: Http2Requests::without_shares(1, metrics.clone()),
                addresses: AddressConnections::unlimited(),
                proxy_protocol: None,
                connection,
            },
            tls: None,
            workers: StreamWorkers::new(Vec::new(), Reloadable::new(timeout)).0,
            stop: stop.clone(),
            metrics: metrics.clone(),
        };
        let listener = listen(([127, 0, 0, 1], 0).into()).expect("a port");
        let address = listener.local_addr().expect("bound");
        let clients = async {
            for _ in 0..3 {
                let mut socket = TcpStream::connect(address).await.expect("a connection");
                socket.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("sent");
                let mut response = String::new();
                socket.read_to_string(&mut response).await.expect("a response");
                assert!(response.starts_with("HTTP/1.1 500 ") && response.contains("requestId"), "{response}");
                assert!(!response.contains("the handler panics"), "{response}");
            }
            stop.cancel();
        };
        let service = RequestMiddleware::new(routes, Reloadable::new(Origins::Any), metrics.clone());
        let both = async { tokio::join!(server.run(listener, service), clients) };
        tokio::time::timeout(timeout, both).await.expect("every connection is served");
        assert_eq!(metrics.connections.get(), 0);
    }
}
