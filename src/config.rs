//! The configuration: one flat struct, read from flags, environment, file and the defaults of `config/keys.rs`.
//! Only the wiring reads it; every part declares its own options.

#![warn(missing_docs)]

mod keys;
mod layers;
mod limits;
mod value;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

pub use keys::{DefaultValue, Flags, KEYS, Key, reference};
pub use layers::{ConfigError, unknown_variables};
pub use limits::raise_open_files;
pub use value::{AllowedOrigins, LogFormat};

use crate::auth::QueryToken;
use crate::domain::Secret;
use layers::Layers;

/// The checked values of all configuration keys. [`KEYS`] documents each key.
#[derive(Clone, Debug)]
pub struct Config {
    /// The public address.
    pub listen: SocketAddr,
    /// The admin address.
    pub admin_listen: SocketAddr,
    /// The data directory.
    pub data: PathBuf,
    /// The configured public base URL, without a trailing slash; see [`Config::public_url`].
    pub public_url: Option<String>,
    /// The origins whose pages may read streams.
    pub cors_origins: AllowedOrigins,
    /// The validity of a token from `/oauth/token`; at least one second.
    pub token_ttl: Duration,
    /// The kinds of token accepted in `?token=`.
    pub query_token: QueryToken,
    /// Maximum number of open connections.
    pub max_connections: usize,
    /// Maximum number of open streams; less than `max_connections`.
    pub max_followers: usize,
    /// Maximum number of open streams of a client; at most `max_followers`.
    pub max_followers_per_client: usize,
    /// Maximum size of a request head in bytes; at least 8 KiB, which hyper needs.
    pub max_header_bytes: usize,
    /// Deadline for receiving a request head.
    pub header_timeout: Duration,
    /// Maximum size of a request body in bytes.
    pub max_body_bytes: usize,
    /// Deadline for receiving a request body.
    pub body_timeout: Duration,
    /// Maximum request rate of a hook, per second.
    pub hook_rate: NonZeroU32,
    /// Maximum age of events.
    pub history_age: Duration,
    /// Maximum number of events of a client.
    pub history_events_per_client: u64,
    /// Maximum size of a client's events in bytes, raw requests included.
    pub history_bytes: u64,
    /// Maximum age of rejects.
    pub rejects_age: Duration,
    /// Maximum number of rejects of a client.
    pub rejects_per_client: u64,
    /// Maximum size of a client's rejects in bytes.
    pub rejects_bytes: u64,
    /// Private address ranges that deliveries may call.
    pub allow_private_endpoints: Vec<IpNet>,
    /// Deadline for one attempt of a delivery, from name resolution to the last byte of the response.
    pub delivery_timeout: Duration,
    /// Maximum number of concurrent delivery attempts.
    pub delivery_concurrency: usize,
    /// Maximum memory of pending deliveries and attempts in bytes.
    pub delivery_memory: usize,
    /// Maximum number of pending deliveries of a client.
    pub pending_deliveries_per_client: u64,
    /// Maximum size of their events and requests per client in bytes.
    pub pending_deliveries_bytes: u64,
    /// Maximum age of delivered and dead deliveries.
    pub deliveries_age: Duration,
    /// Maximum number of delivered and dead deliveries of a client.
    pub deliveries_per_client: u64,
    /// Maximum size of their attempts per client in bytes.
    pub deliveries_bytes: u64,
    /// Interval of keepalives on an idle stream.
    pub idle_interval: Duration,
    /// A follower that accepts no byte for this long is disconnected.
    pub write_timeout: Duration,
    /// Time between the signal and the exit.
    pub grace: Duration,
    /// The output format of the log.
    pub log_format: LogFormat,
    /// The lowest level that is logged.
    pub log_level: tracing::Level,
    /// The admin token, unless `<data>/admin.token` holds it.
    pub admin_token: Option<Secret>,
    /// Whether the demo client with simulated vendors runs.
    pub demo: bool,
}

