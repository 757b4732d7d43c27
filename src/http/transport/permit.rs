//! The permit of one connection, held from its accept until its socket is closed: in hyper, and after the take-over.

use tokio::sync::OwnedSemaphorePermit;

use crate::metrics::{GaugeGuard, Metrics};

/// Counts one open connection. Dropping it makes room for the next one.
pub(in crate::http) struct ConnectionPermit {
    _permit: OwnedSemaphorePermit,
    _counted: GaugeGuard,
}

impl ConnectionPermit {
    pub(in crate::http) fn new(permit: OwnedSemaphorePermit, metrics: &Metrics) -> Self {
        Self { _permit: permit, _counted: GaugeGuard::new(&metrics.connections) }
    }
}
