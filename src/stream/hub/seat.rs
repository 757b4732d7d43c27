//! One follower's place in the hub: a guard that leaves when it is dropped, and what the administrator sees of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::futures::OwnedNotified;

use super::{Behind, Channel, Filter, Hub, Outgoing};
use crate::domain::{ClientId, Timestamp};

/// Why a stream has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its client is no more.
    Revoked,
    /// The administrator ended it.
    Dismissed,
    /// The relay is stopping.
    Stopping,
}

/// What is known of a follower beside its connection.
#[derive(Debug)]
pub(super) struct Occupant {
    pub(super) number: u64,
    pub(super) client: ClientId,
    pub(super) channel: Arc<Channel>,
    since: Timestamp,
    position: AtomicU64,
    bytes: AtomicU64,
    dismissed: AtomicBool,
}

impl Occupant {
    pub(super) fn new(number: u64, client: ClientId, channel: Arc<Channel>, since: Timestamp) -> Self {
        Self {
            number,
            client,
            channel,
            since,
            position: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            dismissed: AtomicBool::new(false),
        }
    }

    pub(super) fn dismiss(&self) {
        self.dismissed.store(true, Ordering::SeqCst);
        self.channel.wake.notify_waiters();
    }

    pub(super) fn info(&self) -> FollowerInfo {
        // The newest event of this client, not of the log: a quiet client's followers are not behind.
        let newest = self.channel.ring().newest();
        FollowerInfo {
            number: self.number,
            client: self.client.clone(),
            since: self.since,
            lag: newest.saturating_sub(self.position.load(Ordering::Relaxed)),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

/// A follower as the administrator sees it.
#[derive(Debug, Clone)]
pub struct FollowerInfo {
    /// Its number; unique while the relay runs.
    pub number: u64,
    /// Whose events it follows.
    pub client: ClientId,
    /// Since when.
    pub since: Timestamp,
    /// How far, in sequence numbers of the log, it is behind the newest event of its client.
    pub lag: u64,
    /// Bytes that its socket has accepted.
    pub bytes: u64,
}

/// A follower's place. Dropping it gives it up.
pub struct Seat {
    pub(super) hub: Hub,
    pub(super) occupant: Arc<Occupant>,
}

impl Seat {
    /// Whose events are followed.
    pub fn client(&self) -> &ClientId {
        &self.occupant.client
    }

    /// A future that is ready when there may be something new. Make it before looking: what happens in between is
    /// then not missed, even when it is polled only afterwards.
    pub fn news(&self) -> OwnedNotified {
        self.occupant.channel.wake.clone().notified_owned()
    }

    /// Adds what the ring holds after `position` to `out`; see [`Behind`] for a position that it no longer covers.
    pub fn take(
        &self,
        position: u64,
        filter: Option<&Filter>,
        max_bytes: usize,
        out: &mut Outgoing,
    ) -> Result<u64, Behind> {
        self.occupant.channel.ring().take(position, filter, max_bytes, out)
    }

    /// Whether the stream has to end, and why.
    pub fn ending(&self) -> Option<Ending> {
        if self.occupant.channel.revoked.load(Ordering::SeqCst) {
            Some(Ending::Revoked)
        } else if self.occupant.dismissed.load(Ordering::SeqCst) {
            Some(Ending::Dismissed)
        } else if self.hub.inner.stopping.load(Ordering::SeqCst) {
            Some(Ending::Stopping)
        } else {
            None
        }
    }

    /// Notes that everything up to `position` has been handed to the connection.
    pub fn reached(&self, position: u64) {
        self.occupant.position.store(position, Ordering::Relaxed);
    }

    /// Notes that the connection has accepted so many bytes.
    pub fn wrote(&self, bytes: usize) {
        self.occupant.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.leave(&self.occupant);
    }
}
