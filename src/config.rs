//! The configuration: one flat struct, read from flags, environment, file and the defaults of `config/keys.rs`. Only
//! the wiring reads the configuration; every part declares its own options.

#![warn(missing_docs)]

mod error;
mod issuers;
mod keys;
mod open_files;
mod reload;
mod sources;
mod tables;
mod value;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

pub use error::ConfigError;
pub use keys::{DefaultValue, Flags, KEYS, Key, Reload, reference};
pub use open_files::raise_open_files;
pub use reload::{ConfigChanges, ConfigSource};
pub use sources::unknown_variables;
pub use value::{AllowedOrigins, LogFormat};

use crate::auth::{IssuerOptions, QueryToken};
use crate::domain::Secret;
use crate::http::transport::tls::TlsFiles;
use crate::journal::MAX_REQUEST_BYTES;
use open_files::{
    default_connections, default_connections_per_address, default_deliveries, default_followers,
    default_followers_per_client,
};
use reload::SetValues;
use sources::Sources;

/// The checked values of all configuration keys. [`KEYS`] documents each key.
#[derive(Clone, Debug)]
pub struct Config {
    /// The public address.
    pub listen: SocketAddr,
    /// The admin address.
    pub admin_listen: SocketAddr,
    /// The data directory.
    pub data: PathBuf,
    /// The cluster that this relay is a node of; `None` for a relay of its own.
    pub cluster: Option<ClusterConfig>,
    /// The certificate of the public address and its key; `None` without TLS.
    pub tls: Option<TlsFiles>,
    /// The configured public base URL, without a trailing slash; see [`Config::public_url`].
    pub public_url: Option<String>,
    /// The origins whose pages may read streams.
    pub cors_origins: AllowedOrigins,
    /// The validity of a token from `/oauth/token`; at least one second.
    pub token_ttl: Duration,
    /// The kinds of token accepted in `?token=`.
    pub query_token: QueryToken,
    /// Foreign issuers whose tokens are accepted.
    pub issuers: Vec<IssuerOptions>,
    /// The proxies that may name the address of a request.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether each of their connections begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Maximum number of open connections.
    pub max_connections: usize,
    /// Maximum number of concurrent requests and streams on an HTTP/2 connection.
    pub max_concurrent_streams: NonZeroU32,
    /// Maximum number of open connections of an address; at most `max_connections`.
    pub max_connections_per_address: usize,
    /// Maximum number of failed tokens of an address within the window.
    pub failed_tokens_per_address: NonZeroU32,
    /// The window of failed tokens.
    pub failed_token_window: Duration,
    /// Maximum number of open streams; less than `max_connections`.
    pub max_followers: usize,
    /// Maximum number of open streams of a client; at most `max_followers`.
    pub max_followers_per_client: usize,
    /// Maximum size of a request head in bytes; at least 8 KiB, which hyper needs.
    pub max_header_bytes: usize,
    /// Deadline for receiving a request head, from its first byte.
    pub header_timeout: Duration,
    /// Maximum idle time of a connection between two requests.
    pub keep_alive_timeout: Duration,
    /// Maximum size of a request body in bytes.
    pub max_body_bytes: usize,
    /// Deadline for receiving a request body.
    pub body_timeout: Duration,
    /// Maximum request rate of a hook, per second.
    pub hook_rate: NonZeroU32,
    /// Maximum request rate of all hooks of a client, per second.
    pub event_rate_per_client: NonZeroU32,
    /// Maximum age of events.
    pub history_age: Duration,
    /// Maximum number of events of a client.
    pub history_events_per_client: u64,
    /// Maximum size of a client's events in bytes, raw requests included.
    pub history_bytes: u64,
    /// Maximum size of all clients' data in bytes.
    pub history_bytes_total: u64,
    /// Maximum age of rejects.
    pub rejects_age: Duration,
    /// Maximum number of rejects of a client.
    pub rejects_per_client: u64,
    /// Maximum size of a client's rejects in bytes.
    pub rejects_bytes: u64,
    /// Private address ranges that deliveries may call.
    pub allow_private_endpoints: Vec<IpNet>,
    /// Name servers for the hosts of endpoints; empty for those of the system.
    pub dns_servers: Vec<SocketAddr>,
    /// Deadline for one attempt of a delivery, from name resolution to the last byte of the response.
    pub delivery_timeout: Duration,
    /// Maximum number of concurrent delivery attempts.
    pub delivery_concurrency: usize,
    /// Maximum memory of pending deliveries and attempts in bytes.
    pub delivery_memory: usize,
    /// Maximum number of pending deliveries of a client.
    pub pending_deliveries_per_client: u64,
    /// Maximum size of their events, requests and attempts per client in bytes.
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
    /// A connection that has not read a response for this long is closed.
    pub response_timeout: Duration,
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
    /// What the sources set, for comparisons.
    values: SetValues,
}

