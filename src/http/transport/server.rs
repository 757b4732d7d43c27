//! A server over one listener: one task for each accepted connection, and an ordered stop. warp's own server has
//! neither a header time-out nor a limit, so its routes are served from here as a plain service.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::Reloadable;
use crate::http::remote_address::connections::AddressConnections;
use crate::http::remote_address::trusted_proxies::TrustedProxies;
use crate::http::transport::acceptor::{AcceptedConnection, Acceptor};
use crate::http::transport::connection::{Connection, ConnectionLimits};
use crate::http::transport::negotiation::{Negotiation, ProxiedConnection};
use crate::http::transport::tls::Tls;
use crate::http::transport::workers::StreamWorkers;
use crate::http::transport::{ConnectionPermit, HttpService, ResponseBytes};
use crate::metrics::Metrics;

pub use crate::http::transport::acceptor::permits::Permits;
pub use crate::http::transport::http2_requests::Http2Requests;
pub use crate::http::transport::negotiation::ProxyHeaderRule;

/// The usual backlog of 128 lets a reconnect storm fall to some hundred connects a second.
const LISTEN_BACKLOG: u32 = 4096;

/// Limits of a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Open connections; the next one waits in the kernel's queue.
    pub permits: Permits,
    /// Requests of HTTP/2 in flight over all connections, beyond one of each connection; the next one is refused.
    pub http2_requests: Http2Requests,
    pub addresses: AddressConnections,
    /// `None` if no connection begins with a header of the PROXY protocol.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Connections that are accepted from now on have these limits.
    pub connection: Reloadable<ConnectionLimits>,
}

/// The connections of these proxies begin with a header of the PROXY protocol.
#[derive(Debug, Clone)]
pub struct ProxyProtocol {
    pub proxies: TrustedProxies,
    pub header: ProxyHeaderRule,
}

/// A server over one listener.
pub struct Server {
    pub options: ServerOptions,
    /// With it, every connection begins with a TLS handshake.
    pub tls: Option<Tls>,
    /// Where streams go once their head is written.
    pub workers: StreamWorkers,
    /// Cancelled when the relay stops.
    pub stop: CancellationToken,
    pub metrics: Metrics,
}

/// Listens on `address`.
///
/// # Errors
///
/// When the address is in use or not available.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(LISTEN_BACKLOG)
}

impl Server {
    /// Serves until `stop` is cancelled, then waits for the running requests. Streams that were taken over are not
    /// waited for: they end with the hub. Also ends if the thread that accepts cannot be started or ends early.
    pub async fn run<S, B>(self, listener: TcpListener, service: S)
    where
        S: HttpService<B>,
        B: ResponseBytes,
    {
        let ServerOptions { permits, http2_requests, addresses, proxy_protocol, connection: limits } = self.options;
        let mut accepted = match Acceptor::start(listener, permits, addresses.clone(), self.stop.clone()) {
            Ok(accepted) => accepted,
            Err(error) => return tracing::error!(%error, "cannot accept connections"),
        };
        let connections = TaskTracker::new();
        while let Some(AcceptedConnection { socket, peer, permit, address }) = accepted.next().await {
            let socket = match TcpStream::from_std(socket) {
                Ok(socket) => socket,
                Err(error) => {
                    tracing::warn!(%error, "cannot serve connection");
                    continue;
                }
            };
            let proxy_protocol = proxy_protocol.as_ref().filter(|protocol| protocol.proxies.contains(peer.ip()));
            let connection = Connection {
                peer,
                permit: ConnectionPermit::new(permit, &self.metrics).with_address(address),
                limits: limits.get(),
                workers: self.workers.clone(),
                stop: self.stop.clone(),
                slow_responses: self.metrics.slow_responses.clone(),
                http2_requests: http2_requests.clone(),
                opened: Instant::now(),
            };
            let negotiation = Negotiation {
                socket,
                connection,
                proxied: proxy_protocol
                    .map(|protocol| ProxiedConnection { header: protocol.header, addresses: addresses.clone() }),
                failed_proxy_headers: self.metrics.proxy_header_failures.clone(),
                tls: self.tls.clone(),
                failed_handshakes: self.metrics.tls_handshake_failures.clone(),
                tasks: connections.clone(),
            };
            connections.spawn(negotiation.serve(service.clone()));
        }
        connections.close();
        connections.wait().await;
    }
}
