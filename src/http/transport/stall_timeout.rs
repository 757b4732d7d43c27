//! The socket under hyper: it fails a write when the peer accepts nothing for too long, ends when the next request does not
//! come in time, and reports flushes and stalls to the [`Takeover`].

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

use crate::http::transport::request_deadline::RequestDeadline;
use crate::http::transport::takeover::Takeover;

/// After our side is closed, the peer's bytes are discarded for this long, and up to this number of bytes.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_LINGER_BYTES: usize = 16 << 20;

/// A TCP socket with timeouts on stalled writes and on missing requests.
pub(in crate::http) struct StallTimeoutIo {
    io: TokioIo<TcpStream>,
    takeover: Takeover,
    deadline: RequestDeadline,
    write_timeout: Duration,
    /// Runs while the peer accepts nothing.
    stall: Option<Pin<Box<Sleep>>>,
}

impl StallTimeoutIo {
    pub(in crate::http) fn new(
        socket: TcpStream,
        write_timeout: Duration,
        deadline: RequestDeadline,
        takeover: Takeover,
    ) -> Self {
        Self { io: TokioIo::new(socket), takeover, deadline, write_timeout, stall: None }
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

    fn poll_stall(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stall = None;
            return self.report_timeout(written);
        }
        let write_timeout = self.write_timeout;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(write_timeout)));
        let timed_out = stall.as_mut().poll(cx);
        self.report_timeout(
            timed_out.map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the peer accepts nothing"))),
        )
    }

    /// The kernel's user time-out may fire first, when the bytes that the peer does not accept fit into its buffer.
    fn report_timeout<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &polled
            && error.kind() == io::ErrorKind::TimedOut
        {
            self.takeover.stalled();
        }
        polled
    }
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

impl Read for StallTimeoutIo {
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

impl Write for StallTimeoutIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.poll_stall(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.poll_stall(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper calls this when its write buffer is empty: from then on the kernel has everything.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.takeover.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
