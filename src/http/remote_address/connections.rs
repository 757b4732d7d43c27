//! The open connections of each address. A peer beyond its bound is refused before it has sent a byte, so the address is that of
//! the socket. Trusted proxies carry the connections of many clients: they have no bound of their own.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::CountedAddress;
use super::trusted_proxies::TrustedProxies;
use crate::domain::Reloadable;
use crate::metrics::Counter;

/// Time between two log lines about refused connections.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

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
    open: Mutex<OpenConnections>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    /// Has an entry for each address with open connections, so at most as many as there are connections.
    by_address: HashMap<CountedAddress, usize>,
    /// When a refusal was logged last.
    logged: Option<Instant>,
}

/// The permit of an open connection; dropping it makes room for another one of its address.
#[derive(Debug)]
pub(in crate::http) struct AddressPermit(Option<(Arc<SharedConnections>, CountedAddress)>);

impl AddressConnections {
    /// Without a bound.
    pub fn unlimited() -> Self {
        Self { shared: None }
    }

    /// `refused` counts the connections beyond the bound.
    pub fn new(max_per_address: usize, trusted: TrustedProxies, refused: Counter) -> Self {
        let max_per_address = Reloadable::new(max_per_address);
        let shared = SharedConnections { max_per_address, trusted, refused, open: Mutex::default() };
        Self { shared: Some(Arc::new(shared)) }
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
            return Some(AddressPermit(None));
        };
        let address = CountedAddress::from(peer);
        let mut open = shared.lock();
        let count = open.by_address.entry(address).or_insert(0);
        let limit = shared.max_per_address.get();
        if *count < limit {
            *count += 1;
            return Some(AddressPermit(Some((shared.clone(), address))));
        }
        shared.refused.inc();
        let now = Instant::now();
        if open.logged.is_none_or(|logged| now.duration_since(logged) >= LOG_INTERVAL) {
            open.logged = Some(now);
            tracing::warn!(%peer, limit, "connection refused: too many of this address (max_connections_per_address)");
        }
        None
    }
}

impl SharedConnections {
    fn lock(&self) -> MutexGuard<'_, OpenConnections> {
        // Every count is right at any time.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let Some((shared, address)) = self.0.take() else { return };
        let mut open = shared.lock();
        if let Some(count) = open.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&address);
            }
        }
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
    fn addresses_without_connections_are_forgotten() {
        let (connections, _) = connections(&[]);
        let permits: Vec<_> = (0..=255).map(|n| connections.admit(IpAddr::from([192, 0, 2, n]))).collect();
        let count = || connections.shared.as_ref().map(|shared| shared.lock().by_address.len());
        assert_eq!(count(), Some(256));
        drop(permits);
        assert_eq!(count(), Some(0));
    }

    #[test]
    fn trusted_proxy_has_no_bound() {
        let (connections, _) = connections(&["10.0.0.0/8"]);
        let permits: Vec<_> = (0..100).map(|_| connections.admit(ip("10.1.2.3")).expect("no bound")).collect();
        assert_eq!(permits.len(), 100);
        assert!(AddressConnections::unlimited().admit(ip("192.0.2.1")).is_some());
    }
}
