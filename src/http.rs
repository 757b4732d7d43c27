//! The relay's HTTP side: which address leads to which handler. Filters parse, handlers are plain functions over the
//! use cases; a rejection means "try the next route", never "error".

mod accept_header;
mod api;
mod auth;
mod baidu;
mod body;
mod cors;
mod middleware;
mod problem;
mod request;
mod response;
pub mod transport;
mod ui;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::auth::{AdminToken, Authenticator, Keys, QueryToken};
use crate::ingest::Ingest;
use crate::manage::{Clients, Deliveries, Documents, Hooks, Notifications, Rejects};
use crate::metrics::Metrics;
use crate::stream::Streams;
use crate::stream::hub::Hub;

pub use api::deliveries::{AttemptView, DeliveryView};
pub use api::hooks::HookView;
pub use baidu::notifications::NotificationView;
pub use cors::Origins;
pub use middleware::RequestMiddleware;

use request::{Request, request};
use response::HandlerResult;

/// What the routes need to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the relay is reached from outside, without a slash at the end.
    pub public_url: String,
    /// Bytes of a request's body.
    pub max_body_bytes: usize,
    /// How long a body may take.
    pub body_timeout: Duration,
    /// For how long a token from `/oauth/token` is good.
    pub token_ttl: Duration,
    /// What a stream's `?token=` may be.
    pub query_token: QueryToken,
    /// Requests a second that one hook takes.
    pub hook_rate: NonZeroU32,
}

/// What the handlers share.
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
    /// One bucket for each hook that was called lately.
    rates: DefaultKeyedRateLimiter<String>,
    /// When each hook was last called, and last refused.
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
    /// Puts the parts together.
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

    /// Forgets the buckets of hooks that have been quiet and the calls of those that are gone, and looks whether keys were added or retired; call it now
    /// and then.
    pub fn sweep(&self) {
        self.rates.retain_recent();
        self.activity.retain(&self.hooks.ids());
        if let Err(error) = self.auth.reload_keys() {
            tracing::warn!(%error, "the signing keys could not be read again: those known stay in force");
        }
    }
}

/// The public address.
pub fn public(context: &Arc<Context>) -> BoxedFilter<(Response,)> {
    let c = context;
    // The busiest first: routes are tried in this order.
    at_one(warp::path!("in" / String), c, api::ingest::receive)
        .or(at(warp::path!("events" / "client"), c, api::events::stream))
        .unify()
        .or(at(warp::path!("events" / "counts"), c, api::stats::counts))
        .unify()
        .or(at_one(warp::path!("events" / String / "raw"), c, api::events::raw))
        .unify()
        .or(at(warp::path!("events" / "ticket"), c, api::tickets::issue))
        .unify()
        .or(at(warp::path!("documents"), c, api::documents::collection))
        .unify()
        .or(at_one(warp::path!("documents" / String), c, api::documents::one))
        .unify()
        .or(at_one(warp::path!("documents" / String / "events"), c, api::documents::history))
        .unify()
        .or(at(warp::path!("hooks"), c, api::hooks::collection))
        .unify()
        .or(at_one(warp::path!("hooks" / String), c, api::hooks::one))
        .unify()
        .or(at(warp::path!("rejects"), c, api::rejects::list))
        .unify()
        .or(at_one(warp::path!("rejects" / String / "replay"), c, api::rejects::replay))
        .unify()
        .or(at(warp::path!("v1" / ..), c, baidu::notifications::api))
        .unify()
        .or(at(warp::path!("v2" / ..), c, baidu::notifications::api))
        .unify()
        .or(at(warp::path!("deliveries"), c, api::deliveries::list))
        .unify()
        .or(at_one(warp::path!("deliveries" / String), c, api::deliveries::one))
        .unify()
        .or(at_one(warp::path!("deliveries" / String / "retry"), c, api::deliveries::retry))
        .unify()
        .or(at(warp::path!("oauth" / "token"), c, api::oauth::token))
        .unify()
        .or(at(warp::path!(".well-known" / "jwks.json"), c, api::oauth::jwks))
        .unify()
        .or(at(anywhere(), c, ui::pages::page))
        .unify()
        .boxed()
}

/// The admin address.
pub fn private(context: &Arc<Context>) -> BoxedFilter<(Response,)> {
    let c = context;
    at(warp::path!("livez"), c, api::admin::livez)
        .or(at(warp::path!("readyz"), c, api::admin::readyz))
        .unify()
        .or(at(warp::path!("metrics"), c, api::admin::metrics))
        .unify()
        .or(at(warp::path!("admin" / "clients"), c, api::admin::clients))
        .unify()
        .or(at_one(warp::path!("admin" / "clients" / String), c, api::admin::client))
        .unify()
        .or(at_one(warp::path!("admin" / "clients" / String / "secret"), c, api::admin::rotate))
        .unify()
        .or(at(warp::path!("admin" / "followers"), c, api::admin::followers))
        .unify()
        .or(at_one(warp::path!("admin" / "followers" / String), c, api::admin::follower))
        .unify()
        .or(at(anywhere(), c, api::admin::elsewhere))
        .unify()
        .boxed()
}

/// Every path that is left.
fn anywhere() -> impl Filter<Extract = (), Error = Rejection> + Clone {
    warp::any().and_then(|| std::future::ready(Ok::<_, Rejection>(()))).untuple_one()
}

/// A handler at a fixed path.
fn at<P, H, F>(path: P, context: &Arc<Context>, handler: H) -> BoxedFilter<(Response,)>
where
    P: Filter<Extract = (), Error = Rejection> + Clone + Send + Sync + 'static,
    H: Fn(Arc<Context>, Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = HandlerResult> + Send,
{
    let context = context.clone();
    path.and(request())
        .then(move |request: Request| {
            let id = request.id.clone();
            let outcome = handler(context.clone(), request);
            async move { outcome.await.unwrap_or_else(|problem| problem.into_response(&id)) }
        })
        .boxed()
}

/// A handler at a path with one segment that varies.
fn at_one<P, H, F>(path: P, context: &Arc<Context>, handler: H) -> BoxedFilter<(Response,)>
where
    P: Filter<Extract = (String,), Error = Rejection> + Clone + Send + Sync + 'static,
    H: Fn(Arc<Context>, Request, String) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = HandlerResult> + Send,
{
    let context = context.clone();
    path.and(request())
        .then(move |segment: String, request: Request| {
            let id = request.id.clone();
            let outcome = handler(context.clone(), request, segment);
            async move { outcome.await.unwrap_or_else(|problem| problem.into_response(&id)) }
        })
        .boxed()
}
