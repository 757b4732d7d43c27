//! The HTTP client for customers' endpoints and for the key sets of issuers, with its restrictions: public addresses
//! only, one deadline, bounded response bodies, no redirects, no proxy. Knows nothing of formats, retries or the store.

mod dns;
mod guard;
mod keep_alive;
mod key_set;
mod replaceable;
mod response;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use ipnet::IpNet;
use reqwest::dns::Resolve;
use reqwest::redirect::Policy;
use tokio::time::{Instant, timeout};

use self::dns::DnsResolver;
use self::guard::{AddressError, EndpointGuard, OpenedRanges, Resolver};
use self::keep_alive::{KeepAlive, KeptConnection};
use super::{ForbiddenEndpoint, HttpClient, HttpError, HttpExchange, HttpResponse};
use crate::domain::Timestamp;
use crate::vendor::OutgoingRequest;

pub use replaceable::ReplaceableClient;

/// Timeout of the name resolution in [`HttpClient::check`]: a caller of the API waits for it.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// Shorter than the idle timeout of common servers (gunicorn 2 s, Node.js and uvicorn 5 s): a request on a connection
/// that the server is closing fails, and would count as a failed attempt.
const IDLE_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Further connections are closed after their response.
const MAX_IDLE_CONNECTIONS_PER_HOST: usize = 64;

/// Settings of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpClientOptions {
    /// For a whole exchange: name resolution, connection, TLS, request, and the head and body of the response.
    pub timeout: Duration,
    /// Ranges that are allowed although they are not public (`allow_private_endpoints`). An IPv4 range also allows the
    /// IPv6 addresses that embed its addresses.
    pub allow_private: Vec<IpNet>,
    /// The name servers; empty for those of the system.
    pub dns_servers: Vec<SocketAddr>,
    /// Maximum number of connections of all hosts that stay open after their response.
    pub max_kept_connections: usize,
}

/// The client cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client for notifications")]
pub struct SetupError(#[source] reqwest::Error);

/// One for the whole program, so that connections are shared.
pub struct ReqwestClient {
    client: reqwest::Client,
    /// Connects to opened ranges only. A name is resolved once: the checked addresses are the ones that are connected
    /// to.
    opened_only: reqwest::Client,
    guard: EndpointGuard,
    keep_alive: KeepAlive,
    timeout: Duration,
}

impl ReqwestClient {
    /// Sets the client up; opens no connection.
    ///
    /// # Errors
    ///
    /// [`SetupError`] if TLS cannot be set up.
    pub fn new(options: HttpClientOptions) -> Result<Self, SetupError> {
        let resolver = DnsResolver::new(&options.dns_servers);
        Self::with_resolver(options, Arc::new(resolver))
    }

    fn with_resolver(options: HttpClientOptions, names: Arc<dyn Resolver>) -> Result<Self, SetupError> {
        let guard = EndpointGuard::new(options.allow_private, names);
        let opened_only = client(OpenedRanges(guard.clone()), options.timeout).map_err(SetupError)?;
        let client = client(guard.clone(), options.timeout).map_err(SetupError)?;
        let keep_alive = KeepAlive::new(options.max_kept_connections);
        Ok(Self { client, opened_only, guard, keep_alive, timeout: options.timeout })
    }

    /// Sends the request and waits for the head of the response. If the future is dropped, the connection is closed.
    async fn send(&self, request: OutgoingRequest) -> Result<Head, HttpError> {
        let url =
            self.guard.check_url(&request.url).map_err(|ForbiddenEndpoint(reason)| HttpError::Forbidden(reason))?;
        let kept = self.keep_alive.enter(url.origin().ascii_serialization(), Instant::now());
        let mut builder = self.client.request(request.method.clone(), url.clone());
        for (name, value) in &request.headers {
            // As bytes: a token may contain any character except line breaks.
            builder = builder.header(name, value.as_bytes());
        }
        if kept.is_none() {
            builder = builder.header(http::header::CONNECTION, "close");
        }
        if !request.body.is_empty() {
            builder = builder.body(request.body);
        } else if request.method != http::Method::GET {
            // Many servers require the length of a POST, and hyper omits that of an empty body.
            builder = builder.header(http::header::CONTENT_LENGTH, 0);
        }
        let sent = timeout(self.timeout, builder.send()).await;
        let response = sent.map_err(|_| HttpError::Timeout(self.timeout))?;
        let response = response.map_err(|error| response::error(&error, &url, self.timeout))?;
        Ok(Head { response, kept })
    }
}

/// The head of a response whose body has not been read.
struct Head {
    response: reqwest::Response,
    /// Dropped when the connection is idle again.
    kept: Option<KeptConnection>,
}

impl HttpClient for ReqwestClient {
    fn check<'a>(&'a self, endpoint: &'a str) -> BoxFuture<'a, Result<(), ForbiddenEndpoint>> {
        Box::pin(async move {
            let url = self.guard.check_url(endpoint)?;
            let Some(url::Host::Domain(name)) = url.host() else { return Ok(()) };
            match timeout(CHECK_TIMEOUT, self.guard.resolve_allowed(name)).await {
                Ok(Err(AddressError::Forbidden(reason))) => Err(reason),
                Ok(Ok(_) | Err(AddressError::Unresolved(_))) | Err(_) => Ok(()),
            }
        })
    }

    fn check_url(&self, endpoint: &str) -> Result<(), ForbiddenEndpoint> {
        self.guard.check_url(endpoint).map(drop)
    }

    fn exchange(&self, request: OutgoingRequest) -> BoxFuture<'_, HttpExchange> {
        Box::pin(async move {
            let start = Instant::now();
            let result = match self.send(request).await {
                Ok(Head { response, kept }) => {
                    let status = response.status().as_u16();
                    let retry_after = response::retry_after(response.headers(), Timestamp::now());
                    let body = response::read_body(response, self.timeout.saturating_sub(start.elapsed())).await;
                    drop(kept);
                    Ok(HttpResponse { status, retry_after, body })
                }
                Err(error) => Err(error),
            };
            HttpExchange { duration: start.elapsed(), result }
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "the one client for customers' endpoints; its restrictions are set here")]
fn client(resolver: impl Resolve + 'static, timeout: Duration) -> reqwest::Result<reqwest::Client> {
    let resolver = Arc::new(resolver);
    let builder = || {
        reqwest::Client::builder()
            .user_agent(concat!("docrelay/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(resolver.clone())
            // A proxy would resolve the name itself and could connect to a forbidden address.
            .no_proxy()
            .redirect(Policy::none())
            // A pooled connection that was closed before anything was sent is still replaced. Otherwise an attempt is
            // one request: the retry schedule is not applied here.
            .retry(reqwest::retry::never())
            .http1_only()
            // Divided among the addresses of a name, so that an unreachable one leaves time for the next.
            .connect_timeout(timeout)
            .tcp_nodelay(true)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS_PER_HOST)
    };
    builder().build().or_else(|error| {
        // A minimal container has no CA certificates, and may only have http endpoints.
        tracing::warn!(%error, "cannot read the system's CA certificates: install ca-certificates and restart the relay to deliver to \
            https endpoints");
        builder().tls_certs_only([]).build()
    })
}

#[cfg(test)]
mod tests;
