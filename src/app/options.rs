//! Converts the configuration to the options of each part.

use std::sync::Arc;

use super::data::DataDirectory;
use crate::config::{AllowedOrigins, Config};
use crate::delivery::{self, http_client};
use crate::http;
use crate::http::transport::{connection, server};
use crate::metrics::{DeliveryGivenUp, Metrics};
use crate::store::sqlite::{self, CommitReport};
use crate::store::{GivenUp, Retention};
use crate::stream::hub;

/// Connections that read the database. Bounds the load when many followers reconnect at once.
const READER_CONNECTIONS: usize = 4;

/// Limit of the admin address: enough for probes, a scraper and some operators.
const MAX_ADMIN_CONNECTIONS: usize = 64;

pub(super) fn store(config: &Config, directory: &DataDirectory, metrics: &Metrics) -> anyhow::Result<sqlite::Options> {
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
        if report.committed {
            metrics.append_batch_size.observe(report.commands as f64);
            metrics.append_seconds.observe(report.duration.as_secs_f64());
        }
        metrics.wal_bytes.set(i64::try_from(report.wal_bytes).unwrap_or(i64::MAX));
    };
    Ok(sqlite::Options {
        on_commit: Some(Arc::new(on_commit)),
        on_given_up: Some(Arc::new(on_given_up)),
        ..bare_store(config, directory)?
    })
}

/// Options of the store without metrics, for commands.
pub(crate) fn bare_store(config: &Config, directory: &DataDirectory) -> anyhow::Result<sqlite::Options> {
    Ok(sqlite::Options {
        path: directory.database(),
        retention: Retention {
            max_event_age: config.history_age,
            max_events: config.history_events_per_client,
            max_event_bytes: config.history_bytes,
            max_reject_age: config.rejects_age,
            max_rejects: config.rejects_per_client,
            max_reject_bytes: config.rejects_bytes,
            max_pending_age: delivery::MAX_SCHEDULE,
            max_pending: config.pending_deliveries_per_client,
            max_pending_bytes: config.pending_deliveries_bytes,
            max_delivery_age: config.deliveries_age,
            max_deliveries: config.deliveries_per_client,
            max_attempt_bytes: config.deliveries_bytes,
        },
        readers: READER_CONNECTIONS,
        seal: directory.seal()?,
        on_commit: None,
        on_given_up: None,
    })
}

pub(crate) fn http_client(config: &Config) -> http_client::Options {
    http_client::Options {
        timeout: config.delivery_timeout,
        allow_private: config.allow_private_endpoints.clone(),
        max_kept_connections: config.delivery_concurrency,
    }
}

pub(crate) fn delivery(config: &Config) -> delivery::Options {
    delivery::Options { concurrency: config.delivery_concurrency, memory_bytes: config.delivery_memory }
}

pub(super) fn hub(config: &Config) -> hub::Options {
    hub::Options {
        max_followers: config.max_followers,
        max_followers_per_client: config.max_followers_per_client,
        ..hub::Options::default()
    }
}

pub(super) fn http(config: &Config, public_url: String) -> http::Options {
    http::Options {
        public_url,
        max_body_bytes: config.max_body_bytes,
        body_timeout: config.body_timeout,
        token_ttl: config.token_ttl,
        query_token: config.query_token,
        hook_rate: config.hook_rate,
    }
}

pub(super) fn server(config: &Config) -> server::Options {
    let connection = connection::Options {
        max_header_bytes: config.max_header_bytes,
        header_timeout: config.header_timeout,
        write_timeout: config.write_timeout,
    };
    server::Options { max_connections: config.max_connections, connection }
}

/// The admin address has connection permits of its own, so that a flood of one address cannot lock out the other.
pub(super) fn admin_server(config: &Config) -> server::Options {
    let public = server(config);
    server::Options { max_connections: public.max_connections.min(MAX_ADMIN_CONNECTIONS), ..public }
}

/// Half of the cores, at least one.
pub(super) fn stream_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| (n.get() / 2).max(1))
}

pub(super) fn origins(config: &Config) -> http::Origins {
    match &config.cors_origins {
        AllowedOrigins::Any => http::Origins::Any,
        AllowedOrigins::Only(names) => http::Origins::Only(names.clone()),
    }
}
