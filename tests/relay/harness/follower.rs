//! An open event stream, read block by block.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::TIMEOUT;
use super::connection::{Connection, ReadOutcome};
use super::request::Request;
use super::response::{ChunkDecoder, Response};
use super::sse::{Block, Event, Parser};

/// The next item of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    Block(Block),
    End,
    TimedOut,
}

/// An open stream.
pub(crate) struct Follower {
    /// Status and headers.
    pub(crate) head: Response,
    connection: Connection,
    /// `None` when the body has a known length, or ends with the connection.
    chunks: Option<ChunkDecoder>,
    /// The length of the body of a refused stream.
    length: Option<usize>,
    raw: Vec<u8>,
    parser: Parser,
    blocks: VecDeque<Block>,
}

impl Follower {
    /// Sends the request and reads the head of the response.
    #[track_caller]
    pub(crate) fn open(to: SocketAddr, request: &Request) -> Self {
        let mut connection = Connection::open(to);
        connection.write(request.bytes());
        Self::over(connection)
    }

    /// Reads the head of the response to a request that was sent already.
    #[track_caller]
    pub(crate) fn over(mut connection: Connection) -> Self {
        let head = connection.read_head();
        let chunks = head.is_chunked().then(ChunkDecoder::default);
        let length = head.header("content-length").map(|length| length.parse().expect("a length"));
        Self { head, connection, chunks, length, raw: Vec::new(), parser: Parser::default(), blocks: VecDeque::new() }
    }

    /// The bytes of the stream so far, without the framing of chunks.
    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }

    /// Whether the stream has ended with the last chunk, and not just with the connection.
    pub(crate) fn has_last_chunk(&self) -> bool {
        self.chunks.as_ref().is_some_and(|chunks| chunks.ended)
    }

    /// The next block, empty ones included.
    #[track_caller]
    pub(crate) fn next(&mut self, timeout: Duration) -> Next {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(block) = self.blocks.pop_front() {
                return Next::Block(block);
            }
            if self.has_last_chunk() || self.length.is_some_and(|length| self.raw.len() >= length) {
                return Next::End;
            }
            match self.connection.read(deadline.saturating_duration_since(Instant::now())) {
                ReadOutcome::Bytes(bytes) => {
                    let content = match &mut self.chunks {
                        Some(chunks) => chunks.decode(&bytes),
                        None => bytes,
                    };
                    self.blocks.extend(self.parser.parse(&content));
                    self.raw.extend(content);
                }
                ReadOutcome::Closed => return Next::End,
                ReadOutcome::TimedOut => return Next::TimedOut,
            }
        }
    }

    /// The next event; skips blocks that a browser would not dispatch.
    #[track_caller]
    pub(crate) fn next_event(&mut self) -> Event {
        let deadline = Instant::now() + TIMEOUT;
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
        (0..count).map(|_| self.next_event()).collect()
    }

    /// The ids of the next events.
    #[track_caller]
    pub(crate) fn event_ids(&mut self, count: usize) -> Vec<String> {
        self.events(count).into_iter().map(|event| event.id).collect()
    }

    /// The remaining blocks of a stream that must end.
    #[track_caller]
    pub(crate) fn read_to_end(&mut self) -> Vec<Block> {
        let mut all = Vec::new();
        loop {
            match self.next(TIMEOUT) {
                Next::Block(block) => all.push(block),
                Next::End => return all,
                Next::TimedOut => panic!("the stream does not end, after {:?}", self.raw()),
            }
        }
    }

    /// Whether the stream ends in time. Blocks before that are discarded.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> bool {
        loop {
            match self.next(TIMEOUT) {
                Next::Block(_) => {}
                Next::End => return true,
                Next::TimedOut => return false,
            }
        }
    }
}