impl Config {
    /// Reads the configuration. Flags take precedence over the environment, the environment over the file, the file over
    /// the defaults.
    ///
    /// `env` is called with `DOCRELAY_…` names only. `open_files` is the open-file limit of the process, see
    /// [`raise_open_files`]; the default connection limits depend on it.
    ///
    /// # Errors
    /// The first invalid value, with the place that set it.
    pub fn load(flags: &Flags, env: impl Fn(&str) -> Option<String>, open_files: u64) -> Result<Self, ConfigError> {
        let layers = Layers::read(flags, &env)?;
        let delivery_concurrency =
            layers.optional("delivery_concurrency", value::count)?.unwrap_or_else(|| limits::deliveries(open_files));
        let max_connections = layers
            .optional("max_connections", value::count)?
            .unwrap_or_else(|| limits::connections(open_files, delivery_concurrency));
        let max_followers =
            layers.optional("max_followers", value::count)?.unwrap_or_else(|| limits::followers(max_connections));
        let max_followers_per_client = layers
            .optional("max_followers_per_client", value::count)?
            .unwrap_or_else(|| limits::followers_per_client(max_followers));
        let config = Self {
            listen: layers.get("listen", value::address)?,
            admin_listen: layers.get("admin_listen", value::address)?,
            data: layers.get("data", value::path)?,
            public_url: layers.optional("public_url", value::base_url)?,
            cors_origins: layers.get("cors_origins", value::origins)?,
            token_ttl: layers.get("token_ttl", value::seconds)?,
            query_token: layers.get("query_token", value::query_token)?,
            max_connections,
            max_followers,
            max_followers_per_client,
            max_header_bytes: layers.get("max_header_bytes", value::header_size)?,
            header_timeout: layers.get("header_timeout", value::duration)?,
            max_body_bytes: layers.get("max_body_bytes", value::small_size)?,
            body_timeout: layers.get("body_timeout", value::duration)?,
            hook_rate: layers.get("hook_rate", value::rate)?,
            history_age: layers.get("history_age", value::seconds)?,
            history_events_per_client: layers.get("history_events_per_client", value::number)?,
            history_bytes: layers.get("history_bytes", value::size)?,
            rejects_age: layers.get("rejects_age", value::seconds)?,
            rejects_per_client: layers.get("rejects_per_client", value::number)?,
            rejects_bytes: layers.get("rejects_bytes", value::size)?,
            allow_private_endpoints: layers.get("allow_private_endpoints", value::ranges)?,
            delivery_timeout: layers.get("delivery_timeout", value::duration)?,
            delivery_concurrency,
            delivery_memory: layers.get("delivery_memory", value::small_size)?,
            pending_deliveries_per_client: layers.get("pending_deliveries_per_client", value::number)?,
            pending_deliveries_bytes: layers.get("pending_deliveries_bytes", value::size)?,
            deliveries_age: layers.get("deliveries_age", value::seconds)?,
            deliveries_per_client: layers.get("deliveries_per_client", value::number)?,
            deliveries_bytes: layers.get("deliveries_bytes", value::size)?,
            idle_interval: layers.get("idle_interval", value::duration)?,
            write_timeout: layers.get("write_timeout", value::duration)?,
            grace: layers.get("grace", value::duration)?,
            log_format: layers.get("log_format", value::log_format)?,
            log_level: layers.get("log_level", value::log_level)?,
            admin_token: layers.optional("admin_token", value::secret)?,
            demo: layers.get("demo", value::switch)?,
        };
        config.check_consistency(&layers, open_files)?;
        Ok(config)
    }

    /// Checks one file without flags and environment, as `docrelay check` does. Its connection limits are not compared
    /// with the open-file limit, because the file may be meant for another machine.
    ///
    /// # Errors
    /// The first invalid value, with its line.
    pub fn check(file: &Path) -> Result<Self, ConfigError> {
        let flags = Flags { config: Some(file.to_owned()), ..Flags::default() };
        Self::load(&flags, |_| None, u64::MAX)
    }

    /// The public base URL without a trailing slash: the configured URL, or else the bound address. An unspecified
    /// address is written as `localhost`.
    pub fn public_url(&self, bound: SocketAddr) -> String {
        match (&self.public_url, bound.ip()) {
            (Some(url), _) => url.clone(),
            (None, IpAddr::V4(ip)) if ip.is_unspecified() => format!("http://localhost:{}", bound.port()),
            (None, IpAddr::V6(ip)) if ip.is_unspecified() => format!("http://localhost:{}", bound.port()),
            (None, _) => format!("http://{bound}"),
        }
    }

    /// Checks the conditions between several values.
    fn check_consistency(&self, layers: &Layers<'_>, open_files: u64) -> Result<(), ConfigError> {
        let port_is_free = self.listen.port() == 0 || self.listen != self.admin_listen;
        layers.require("admin_listen", port_is_free, "different from listen")?;
        let fits = u64::try_from(self.max_connections).is_ok_and(|n| n < open_files);
        layers.require("max_connections", fits, "fewer than the open-file limit allows (raise it: ulimit -n)")?;
        let room = self.max_followers < self.max_connections;
        layers.require("max_followers", room, "fewer than max_connections, so that connections remain for vendors")?;
        let part = self.max_followers_per_client <= self.max_followers;
        layers.require("max_followers_per_client", part, "at most max_followers")?;
        let body = self.max_body_bytes as u64;
        layers.require("history_bytes", self.history_bytes >= body, "at least max_body_bytes")?;
        layers.require("rejects_bytes", self.rejects_bytes >= body, "at least max_body_bytes")
    }
}
