//! The transport: accepts connections, lets hyper serve requests on them, and takes over the sockets of streams.

mod acceptor;
pub mod connection;
mod hyper_io;
mod request_deadline;
pub mod server;
pub(in crate::http) mod takeover;
pub mod workers;
mod write_loop;

use tokio::sync::OwnedSemaphorePermit;

use crate::metrics::{GaugeGuard, Metrics};

/// The permit of one connection, held from its accept until its socket is closed: in hyper, and after the take-over.
/// Counts the connection; dropping it makes room for the next one.
pub(in crate::http) struct ConnectionPermit {
    _permit: OwnedSemaphorePermit,
    _counted: GaugeGuard,
}

impl ConnectionPermit {
    pub(in crate::http) fn new(permit: OwnedSemaphorePermit, metrics: &Metrics) -> Self {
        Self { _permit: permit, _counted: GaugeGuard::new(&metrics.connections) }
    }
}
