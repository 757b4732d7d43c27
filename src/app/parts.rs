//! Builds the parts of a relay: their options from the configuration, then the use cases and the routes over an opened
//! store. A relay serves these routes; a command calls them in process.

use std::sync::Arc;

use super::data::DataDirectory;
use crate::auth::{Authenticator, Issuers, Keys};
use crate::config::Config;
use crate::delivery::http_client::{HttpClientOptions, ReplaceableClient};
use crate::delivery::{self, DeliveryHandle, DeliveryOptions};
use crate::http::remote_address::failed_tokens::FailedTokenLimit;
use crate::http::{self, Context, HttpOptions, RequestLimits};
use crate::ingest::Ingest;
use crate::manage::{Clients, Deliveries, Documents, Hooks, Notifications, Rejects};
use crate::metrics::{DeliveryGivenUp, Metrics};
use crate::store::sqlite::{CommitReport, OnThreadEnd, SqliteOptions};
use crate::store::{GivenUp, Retention, Store};
use crate::stream::hub::{FollowerLimits, Hub, HubOptions};
use crate::stream::{StreamOptions, Streams};

/// Threads that read the database. Bounds the load when many followers reconnect at once.
const READER_THREADS: usize = 4;

/// The routes, and the handles that a relay runs beside them.
pub(crate) struct RelayParts {
    pub(crate) context: Arc<Context>,
    pub(crate) hub: Hub,
    pub(crate) streams: Streams,
    pub(crate) delivery: DeliveryHandle,
    pub(crate) clients: Clients,
    pub(crate) hooks: Hooks,
    pub(crate) keys: Keys,
    pub(crate) issuers: Issuers,
    /// Sends deliveries, and fetches the key sets of the issuers.
    pub(crate) http_client: ReplaceableClient,
}

/// The opened parts that the routes use.
pub(crate) struct Opened<'a> {
    pub(crate) store: &'a Store,
    pub(crate) metrics: &'a Metrics,
    /// The base of the URLs of hooks, without a slash at the end.
    pub(crate) public_url: String,
    pub(crate) cluster: Option<http::ClusterView>,
    /// `None` in a command.
    pub(crate) reload: Option<http::ReloadConfig>,
}

/// Builds the use cases and the routes. Starts no task and opens no connection.
pub(crate) fn build(config: &Config, directory: &DataDirectory, opened: Opened<'_>) -> anyhow::Result<RelayParts> {
    let Opened { store, metrics, public_url, cluster, reload } = opened;
    let keys = directory.keys()?;
    let issuers = Issuers::open(config.issuers.clone())?;
    let FollowerLimits { max_followers, max_followers_per_client } = follower_limits(config);
    let hub_options =
        HubOptions { max_followers, max_followers_per_client, threads: stream_threads(), ..HubOptions::default() };
    let hub = Hub::new(hub_options, store.log.head());
    let stream_options = StreamOptions { idle_interval: config.idle_interval, ..StreamOptions::default() };
    let http_client = ReplaceableClient::new(http_client_options(config))?;
    let delivery =
        DeliveryHandle::new(store.clone(), Arc::new(http_client.clone()), delivery_options(config), metrics.clone());
    let streams = Streams::new(store.clone(), hub.clone(), stream_options, metrics.clone());
    let ingest = Ingest::new(store.clone(), metrics.clone());
    let notifications = Notifications::new(store.registry.clone(), delivery.clone());
    let hooks = Hooks::new(store.registry.clone());
    let clients = Clients::new(store.registry.clone(), hub.clone(), delivery.clone());
    let parts = http::Parts {
        clients: clients.clone(),
        hooks: hooks.clone(),
        documents: Documents::new(store.log.clone(), ingest.clone(), notifications.clone()),
        rejects: Rejects::new(store.rejects.clone(), store.registry.clone(), ingest.clone()),
        notifications,
        deliveries: Deliveries::new(store.outbox.clone(), store.registry.clone(), delivery.clone()),
        ingest,
        streams: streams.clone(),
        hub: hub.clone(),
        auth: Authenticator::new(keys.clone(), issuers.clone(), store.registry.clone()),
        keys: keys.clone(),
        admin: directory.admin_token(config.admin_token.clone())?,
        metrics: metrics.clone(),
        cluster,
        reload,
    };
    let options = HttpOptions { public_url, limits: request_limits(config), failed_tokens: failed_token_limit(config) };
    let context = Context::new(parts, options);
    Ok(RelayParts { context, hub, streams, delivery, clients, hooks, keys, issuers, http_client })
}

