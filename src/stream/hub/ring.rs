//! The newest events of one client, bounded by number and bytes. What falls off is still in the log.

use std::collections::VecDeque;

use super::frame::{Encoded, Filter, Frame, Outgoing};

/// A follower's position lies before what the ring still holds: it must read the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind;

/// All of a client's events with a sequence above `floor`, oldest first.
#[derive(Debug)]
pub(super) struct Ring {
    floor: u64,
    newest: u64,
    frames: VecDeque<Frame>,
    bytes: usize,
}

impl Ring {
    pub(super) fn new(floor: u64) -> Self {
        Self { floor, newest: floor, frames: VecDeque::new(), bytes: 0 }
    }

    /// The sequence of the client's newest event, or where the ring began.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Adds frames in log order and drops the oldest beyond the bounds. When everything would go, the newest stays.
    pub(super) fn push(&mut self, encoded: Encoded, max_events: usize, max_bytes: usize) {
        for frame in encoded.into_frames() {
            // Offered while the ring was being made: its floor says already that the log has it.
            if frame.id.sequence <= self.newest {
                continue;
            }
            self.newest = frame.id.sequence;
            self.bytes += frame.len();
            self.frames.push_back(frame);
        }
        while self.frames.len() > 1 && (self.frames.len() > max_events || self.bytes > max_bytes) {
            if let Some(oldest) = self.frames.pop_front() {
                self.bytes -= oldest.len();
                self.floor = oldest.id.sequence;
            }
        }
    }

    /// Adds what comes after `position` and passes the filter to `out`, until `out` holds `max_bytes`. Returns the
    /// position up to which everything has been looked at.
    pub(super) fn take(
        &self,
        position: u64,
        filter: Option<&Filter>,
        max_bytes: usize,
        out: &mut Outgoing,
    ) -> Result<u64, Behind> {
        if position < self.floor {
            return Err(Behind);
        }
        let mut reached = position;
        let first = self.frames.partition_point(|f| f.id.sequence <= position);
        for frame in self.frames.range(first..) {
            if out.len() >= max_bytes {
                break;
            }
            if filter.is_none_or(|f| f.passes(frame.document, frame.status)) {
                out.frame(frame);
            }
            reached = frame.id.sequence;
        }
        Ok(reached)
    }
}
