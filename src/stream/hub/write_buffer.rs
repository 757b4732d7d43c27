//! What one follower writes next: ranges of shared blocks, merged where they are adjacent. Nothing is copied but
//! control text and the events of followers that asked for fewer fields.

use std::ops::Range;

use bytes::Bytes;

use super::frame::{Frame, Framing, encode};
use super::selection::Fields;
use crate::domain::SharedEvent;

/// Bytes on their way to one follower, in order.
#[derive(Debug)]
pub struct WriteBuffer {
    framing: Framing,
    fields: Fields,
    segments: Vec<BufferSegment>,
    bytes: usize,
    events: usize,
}

/// A contiguous part of a [`WriteBuffer`]; it shares its memory with other followers.
#[derive(Debug)]
pub struct BufferSegment {
    block: Bytes,
    start: usize,
    end: usize,
    /// Number of events, each of them complete.
    pub events: usize,
    /// Sequence of the last event; `None` for control text.
    pub last_sequence: Option<u64>,
}

impl BufferSegment {
    /// The bytes that are not written yet.
    pub fn as_slice(&self) -> &[u8] {
        &self.block[self.start..self.end]
    }

    /// Up to `count` bytes from the front, which share the memory of the segment.
    pub fn share(&self, count: usize) -> Bytes {
        self.block.slice(self.start..self.end.min(self.start + count))
    }

    /// Bytes of the memory that this segment keeps.
    #[cfg(test)]
    pub(super) fn block_bytes(&self) -> usize {
        self.block.len()
    }

    /// Removes up to `count` bytes from the front; returns how many.
    pub fn advance(&mut self, count: usize) -> usize {
        let count = count.min(self.end - self.start);
        self.start += count;
        count
    }

    fn is_followed_by(&self, block: &Bytes, start: usize) -> bool {
        self.end == start && self.block.as_ptr() == block.as_ptr() && self.block.len() == block.len()
    }
}

impl WriteBuffer {
    /// An empty buffer; it does not allocate.
    pub fn new(framing: Framing, fields: Fields) -> Self {
        Self { framing, fields, segments: Vec::new(), bytes: 0, events: 0 }
    }

    /// Adds text that is not an event: idle lines, `retry:`, `reset`. Empty text adds nothing, because an empty chunk
    /// would end the response.
    pub fn push_control(&mut self, text: &str) {
        if !text.is_empty() {
            self.push_own(text, None);
        }
    }

    /// Ends the response body: the last chunk (RFC 9112, 7.1), or nothing without chunks.
    pub fn push_last_chunk(&mut self) {
        if self.framing == Framing::Chunked {
            let last = Bytes::from_static(b"0\r\n\r\n");
            let range = 0..last.len();
            self.push(&last, range, None);
        }
    }

    /// Encodes and adds events that did not come through the hub.
    pub fn push_events<'a>(&mut self, events: impl Iterator<Item = &'a SharedEvent>) {
        for frame in &encode(events) {
            self.push_frame(frame);
        }
    }

    pub(super) fn push_frame(&mut self, frame: &Frame) {
        let sequence = Some(frame.id.sequence);
        match self.fields {
            Fields::All => self.push(&frame.block, frame.range(self.framing), sequence),
            Fields::Gini => {
                let (id, document, status) = (frame.id, frame.document, frame.status);
                let text = format!("id: {id}\ndata: {{\"documentId\":\"{document}\",\"status\":\"{status}\"}}\n\n");
                self.push_own(&text, sequence);
            }
        }
    }

    /// Adds a copy of `payload` with the framing of this buffer.
    fn push_own(&mut self, payload: &str, sequence: Option<u64>) {
        let framed = match self.framing {
            Framing::Bare => Bytes::copy_from_slice(payload.as_bytes()),
            Framing::Chunked => Bytes::from(format!("{:x}\r\n{payload}\r\n", payload.len())),
        };
        let range = 0..framed.len();
        self.push(&framed, range, sequence);
    }

    /// Adds a range of `block`: one event if it has a sequence, control text otherwise.
    fn push(&mut self, block: &Bytes, Range { start, end }: Range<usize>, sequence: Option<u64>) {
        let events = usize::from(sequence.is_some());
        self.bytes += end - start;
        self.events += events;
        match self.segments.last_mut() {
            Some(last) if last.is_followed_by(block, start) => {
                last.end = end;
                last.events += events;
                last.last_sequence = sequence;
            }
            _ => {
                self.segments.push(BufferSegment { block: block.clone(), start, end, events, last_sequence: sequence })
            }
        }
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Number of events.
    pub fn event_count(&self) -> usize {
        self.events
    }

    /// The sequence of the last event; `None` when there is none.
    pub fn last_sequence(&self) -> Option<u64> {
        self.segments.iter().rev().find_map(|segment| segment.last_sequence)
    }

    /// The segments, in order.
    pub fn into_segments(self) -> Vec<BufferSegment> {
        self.segments
    }
}
