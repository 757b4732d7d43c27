//! Admits the requests on HTTP/2. One of a connection at a time is covered by the permit of the connection, as on
//! HTTP/1. Further ones share the permits of all connections. A client that holds these leaves every other connection
//! its own request, and an address leaves other addresses half of the permits.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::remote_address::address_counts::{AddressCount, AddressCounts};
use crate::http::remote_address::refusal_log::RefusalLog;
use crate::http::remote_address::trusted_proxies::TrustedProxies;
use crate::http::transport::acceptor::permits::Permits;
use crate::metrics::{GaugeGuard, Http2Refusal, Label, Metrics};

/// The requests of a server beside one of each connection. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Http2Requests {
    shared: Arc<SharedRequests>,
}

#[derive(Debug)]
struct SharedRequests {
    permits: Permits,
    /// `None` if an address may hold all permits.
    shares: Option<AddressShares>,
    metrics: Metrics,
    log: RefusalLog,
}

#[derive(Debug)]
struct AddressShares {
    /// Their requests count for the addresses that they name.
    trusted: TrustedProxies,
    counts: AddressCounts,
}

/// Why a request is refused, for the log.
#[derive(Debug, Clone, Copy)]
struct AdmissionError {
    reason: Http2Refusal,
    limit: usize,
}

impl Http2Requests {
    /// At most `max` requests, and half of them for one address.
    pub fn new(max: usize, trusted: TrustedProxies, metrics: Metrics) -> Self {
        Self::with_shares(max, Some(AddressShares { trusted, counts: AddressCounts::default() }), metrics)
    }

    /// At most `max` requests, whatever their addresses.
    pub fn without_shares(max: usize, metrics: Metrics) -> Self {
        Self::with_shares(max, None, metrics)
    }

    fn with_shares(max: usize, shares: Option<AddressShares>, metrics: Metrics) -> Self {
        let shared = SharedRequests { permits: Permits::new(max), shares, metrics, log: RefusalLog::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Further requests have this bound.
    pub fn set_max(&self, max: usize) {
        self.shared.permits.set_max(max);
    }
}

impl SharedRequests {
    /// A permit for a request of `peer` with these headers.
    fn admit(&self, peer: IpAddr, headers: &HeaderMap) -> Result<RequestPermit, AdmissionError> {
        let share = match &self.shares {
            Some(shares) => shares.admit(peer, headers, self.max_per_address())?,
            None => None,
        };
        let refused = || AdmissionError { reason: Http2Refusal::Requests, limit: self.permits.max() };
        let permit = self.permits.try_acquire().ok_or_else(refused)?;
        let counted = GaugeGuard::new(&self.metrics.http2_requests_running);
        Ok(RequestPermit { _permit: permit, _share: share, _counted: Some(counted) })
    }

    fn max_per_address(&self) -> usize {
        (self.permits.max() / 2).max(1)
    }
}

impl AddressShares {
    /// Counts a request for its true address. A trusted proxy that names no address has no share: it carries many
    /// clients.
    fn admit(&self, peer: IpAddr, headers: &HeaderMap, max: usize) -> Result<Option<AddressCount>, AdmissionError> {
        let address = self.trusted.resolve(peer, headers);
        if self.trusted.contains(address) {
            return Ok(None);
        }
        let refused = AdmissionError { reason: Http2Refusal::RequestsPerAddress, limit: max };
        self.counts.admit(address, max).map(Some).ok_or(refused)
    }
}

/// The permit of one request. Dropping it makes room for another one.
#[derive(Debug)]
pub(in crate::http) struct RequestPermit {
    _permit: OwnedSemaphorePermit,
    _share: Option<AddressCount>,
    /// `None` for the one request that each connection may have.
    _counted: Option<GaugeGuard>,
}

/// The requests of one connection. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::http) struct ConnectionRequests {
    peer: IpAddr,
    own: Arc<Semaphore>,
    all: Http2Requests,
}

impl ConnectionRequests {
    /// For a new connection of `peer`.
    pub(in crate::http) fn new(peer: IpAddr, all: Http2Requests) -> Self {
        Self { peer, own: Arc::new(Semaphore::new(1)), all }
    }

