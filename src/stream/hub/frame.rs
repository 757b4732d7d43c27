//! How an event looks on the wire: encoded once, chunk-framed once, shared by all followers.
//! Every value that gets here is good by construction: ids have a closed alphabet and JSON escapes control
//! characters, so no event can forge a field of the stream.

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};

use crate::domain::{DocumentId, Event, SharedEvent, Status};

/// Which keys of an event a follower wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fields {
    /// Everything.
    #[default]
    All,
    /// Only Gini's `documentId` and `status`.
    Gini,
}

/// Whether bytes carry the chunk framing of HTTP/1.1 or are the bare payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `<hex length>\r\n<payload>\r\n`, ready for a socket.
    Chunked,
    /// The payload: somebody else (hyper) frames it.
    Bare,
}

/// Which events a follower wants.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only these documents; `None` for all.
    pub documents: Option<HashSet<DocumentId>>,
    /// Only these statuses; `None` for all.
    pub statuses: Option<Vec<Status>>,
}

impl Filter {
    /// Whether everything passes.
    pub fn is_open(&self) -> bool {
        self.documents.is_none() && self.statuses.is_none()
    }

    /// Whether an event passes.
    pub fn passes(&self, document: DocumentId, status: Status) -> bool {
        self.documents.as_ref().is_none_or(|wanted| wanted.contains(&document))
            && self.statuses.as_ref().is_none_or(|wanted| wanted.contains(&status))
    }
}

/// One event within a block of encoded events.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) id: crate::domain::EventId,
    pub(super) document: DocumentId,
    pub(super) status: Status,
    /// The events of one batch share blocks, chunk after chunk.
    block: Bytes,
    start: usize,
    /// Length of `<hex>\r\n`.
    prefix: usize,
    end: usize,
}

impl Frame {
    /// Bytes on the wire.
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }
}

/// A block that has this many bytes is closed. A reader that stalls keeps whole blocks in memory, of which it may
/// need the last event only.
const BLOCK_BYTES: usize = 64 << 10;

/// Some events of one client, encoded into as few blocks as their bytes allow.
#[derive(Debug)]
pub(super) struct Encoded(Vec<Frame>);

impl Encoded {
    pub(super) fn new<'a>(events: impl Iterator<Item = &'a SharedEvent>) -> Self {
        let (mut frames, mut spans, mut block) = (Vec::new(), Vec::new(), BytesMut::new());
        for event in events {
            let start = block.len();
            let prefix = write_chunk(&mut block, event);
            spans.push((event, start, prefix, block.len()));
            if block.len() >= BLOCK_BYTES {
                close(&mut frames, &mut spans, &mut block);
            }
        }
        close(&mut frames, &mut spans, &mut block);
        Self(frames)
    }

    pub(super) fn into_frames(self) -> Vec<Frame> {
        self.0
    }
}

/// Makes frames of what one block holds, and begins the next.
fn close(frames: &mut Vec<Frame>, spans: &mut Vec<(&SharedEvent, usize, usize, usize)>, block: &mut BytesMut) {
    let block = std::mem::take(block).freeze();
    frames.extend(spans.drain(..).map(|(event, start, prefix, end)| Frame {
        id: event.id,
        document: event.document,
        status: event.status,
        block: block.clone(),
        start,
        prefix,
        end,
    }));
}

/// Appends one event as one chunk; returns the length of the chunk's head.
fn write_chunk(block: &mut BytesMut, event: &Event) -> usize {
    let id = event.id.to_string();
    let payload = "id: ".len() + id.len() + "\ndata: ".len() + event.json.len() + "\n\n".len();
    let head = format!("{payload:x}\r\n");
    block.reserve(head.len() + payload + 2);
    for part in [head.as_bytes(), b"id: ", id.as_bytes(), b"\ndata: ", &event.json, b"\n\n\r\n"] {
        block.extend_from_slice(part);
    }
    head.len()
}

/// Bytes on their way to one follower: shared stretches of blocks, merged where they touch.
#[derive(Debug)]
pub struct Outgoing {
    framing: Framing,
    fields: Fields,
    parts: Vec<Part>,
    bytes: usize,
    events: usize,
}

/// A part of one block.
#[derive(Debug)]
struct Part {
    block: Bytes,
    start: usize,
    end: usize,
    /// How many events it holds.
    events: usize,
    /// The last of them.
    through: Option<u64>,
}

/// Bytes that lie together, and what is in them.
#[derive(Debug)]
pub struct Stretch {
    /// They share their memory with others.
    pub bytes: Bytes,
    /// How many events they hold, each as a whole.
    pub events: usize,
    /// The sequence of the last of them: whoever has these bytes has everything up to it. `None` for what is no event.
    pub through: Option<u64>,
}

impl Outgoing {
    /// Nothing yet.
    pub fn new(framing: Framing, fields: Fields) -> Self {
        Self { framing, fields, parts: Vec::new(), bytes: 0, events: 0 }
    }

    /// Adds bytes of our own that are not an event: idle lines, `retry:`, `reset`.
    pub fn text(&mut self, payload: &str) {
        let framed = self.framed(payload);
        let len = framed.len();
        self.add(framed, (0, len), None);
    }

    /// Adds events that did not come through the hub (from the log).
    pub fn events<'a>(&mut self, events: impl Iterator<Item = &'a SharedEvent>) {
        for frame in &Encoded::new(events).0 {
            self.frame(frame);
        }
    }

    pub(super) fn frame(&mut self, frame: &Frame) {
        match (self.fields, self.framing) {
            (Fields::All, Framing::Chunked) => self.add(frame.block.clone(), (frame.start, frame.end), Some(frame)),
            // The chunk's closing CRLF is not payload.
            (Fields::All, Framing::Bare) => {
                self.add(frame.block.clone(), (frame.start + frame.prefix, frame.end - 2), Some(frame));
            }
            (Fields::Gini, _) => {
                let framed = self.framed(&format!(
                    "id: {}\ndata: {{\"documentId\":\"{}\",\"status\":\"{}\"}}\n\n",
                    frame.id, frame.document, frame.status
                ));
                let len = framed.len();
                self.add(framed, (0, len), Some(frame));
            }
        }
    }

    fn framed(&self, payload: &str) -> Bytes {
        match self.framing {
            Framing::Bare => Bytes::copy_from_slice(payload.as_bytes()),
            Framing::Chunked => Bytes::from(format!("{:x}\r\n{payload}\r\n", payload.len())),
        }
    }

    fn add(&mut self, block: Bytes, (start, end): (usize, usize), event: Option<&Frame>) {
        let (events, through) = event.map_or((0, None), |frame| (1, Some(frame.id.sequence)));
        self.bytes += end - start;
        self.events += events;
        if let Some(last) = self.parts.last_mut()
            && last.end == start
            && last.block.as_ptr() == block.as_ptr()
            && last.block.len() == block.len()
        {
            last.end = end;
            last.events += events;
            last.through = through;
            return;
        }
        self.parts.push(Part { block, start, end, events, through });
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// How many of the parts are events.
    pub fn event_count(&self) -> usize {
        self.events
    }

    /// The stretches, in order.
    pub fn into_stretches(self) -> impl Iterator<Item = Stretch> {
        self.parts.into_iter().map(|part| Stretch {
            bytes: part.block.slice(part.start..part.end),
            events: part.events,
            through: part.through,
        })
    }
}
