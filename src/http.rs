//! The HTTP side of the relay. `routes` is the table of all addresses; handlers are functions over the use cases and
//! know no port of the store. [`Context`] is what they share: the use cases, and the check of tokens.

mod api;
mod api_route;
mod baidu;
mod content_negotiation;
mod credential_checks;
mod event_rates;
mod middleware;
mod pagination;
mod rate_limiter;
pub mod remote_address;
mod request;
mod response;
mod routes;
pub mod transport;
mod ui;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::auth::{AdminToken, AuthError, Authenticator, Grant, Keys, QueryToken, Scope, bearer, find_token};
use crate::domain::{ClientRef, Reloadable, Timestamp};
use crate::ingest::Ingest;
use crate::manage::{Clients, Deliveries, Documents, Hooks, Notifications, Rejects};
use crate::metrics::Metrics;
use crate::stream::Streams;
use crate::stream::hub::Hub;

pub use api_route::Access;
pub use middleware::{Origins, RequestMiddleware};
pub use routes::{Address, RouteInfo, reference, routes};

use api::hooks::HookActivity;
use credential_checks::TokenRefusal;
use event_rates::EventRates;
use rate_limiter::KeyedRates;
use remote_address::failed_tokens::{FailedTokenLimit, FailedTokens};
use request::{BodyLimits, Request};
use response::Problem;

/// Options of the routes.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Base of the URLs of hooks, without a slash at the end.
    pub public_url: String,
    pub limits: RequestLimits,
    pub failed_tokens: FailedTokenLimit,
}

/// The options that a reload may replace.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    pub max_body_bytes: usize,
    /// From the first read of a body to its last byte.
    pub body_timeout: Duration,
    /// How long a token from `/oauth/token` is valid.
    pub token_ttl: Duration,
    /// What `?token=` of a stream accepts.
    pub query_token: QueryToken,
    /// Requests per second to one hook.
    pub hook_rate: NonZeroU32,
    /// The same for all hooks of a client without a limit of its own.
    pub event_rate_per_client: NonZeroU32,
}

impl RequestLimits {
    fn body(&self) -> BodyLimits {
        BodyLimits { max_bytes: self.max_body_bytes, timeout: self.body_timeout }
    }
}

/// Unverified requests to one hook that are kept at once; one more each second. Each costs a transaction, and anyone
/// who knows the URL can send them: without this bound they could occupy the writer, which all clients share.
const UNVERIFIED_BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);

/// What the handlers share; made from [`Parts`].
pub struct Context {
    clients: Clients,
    hooks: Hooks,
    documents: Documents,
    rejects: Rejects,
    notifications: Notifications,
    deliveries: Deliveries,
    ingest: Ingest,
    streams: Streams,
    hub: Hub,
    auth: Authenticator,
    keys: Keys,
    admin: AdminToken,
    /// Base of the URLs of hooks, without a slash at the end.
    public_url: String,
    limits: Reloadable<RequestLimits>,
    metrics: Metrics,
    cluster: Option<ClusterView>,
    reload: Option<ReloadConfig>,
    /// One rate limiter per hook that was called recently.
    hook_rates: KeyedRates<String>,
    event_rates: EventRates,
    failed_tokens: FailedTokens,
    /// Limits the unverified requests that are kept of each hook.
    unverified_limiter: DefaultKeyedRateLimiter<String>,
    hook_activity: HookActivity,
}

/// What the routes show of the cluster.
#[derive(Clone)]
pub struct ClusterView {
    /// Reads its state as JSON.
    pub state: Arc<dyn Fn() -> BoxFuture<'static, serde_json::Value> + Send + Sync>,
    /// Why this node must not be used any more, as a sentence; `None` normally.
    pub fault: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// Why this node is not ready at present although its store is, as a sentence; `None` if it is ready.
    pub unready: Arc<dyn Fn() -> Option<&'static str> + Send + Sync>,
}

/// Reads the configuration again and applies it, as a whole or not at all.
pub type ReloadConfig = Arc<dyn Fn() -> BoxFuture<'static, Result<ReloadReport, ReloadError>> + Send + Sync>;

/// What a reload has found, by the names of the keys.
#[derive(Debug, Clone, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReloadReport {
    /// The new values are in effect.
    pub changed: Vec<&'static str>,
    /// The relay must be restarted for the new values.
    pub needs_restart: Vec<&'static str>,
}

/// Why a reload has changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// The new configuration cannot be used: one sentence that names the place.
    #[error("{0}")]
    Invalid(String),
    #[error("the relay is stopping")]
    Stopping,
}

/// The use cases that the handlers call, and what requests are authenticated with.
pub struct Parts {
    pub clients: Clients,
    pub hooks: Hooks,
    pub documents: Documents,
    pub rejects: Rejects,
    pub notifications: Notifications,
    pub deliveries: Deliveries,
    pub ingest: Ingest,
    pub streams: Streams,
    pub hub: Hub,
    pub auth: Authenticator,
    /// Sign the tokens of `/oauth/token` and the tickets.
    pub keys: Keys,
    pub admin: AdminToken,
    pub metrics: Metrics,
    /// The state of the cluster; `None` without one.
    pub cluster: Option<ClusterView>,
    /// `None` in a command, which reads the configuration itself.
    pub reload: Option<ReloadConfig>,
}

