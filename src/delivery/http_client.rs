//! The one HTTP client that calls customers' endpoints, and the rules under which it does: public addresses only, one
//! deadline, bounded answers, no redirects, no proxy. Knows nothing of formats, retries or the store.

mod answer;
mod failure;
mod guard;
mod ranges;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use ipnet::IpNet;
use reqwest::redirect::Policy;
use tokio::time::{Instant, timeout};

use self::guard::{Closed, Guard, Names, SystemNames};
use self::ranges::Ranges;
use super::{ForbiddenEndpoint, HttpClient, HttpError, HttpExchange};
use crate::domain::Timestamp;
use crate::vendor::Outbound;

/// How long a name may take to resolve while its address is only checked: somebody waits for the answer.
const CHECK: Duration = Duration::from_secs(2);
/// How long a connection is kept for the next request: shorter than the minute after which servers and the boxes
/// between usually drop it without a word.
const IDLE: Duration = Duration::from_secs(30);
/// Connections that are kept per host; one more than that is closed after its answer.
const IDLE_PER_HOST: usize = 64;

/// What http_client needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// For one exchange as a whole: resolving, connecting, TLS, sending, the answer's head and its body.
    pub timeout: Duration,
    /// Ranges that may be called although they are not public (`allow_private_endpoints`). A range of IPv4 is also
    /// opened in its IPv6 spellings.
    pub allow_private: Vec<IpNet>,
}

/// The client cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client for notifications")]
pub struct SetupError(#[source] reqwest::Error);

/// A handle to the client; one for the whole program, so that connections are shared.
pub struct ReqwestClient {
    client: reqwest::Client,
    guard: Guard,
    timeout: Duration,
}

impl ReqwestClient {
    /// Sets the client up; nothing is called yet.
    pub fn new(options: Options) -> Result<Self, SetupError> {
        Self::with_names(options, Arc::new(SystemNames))
    }

    fn with_names(options: Options, names: Arc<dyn Names>) -> Result<Self, SetupError> {
        let guard = Guard::new(Ranges { opened: options.allow_private }, names);
        let client = client(&guard, options.timeout).map_err(SetupError)?;
        Ok(Self { client, guard, timeout: options.timeout })
    }

    /// Sends the request and waits for the head of the answer. Waiting is given up by dropping: a connection that
    /// still owes an answer is closed.
    async fn send(&self, request: Outbound) -> Result<reqwest::Response, HttpError> {
        let url = self.guard.admit(&request.url).map_err(|ForbiddenEndpoint(why)| HttpError::Forbidden(why))?;
        let mut builder = self.client.request(request.method.clone(), url.clone());
        for (name, value) in &request.headers {
            // As bytes: a token may hold any character, as long as it keeps to its line.
            builder = builder.header(name, value.as_bytes());
        }
        // A GET without a body carries no Content-Length; a POST without one must.
        if !request.body.is_empty() || request.method != http::Method::GET {
            builder = builder.body(request.body);
        }
        let sent = timeout(self.timeout, builder.send()).await;
        let answered = sent.map_err(|_| HttpError::Timeout(self.timeout))?;
        answered.map_err(|error| failure::of(&error, &url, self.timeout))
    }
}

impl HttpClient for ReqwestClient {
    fn check<'a>(&'a self, endpoint: &'a str) -> BoxFuture<'a, Result<(), ForbiddenEndpoint>> {
        Box::pin(async move {
            let url = self.guard.admit(endpoint)?;
            let Some(url::Host::Domain(name)) = url.host() else { return Ok(()) };
            match timeout(CHECK, self.guard.addresses(name)).await {
                Ok(Err(Closed::ForbiddenEndpoint(why))) => Err(why),
                Ok(Ok(_) | Err(Closed::Unresolved(_))) | Err(_) => Ok(()),
            }
        })
    }

    fn exchange(&self, request: Outbound) -> BoxFuture<'_, HttpExchange> {
        Box::pin(async move {
            let began = Instant::now();
            let mut exchange = HttpExchange {
                took: Duration::ZERO,
                status: None,
                answer: Bytes::new(),
                retry_after: None,
                failure: None,
            };
            match self.send(request).await {
                Ok(response) => {
                    exchange.status = Some(response.status().as_u16());
                    exchange.retry_after = answer::retry_after(response.headers(), Timestamp::now());
                    exchange.answer = answer::beginning(response, self.timeout.saturating_sub(began.elapsed())).await;
                }
                Err(failure) => exchange.failure = Some(failure),
            }
            exchange.took = began.elapsed();
            exchange
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "the one way out to customers: its rules are set here")]
fn client(guard: &Guard, timeout: Duration) -> reqwest::Result<reqwest::Client> {
    let rules = || {
        reqwest::Client::builder()
            .user_agent(concat!("docrelay/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(guard.clone())
            // A proxy would dial for us, and dial what it likes.
            .no_proxy()
            .redirect(Policy::none())
            // A connection that turned out to be closed before anything was sent is still replaced by a fresh one;
            // beyond that an attempt is one request, and whether there is another is decided where attempts are counted.
            .retry(reqwest::retry::never())
            .http1_only()
            // Split evenly among a name's addresses, so that one that is silent leaves time for the next.
            .connect_timeout(timeout)
            .tcp_nodelay(true)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_HOST)
    };
    rules().build().or_else(|error| {
        // A bare container has none, and may have no endpoint that needs any.
        tracing::warn!(%error, "the system's CA certificates cannot be read: no https endpoint can be called until they \
            are installed (ca-certificates) and the relay is started again");
        rules().tls_certs_only([]).build()
    })
}

#[cfg(test)]
mod tests;