/// The checked values of the keys that begin with `cluster`.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// Addresses of NATS servers. They may contain a password.
    pub servers: Vec<String>,
    /// The name of the cluster.
    pub name: String,
    /// The file with the cluster's key.
    pub key_file: PathBuf,
    /// How many servers store the journal.
    pub replicas: usize,
    /// Maximum size of the journal in bytes.
    pub journal_bytes: u64,
    /// The file with NATS credentials.
    pub credentials: Option<PathBuf>,
    /// The file with the trusted authorities.
    pub ca: Option<PathBuf>,
}

/// Every key is checked, also without a cluster.
fn cluster(sources: &Sources) -> Result<Option<ClusterConfig>, ConfigError> {
    let key_file = sources.optional("cluster_key_file", value::file)?;
    let has_key = key_file.is_some();
    let cluster = ClusterConfig {
        servers: sources.get("cluster", value::nats_servers)?,
        name: sources.get("cluster_name", value::cluster_name)?,
        key_file: key_file.unwrap_or_default(),
        replicas: sources.get("cluster_replicas", value::count)?,
        journal_bytes: sources.get("cluster_journal_bytes", value::size)?,
        credentials: sources.optional("cluster_credentials", value::file)?,
        ca: sources.optional("cluster_ca", value::file)?,
    };
    if cluster.servers.is_empty() {
        return Ok(None);
    }
    let expected = "the path of a file in a cluster; docrelay cluster key prints a key for it";
    sources.require("cluster_key_file", has_key, expected)?;
    Ok(Some(cluster))
}

/// Both files of a certificate, or none.
fn tls_files(sources: &Sources) -> Result<Option<TlsFiles>, ConfigError> {
    let certificate = sources.optional("tls_cert", value::file)?;
    let key = sources.optional("tls_key", value::file)?;
    sources.require("tls_cert", certificate.is_some() || key.is_none(), "given with tls_key")?;
    sources.require("tls_key", key.is_some() || certificate.is_none(), "given with tls_cert")?;
    Ok(certificate.zip(key).map(|(certificate, key)| TlsFiles { certificate, key }))
}

