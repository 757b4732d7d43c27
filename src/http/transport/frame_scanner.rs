//! Reads the frame headers of an HTTP/2 connection beside hyper, which shows neither when the head of a request has
//! begun nor how many frames carry no request. Pure: it gets bytes and the time. Its findings are in
//! [`ConnectionHealth`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Control frames that a connection may send at once, and how long it takes to earn the right to one more. Clients send
/// some for each request they give up: a page that is closed resets all its streams, so twice their number is allowed.
const MIN_CONTROL_FRAME_BURST: u32 = 300;
const CONTROL_FRAME_INTERVAL: Duration = Duration::from_millis(2);

/// A peer acknowledges what it was sent, at most twice per data frame, for the stream and for the connection. So it
/// earns one `WINDOW_UPDATE` frame with each of these bytes; further ones are control frames.
const BYTES_PER_WINDOW_UPDATE: usize = 32;

/// Sent bytes for which a peer may be late with its `WINDOW_UPDATE` frames. More than what the kernels of both sides
/// buffer.
const MAX_UNACKNOWLEDGED_BYTES: usize = 8 << 20;

/// The bytes with which a client begins (RFC 9113, 3.4).
pub(in crate::http) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const FRAME_HEADER_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What is known of one HTTP/2 connection outside hyper. Shared by its socket, its I/O wrapper, its task and its
/// streams.
#[derive(Debug, Default)]
pub(in crate::http) struct ConnectionHealth {
    head_since: Mutex<Option<Instant>>,
    is_stalled: AtomicBool,
}

