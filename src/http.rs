//! The HTTP side of the relay. `routes` is the table of all addresses; handlers are functions over the use cases and know
//! no port of the store.

mod accept_header;
mod api;
mod auth;
mod baidu;
mod body;
mod cors;
mod middleware;
mod page;
mod problem;
mod request;
mod response;
mod route;
mod routes;
pub mod transport;
mod ui;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::auth::{AdminToken, Authenticator, Keys, QueryToken};
use crate::ingest::Ingest;
use crate::manage::{Clients, Deliveries, Documents, Hooks, Notifications, Rejects};
use crate::metrics::Metrics;
use crate::stream::Streams;
use crate::stream::hub::Hub;

pub use cors::Origins;
pub use middleware::RequestMiddleware;
pub use route::Access;
pub use routes::{Address, RouteInfo, reference, routes};

use body::BodyLimits;

/// Options of the routes.
#[derive(Debug, Clone)]
pub struct Options {
    /// Base of the URLs of hooks, without a slash at the end.
    pub public_url: String,
    pub max_body_bytes: usize,
    /// From the first read of a body to its last byte.
    pub body_timeout: Duration,
    /// How long a token from `/oauth/token` is valid.
    pub token_ttl: Duration,
    /// What `?token=` of a stream accepts.
    pub query_token: QueryToken,
    /// Requests per second to one hook.
    pub hook_rate: NonZeroU32,
}

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
    options: Options,
    metrics: Metrics,
    /// One rate limiter per hook that was called recently.
    rates: DefaultKeyedRateLimiter<String>,
    activity: api::hook_activity::HookActivity,
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
}

impl Context {
    pub fn new(parts: Parts, options: Options) -> Arc<Self> {
        let rates = RateLimiter::keyed(Quota::per_second(options.hook_rate));
        let activity = api::hook_activity::HookActivity::default();
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
            admin: parts.admin,
            metrics: parts.metrics,
            options,
            rates,
            activity,
        })
    }

    fn body_limits(&self) -> BodyLimits {
        BodyLimits { max_bytes: self.options.max_body_bytes, timeout: self.options.body_timeout }
    }

    /// Removes the rate limiters of idle hooks and the activity of deleted ones, and reads the signing keys again. Called
    /// periodically.
    pub fn sweep(&self) {
        self.rates.retain_recent();
        self.activity.retain(&self.hooks.ids());
        if let Err(error) = self.auth.reload_keys() {
            tracing::warn!(%error, "cannot read the signing keys again: the known ones stay valid");
        }
    }
}
