//! The relay's HTTP side: which address leads to which handler. Filters parse, handlers are plain functions over the
//! use cases; a rejection means "try the next route", never "error".

mod accept;
mod access;
mod admin;
mod answer;
mod attend;
mod bce;
mod body;
mod calls;
mod connection;
mod cors;
mod counts;
mod deliveries;
mod docs;
mod documents;
mod edge;
mod events;
pub mod handoff;
mod hooks;
mod ingest;
mod notifications;
mod oauth;
mod pages;
mod problem;
mod rejects;
mod request;
pub mod server;
mod tickets;
mod view;
mod watched;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Rejection};

use crate::auth::{AdminToken, Authenticator, Keys, QueryToken};
use crate::metrics::Metrics;
use crate::notify::Notify;
use crate::relay::Relay;

pub use cors::Origins;
pub use deliveries::{AttemptView, DeliveryView};
pub use edge::Edge;
pub use hooks::HookView;
pub use notifications::NotificationView;

use answer::Outcome;
use request::{Request, request};

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
    relay: Relay,
    notify: Notify,
    auth: Authenticator,
    keys: Keys,
    admin: AdminToken,
    options: Options,
    metrics: Metrics,
    /// One bucket for each hook that was called lately.
    rates: DefaultKeyedRateLimiter<String>,
    /// When each hook was last called, and last refused.
    calls: calls::Calls,
}

/// The parts that the routes stand on.
pub struct Parts {
    /// The use cases.
    pub relay: Relay,
    /// The use cases of notifications.
    pub notify: Notify,
    /// Who may do what.
    pub auth: Authenticator,
    /// What own tokens are signed with.
    pub keys: Keys,
    /// What the administrator presents.
    pub admin: AdminToken,
    /// What is counted.
    pub metrics: Metrics,
}

impl Context {
    /// Puts the parts together.
    pub fn new(parts: Parts, options: Options) -> Arc<Self> {
        let rates = RateLimiter::keyed(Quota::per_second(options.hook_rate));
        let Parts { relay, notify, auth, keys, admin, metrics } = parts;
        Arc::new(Self { relay, notify, auth, keys, admin, options, metrics, rates, calls: calls::Calls::default() })
    }

    /// Forgets the buckets of hooks that have been quiet and the calls of those that are gone, and looks whether keys were added or retired; call it now
    /// and then.
    pub fn sweep(&self) {
        self.rates.retain_recent();
        let registry = &self.relay.store.registry;
        let hooks = registry.clients().into_iter().flat_map(|client| registry.hooks(&client.id));
        self.calls.retain(&hooks.map(|hook| hook.id.clone()).collect());
        if let Err(error) = self.auth.reload_keys() {
            tracing::warn!(%error, "the signing keys could not be read again: those known stay in force");
        }
    }
}

/// The public address.
pub fn public(context: &Arc<Context>) -> BoxedFilter<(Response,)> {
    let c = context;
    // The busiest first: routes are tried in this order.
    at_one(warp::path!("in" / String), c, ingest::receive)
        .or(at(warp::path!("events" / "client"), c, events::stream))
        .unify()
        .or(at(warp::path!("events" / "counts"), c, counts::counts))
        .unify()
        .or(at_one(warp::path!("events" / String / "raw"), c, events::raw))
        .unify()
        .or(at(warp::path!("events" / "ticket"), c, tickets::issue))
        .unify()
        .or(at(warp::path!("documents"), c, documents::collection))
        .unify()
        .or(at_one(warp::path!("documents" / String), c, documents::one))
        .unify()
        .or(at_one(warp::path!("documents" / String / "events"), c, documents::history))
        .unify()
        .or(at(warp::path!("hooks"), c, hooks::collection))
        .unify()
        .or(at_one(warp::path!("hooks" / String), c, hooks::one))
        .unify()
        .or(at(warp::path!("rejects"), c, rejects::list))
        .unify()
        .or(at_one(warp::path!("rejects" / String / "replay"), c, rejects::replay))
        .unify()
        .or(at(warp::path!("v1" / ..), c, notifications::api))
        .unify()
        .or(at(warp::path!("v2" / ..), c, notifications::api))
        .unify()
        .or(at(warp::path!("deliveries"), c, deliveries::list))
        .unify()
        .or(at_one(warp::path!("deliveries" / String), c, deliveries::one))
        .unify()
        .or(at_one(warp::path!("deliveries" / String / "retry"), c, deliveries::retry))
        .unify()
        .or(at(warp::path!("oauth" / "token"), c, oauth::token))
        .unify()
        .or(at(warp::path!(".well-known" / "jwks.json"), c, oauth::jwks))
        .unify()
        .or(at(anywhere(), c, pages::page))
        .unify()
        .boxed()
}

/// The admin address.
pub fn private(context: &Arc<Context>) -> BoxedFilter<(Response,)> {
    let c = context;
    at(warp::path!("livez"), c, admin::livez)
        .or(at(warp::path!("readyz"), c, admin::readyz))
        .unify()
        .or(at(warp::path!("metrics"), c, admin::metrics))
        .unify()
        .or(at(warp::path!("admin" / "clients"), c, admin::clients))
        .unify()
        .or(at_one(warp::path!("admin" / "clients" / String), c, admin::client))
        .unify()
        .or(at_one(warp::path!("admin" / "clients" / String / "secret"), c, admin::rotate))
        .unify()
        .or(at(warp::path!("admin" / "followers"), c, admin::followers))
        .unify()
        .or(at_one(warp::path!("admin" / "followers" / String), c, admin::follower))
        .unify()
        .or(at(anywhere(), c, admin::elsewhere))
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
    F: Future<Output = Outcome> + Send,
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
    F: Future<Output = Outcome> + Send,
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
