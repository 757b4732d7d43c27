//! The accept loop: a bound on connections, one task for each, and an ordered stop.
//! warp's own server sets no header time-out and no bound, so its routes are served from here as a plain service.

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

use crate::http::transport::connection;
use crate::http::transport::handoff::StreamWorkers;
use crate::metrics::{GaugeGuard, Metrics};

/// What a server needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections in all; the next one waits in the kernel's queue.
    pub max_connections: usize,
    /// Bytes of a request's head.
    pub max_header_bytes: usize,
    /// How long a request's head may take, and how long a connection may rest between two requests.
    pub header_timeout: Duration,
    /// A connection that accepts no byte of an answer for so long is closed.
    pub write_timeout: Duration,
}

/// A server over one listener. Handles inside are shared; a clone for each connection is cheap.
#[derive(Clone)]
pub struct Server {
    /// Its bounds.
    pub options: Options,
    /// Where open streams go once their head has been written.
    pub streams: StreamWorkers,
    /// Cancelled when the relay stops.
    pub stop: CancellationToken,
    /// Where connections are counted.
    pub metrics: Metrics,
}

/// Listens with a backlog that a reconnect storm fits into: the usual 128 lets connects fall to some hundred a second.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}

/// The place that a connection takes; given back when it is dropped.
pub struct Place {
    _permit: OwnedSemaphorePermit,
    _counted: GaugeGuard,
}

impl Server {
    /// Serves until the stop is asked for, then waits for the requests that are running. StreamWorkers that were handed
    /// off are not waited for here: they end with the hub.
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
        let places = Arc::new(Semaphore::new(self.options.max_connections));
        let connections = TaskTracker::new();
        loop {
            let (socket, peer, permit) = tokio::select! {
                () = self.stop.cancelled() => break,
                accepted = next(&listener, &places) => accepted,
            };
            let place = Place { _permit: permit, _counted: GaugeGuard::new(&self.metrics.connections) };
            connections.spawn(connection::serve(self.clone(), socket, peer, place, service.clone()));
        }
        drop(listener);
        connections.close();
        connections.wait().await;
    }
}

/// The next connection for which there is a place.
async fn next(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(permit) = places.clone().acquire_owned().await else {
            // Nobody closes the semaphore; if it were closed, there would be no place ever again.
            std::future::pending::<()>().await;
            continue;
        };
        match listener.accept().await {
            Ok((socket, peer)) => return (socket, peer, permit),
            Err(error) => {
                // Out of descriptors, or the peer was gone already. The first lasts a while: do not spin on it.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
