//! The settings of both servers that a reload may replace. The public and the admin server share the limits of a
//! connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::config::{AllowedOrigins, Config};
use crate::domain::Reloadable;
use crate::http::Origins;
use crate::http::remote_address::connections::AddressConnections;
use crate::http::remote_address::trusted_proxies::TrustedProxies;
use crate::http::transport::connection::ConnectionLimits;
use crate::http::transport::server::{Http2Requests, Permits, ProxyHeaderRule, ProxyProtocol, ServerOptions};
use crate::metrics::Metrics;

/// Limit of the admin address: enough for probes, a scraper and some operators.
const MAX_ADMIN_CONNECTIONS: usize = 64;

/// Handles of the settings. Cheap to clone.
#[derive(Clone)]
pub(super) struct ServerSettings {
    permits: Permits,
    http2_requests: Http2Requests,
    addresses: AddressConnections,
    /// Connections that are accepted from now on have these limits.
    connection: Reloadable<ConnectionLimits>,
    /// Streams that begin from now on have this time-out.
    pub(super) write_timeout: Reloadable<Duration>,
    /// The origins of the public address.
    pub(super) origins: Reloadable<Origins>,
    /// The proxies in front of the public address.
    pub(super) trusted_proxies: TrustedProxies,
    /// Whether each of their connections begins with a header of the PROXY protocol.
    proxy_header: ProxyHeaderRule,
}

impl ServerSettings {
    pub(super) fn new(config: &Config, metrics: &Metrics) -> Self {
        let trusted_proxies = TrustedProxies::new(config.trusted_proxies.clone());
        let refused = metrics.connections_refused.clone();
        Self {
            permits: Permits::new(config.max_connections),
            // As many as HTTP/1 can have.
            http2_requests: Http2Requests::new(config.max_connections, trusted_proxies.clone(), metrics.clone()),
            addresses: AddressConnections::new(config.max_connections_per_address, trusted_proxies.clone(), refused),
            connection: Reloadable::new(connection_limits(config)),
            write_timeout: Reloadable::new(config.write_timeout),
            origins: Reloadable::new(origins(config)),
            trusted_proxies,
            proxy_header: if config.proxy_protocol { ProxyHeaderRule::Required } else { ProxyHeaderRule::Optional },
        }
    }

    /// Replaces the settings. Open connections keep theirs.
    pub(super) fn replace(&self, config: &Config) {
        self.permits.set_max(config.max_connections);
        self.http2_requests.set_max(config.max_connections);
        self.addresses.set_max_per_address(config.max_connections_per_address);
        self.connection.replace(connection_limits(config));
        self.write_timeout.replace(config.write_timeout);
        self.origins.replace(origins(config));
        self.trusted_proxies.replace(config.trusted_proxies.clone());
    }

    /// Options of the public server.
    pub(super) fn public(&self) -> ServerOptions {
        let Self { permits, http2_requests, addresses, connection, trusted_proxies, proxy_header, .. } = self.clone();
        let proxy_protocol = Some(ProxyProtocol { proxies: trusted_proxies, header: proxy_header });
        ServerOptions { permits, http2_requests, addresses, proxy_protocol, connection }
    }

    /// The admin address has connection permits of its own, so that a flood of one address cannot lock out the other.
    pub(super) fn admin(&self, metrics: &Metrics) -> ServerOptions {
        ServerOptions {
            permits: Permits::new(MAX_ADMIN_CONNECTIONS),
            http2_requests: Http2Requests::without_shares(MAX_ADMIN_CONNECTIONS, metrics.clone()),
            addresses: AddressConnections::unlimited(),
            proxy_protocol: None,
            connection: self.connection.clone(),
        }
    }
}

/// Whether the relay takes a connection that a command of this machine opens to this address for one of a trusted
/// proxy. The connection then comes from the same address, or from the loopback interface.
pub(super) fn expects_proxy_header(config: &Config, listen: SocketAddr) -> bool {
    let source = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    };
    config.proxy_protocol && TrustedProxies::new(config.trusted_proxies.clone()).contains(source)
}

fn connection_limits(config: &Config) -> ConnectionLimits {
    ConnectionLimits {
        max_header_bytes: config.max_header_bytes,
        header_timeout: config.header_timeout,
        keep_alive_timeout: config.keep_alive_timeout,
        write_timeout: config.write_timeout,
        response_timeout: config.response_timeout,
        max_concurrent_streams: config.max_concurrent_streams.get(),
    }
}

fn origins(config: &Config) -> Origins {
    match &config.cors_origins {
        AllowedOrigins::Any => Origins::Any,
        AllowedOrigins::Only(names) => Origins::Only(names.clone()),
    }
}