    /// A permit for the time until hyper has the whole response; `None` if there are too many requests.
    pub(in crate::http) fn admit(&self, headers: &HeaderMap) -> Option<RequestPermit> {
        if let Ok(own) = self.own.clone().try_acquire_owned() {
            return Some(RequestPermit { _permit: own, _share: None, _counted: None });
        }
        let SharedRequests { metrics, log, .. } = &*self.all.shared;
        match self.all.shared.admit(self.peer, headers) {
            Ok(permit) => Some(permit),
            Err(AdmissionError { reason, limit }) => {
                metrics.http2_requests_refused.inc(reason);
                if log.is_due(Instant::now()) {
                    let (peer, reason) = (self.peer, reason.as_str());
                    tracing::warn!(%peer, reason, limit, "HTTP/2 request refused: too many in flight");
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn requests(peer: &str, all: &Http2Requests) -> ConnectionRequests {
        ConnectionRequests::new(peer.parse().expect("an address"), all.clone())
    }

    fn forwarded_for(address: &'static str) -> HeaderMap {
        [(http::HeaderName::from_static("x-forwarded-for"), HeaderValue::from_static(address))].into_iter().collect()
    }

    /// All permits that a connection gets now.
    fn take_all(requests: &ConnectionRequests, headers: &HeaderMap) -> Vec<RequestPermit> {
        std::iter::from_fn(|| requests.admit(headers)).collect()
    }

    fn with_proxy(max: usize) -> (Http2Requests, Metrics) {
        let metrics = Metrics::new("test");
        let trusted = TrustedProxies::new(vec!["10.0.0.1/32".parse().expect("a range")]);
        (Http2Requests::new(max, trusted, metrics.clone()), metrics)
    }

    #[test]
    fn address_gets_half_of_the_permits_over_all_its_connections() {
        let (all, metrics) = with_proxy(8);
        let none = HeaderMap::new();
        let mut held = take_all(&requests("192.0.2.1", &all), &none);
        assert_eq!(held.len(), 1 + 4);
        let second = take_all(&requests("192.0.2.1", &all), &none);
        assert_eq!(second.len(), 1, "its own request");
        assert_eq!(metrics.http2_requests_running.get(), 4);
        assert_eq!(metrics.http2_requests_refused.get(Http2Refusal::RequestsPerAddress), 2);
        let _other = take_all(&requests("192.0.2.2", &all), &none);
        assert_eq!(metrics.http2_requests_running.get(), 8);
        let third = requests("192.0.2.3", &all);
        assert_eq!(take_all(&third, &none).len(), 1, "all permits are held");
        assert_eq!(metrics.http2_requests_refused.get(Http2Refusal::Requests), 1);
        held.pop();
        assert_eq!(metrics.http2_requests_running.get(), 7);
        assert_eq!(take_all(&third, &none).len(), 2, "a request that ended makes room");
    }

    #[test]
    fn requests_of_a_proxy_count_for_the_addresses_that_it_names() {
        let (all, metrics) = with_proxy(8);
        let proxy = requests("10.0.0.1", &all);
        let _own = proxy.admit(&HeaderMap::new()).expect("its own request");
        let _one = take_all(&proxy, &forwarded_for("192.0.2.1"));
        assert_eq!(metrics.http2_requests_running.get(), 4);
        let _two = take_all(&proxy, &forwarded_for("192.0.2.2, 10.0.0.1"));
        assert_eq!(metrics.http2_requests_running.get(), 8);
        let (all, _) = with_proxy(8);
        let unnamed = take_all(&requests("10.0.0.1", &all), &HeaderMap::new());
        assert_eq!(unnamed.len(), 1 + 8, "a proxy that names no address has no share");
        let (all, _) = with_proxy(8);
        let spoofed = take_all(&requests("192.0.2.1", &all), &forwarded_for("192.0.2.7"));
        assert_eq!(spoofed.len(), 1 + 4, "only trusted proxies name addresses");
    }

    #[test]
    fn client_with_all_shared_permits_leaves_each_connection_one_request() {
        let all = Http2Requests::without_shares(3, Metrics::new("test"));
        let none = HeaderMap::new();
        let (one, other) = (requests("192.0.2.1", &all), requests("192.0.2.1", &all));
        let mut held = take_all(&one, &none);
        assert_eq!(held.len(), 4);
        let own = other.admit(&none);
        assert!(own.is_some() && other.admit(&none).is_none());
        held.truncate(3);
        assert!(other.admit(&none).is_some());
    }
}
