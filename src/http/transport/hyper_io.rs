//! The socket under hyper: it fails a write when the peer accepts nothing for too long or a response takes too long, ends
//! when the next request does not come in time, and reports flushes and stalls to the [`Takeover`].

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::http::transport::request_deadline::RequestDeadline;
use crate::http::transport::takeover::Takeover;
use crate::metrics::Counter;

/// After our side is closed, the peer's bytes are discarded for this long, and up to this number of bytes.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_LINGER_BYTES: usize = 16 << 20;

/// How slowly a peer may read.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct WriteTimeouts {
    /// For any byte to be accepted.
    pub(in crate::http) stall: Duration,
    /// For a whole response, from its first byte until the kernel has all of it: a peer that reads a byte now and then
    /// would keep the response in memory.
    pub(in crate::http) response: Duration,
}

/// A TCP socket with time-outs on writes and on missing requests.
pub(in crate::http) struct HyperIo {
    io: TokioIo<TcpStream>,
    takeover: Takeover,
    deadline: RequestDeadline,
    timeouts: WriteTimeouts,
    /// Counts the responses that were ended by a time-out.
    slow_responses: Counter,
    /// When the first byte of the present response was written; `None` between responses.
    response_started: Option<Instant>,
    /// Runs while the peer accepts nothing.
    timer: Option<Pin<Box<Sleep>>>,
}

impl HyperIo {
    pub(in crate::http) fn new(
        socket: TcpStream,
        timeouts: WriteTimeouts,
        deadline: RequestDeadline,
        takeover: Takeover,
        slow_responses: Counter,
    ) -> Self {
        let io = TokioIo::new(socket);
        Self { io, takeover, deadline, timeouts, slow_responses, response_started: None, timer: None }
    }

    pub(in crate::http) fn into_socket(self) -> TcpStream {
        self.io.into_inner()
    }

    /// Closes our side, then discards what the peer still sends. Closing a socket over unread bytes resets the
    /// connection, and a peer that writes first would never read the response.
    pub(in crate::http) async fn close(self, stop: &CancellationToken) {
        let mut socket = self.io.into_inner();
        if let Err(error) = socket.shutdown().await {
            tracing::trace!(%error, "peer closed the connection first");
            return;
        }
        tokio::select! {
            () = discard(&socket) => {}
            () = sleep(LINGER_TIMEOUT) => {}
            () = stop.cancelled() => {}
        }
    }

    /// Writes with `write` unless the response has taken too long.
    fn poll_in_time(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TokioIo<TcpStream>>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let now = Instant::now();
        let deadline = *self.response_started.get_or_insert(now) + self.timeouts.response;
        if now >= deadline {
            return self.report_timeout(Poll::Ready(Err(timed_out("the peer reads the response too slowly"))));
        }
        let written = write(Pin::new(&mut self.io), cx);
        if written.is_ready() {
            self.timer = None;
            return self.report_timeout(written);
        }
        let due = deadline.min(now + self.timeouts.stall);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        let fired = timer.as_mut().poll(cx);
        self.report_timeout(fired.map(|()| Err(timed_out("the peer accepts nothing"))))
    }

    /// The kernel's user time-out may fire first, when the bytes that the peer does not accept fit into its buffer.
    fn report_timeout<T>(&mut self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &polled
            && error.kind() == io::ErrorKind::TimedOut
        {
            let is_stream = self.takeover.stalled();
            // Between two responses the peer owes nothing.
            if self.response_started.take().is_some() && !is_stream {
                self.slow_responses.inc();
                // The kernel holds megabytes of the response: without this it would send them at the pace of the peer.
                if let Err(error) = sockopt::set_socket_linger(self.io.inner(), Some(Duration::ZERO)) {
                    tracing::debug!(%error, "cannot set socket option");
                }
            }
        }
        polled
    }
}

fn timed_out(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, reason)
}

/// Reads until the peer closes its side, or has sent [`MAX_LINGER_BYTES`].
async fn discard(socket: &TcpStream) {
    let mut discarded = 0;
    while discarded < MAX_LINGER_BYTES && socket.readable().await.is_ok() {
        match socket.try_read(&mut [0; 8192]) {
            Ok(0) => return,
            Ok(n) => discarded += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

impl Read for HyperIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_ready() {
            self.deadline.received();
        } else if self.deadline.poll_expired(cx).is_ready() {
            // As if the peer had closed its side: hyper closes an idle connection without an error.
            return Poll::Ready(Ok(()));
        }
        self.report_timeout(read)
    }
}

impl Write for HyperIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_in_time(cx, |io, cx| io.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_in_time(cx, |io, cx| io.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper calls this when its write buffer is empty: from then on the kernel has everything.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.response_started = None;
            self.takeover.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
