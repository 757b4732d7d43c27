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

use tokio::sync::OwnedSemaphorePermit;

use crate::http::remote_address::connections::AddressPermit;
use crate::metrics::{GaugeGuard, Metrics};

/// The permit of one connection, held from its accept until its socket is closed: in hyper, and after the take-over.
/// Counts the connection; dropping it makes room for the next one.
pub(in crate::http) struct ConnectionPermit {
    /// `None` if the connections of its address have no bound. Dropped first: the connection that gets the other permit may be of
    /// the same address.
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
