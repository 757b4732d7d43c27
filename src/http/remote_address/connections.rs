//! The open connections of each address. A peer beyond its bound is refused before it has sent a byte, so the address
//! is that of the socket. Trusted proxies carry the connections of many clients: they have no bound of their own.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::address_counts::{AddressCount, AddressCounts};
use super::refusal_log::RefusalLog;
use super::trusted_proxies::TrustedProxies;
use crate::domain::Reloadable;
use crate::metrics::Counter;

/// Limits the connections of each address. A cheap handle.
#[derive(Debug, Clone)]
pub struct AddressConnections {
    /// `None` for no bound.
    shared: Option<Arc<SharedConnections>>,
}

#[derive(Debug)]
struct SharedConnections {
    max_per_address: Reloadable<usize>,
    trusted: TrustedProxies,
    refused: Counter,
    open: AddressCounts,
    log: RefusalLog,
}

/// The permit of an open connection; dropping it makes room for another one of its address.
#[derive(Debug)]
pub(in crate::http) struct AddressPermit {
    /// `None` without a bound.
    _count: Option<AddressCount>,
}

impl AddressConnections {
    /// Admits any number of connections of an address.
    pub fn unlimited() -> Self {
        Self { shared: None }
    }

    /// `refused` counts the connections beyond the bound.
    pub fn new(max_per_address: usize, trusted: TrustedProxies, refused: Counter) -> Self {
        let max_per_address = Reloadable::new(max_per_address);
        let (open, log) = (AddressCounts::default(), RefusalLog::default());
        Self { shared: Some(Arc::new(SharedConnections { max_per_address, trusted, refused, open, log })) }
    }

    /// Further connections have this bound.
    pub fn set_max_per_address(&self, max: usize) {
        if let Some(shared) = &self.shared {
            shared.max_per_address.replace(max);
        }
    }

    /// Counts a connection of this peer; `None` if its address has as many as it may have.
    pub(in crate::http) fn admit(&self, peer: IpAddr) -> Option<AddressPermit> {
        let Some(shared) = self.shared.as_ref().filter(|shared| !shared.trusted.contains(peer)) else {
            return Some(AddressPermit { _count: None });
        };
        let limit = shared.max_per_address.get();
        let count = shared.open.admit(peer, limit);
        if count.is_none() {
            shared.refused.inc();
            if shared.log.is_due(Instant::now()) {
                tracing::warn!(%peer, limit, "connection refused: too many of this address (max_connections_per_address)");
            }
        }
        count.map(|count| AddressPermit { _count: Some(count) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn connections(trusted: &[&str]) -> (AddressConnections, Metrics) {
        let metrics = Metrics::new("test");
        let trusted = trusted.iter().map(|text| text.parse().expect("a range")).collect();
        (AddressConnections::new(2, TrustedProxies::new(trusted), metrics.connections_refused.clone()), metrics)
    }

    #[test]
    fn address_at_its_bound_is_refused_until_a_connection_ends() {
        let (connections, metrics) = connections(&[]);
        let first = connections.admit(ip("192.0.2.1")).expect("room");
        let _second = connections.admit(ip("::ffff:192.0.2.1")).expect("room");
        assert!(connections.admit(ip("192.0.2.1")).is_none());
        assert_eq!(metrics.connections_refused.get(), 1);
        let _other = connections.admit(ip("192.0.2.2")).expect("another address");
        drop(first);
        let _third = connections.admit(ip("192.0.2.1")).expect("room again");
    }

    #[test]
    fn trusted_proxy_has_no_bound() {
        let (connections, _) = connections(&["10.0.0.0/8"]);
        let permits: Vec<_> = (0..100).map(|_| connections.admit(ip("10.1.2.3")).expect("no bound")).collect();
        assert_eq!(permits.len(), 100);
        assert!(AddressConnections::unlimited().admit(ip("192.0.2.1")).is_some());
    }
}