impl ConnectionHealth {
    /// Since when the head of a request has been arriving; `None` if none is.
    pub(in crate::http) fn head_since(&self) -> Option<Instant> {
        *self.head_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the connection has ended because its peer accepted nothing.
    pub(in crate::http) fn is_stalled(&self) -> bool {
        self.is_stalled.load(Ordering::Relaxed)
    }

    pub(in crate::http) fn set_stalled(&self) {
        self.is_stalled.store(true, Ordering::Relaxed);
    }

    fn set_head_since(&self, since: Option<Instant>) {
        *self.head_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// A peer sends more control frames than any client needs: resets, settings, pings, priorities, window updates, empty
/// frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many HTTP/2 control frames")]
pub(in crate::http) struct ControlFlood;

/// The position in the frames of one connection.
#[derive(Debug)]
pub(in crate::http) struct FrameScanner {
    health: Arc<ConnectionHealth>,
    /// Bytes of the preface or of a frame's payload that are still to come.
    skipped: usize,
    header: [u8; FRAME_HEADER_BYTES],
    header_bytes: usize,
    /// Whether the present frame completes a head.
    ends_head: bool,
    /// Control frames that may come at once.
    burst: u32,
    /// The earned control frames are used up until then.
    exhausted_until: Instant,
    /// Bytes that the peer was sent, less those that its `WINDOW_UPDATE` frames have used.
    unacknowledged: usize,
}

impl FrameScanner {
    /// For a connection before its preface, which may have this number of streams at once.
    pub(in crate::http) fn new(health: Arc<ConnectionHealth>, max_streams: u32, now: Instant) -> Self {
        Self {
            health,
            burst: max_streams.saturating_mul(2).max(MIN_CONTROL_FRAME_BURST),
            skipped: PREFACE.len(),
            header: [0; FRAME_HEADER_BYTES],
            header_bytes: 0,
            ends_head: false,
            exhausted_until: now,
            unacknowledged: 0,
        }
    }

    /// The peer was sent this number of bytes.
    pub(in crate::http) fn add_sent(&mut self, bytes: usize) {
        self.unacknowledged = self.unacknowledged.saturating_add(bytes).min(MAX_UNACKNOWLEDGED_BYTES);
    }

    /// Takes the next bytes of the peer.
    ///
    /// # Errors
    ///
    /// [`ControlFlood`]; the connection has to be closed.
    pub(in crate::http) fn scan(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), ControlFlood> {
        while !bytes.is_empty() {
            if self.skipped > 0 {
                let count = self.skipped.min(bytes.len());
                self.skipped -= count;
                bytes = &bytes[count..];
            } else {
                let count = (FRAME_HEADER_BYTES - self.header_bytes).min(bytes.len());
                self.header[self.header_bytes..][..count].copy_from_slice(&bytes[..count]);
                self.header_bytes += count;
                bytes = &bytes[count..];
                if self.header_bytes == FRAME_HEADER_BYTES {
                    self.header_bytes = 0;
                    self.begin_frame(now)?;
                }
            }
            if self.skipped == 0 && self.ends_head {
                self.ends_head = false;
                self.health.set_head_since(None);
            }
        }
        Ok(())
    }

    fn begin_frame(&mut self, now: Instant) -> Result<(), ControlFlood> {
        let [high, middle, low, kind, flags, ..] = self.header;
        self.skipped = u32::from_be_bytes([0, high, middle, low]) as usize;
        match kind {
            HEADERS | CONTINUATION => {
                if kind == HEADERS {
                    self.health.set_head_since(Some(now));
                }
                self.ends_head = flags & END_HEADERS != 0;
                if kind == CONTINUATION { self.count_control_frame(now) } else { Ok(()) }
            }
            DATA if self.skipped > 0 || flags & END_STREAM != 0 => Ok(()),
            WINDOW_UPDATE if self.unacknowledged >= BYTES_PER_WINDOW_UPDATE => {
                self.unacknowledged -= BYTES_PER_WINDOW_UPDATE;
                Ok(())
            }
            _ => self.count_control_frame(now),
        }
    }

    fn count_control_frame(&mut self, now: Instant) -> Result<(), ControlFlood> {
        self.exhausted_until = self.exhausted_until.max(now) + CONTROL_FRAME_INTERVAL;
        let is_flood = self.exhausted_until > now + CONTROL_FRAME_INTERVAL.saturating_mul(self.burst);
        if is_flood { Err(ControlFlood) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).expect("small").to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        bytes.resize(FRAME_HEADER_BYTES + payload, 0);
        bytes
    }

    #[test]
    fn head_lasts_from_its_frame_header_to_end_headers_in_any_pieces() {
        let now = Instant::now();
        let parts: [(Vec<u8>, bool); 6] = [
            (PREFACE.to_vec(), false),
            (frame(4, 0, 18), false),
            (frame(HEADERS, 0, 30), true),
            (frame(CONTINUATION, 0, 5), true),
            (frame(CONTINUATION, END_HEADERS, 0), false),
            (frame(DATA, END_STREAM, 0), false),
        ];
        for size in 1..60 {
            let health = Arc::new(ConnectionHealth::default());
            let mut scanner = FrameScanner::new(health.clone(), 1, now);
            for (part, has_head) in &parts {
                for piece in part.chunks(size) {
                    scanner.scan(piece, now).expect("no flood");
                }
                assert_eq!(health.head_since().is_some(), *has_head, "{part:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn flood_is_found_and_earned_frames_are_not() {
        let now = Instant::now();
        let flooded_after = |kind: u8, flags: u8, payload: usize, interval: Duration| {
            let mut scanner = FrameScanner::new(Arc::default(), 1, now);
            scanner.scan(PREFACE, now).expect("the preface");
            let frames = (0..10 * MIN_CONTROL_FRAME_BURST).map(|number| now + interval * number);
            frames.into_iter().position(|at| scanner.scan(&frame(kind, flags, payload), at).is_err())
        };
        let burst = Some(MIN_CONTROL_FRAME_BURST as usize);
        for (kind, payload) in
            [(2, 5), (3, 4), (4, 0), (6, 8), (WINDOW_UPDATE, 4), (CONTINUATION, 1), (DATA, 0), (0x10, 3)]
        {
            assert_eq!(flooded_after(kind, 0, payload, Duration::ZERO), burst, "frames of type {kind}");
            assert_eq!(flooded_after(kind, 0, payload, CONTROL_FRAME_INTERVAL), None, "slow frames of type {kind}");
        }
        for (kind, flags, payload) in [(HEADERS, END_HEADERS, 9), (DATA, 0, 1), (DATA, END_STREAM, 0)] {
            assert_eq!(flooded_after(kind, flags, payload, Duration::ZERO), None, "frames of type {kind}");
        }
    }

    #[test]
    fn reader_that_acknowledges_each_data_frame_twice_is_no_flood() {
        let now = Instant::now();
        let mut scanner = FrameScanner::new(Arc::default(), 1, now);
        scanner.scan(PREFACE, now).expect("the preface");
        let update = frame(WINDOW_UPDATE, 0, 4);
        for _ in 0..10_000 {
            // A short event.
            scanner.add_sent(FRAME_HEADER_BYTES + 100);
            scanner.scan(&update.repeat(2), now).expect("no flood");
        }
        // What it did not acknowledge is bounded, and so is what it may still send.
        scanner.add_sent(usize::MAX);
        let earned = MAX_UNACKNOWLEDGED_BYTES / BYTES_PER_WINDOW_UPDATE;
        let more = earned + 2 * MIN_CONTROL_FRAME_BURST as usize;
        let flooded = (0..more).position(|_| scanner.scan(&update, now).is_err());
        assert_eq!(flooded, Some(earned + MIN_CONTROL_FRAME_BURST as usize));
    }

    #[test]
    fn page_that_is_closed_may_reset_all_its_streams_twice() {
        let now = Instant::now();
        let mut scanner = FrameScanner::new(Arc::default(), 1000, now);
        scanner.scan(PREFACE, now).expect("the preface");
        let is_flood: Vec<bool> = (0..=2000).map(|_| scanner.scan(&frame(3, 0, 4), now).is_err()).collect();
        assert_eq!(is_flood.iter().position(|is_flood| *is_flood), Some(2000));
    }
}
