//! One event as bytes: encoded once with its HTTP/1.1 chunk framing, and shared by all followers. Ids have a closed
//! alphabet and JSON escapes control characters, so no event can forge a field of the stream.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::domain::{DocumentId, Event, EventId, SharedEvent, Status};

/// Whether the bytes of a stream carry the chunk framing of HTTP/1.1 (RFC 9112, 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `<hex length>\r\n<payload>\r\n`, ready for a socket.
    Chunked,
    /// The payload only: HTTP/1.0.
    Bare,
}

/// The CRLF that closes a chunk.
const CHUNK_END: &str = "\r\n";

/// One encoded event: a range of a block that holds several events, chunk after chunk.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) id: EventId,
    pub(super) document: DocumentId,
    pub(super) status: Status,
    pub(super) block: Bytes,
    start: usize,
    /// Length of `<hex length>\r\n`.
    chunk_head: usize,
    end: usize,
}

impl Frame {
    /// Length in bytes, chunk framing included.
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    /// The range of the block that a follower with this framing receives.
    pub(super) fn range(&self, framing: Framing) -> Range<usize> {
        match framing {
            Framing::Chunked => self.start..self.end,
            Framing::Bare => self.start + self.chunk_head..self.end - CHUNK_END.len(),
        }
    }
}

/// A block is closed when it holds this many bytes. A follower that stalls keeps whole blocks in memory, of which it
/// may need one event only.
const MAX_BLOCK_BYTES: usize = 64 << 10;

/// The smallest limit of a block: each costs an allocation.
const MIN_BLOCK_BYTES: usize = 4 << 10;

/// Encodes events of one client into as few blocks as [`MAX_BLOCK_BYTES`] allows.
pub(super) fn encode<'a>(events: impl Iterator<Item = &'a SharedEvent>) -> Vec<Frame> {
    encode_blocks(events, MAX_BLOCK_BYTES)
}

/// The same for a ring of limited size: the blocks are small parts of it, because the oldest one is kept while any of
/// its events is.
pub(super) fn encode_for_ring<'a>(events: impl Iterator<Item = &'a SharedEvent>, ring_bytes: usize) -> Vec<Frame> {
    encode_blocks(events, (ring_bytes / 4).clamp(MIN_BLOCK_BYTES, MAX_BLOCK_BYTES))
}

fn encode_blocks<'a>(events: impl Iterator<Item = &'a SharedEvent>, max_bytes: usize) -> Vec<Frame> {
    let mut frames = Vec::with_capacity(events.size_hint().0);
    let mut block = BytesMut::new();
    let mut first_of_block = 0;
    for event in events {
        let start = block.len();
        let chunk_head = append_chunk(&mut block, event);
        let Event { id, document, status, .. } = **event;
        // The block is filled in when it is closed.
        frames.push(Frame { id, document, status, block: Bytes::new(), start, chunk_head, end: block.len() });
        if block.len() >= max_bytes {
            close_block(&mut frames[first_of_block..], &mut block);
            first_of_block = frames.len();
        }
    }
    close_block(&mut frames[first_of_block..], &mut block);
    frames
}

/// Gives the frames their block, and empties the buffer for the next one.
fn close_block(frames: &mut [Frame], buffer: &mut BytesMut) {
    let block = std::mem::take(buffer).freeze();
    for frame in frames {
        frame.block = block.clone();
    }
}

/// Copies the first block if its beginning belongs to none of these frames, which are in order: the block is then
/// released with the frames before them.
pub(super) fn detach(frames: &mut [Frame]) {
    let Some((first, start)) = frames.first().map(|frame| (frame.block.clone(), frame.start)) else { return };
    if start == 0 {
        return;
    }
    let is_first = |frame: &Frame| frame.block.as_ptr() == first.as_ptr() && frame.block.len() == first.len();
    let block = Bytes::copy_from_slice(&first[start..]);
    for frame in frames.iter_mut().take_while(|frame| is_first(frame)) {
        *frame = Frame { block: block.clone(), start: frame.start - start, end: frame.end - start, ..frame.clone() };
    }
}

/// Appends one event as one chunk; returns the length of the chunk's head.
fn append_chunk(block: &mut BytesMut, event: &Event) -> usize {
    let id = event.id.to_string();
    let payload = "id: ".len() + id.len() + "\ndata: ".len() + event.json.len() + "\n\n".len();
    let head = format!("{payload:x}\r\n");
    block.reserve(head.len() + payload + CHUNK_END.len());
    for part in [head.as_bytes(), b"id: ", id.as_bytes(), b"\ndata: ", &event.json, b"\n\n", CHUNK_END.as_bytes()] {
        block.extend_from_slice(part);
    }
    head.len()
}
