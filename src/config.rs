//! The configuration: one flat struct, filled from flags, environment and file over the defaults of `config/keys.rs`.
//! Only wiring reads it; every part declares options of its own.

#![warn(missing_docs)]

mod flags;
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

pub use flags::Flags;
pub use keys::{KEYS, Key, Preset, reference};
pub use layers::{ConfigError, unknown_variables};
pub use limits::raise_open_files;
pub use value::{Origins, Store};

use crate::app::logging::LogFormat;
use crate::auth::QueryToken;
use crate::domain::Secret;
use layers::Layers;

/// Everything that can be configured, each value checked. What each key is for stands in [`KEYS`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The public address.
    pub listen: SocketAddr,
    /// The admin address.
    pub admin_listen: SocketAddr,
    /// The data directory.
    pub data: PathBuf,
    /// Which store.
    pub store: Store,
    /// The public base URL when one is configured, without a trailing slash; see [`Config::public_url`].
    pub public_url: Option<String>,
    /// Whose pages may read.
    pub cors_origins: Origins,
    /// For how long a token of `/oauth/token` is good; at least a second.
    pub token_ttl: Duration,
    /// What a stream's `?token=` may be.
    pub query_token: QueryToken,
    /// Open connections, in all.
    pub max_connections: usize,
    /// Open streams, in all; fewer than connections.
    pub max_followers: usize,
    /// Open streams of one client; not more than in all.
    pub max_followers_per_client: usize,
    /// Bytes of a request's head; at least 8 KiB, which hyper needs.
    pub max_header_bytes: usize,
    /// For a request's head to arrive.
    pub header_timeout: Duration,
    /// Bytes of a request's body.
    pub max_body_bytes: usize,
    /// For a request's body to arrive.
    pub body_timeout: Duration,
    /// Requests per second and hook key.
    pub hook_rate: NonZeroU32,
    /// Older events go.
    pub history_age: Duration,
    /// Events kept of each client.
    pub history_events_per_client: u64,
    /// Bytes kept of each client.
    pub history_bytes: u64,
    /// Older rejects go.
    pub rejects_age: Duration,
    /// Rejects kept of each client.
    pub rejects_per_client: u64,
    /// Bytes of rejects kept of each client.
    pub rejects_bytes: u64,
    /// Private ranges that may be called all the same.
    pub allow_private_endpoints: Vec<IpNet>,
    /// For one attempt of a delivery, from the look at the address to the last byte of the answer.
    pub delivery_timeout: Duration,
    /// Attempts at the same time.
    pub delivery_concurrency: usize,
    /// Settled deliveries older than this go.
    pub deliveries_age: Duration,
    /// Settled deliveries kept of each client.
    pub deliveries_per_client: u64,
    /// Bytes of their attempts kept of each client.
    pub deliveries_bytes: u64,
    /// Between two empty lines on an idle stream.
    pub idle_interval: Duration,
    /// For a follower to accept a byte.
    pub write_timeout: Duration,
    /// From the signal to the exit.
    pub grace: Duration,
    /// How the log is written.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_level: tracing::Level,
    /// The admin token, when it does not come from `<data>/admin.token`.
    pub admin_token: Option<Secret>,
    /// Whether to simulate a vendor.
    pub demo: bool,
}

impl Config {
    /// Reads the configuration: a flag beats the environment, that beats the file, that beats the default.
    ///
    /// `env` is asked for `DOCRELAY_…` names only. `open_files` is how many files the process may have open, as
    /// [`raise_open_files`] tells it: the defaults of the connection limits follow from it.
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
            store: layers.get("store", value::store)?,
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
        config.agree(&layers, open_files)?;
        Ok(config)
    }

    /// Checks one file by itself, as `docrelay check` does: neither flags nor environment count, and the file's
    /// connection limits are not compared with this machine's, because it may be meant for another.
    pub fn check(file: &Path) -> Result<Self, ConfigError> {
        let flags = Flags { config: Some(file.to_owned()), ..Flags::default() };
        Self::load(&flags, |_| None, u64::MAX)
    }

    /// The public base URL without a trailing slash: the configured one, else the address that was bound (whose port
    /// is known only then), where an address that stands for all is written as `localhost`.
    pub fn public_url(&self, bound: SocketAddr) -> String {
        match (&self.public_url, bound.ip()) {
            (Some(url), _) => url.clone(),
            (None, IpAddr::V4(ip)) if ip.is_unspecified() => format!("http://localhost:{}", bound.port()),
            (None, IpAddr::V6(ip)) if ip.is_unspecified() => format!("http://localhost:{}", bound.port()),
            (None, _) => format!("http://{bound}"),
        }
    }

    /// What no value can say alone.
    fn agree(&self, layers: &Layers<'_>, open_files: u64) -> Result<(), ConfigError> {
        let port_is_free = self.listen.port() == 0 || self.listen != self.admin_listen;
        layers.require("admin_listen", port_is_free, "another address than listen has")?;
        let fits = u64::try_from(self.max_connections).is_ok_and(|n| n < open_files);
        layers.require("max_connections", fits, "fewer than the open-file limit allows (raise it: ulimit -n)")?;
        let room = self.max_followers < self.max_connections;
        layers.require("max_followers", room, "fewer than max_connections, so that vendors still get in")?;
        let part = self.max_followers_per_client <= self.max_followers;
        layers.require("max_followers_per_client", part, "at most max_followers")?;
        let body = self.max_body_bytes as u64;
        layers.require("history_bytes", self.history_bytes >= body, "at least max_body_bytes")?;
        layers.require("rejects_bytes", self.rejects_bytes >= body, "at least max_body_bytes")
    }
}
