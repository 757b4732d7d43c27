//! The write loop of one stream: writes what the follower has into the stream's sink, notices a peer that closes, and
//! ends a stream whose peer accepts nothing. The follower decides what is written.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::http::transport::stream_sink::StreamSink;
use crate::metrics::Disconnect;
use crate::stream::hub::{BufferSegment, WriteBuffer};
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

/// Writes until the stream ends; returns why.
pub(in crate::http) async fn run(sink: &StreamSink, follower: &mut Follower, write_timeout: Duration) -> Disconnect {
    // One future for the whole stream: one for each action would register with the reactor each time.
    let mut peer_closed = pin!(sink.peer_closed());
    loop {
        let action = tokio::select! {
            // Events first: only a peer without anything to receive is checked for having closed.
            biased;
            action = follower.next_action() => action,
            reason = &mut peer_closed => return reason,
        };
        match action {
            StreamAction::Write(out) => match write(sink, out, write_timeout, follower).await {
                Ok(WriteOutcome::Complete) => {}
                Ok(WriteOutcome::Truncated { last_sequence }) => follower.rewind(last_sequence),
                Err(reason) => return reason,
            },
            StreamAction::End { last, reason } => {
                // Whether the peer accepts it or not, the stream has ended.
                if write(sink, last, FINAL_WRITE_TIMEOUT.min(write_timeout), follower).await.is_ok() {
                    sink.finish();
                }
                return reason;
            }
        }
    }
}

/// Writes everything with as few system calls as possible. Ends with [`Disconnect::Stalled`] when the peer accepts
/// nothing for `stall_timeout`, and with the stream's own reason [`FINAL_WRITE_TIMEOUT`] after it had to end. After
/// [`STALL_AFTER`] all but the first segment is released from memory: the follower collects those events again.
async fn write(
    sink: &StreamSink,
    out: WriteBuffer,
    stall_timeout: Duration,
    follower: &Follower,
) -> Result<WriteOutcome, Disconnect> {
    let mut pending = VecDeque::from(out.into_segments());
    let mut outcome = WriteOutcome::Complete;
    let mut stalled_since = None;
    // Set when the stream has to end during this write: until when, and why.
    let mut ending: Option<(Instant, Disconnect)> = None;
    while !(pending.is_empty() && sink.is_flushed()) {
        match sink.try_write(&pending) {
            Ok(bytes) => {
                stalled_since = None;
                follower.record_bytes(bytes);
                remove_written(&mut pending, bytes, follower);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let since = *stalled_since.get_or_insert_with(Instant::now);
                let (deadline, reason) = match ending {
                    Some((end, reason)) => (end.min(since + stall_timeout), reason),
                    None => (since + stall_timeout, Disconnect::Stalled),
                };
                // Boxed, because only a peer that stalls needs the memory.
                let ended = Box::pin(follower.wait_for_end());
                let release = Box::pin(sleep_until(since + STALL_AFTER));
                let resume_after = pending.front().and_then(|first| first.last_sequence).filter(|_| pending.len() > 1);
                tokio::select! {
                    writable = sink.writable() => writable.map_err(|error| sink.disconnect_reason(&error))?,
                    () = sleep_until(deadline) => return Err(reason),
                    reason = ended, if ending.is_none() => {
                        ending = Some((Instant::now() + FINAL_WRITE_TIMEOUT, reason));
                    }
                    () = release, if resume_after.is_some() => {
                        if let Some(last_sequence) = resume_after {
                            outcome = WriteOutcome::Truncated { last_sequence };
                            pending.truncate(1);
                            pending.shrink_to_fit();
                        }
                    }
                }
            }
            Err(error) => return Err(sink.disconnect_reason(&error)),
        }
    }
    Ok(outcome)
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
