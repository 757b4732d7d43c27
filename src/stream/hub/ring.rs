//! The newest events of one client, bounded by number and bytes. Evicted events remain in the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::frame::{Frame, detach};
use super::selection::Filter;
use super::write_buffer::WriteBuffer;

/// The ring no longer holds all events after the follower's position: read the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the position is older than the ring")]
pub struct Lagged;

/// Limits of a ring. The newest event stays, whatever its size.
#[derive(Debug, Clone, Copy)]
pub(super) struct RingLimits {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// The bytes of all rings of a hub. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct RingTotal(Arc<AtomicUsize>);

impl RingTotal {
    pub(super) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// All events of a client with a sequence above `floor`, oldest first.
#[derive(Debug)]
pub(super) struct Ring {
    floor: u64,
    newest: u64,
    /// The newest event when old events were last evicted.
    newest_before: u64,
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Includes `bytes`.
    total: RingTotal,
}

impl Ring {
    /// An empty ring: events up to `floor` are in the log only.
    pub(super) fn new(floor: u64, total: RingTotal) -> Self {
        Self { floor, newest: floor, newest_before: floor, frames: VecDeque::new(), bytes: 0, total }
    }

    /// The sequence of the client's newest event; the initial floor when there was none yet.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Adds frames in log order, then evicts the oldest ones beyond the limits.
    pub(super) fn push(&mut self, frames: Vec<Frame>, limits: RingLimits) {
        for frame in frames {
            // Published while the ring was being created: the floor covers it already.
            if frame.id.sequence <= self.newest {
                continue;
            }
            self.newest = frame.id.sequence;
            self.bytes += frame.len();
            self.total.0.fetch_add(frame.len(), Ordering::Relaxed);
            self.frames.push_back(frame);
        }
        while self.frames.len() > 1 && (self.frames.len() > limits.events || self.bytes > limits.bytes) {
            self.evict_oldest();
        }
    }

    /// Evicts the oldest frames until the ring has at most `max_bytes`, the newest one included: without followers that
    /// are behind, nothing of it is needed. Memory that the remaining frames share with evicted ones is released.
    pub(super) fn shrink(&mut self, max_bytes: usize) {
        let before = self.bytes;
        while self.bytes > max_bytes {
            self.evict_oldest();
        }
        if self.bytes < before {
            detach(self.frames.make_contiguous());
            self.frames.shrink_to_fit();
        }
    }

    /// Evicts the events that were in the ring at the previous call already. So an event stays for one interval between
    /// calls at least, and for two at most.
    pub(super) fn evict_old(&mut self) {
        // A batch is never split, so no remaining frame shares its block with an evicted one.
        while self.frames.front().is_some_and(|oldest| oldest.id.sequence <= self.newest_before) {
            self.evict_oldest();
        }
        self.newest_before = self.newest;
        self.frames.shrink_to(2 * self.frames.len());
    }

    fn evict_oldest(&mut self) {
        if let Some(oldest) = self.frames.pop_front() {
            self.bytes -= oldest.len();
            self.total.0.fetch_sub(oldest.len(), Ordering::Relaxed);
            self.floor = oldest.id.sequence;
        }
    }

    /// Adds the events after `position` that match the filter to `out`, until `out` holds at least `max_bytes`. Returns
    /// the new position; it moves over events that the filter holds back.
    ///
    /// # Errors
    ///
    /// [`Lagged`] when events after `position` have been evicted; `out` is unchanged.
    pub(super) fn collect(
        &self,
        position: u64,
        filter: Option<&Filter>,
        max_bytes: usize,
        out: &mut WriteBuffer,
    ) -> Result<u64, Lagged> {
        if position < self.floor {
            return Err(Lagged);
        }
        let mut reached = position;
        let first = self.frames.partition_point(|f| f.id.sequence <= position);
        for frame in self.frames.range(first..) {
            if out.len() >= max_bytes {
                break;
            }
            if filter.is_none_or(|f| f.matches(frame.document, frame.status)) {
                out.push_frame(frame);
            }
            reached = frame.id.sequence;
        }
        Ok(reached)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.total.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