/// Options of the store of a relay, which reports its commits to the metrics.
pub(super) fn store_options(
    config: &Config,
    directory: &DataDirectory,
    metrics: &Metrics,
    on_thread_end: OnThreadEnd,
) -> anyhow::Result<SqliteOptions> {
    let given_up = metrics.clone();
    let on_given_up = move |reason, count| {
        let reason = match reason {
            GivenUp::Expired => DeliveryGivenUp::Expired,
            GivenUp::OverLimit => DeliveryGivenUp::OverLimit,
        };
        given_up.deliveries_given_up.inc_by(reason, count);
        given_up.deliveries_dead.inc_by(count);
    };
    let metrics = metrics.clone();
    let on_commit = move |report: CommitReport| {
        if report.committed && report.commands > 0 {
            metrics.append_batch_size.observe(report.commands as f64);
            metrics.append_seconds.observe(report.duration.as_secs_f64());
        }
        metrics.cluster_refused_changes.inc_by(report.refused as u64);
        metrics.wal_bytes.set(i64::try_from(report.wal_bytes).unwrap_or(i64::MAX));
        metrics.wal_over_limit.set(i64::from(report.wal_over_limit));
    };
    Ok(SqliteOptions {
        may_leave_cluster: true,
        on_commit: Some(Arc::new(on_commit)),
        on_thread_end: Some(on_thread_end),
        on_given_up: Some(Arc::new(on_given_up)),
        ..bare_store_options(config, directory)?
    })
}

/// Options of the store with which this relay founds a cluster.
pub(super) fn founding_options(config: &Config, directory: &DataDirectory) -> anyhow::Result<SqliteOptions> {
    Ok(SqliteOptions { may_leave_cluster: true, ..bare_store_options(config, directory)? })
}

/// Options of the store without metrics, for commands.
pub(crate) fn bare_store_options(config: &Config, directory: &DataDirectory) -> anyhow::Result<SqliteOptions> {
    Ok(SqliteOptions {
        path: directory.database(),
        retention: retention(config),
        readers: READER_THREADS,
        seal: directory.seal()?,
        may_leave_cluster: false,
        on_commit: None,
        on_thread_end: None,
        on_given_up: None,
    })
}

/// The number of stream workers: half of the cores, at least one.
fn stream_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| (n.get() / 2).max(1))
}

pub(super) fn follower_limits(config: &Config) -> FollowerLimits {
    FollowerLimits { max_followers: config.max_followers, max_followers_per_client: config.max_followers_per_client }
}

pub(super) fn request_limits(config: &Config) -> RequestLimits {
    RequestLimits {
        max_body_bytes: config.max_body_bytes,
        body_timeout: config.body_timeout,
        token_ttl: config.token_ttl,
        query_token: config.query_token,
        hook_rate: config.hook_rate,
        event_rate_per_client: config.event_rate_per_client,
    }
}

pub(super) fn failed_token_limit(config: &Config) -> FailedTokenLimit {
    FailedTokenLimit { per_address: config.failed_tokens_per_address, window: config.failed_token_window }
}

pub(super) fn delivery_options(config: &Config) -> DeliveryOptions {
    DeliveryOptions { concurrency: config.delivery_concurrency, memory_bytes: config.delivery_memory }
}

pub(super) fn http_client_options(config: &Config) -> HttpClientOptions {
    HttpClientOptions {
        timeout: config.delivery_timeout,
        allow_private: config.allow_private_endpoints.clone(),
        dns_servers: config.dns_servers.clone(),
        max_kept_connections: config.delivery_concurrency,
    }
}

/// A vendor may repeat a message after its event was pruned, so a client has more deduplication keys than events.
const DUPLICATE_KEYS_PER_EVENT: u64 = 2;

/// What the store keeps.
pub(super) fn retention(config: &Config) -> Retention {
    Retention {
        max_event_age: config.history_age,
        max_events: config.history_events_per_client,
        max_event_bytes: config.history_bytes,
        max_total_bytes: config.history_bytes_total,
        max_duplicate_keys: config.history_events_per_client.saturating_mul(DUPLICATE_KEYS_PER_EVENT),
        max_reject_age: config.rejects_age,
        max_rejects: config.rejects_per_client,
        max_reject_bytes: config.rejects_bytes,
        max_pending_age: delivery::MAX_SCHEDULE,
        max_pending: config.pending_deliveries_per_client,
        max_pending_bytes: config.pending_deliveries_bytes,
        max_delivery_age: config.deliveries_age,
        max_deliveries: config.deliveries_per_client,
        max_attempt_bytes: config.deliveries_bytes,
    }
}
