//! The transport: accepts connections, lets hyper serve requests on them, and takes over the sockets of streams.

mod acceptor;
pub mod connection;
mod frame_scanner;
mod http2;
mod http2_requests;
mod hyper_io;
mod negotiation;
mod request_deadline;
pub mod server;
mod socket;
mod stream_channel;
mod stream_sink;
pub(in crate::http) mod takeover;
pub mod tls;
pub mod workers;
mod write_loop;

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tower_service::Service;

use crate::http::remote_address::connections::AddressPermit;
use crate::http::transport::connection::BoxError;
use crate::metrics::{GaugeGuard, Metrics};

/// What a server serves: responds to every request, also to one that fails. Each connection has a clone.
pub trait HttpService<B>:
    Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + Unpin
    + 'static
{
}

impl<S, B> HttpService<B> for S where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + Unpin
        + 'static
{
}

/// The body of a response.
pub trait ResponseBytes: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static {}

impl<B> ResponseBytes for B where B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static {}

/// The permit of one connection, held from its accept until its socket is closed: in hyper, and after the take-over.
/// Counts the connection; dropping it makes room for the next one.
pub(in crate::http) struct ConnectionPermit {
    /// `None` if the connections of its address have no bound. Dropped first: the connection that gets the other permit
    /// may be of the same address.
    _address: Option<AddressPermit>,
    _permit: OwnedSemaphorePermit,
    _counted: GaugeGuard,
}

impl ConnectionPermit {
    pub(in crate::http) fn new(permit: OwnedSemaphorePermit, metrics: &Metrics) -> Self {
        Self { _permit: permit, _address: None, _counted: GaugeGuard::new(&metrics.connections) }
    }

    /// Holds the permit of its address, too. Replaces that of another address.
    pub(in crate::http) fn with_address(self, address: AddressPermit) -> Self {
        Self { _address: Some(address), ..self }
    }
}
