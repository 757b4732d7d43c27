//! A server over one listener: one task for each accepted connection, and an ordered stop. warp's own server has neither a
//! header time-out nor a limit, so its routes are served from here as a plain service.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::transport::ConnectionPermit;
use crate::http::transport::acceptor::{AcceptedConnection, Acceptor};
use crate::http::transport::connection::{Connection, ConnectionLimits};
use crate::http::transport::workers::StreamWorkers;
use crate::metrics::Metrics;

/// The usual backlog of 128 lets a reconnect storm fall to some hundred connects a second.
const LISTEN_BACKLOG: u32 = 4096;

/// Limits of a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Open connections; the next one waits in the kernel's queue.
    pub max_connections: usize,
    pub connection: ConnectionLimits,
}

/// A server over one listener.
pub struct Server {
    pub options: ServerOptions,
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
        S: tower_service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Unpin
            + 'static,
        S::Future: Send + 'static,
        B: http_body::Body<Data = bytes::Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut accepted = match Acceptor::start(listener, self.options.max_connections, self.stop.clone()) {
            Ok(accepted) => accepted,
            Err(error) => return tracing::error!(%error, "cannot accept connections"),
        };
        let connections = TaskTracker::new();
        while let Some(AcceptedConnection { socket, peer, permit }) = accepted.next().await {
            let socket = match TcpStream::from_std(socket) {
                Ok(socket) => socket,
                Err(error) => {
                    tracing::warn!(%error, "cannot serve connection");
                    continue;
                }
            };
            let connection = Connection {
                socket,
                peer,
                permit: ConnectionPermit::new(permit, &self.metrics),
                limits: self.options.connection.clone(),
                workers: self.workers.clone(),
                stop: self.stop.clone(),
                slow_responses: self.metrics.slow_responses.clone(),
            };
            connections.spawn(connection.serve(service.clone()));
        }
        connections.close();
        connections.wait().await;
    }
}
