//! One open stream on its own socket: writes turn after turn, notices when its reader leaves, and gives up on one that
//! accepts nothing. What there is to write is the follower's business.

use std::io::{self, IoSlice};
use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use crate::metrics::Disconnect;
use crate::stream::hub::{Framing, Stretch};
use crate::stream::{Follower, Turn};

/// The most that is read and thrown away from a follower, which has nothing more to say.
const CHATTER: usize = 64 << 10;

/// After so long without a byte accepted, a reader is served from the log instead of from memory.
const STUCK: Duration = Duration::from_secs(1);

/// When a stream has to end, its follower has so long to accept what is being written to it.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Writes turn after turn until one side has had enough; returns why.
pub(in crate::http) async fn attend(
    socket: &TcpStream,
    follower: &mut Follower,
    write_timeout: Duration,
) -> Disconnect {
    // One for the whole stream: waiting anew at every turn would register with the reactor anew.
    let mut hung_up = pin!(hung_up(socket));
    loop {
        let turn = tokio::select! {
            // What there is to write comes first; only a follower with nothing to write is asked whether it is there.
            biased;
            turn = follower.next() => turn,
            why = &mut hung_up => return why,
        };
        let (out, leaving) = match turn {
            Turn::Write(out) => (out, None),
            Turn::End(out, leaving) => (out, Some(leaving)),
        };
        let end = Stretch { bytes: Bytes::from_static(b"0\r\n\r\n"), events: 0, through: None };
        let ends = leaving.is_some() && follower.framing() == Framing::Chunked;
        let stretches = out.into_stretches().chain(ends.then_some(end));
        let patience = if leaving.is_some() { LAST_WORDS.min(write_timeout) } else { write_timeout };
        match write(socket, stretches.collect(), patience, follower).await {
            Ok(None) => {}
            Ok(Some(through)) => follower.go_back(through),
            Err(why) => return leaving.unwrap_or(why),
        }
        if let Some(leaving) = leaving {
            return leaving;
        }
    }
}

/// Waits until the peer has closed its side.
async fn hung_up(socket: &TcpStream) -> Disconnect {
    let mut chatter = 0;
    loop {
        if let Err(error) = socket.readable().await {
            return broken(&error);
        }
        // Not kept while waiting: every idle follower waits here.
        let mut scrap = [0u8; 512];
        match socket.try_read(&mut scrap) {
            Ok(0) => return Disconnect::Closed,
            Ok(n) if chatter + n > CHATTER => return Disconnect::Closed,
            Ok(n) => chatter += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return broken(&error),
        }
    }
}

/// The kernel gives up too on a peer that accepts nothing, when all there was to write fitted into its buffer.
fn broken(error: &io::Error) -> Disconnect {
    if error.kind() == io::ErrorKind::TimedOut { Disconnect::Stalled } else { Disconnect::Closed }
}

/// Writes everything with as few calls as the kernel allows. Gives up when it accepts nothing for `patience`, or too
/// little for [`LAST_WORDS`] after the stream would have had to end. A reader that is stuck for a while does not keep
/// what it cannot take in memory: the rest is let go, and the answer is the event to go on after.
async fn write(
    socket: &TcpStream,
    mut parts: Vec<Stretch>,
    patience: Duration,
    follower: &Follower,
) -> Result<Option<u64>, Disconnect> {
    let mut first = 0;
    let mut cut = None;
    // Since when nothing was accepted.
    let mut quiet = None;
    let mut hurried: Option<(Instant, Disconnect)> = None;
    while first < parts.len() {
        let written = match &parts[first..] {
            // One stretch is the usual case, and a plain send is cheaper than a vectored write of one.
            [only] => socket.try_write(&only.bytes),
            several => {
                let slices: Vec<IoSlice<'_>> = several.iter().take(64).map(|p| IoSlice::new(&p.bytes)).collect();
                socket.try_write_vectored(&slices)
            }
        };
        match written {
            Ok(mut written) => {
                quiet = None;
                follower.wrote(written, 0);
                while let Some(part) = parts.get_mut(first).filter(|_| written > 0) {
                    let taken = written.min(part.bytes.len());
                    part.bytes.advance(taken);
                    written -= taken;
                    if part.bytes.is_empty() {
                        follower.wrote(0, part.events);
                        first += 1;
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let quiet = *quiet.get_or_insert_with(Instant::now);
                let (deadline, why) = match hurried {
                    Some((end, leaving)) => (end.min(quiet + patience), leaving),
                    None => (quiet + patience, Disconnect::Stalled),
                };
                // Boxed, because only a reader that stalls needs the room.
                let leaving = Box::pin(follower.has_to_end());
                let let_go = Box::pin(sleep_until(quiet + STUCK));
                let through = parts[first].through.filter(|_| first + 1 < parts.len());
                tokio::select! {
                    writable = socket.writable() => writable.map_err(|error| broken(&error))?,
                    () = sleep_until(deadline) => return Err(why),
                    leaving = leaving, if hurried.is_none() => {
                        hurried = Some((Instant::now() + LAST_WORDS, leaving));
                    }
                    () = let_go, if through.is_some() => {
                        cut = through;
                        parts.truncate(first + 1);
                        parts.shrink_to_fit();
                    }
                }
            }
            Err(error) => return Err(broken(&error)),
        }
    }
    Ok(cut)
}

/// Closes our side, and takes from the kernel what the peer has sent unasked: a socket that is closed over unread bytes
/// is reset, and a reset makes the peer throw away the end that it has not read yet.
pub(in crate::http) async fn finish(socket: &mut TcpStream) {
    if socket.shutdown().await.is_ok() {
        let mut scrap = [0u8; 512];
        let mut chatter = 0;
        while let Ok(n @ 1..) = socket.try_read(&mut scrap)
            && chatter < CHATTER
        {
            chatter += n;
        }
    }
}
