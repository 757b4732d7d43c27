//! Requests and streams to a node that may be killed or halted at any time: every failure is a value.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::connection::{Connection, ReadOutcome};
use super::request::Request;
use super::response::{ChunkDecoder, Response};
use super::sse::{Block, Parser};

/// An open stream.
pub(crate) struct Stream {
    connection: Connection,
    chunks: ChunkDecoder,
    parser: Parser,
    /// Read together with the head.
    pending: Vec<u8>,
}

/// Sends a request whose response has a length. `None`: the outcome is unknown.
pub(crate) fn try_send(to: SocketAddr, request: &Request, timeout: Duration) -> Option<Response> {
    let deadline = Instant::now() + timeout;
    let mut connection = Connection::try_open(to).ok()?;
    connection.try_write(request.bytes()).ok()?;
    let (mut response, body) = read_head(&mut connection, deadline)?;
    response.body = body;
    let length: usize = response.header("content-length").map_or(Some(0), |length| length.parse().ok())?;
    while response.body.len() < length {
        response.body.extend(read(&mut connection, deadline)?);
    }
    Some(response)
}

impl Stream {
    /// Opens a stream. `None`: the node has not answered, or has refused it.
    pub(crate) fn try_open(to: SocketAddr, request: &Request, timeout: Duration) -> Option<Self> {
        let mut connection = Connection::try_open(to).ok()?;
        connection.try_write(request.bytes()).ok()?;
        let (head, pending) = read_head(&mut connection, Instant::now() + timeout)?;
        let chunks = (head.status == 200 && head.is_chunked()).then(ChunkDecoder::default)?;
        Some(Self { connection, chunks, parser: Parser::default(), pending })
    }

    /// The next blocks, none after the time-out; `None` at the end.
    pub(crate) fn next(&mut self, timeout: Duration) -> Option<Vec<Block>> {
        // A proxy may keep the connection open after the last chunk.
        if self.chunks.ended {
            return None;
        }
        let bytes = match std::mem::take(&mut self.pending) {
            pending if !pending.is_empty() => pending,
            _ => match self.connection.read(timeout) {
                ReadOutcome::Bytes(bytes) => bytes,
                ReadOutcome::TimedOut => return Some(Vec::new()),
                ReadOutcome::Closed => return None,
            },
        };
        let blocks = self.parser.parse(&self.chunks.decode(&bytes));
        (!blocks.is_empty() || !self.chunks.ended).then_some(blocks)
    }
}

/// The head, and the bytes behind it.
fn read_head(connection: &mut Connection, deadline: Instant) -> Option<(Response, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Some((Response::from_head(&bytes[..end]), rest));
        }
        bytes.extend(read(connection, deadline)?);
    }
}

fn read(connection: &mut Connection, deadline: Instant) -> Option<Vec<u8>> {
    match connection.read(deadline.saturating_duration_since(Instant::now())) {
        ReadOutcome::Bytes(bytes) => Some(bytes),
        ReadOutcome::Closed | ReadOutcome::TimedOut => None,
    }
}
