//! The lease that a node keeps by rewriting a record: counted from before the write was sent, on the node's own clock.
//! Decides nothing about when to write.

use std::collections::VecDeque;
use std::time::Instant;

use crate::cluster::Timing;

/// Writes without a known outcome that are remembered. An older one extends the lease no more.
const MAX_SENT: usize = 64;

#[derive(Debug)]
pub(super) struct Lease {
    /// Revision of the last own write that is known to be stored; 0 for none.
    pub(super) revision: u64,
    /// When the last write was begun that is known to be stored.
    pub(super) stored_at: Option<Instant>,
    /// When a write was last seen to be stored.
    pub(super) confirmed_at: Option<Instant>,
    /// Begun writes: the beat, and the time before the write was sent.
    sent: VecDeque<(u64, Instant)>,
}

impl Lease {
    pub(super) fn new() -> Self {
        Self { revision: 0, stored_at: None, confirmed_at: None, sent: VecDeque::new() }
    }

    /// Forgets everything: the record belongs to another holder.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }

    pub(super) fn has_written(&self) -> bool {
        self.revision != 0 || !self.sent.is_empty()
    }

    pub(super) fn begin(&mut self, beat: u64, now: Instant) {
        if self.sent.len() == MAX_SENT {
            self.sent.pop_front();
        }
        self.sent.push_back((beat, now));
    }

    /// The write of this beat is stored, as its acknowledgement or the record itself shows.
    pub(super) fn stored(&mut self, beat: u64, revision: u64, now: Instant) {
        if let Some((_, at)) = self.sent.iter().find(|(sent, _)| *sent == beat) {
            self.stored_at = self.stored_at.max(Some(*at));
            self.confirmed_at = Some(now);
            self.revision = self.revision.max(revision);
            self.sent.retain(|(sent, _)| *sent > beat);
        }
    }

    /// The write of this beat was not stored and never will be.
    pub(super) fn refused(&mut self, beat: u64) {
        self.sent.retain(|(sent, _)| *sent != beat);
    }

    /// When the holder has to stop acting.
    pub(super) fn end(&self, timing: &Timing) -> Option<Instant> {
        Some(self.stored_at? + timing.lease.saturating_sub(timing.margin))
    }

    pub(super) fn is_valid(&self, timing: &Timing, now: Instant) -> bool {
        self.end(timing).is_some_and(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lease_counts_from_the_start_of_the_stored_write() {
        let (timing, start) = (Timing::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut lease = Lease::new();
        lease.begin(1, at(0));
        assert!(!lease.is_valid(&timing, at(0)), "not stored yet");
        lease.stored(1, 10, at(1));
        assert_eq!(lease.end(&timing), Some(at(4)));
        // Two unknown outcomes; the record then shows the first of them.
        lease.begin(2, at(1));
        lease.begin(3, at(2));
        lease.stored(2, 11, at(3));
        assert_eq!((lease.end(&timing), lease.revision), (Some(at(5)), 11));
        assert_eq!(lease.confirmed_at, Some(at(3)));
        lease.refused(3);
        lease.stored(3, 12, at(3));
        assert_eq!((lease.end(&timing), lease.revision), (Some(at(5)), 11));
        assert!(lease.is_valid(&timing, at(4)) && !lease.is_valid(&timing, at(5)));
    }
}
