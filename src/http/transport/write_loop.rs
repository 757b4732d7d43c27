//! The write loop of one stream: writes what the follower has into the stream's sink, notices a peer that closes, and
//! ends a stream whose peer accepts nothing. The follower decides what is written.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::http::transport::stream_sink::StreamSink;
use crate::metrics::Disconnect;
use crate::stream::hub::BufferSegment;
use crate::stream::{Follower, StreamAction};

/// A peer that accepts nothing for this long is served from the log instead of from memory.
const STALL_AFTER: Duration = Duration::from_secs(1);

/// When a stream has to end, its peer has this long to accept what is being written.
const FINAL_WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// How far a write has come.
enum WriteOutcome {
    Complete,
    /// The peer stalled: the events after this sequence were released from memory and are not written.
    Truncated {
        last_sequence: u64,
    },
}

/// A stream on its worker.
pub(in crate::http) struct OpenStream {
    pub(in crate::http) sink: StreamSink,
    pub(in crate::http) follower: Box<Follower>,
    /// A peer that accepts nothing for this long ends the stream.
    pub(in crate::http) write_timeout: Duration,
}

/// Writes until the stream ends; returns why. The future is small, because each idle follower has one: what is rarely
/// needed is boxed.
pub(in crate::http) async fn run(stream: &mut OpenStream) -> Disconnect {
    // One future for the whole stream: one for each action would register with the reactor each time.
    let mut peer_closed = pin!(stream.sink.peer_closed());
    loop {
        let (segments, end) = tokio::select! {
            // Events first: only a peer without anything to receive is checked for having closed.
            biased;
            action = stream.follower.next_action() => match action {
                StreamAction::Write(out) => (out.into_segments(), None),
                StreamAction::End { last, reason } => (last.into_segments(), Some(reason)),
            },
            reason = &mut peer_closed => return reason,
        };
        let timeout = if end.is_some() { FINAL_WRITE_TIMEOUT.min(stream.write_timeout) } else { stream.write_timeout };
        let written = match write_now(&stream.sink, segments.into(), &stream.follower) {
            Ok(None) => Ok(WriteOutcome::Complete),
            Ok(Some(rest)) => Box::pin(write_rest(&stream.sink, rest, timeout, &stream.follower)).await,
            Err(reason) => Err(reason),
        };
        match (written, end) {
            (Ok(WriteOutcome::Complete), None) => {}
            (Ok(WriteOutcome::Truncated { last_sequence }), None) => stream.follower.rewind(last_sequence),
            (Err(reason), None) => return reason,
            // Whether the peer accepts the last bytes or not, the stream has ended.
            (written, Some(reason)) => {
                if written.is_ok() {
                    stream.sink.finish();
                }
                return reason;
            }
        }
    }
}

/// What the peer has not accepted yet.
struct Rest {
    pending: VecDeque<BufferSegment>,
    /// Whether it has accepted something before.
    has_progressed: bool,
}

/// Writes what the peer accepts without waiting, with as few system calls as possible. Returns the rest; there is
/// almost never one.
fn write_now(
    sink: &StreamSink,
    mut pending: VecDeque<BufferSegment>,
    follower: &Follower,
) -> Result<Option<Rest>, Disconnect> {
    let mut has_progressed = false;
    while !(pending.is_empty() && sink.is_flushed()) {
        match sink.try_write(&pending) {
            Ok(bytes) => {
                has_progressed = true;
                follower.record_bytes(bytes);
                remove_written(&mut pending, bytes, follower);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Some(Rest { pending, has_progressed }));
            }
            Err(error) => return Err(sink.disconnect_reason(&error)),
        }
    }
    Ok(None)
}

/// Waits for the peer and writes the rest. Ends with [`Disconnect::Stalled`] when the peer accepts nothing for
/// `stall_timeout`, and with the stream's own reason [`FINAL_WRITE_TIMEOUT`] after it had to end. After [`STALL_AFTER`]
/// all but the first segment is released from memory: the follower collects those events again.
async fn write_rest(
    sink: &StreamSink,
    Rest { mut pending, .. }: Rest,
    stall_timeout: Duration,
    follower: &Follower,
) -> Result<WriteOutcome, Disconnect> {
    let mut outcome = WriteOutcome::Complete;
    let mut stalled_since = Instant::now();
    // Set when the stream has to end during this write: until when, and why.
    let mut ending: Option<(Instant, Disconnect)> = None;
    loop {
        let stalled_until = stalled_since + stall_timeout;
        let (deadline, reason) = match ending {
            Some((end, reason)) => (end.min(stalled_until), reason),
            None => (stalled_until, Disconnect::Stalled),
        };
        let resume_after = pending.front().and_then(|first| first.last_sequence).filter(|_| pending.len() > 1);
        tokio::select! {
            writable = sink.writable() => writable.map_err(|error| sink.disconnect_reason(&error))?,
            () = sleep_until(deadline) => return Err(reason),
            reason = follower.wait_for_end(), if ending.is_none() => {
                ending = Some((Instant::now() + FINAL_WRITE_TIMEOUT, reason));
            }
            () = sleep_until(stalled_since + STALL_AFTER), if resume_after.is_some() => {
                if let Some(last_sequence) = resume_after {
                    outcome = WriteOutcome::Truncated { last_sequence };
                    pending.truncate(1);
                    pending.shrink_to_fit();
                }
            }
        }
        let Some(rest) = write_now(sink, pending, follower)? else { return Ok(outcome) };
        if rest.has_progressed {
            stalled_since = Instant::now();
        }
        pending = rest.pending;
    }
}

/// Removes bytes that the sink has accepted, and counts the events that are complete with them.
fn remove_written(pending: &mut VecDeque<BufferSegment>, mut bytes: usize, follower: &Follower) {
    while bytes > 0
        && let Some(first) = pending.front_mut()
    {
        bytes -= first.advance(bytes);
        if first.as_slice().is_empty() {
            follower.record_events(first.events);
            pending.pop_front();
        }
    }
}
