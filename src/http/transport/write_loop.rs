//! The write loop of one stream on its own socket: writes what the follower has, notices a peer that closes, and ends a
//! stream whose peer accepts nothing. The follower decides what is written.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use crate::metrics::Disconnect;
use crate::stream::hub::{BufferSegment, WriteBuffer};
use crate::stream::{Follower, StreamAction};

/// Bytes that are read from a follower and discarded before the stream is ended: it has nothing to send.
const DISCARD_LIMIT_BYTES: usize = 64 << 10;

/// A peer that accepts nothing for this long is served from the log instead of from memory.
const STALL_AFTER: Duration = Duration::from_secs(1);

/// When a stream has to end, its peer has this long to accept what is being written.
const FINAL_WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// Buffers of one vectored write. The kernel accepts up to 1 024 of them.
const MAX_IO_SLICES: usize = 64;

/// How far a write has come.
enum WriteOutcome {
    Complete,
    /// The peer stalled: the events after this sequence were released from memory and are not written.
    Truncated {
        last_sequence: u64,
    },
}

/// Writes until the stream ends; returns why.
pub(in crate::http) async fn run(socket: &TcpStream, follower: &mut Follower, write_timeout: Duration) -> Disconnect {
    // One future for the whole stream: one for each action would register with the reactor each time.
    let mut peer_closed = pin!(peer_closed(socket));
    loop {
        let action = tokio::select! {
            // Events first: only a peer without anything to receive is checked for having closed.
            biased;
            action = follower.next_action() => action,
            reason = &mut peer_closed => return reason,
        };
        match action {
            StreamAction::Write(out) => match write(socket, out, write_timeout, follower).await {
                Ok(WriteOutcome::Complete) => {}
                Ok(WriteOutcome::Truncated { last_sequence }) => follower.rewind(last_sequence),
                Err(reason) => return reason,
            },
            StreamAction::End { last, reason } => {
                // Whether the peer accepts it or not, the stream has ended.
                write(socket, last, FINAL_WRITE_TIMEOUT.min(write_timeout), follower).await.ok();
                return reason;
            }
        }
    }
}

/// Waits until the peer has closed its side.
async fn peer_closed(socket: &TcpStream) -> Disconnect {
    let mut discarded = 0;
    loop {
        if let Err(error) = socket.readable().await {
            return disconnect_reason(&error);
        }
        // Inside the loop, so that an idle follower does not keep it while it waits.
        let mut buffer = [0u8; 512];
        match socket.try_read(&mut buffer) {
            Ok(0) => return Disconnect::Closed,
            Ok(n) if discarded + n > DISCARD_LIMIT_BYTES => return Disconnect::Closed,
            Ok(n) => discarded += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return disconnect_reason(&error),
        }
    }
}

/// The kernel's user time-out fires for a peer that accepts nothing, when everything fitted into the kernel's buffer.
fn disconnect_reason(error: &io::Error) -> Disconnect {
    if error.kind() == io::ErrorKind::TimedOut { Disconnect::Stalled } else { Disconnect::Closed }
}

/// Writes everything with as few system calls as possible. Ends with [`Disconnect::Stalled`] when the peer accepts
/// nothing for `stall_timeout`, and with the stream's own reason [`FINAL_WRITE_TIMEOUT`] after it had to end. After
/// [`STALL_AFTER`] all but the first segment is released from memory: the follower collects those events again.
async fn write(
    socket: &TcpStream,
    out: WriteBuffer,
    stall_timeout: Duration,
    follower: &Follower,
) -> Result<WriteOutcome, Disconnect> {
    let mut pending = VecDeque::from(out.into_segments());
    let mut outcome = WriteOutcome::Complete;
    let mut stalled_since = None;
    // Set when the stream has to end during this write: until when, and why.
    let mut ending: Option<(Instant, Disconnect)> = None;
    while let Some(first) = pending.front() {
        let written = if pending.len() == 1 {
            // The usual case, and cheaper than a vectored write of one.
            socket.try_write(first.as_slice())
        } else {
            let slices: Vec<IoSlice<'_>> =
                pending.iter().take(MAX_IO_SLICES).map(|segment| IoSlice::new(segment.as_slice())).collect();
            socket.try_write_vectored(&slices)
        };
        match written {
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
                let resume_after = first.last_sequence.filter(|_| pending.len() > 1);
                tokio::select! {
                    writable = socket.writable() => writable.map_err(|error| disconnect_reason(&error))?,
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
            Err(error) => return Err(disconnect_reason(&error)),
        }
    }
    Ok(outcome)
}

/// Removes bytes that the socket has accepted, and counts the events that are complete with them.
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

/// Closes our side, and discards what the peer has sent: a socket that is closed over unread bytes is reset, and a reset
/// makes the peer discard the end of the stream that it has not read yet.
pub(in crate::http) async fn close(socket: &mut TcpStream) {
    if socket.shutdown().await.is_ok() {
        let mut buffer = [0u8; 512];
        let mut discarded = 0;
        while let Ok(n @ 1..) = socket.try_read(&mut buffer)
            && discarded < DISCARD_LIMIT_BYTES
        {
            discarded += n;
        }
    }
}
