//! Admits the requests of one HTTP/2 connection. One at a time is covered by the permit of the connection, as on HTTP/1. Further
//! ones share the permits of all connections, so a client that holds these leaves every other connection its own request.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::transport::acceptor::permits::Permits;

/// The requests of one connection. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct ConnectionRequests {
    own: Arc<Semaphore>,
    shared: Permits,
}

impl ConnectionRequests {
    /// For a new connection of a server with these permits.
    pub(super) fn new(shared: Permits) -> Self {
        Self { own: Arc::new(Semaphore::new(1)), shared }
    }

    /// A permit for the time until hyper has the whole response; `None` if the relay has too many requests.
    pub(super) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        self.own.clone().try_acquire_owned().ok().or_else(|| self.shared.try_acquire())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_with_all_shared_permits_leaves_each_connection_one_request() {
        let shared = Permits::new(3);
        let (one, other) = (ConnectionRequests::new(shared.clone()), ConnectionRequests::new(shared));
        let mut held: Vec<_> = std::iter::from_fn(|| one.admit()).collect();
        assert_eq!(held.len(), 4);
        let own = other.admit();
        assert!(own.is_some() && other.admit().is_none());
        held.truncate(3);
        assert!(other.admit().is_some());
    }
}
