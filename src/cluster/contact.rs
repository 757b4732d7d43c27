//! Whether a majority of the broker's servers stores what this node writes. Every node rewrites its record each second,
//! so this is known without another write. Written by the coordinator's driver only, and judged at each question: a
//! process that was halted has no contact when it continues.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct BrokerContact {
    /// When the last write was confirmed.
    confirmed: watch::Receiver<Option<Instant>>,
    limit: Duration,
}

impl BrokerContact {
    pub(super) fn new(confirmed: watch::Receiver<Option<Instant>>, limit: Duration) -> Self {
        Self { confirmed, limit }
    }

    /// Whether a write was confirmed within the time of a lease. A slow broker that still stores is in contact,
    /// although the lease, which counts from the beginning of the write, may have ended.
    pub fn is_current(&self) -> bool {
        self.confirmed.borrow().is_some_and(|at| at.elapsed() < self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contact_ends_a_lease_after_the_last_confirmed_write() {
        let limit = Duration::from_secs(60);
        let sender = watch::Sender::new(None);
        let contact = BrokerContact::new(sender.subscribe(), limit);
        assert!(!contact.is_current(), "nothing was confirmed yet");
        sender.send_replace(Some(Instant::now()));
        assert!(contact.is_current());
        sender.send_replace(Instant::now().checked_sub(limit));
        assert!(!contact.is_current());
    }
}
