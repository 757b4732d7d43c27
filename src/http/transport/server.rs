//! The accept loop: a limit on connections, one task for each, and an ordered stop. warp's own server has neither a
//! header time-out nor a limit, so its routes are served from here as a plain service.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::transport::ConnectionPermit;
use crate::http::transport::connection::{self, Connection};
use crate::http::transport::workers::StreamWorkers;
use crate::metrics::Metrics;

/// The usual backlog of 128 lets a reconnect storm fall to some hundred connects a second.
const LISTEN_BACKLOG: u32 = 4096;

/// Pause after a failed accept: out of file descriptors lasts a while.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Limits of a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Open connections; the next one waits in the kernel's queue.
    pub max_connections: usize,
    pub connection: connection::Options,
}

/// A server over one listener.
pub struct Server {
    pub options: Options,
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
    /// waited for: they end with the hub.
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
        let permits = Arc::new(Semaphore::new(self.options.max_connections));
        let connections = TaskTracker::new();
        loop {
            let (socket, peer, permit) = tokio::select! {
                () = self.stop.cancelled() => break,
                accepted = accept(&listener, &permits) => accepted,
            };
            let connection = Connection {
                socket,
                peer,
                permit: ConnectionPermit::new(permit, &self.metrics),
                options: self.options.connection.clone(),
                workers: self.workers.clone(),
                stop: self.stop.clone(),
                slow_responses: self.metrics.slow_responses.clone(),
            };
            connections.spawn(connection.serve(service.clone()));
        }
        drop(listener);
        connections.close();
        connections.wait().await;
    }
}

/// Accepts the next connection when there is a permit for it.
async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else {
            // The semaphore is never closed. If it were, no connection could be served.
            std::future::pending::<()>().await;
            continue;
        };
        match listener.accept().await {
            Ok((socket, peer)) => return (socket, peer, permit),
            Err(error) => {
                tracing::warn!(%error, "cannot accept connection");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}