impl Config {
    /// Reads the configuration. Flags take precedence over the environment, the environment over the file, the file
    /// over the defaults.
    ///
    /// `env` is called with `DOCRELAY_…` names only. `open_files` is the open-file limit of the process, see
    /// [`raise_open_files`]; the default connection limits depend on it.
    ///
    /// # Errors
    /// The first invalid value, with the place that set it.
    pub fn load(flags: &Flags, env: impl Fn(&str) -> Option<String>, open_files: u64) -> Result<Self, ConfigError> {
        let sources = Sources::read(flags, &env)?;
        let delivery_concurrency =
            sources.optional("delivery_concurrency", value::count)?.unwrap_or_else(|| default_deliveries(open_files));
        let max_connections = sources
            .optional("max_connections", value::count)?
            .unwrap_or_else(|| default_connections(open_files, delivery_concurrency));
        let max_connections_per_address = sources
            .optional("max_connections_per_address", value::count)?
            .unwrap_or_else(|| default_connections_per_address(max_connections));
        let max_followers =
            sources.optional("max_followers", value::count)?.unwrap_or_else(|| default_followers(max_connections));
        let max_followers_per_client = sources
            .optional("max_followers_per_client", value::count)?
            .unwrap_or_else(|| default_followers_per_client(max_followers));
        let config = Self {
            listen: sources.get("listen", value::address)?,
            admin_listen: sources.get("admin_listen", value::address)?,
            data: sources.get("data", value::path)?,
            cluster: cluster(&sources)?,
            tls: tls_files(&sources)?,
            public_url: sources.optional("public_url", value::base_url)?,
            cors_origins: sources.get("cors_origins", value::origins)?,
            token_ttl: sources.get("token_ttl", value::seconds)?,
            query_token: sources.get("query_token", value::query_token)?,
            issuers: issuers::issuers(&sources)?,
            trusted_proxies: sources.get("trusted_proxies", value::proxies)?,
            proxy_protocol: sources.get("proxy_protocol", value::switch)?,
            max_connections,
            max_concurrent_streams: sources.get("max_concurrent_streams", value::rate)?,
            max_connections_per_address,
            failed_tokens_per_address: sources.get("failed_tokens_per_address", value::rate)?,
            failed_token_window: sources.get("failed_token_window", value::duration)?,
            max_followers,
            max_followers_per_client,
            max_header_bytes: sources.get("max_header_bytes", value::header_size)?,
            header_timeout: sources.get("header_timeout", value::duration)?,
            keep_alive_timeout: sources.get("keep_alive_timeout", value::duration)?,
            max_body_bytes: sources.get("max_body_bytes", value::small_size)?,
            body_timeout: sources.get("body_timeout", value::duration)?,
            hook_rate: sources.get("hook_rate", value::rate)?,
            event_rate_per_client: sources.get("event_rate_per_client", value::rate)?,
            history_age: sources.get("history_age", value::seconds)?,
            history_events_per_client: sources.get("history_events_per_client", value::number)?,
            history_bytes: sources.get("history_bytes", value::size)?,
            history_bytes_total: sources.get("history_bytes_total", value::size)?,
            rejects_age: sources.get("rejects_age", value::seconds)?,
            rejects_per_client: sources.get("rejects_per_client", value::number)?,
            rejects_bytes: sources.get("rejects_bytes", value::size)?,
            allow_private_endpoints: sources.get("allow_private_endpoints", value::ranges)?,
            dns_servers: sources.get("dns_servers", value::name_servers)?,
            delivery_timeout: sources.get("delivery_timeout", value::duration)?,
            delivery_concurrency,
            delivery_memory: sources.get("delivery_memory", value::small_size)?,
            pending_deliveries_per_client: sources.get("pending_deliveries_per_client", value::number)?,
            pending_deliveries_bytes: sources.get("pending_deliveries_bytes", value::size)?,
            deliveries_age: sources.get("deliveries_age", value::seconds)?,
            deliveries_per_client: sources.get("deliveries_per_client", value::number)?,
            deliveries_bytes: sources.get("deliveries_bytes", value::size)?,
            idle_interval: sources.get("idle_interval", value::duration)?,
            write_timeout: sources.get("write_timeout", value::duration)?,
            response_timeout: sources.get("response_timeout", value::duration)?,
            grace: sources.get("grace", value::duration)?,
            log_format: sources.get("log_format", value::log_format)?,
            log_level: sources.get("log_level", value::log_level)?,
            admin_token: sources.optional("admin_token", value::secret)?,
            demo: sources.get("demo", value::switch)?,
            values: SetValues::of(&sources)?,
        };
        match config.inconsistency(open_files) {
            Some((key, expected)) => Err(sources.invalid(key, expected)),
            None => Ok(config),
        }
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
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        match (&self.public_url, bound.ip().is_unspecified()) {
            (Some(url), _) => url.clone(),
            (None, true) => format!("{scheme}://localhost:{}", bound.port()),
            (None, false) => format!("{scheme}://{bound}"),
        }
    }

    /// The first condition between several values that does not hold: the key, and what it must be.
    fn inconsistency(&self, open_files: u64) -> Option<(&'static str, &'static str)> {
        let addresses_differ = self.listen.port() == 0 || self.listen != self.admin_listen;
        let below_file_limit = u64::try_from(self.max_connections).is_ok_and(|n| n < open_files);
        let names_proxies = !self.proxy_protocol || !self.trusted_proxies.is_empty();
        let max_body_bytes = self.max_body_bytes as u64;
        // An entry of the journal carries a whole request.
        let request_bytes = self.max_body_bytes.saturating_add(self.max_header_bytes);
        let fits_into_entry = self.cluster.is_none() || request_bytes <= MAX_REQUEST_BYTES;
        let conditions = [
            ("admin_listen", addresses_differ, "different from listen"),
            ("max_connections", below_file_limit, "fewer than the open-file limit allows (raise it: ulimit -n)"),
            ("trusted_proxies", names_proxies, "given with proxy_protocol"),
            (
                "max_connections_per_address",
                self.max_connections_per_address <= self.max_connections,
                "at most max_connections",
            ),
            (
                "max_followers",
                self.max_followers < self.max_connections,
                "fewer than max_connections, so that connections remain for vendors",
            ),
            ("max_followers_per_client", self.max_followers_per_client <= self.max_followers, "at most max_followers"),
            (
                "max_body_bytes",
                fits_into_entry,
                "at most 496KiB less max_header_bytes in a cluster, because a request must fit into an entry of the journal",
            ),
            ("history_bytes", self.history_bytes >= max_body_bytes, "at least max_body_bytes"),
            ("history_bytes_total", self.history_bytes_total >= max_body_bytes, "at least max_body_bytes"),
            ("rejects_bytes", self.rejects_bytes >= max_body_bytes, "at least max_body_bytes"),
        ];
        conditions.into_iter().find(|(_, holds, _)| !holds).map(|(key, _, expected)| (key, expected))
    }
}
