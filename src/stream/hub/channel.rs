//! What all followers of one client share: its ring, and the signals that wake them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::frame::Frame;
use super::ring::{Ring, RingLimits, RingTotal};
use super::wakeups::ClientSignals;
use crate::domain::Timestamp;

/// What all followers of one client share.
#[derive(Debug)]
pub(super) struct Channel {
    /// When the client was created: distinguishes it from others of the same id.
    pub(super) created: Timestamp,
    ring: Mutex<Ring>,
    /// The sequence of the newest event, also outside the ring's lock.
    pub(super) newest: AtomicU64,
    /// Woken when the ring has grown or a follower has to end.
    pub(super) signals: ClientSignals,
    /// Set when the client is removed.
    pub(super) revoked: AtomicBool,
}

impl Channel {
    pub(super) fn new(created: Timestamp, floor: u64, total: RingTotal, signals: ClientSignals) -> Self {
        let ring = Mutex::new(Ring::new(floor, total));
        Self { created, ring, newest: AtomicU64::new(floor), signals, revoked: AtomicBool::new(false) }
    }

    /// Ends all streams.
    pub(super) fn revoke(&self) {
        self.revoked.store(true, Ordering::SeqCst);
        self.signals.wake();
    }

    /// Adds frames to the ring. The followers have to be woken after it.
    pub(super) fn publish(&self, frames: Vec<Frame>, limits: RingLimits) {
        let newest = {
            let mut ring = self.ring();
            ring.push(frames, limits);
            ring.newest()
        };
        self.newest.store(newest, Ordering::Relaxed);
    }

    pub(super) fn ring(&self) -> MutexGuard<'_, Ring> {
        // A ring is consistent after every push, so a panic elsewhere cannot have left it half-changed.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