impl Context {
    pub fn new(parts: Parts, options: HttpOptions) -> Arc<Self> {
        Arc::new(Self {
            clients: parts.clients,
            hooks: parts.hooks,
            documents: parts.documents,
            rejects: parts.rejects,
            notifications: parts.notifications,
            deliveries: parts.deliveries,
            ingest: parts.ingest,
            streams: parts.streams,
            hub: parts.hub,
            auth: parts.auth,
            keys: parts.keys,
            cluster: parts.cluster,
            reload: parts.reload,
            admin: parts.admin,
            metrics: parts.metrics,
            hook_rates: KeyedRates::new(options.limits.hook_rate),
            event_rates: EventRates::new(options.limits.event_rate_per_client),
            failed_tokens: FailedTokens::new(options.failed_tokens),
            unverified_limiter: RateLimiter::keyed(Quota::per_second(NonZeroU32::MIN).allow_burst(UNVERIFIED_BURST)),
            hook_activity: HookActivity::default(),
            public_url: options.public_url,
            limits: Reloadable::new(options.limits),
        })
    }

    /// The grant of the request's bearer token, which has one of `scopes`. A token in the query is not accepted: only
    /// streams need it, because browsers cannot send headers there.
    async fn require_token(&self, request: &Request, scopes: &[Scope], now: Timestamp) -> Result<Grant, Problem> {
        let header = request.headers.get("authorization").map(::http::HeaderValue::as_bytes);
        let challenge = |problem: Problem| problem.with_resource_metadata(&self.public_url);
        let token = find_token(header, None).map_err(|_| challenge(Problem::token_required()))?;
        let grant = self.check_request_token(request, token.token(), now).await.map_err(|refusal| {
            tracing::info!(request_id = %request.id.0, address = request.logged_address(), reason = %refusal, "token rejected");
            match refusal {
                TokenRefusal::Denied(AuthError::Scope) => Problem::insufficient_scope(scopes[0].as_str()),
                TokenRefusal::Denied(denied) => challenge(denied.into()),
                refusal => Problem::from(refusal),
            }
        })?;
        if grant.ticket.is_some() {
            return Err(Problem::ticket_not_accepted());
        }
        if scopes.iter().any(|s| grant.scopes.has(*s)) {
            Ok(grant)
        } else {
            Err(Problem::insufficient_scope(scopes[0].as_str()))
        }
    }

    /// The grant of a token. One whose key is not in the known key set of its issuer is checked again when the set was
    /// fetched, one of a client that is unknown to this node when the node has caught up.
    async fn check_token(&self, token: &str, now: Timestamp) -> Result<Grant, AuthError> {
        let checked = match self.auth.check(token, now) {
            Err(AuthError::UnknownIssuerKey(issuer)) if self.auth.fetch_keys(issuer).await => {
                self.auth.check(token, Timestamp::now())
            }
            checked => checked,
        };
        match checked {
            Err(denied) if denied.depends_on_registry() && self.catch_up().await => self.auth.check(token, now),
            checked => checked,
        }
    }

    /// To be called before something is refused that another node of the cluster may have made or changed: catches up
    /// with the cluster and returns whether to look again. Costs nothing without a cluster. When the cluster does not
    /// answer in time, the refusal stands.
    async fn catch_up(&self) -> bool {
        self.cluster.is_some() && self.ingest.catch_up().await.is_ok()
    }

    /// Checks the admin token.
    fn require_admin_token(&self, request: &Request) -> Result<(), Problem> {
        let token = request.header("authorization").and_then(bearer).ok_or_else(Problem::token_required)?;
        if self.admin.matches(token) {
            return Ok(());
        }
        tracing::warn!(request_id = %request.id.0, address = request.logged_address(), "admin token rejected");
        Err(Problem::invalid_token("this is not the admin token"))
    }

    /// Counts a webhook or a registration of a client.
    ///
    /// # Errors
    /// `429` beyond the client's own limit or the default.
    fn count_event(&self, client: &ClientRef) -> Result<(), Problem> {
        let (own, default) = (self.clients.limits(client).events_per_second, self.limits.get().event_rate_per_client);
        if self.event_rates.allows(&client.id, own, default) { Ok(()) } else { Err(Problem::event_rate_exceeded()) }
    }

    fn body_limits(&self) -> BodyLimits {
        self.limits.get().body()
    }

    /// Requests that begin from now on have these limits.
    pub fn set_limits(&self, limits: RequestLimits, failed_tokens: FailedTokenLimit) {
        self.limits.replace(limits);
        self.failed_tokens.set_limit(failed_tokens);
    }

    /// Removes the rate limiters of idle hooks, old events from the rings, and the activity of deleted hooks when it
    /// exceeds that of all hooks, and reads the signing keys again. Called periodically.
    pub fn sweep(&self) {
        self.hook_rates.retain_recent();
        self.unverified_limiter.retain_recent();
        self.failed_tokens.sweep(Instant::now());
        self.hub.evict_old();
        self.event_rates.sweep(|id| {
            let client = self.clients.get(id)?;
            self.clients.limits(&client.reference()).events_per_second
        });
        // Only then there are many deleted ones among them. The ids are copied seldom, because there may be many.
        if self.hook_activity.len() > self.hooks.count() {
            self.hook_activity.retain(&self.hooks.ids());
        }
        match self.auth.reload_keys(Timestamp::now()) {
            // Their streams see that the key of their token is retired.
            Ok(true) => self.hub.wake(),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "cannot read the signing keys again: the known ones stay valid"),
        }
    }
}
