//! A reader of event streams after the WHATWG's specification, independent of the relay's encoder and of any crate. It
//! keeps what a browser hides: the raw bytes, the empty lines, `retry:` and comments.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::wire::{Answer, Came, Chunks, Request, Wire};

/// What stands between two empty lines; all fields are empty in the relay's idle bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) id: Option<String>,
    pub(crate) event: Option<String>,
    /// Lines joined by a line break.
    pub(crate) data: Option<String>,
    pub(crate) retry: Option<u64>,
    pub(crate) comments: Vec<String>,
}

/// An event that a browser would dispatch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Empty when this event carried none.
    pub(crate) id: String,
    /// `message` when it has no name.
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Event {
    /// The data as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.data).unwrap_or_else(|e| panic!("{e}: {}", self.data))
    }
}

/// What following brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    Block(Block),
    End,
    /// Nothing in the time given.
    Nothing,
}

/// An open stream.
pub(crate) struct Follower {
    /// Status and headers.
    pub(crate) head: Answer,
    wire: Wire,
    /// `None` when the body simply ends with the connection.
    chunks: Option<Chunks>,
    raw: Vec<u8>,
    parser: Parser,
    blocks: VecDeque<Block>,
}

impl Follower {
    /// Sends the request and reads the head of the answer.
    #[track_caller]
    pub(crate) fn open(to: SocketAddr, request: &Request) -> Self {
        let mut wire = Wire::connect(to);
        wire.send(request.bytes());
        Self::over(wire)
    }

    /// Reads the head of the answer to a request that was sent already.
    #[track_caller]
    pub(crate) fn over(mut wire: Wire) -> Self {
        let head = wire.head();
        let chunks = head.is_chunked().then(Chunks::default);
        Self { head, wire, chunks, raw: Vec::new(), parser: Parser::default(), blocks: VecDeque::new() }
    }

    /// All bytes of the stream that were read so far, without the framing of HTTP.
    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }

    /// Whether the end was said in HTTP's own words, and is not just that of the connection.
    pub(crate) fn was_closed(&self) -> bool {
        self.chunks.as_ref().is_some_and(|chunks| chunks.ended)
    }

    /// The next block, an empty one included.
    #[track_caller]
    pub(crate) fn next(&mut self, within: Duration) -> Next {
        let deadline = Instant::now() + within;
        loop {
            if let Some(block) = self.blocks.pop_front() {
                return Next::Block(block);
            }
            if self.chunks.as_ref().is_some_and(|chunks| chunks.ended) {
                return Next::End;
            }
            match self.wire.read(deadline.saturating_duration_since(Instant::now())) {
                Came::Bytes(bytes) => {
                    let content = match &mut self.chunks {
                        Some(chunks) => chunks.decode(&bytes),
                        None => bytes,
                    };
                    self.blocks.extend(self.parser.parse(&content));
                    self.raw.extend(content);
                }
                Came::End => return Next::End,
                Came::Nothing => return Next::Nothing,
            }
        }
    }

    /// The next event, past everything that a browser would not dispatch.
    #[track_caller]
    pub(crate) fn event(&mut self) -> Event {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.next(deadline.saturating_duration_since(Instant::now())) {
                Next::Block(Block { id, event, data: Some(data), .. }) => {
                    let name = event.unwrap_or_else(|| "message".to_owned());
                    return Event { id: id.unwrap_or_default(), name, data };
                }
                Next::Block(_) => {}
                other => panic!("{other:?} instead of an event, after {:?}", self.raw()),
            }
        }
    }

    /// The next events.
    #[track_caller]
    pub(crate) fn events(&mut self, count: usize) -> Vec<Event> {
        (0..count).map(|_| self.event()).collect()
    }

    /// All blocks until the stream ends, which it must.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<Block> {
        let mut all = Vec::new();
        loop {
            match self.next(PATIENCE) {
                Next::Block(block) => all.push(block),
                Next::End => return all,
                Next::Nothing => panic!("the stream does not end, after {:?}", self.raw()),
            }
        }
    }

    /// Whether the stream ends; what comes before that is thrown away.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> bool {
        loop {
            match self.next(PATIENCE) {
                Next::Block(_) => {}
                Next::End => return true,
                Next::Nothing => return false,
            }
        }
    }
}

/// Lines into blocks.
#[derive(Default)]
struct Parser {
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// The last byte was a CR: an LF after it belongs to the same line break.
    after_cr: bool,
    block: Block,
}

impl Parser {
    fn parse(&mut self, bytes: &[u8]) -> Vec<Block> {
        let mut blocks = Vec::new();
        for byte in bytes {
            let joined = self.after_cr && *byte == b'\n';
            self.after_cr = *byte == b'\r';
            match byte {
                b'\n' if joined => {}
                b'\n' | b'\r' => {
                    let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
                    if line.is_empty() {
                        blocks.push(std::mem::take(&mut self.block));
                    } else {
                        self.field(&line);
                    }
                }
                other => self.line.push(*other),
            }
        }
        blocks
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match name {
            "" => self.block.comments.push(value),
            "event" => self.block.event = Some(value),
            "data" => match &mut self.block.data {
                Some(data) => *data = format!("{data}\n{value}"),
                none => *none = Some(value),
            },
            // An id that holds NUL is ignored, and so is a retry that is not a number.
            "id" if !value.contains('\0') => self.block.id = Some(value),
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => self.block.retry = value.parse().ok(),
            _ => {}
        }
    }
}

#[test]
fn every_line_break_and_field_of_the_specification_is_read() {
    let stream = "\nretry: 2000\n\nid: a.1\r\ndata: {\"a\":\rdata:1}\r\n\r\n: note\nevent: reset\ndata\nid: x\0\nretry: -1\nwhat: 1\n\n";
    let expected = [
        Block::default(),
        Block { retry: Some(2000), ..Block::default() },
        Block { id: Some("a.1".into()), data: Some("{\"a\":\n1}".into()), ..Block::default() },
        Block {
            event: Some("reset".into()),
            data: Some(String::new()),
            comments: vec!["note".into()],
            ..Block::default()
        },
    ];
    for size in 1..stream.len() {
        let mut parser = Parser::default();
        let blocks: Vec<Block> = stream.as_bytes().chunks(size).flat_map(|piece| parser.parse(piece)).collect();
        assert_eq!(blocks, expected, "in pieces of {size}");
    }
}
