//! The socket under hyper: it notes when everything before a hand-off has been flushed, and it gives up on a peer that
//! accepts nothing.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

use crate::http::transport::handoff::Stage;

/// How long, and for how many bytes, a peer is listened to after our last word.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 << 20;

/// A TCP socket with a stall time-out on writing and an eye on flushes.
pub(in crate::http) struct Watched {
    io: TokioIo<TcpStream>,
    stage: Arc<Stage>,
    patience: Duration,
    /// Runs while the peer accepts nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    pub(in crate::http) fn new(socket: TcpStream, patience: Duration, stage: Arc<Stage>) -> Self {
        Self { io: TokioIo::new(socket), stage, patience, stalled: None }
    }

    /// The socket, for the hand-off.
    pub(in crate::http) fn into_socket(self) -> TcpStream {
        self.io.into_inner()
    }

    /// Says goodbye properly. What the peer is still sending is read for a while and thrown away: a socket that is
    /// closed over unread bytes resets the connection, and a peer that writes first would never read our answer.
    pub(in crate::http) async fn finish(self, stop: &CancellationToken) {
        let mut socket = self.io.into_inner();
        if let Err(error) = socket.shutdown().await {
            tracing::trace!(%error, "the peer had gone before the connection was shut down");
            return;
        }
        tokio::select! {
            () = read_out(&socket) => {}
            () = sleep(LINGER) => {}
            () = stop.cancelled() => {}
        }
    }

    fn watch(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return self.note(written);
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        let given_up = stalled.as_mut().poll(cx);
        self.note(given_up.map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the peer accepts nothing"))))
    }

    /// The kernel may lose its patience first, when what the peer does not accept fits into its own buffer.
    fn note<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &polled
            && error.kind() == io::ErrorKind::TimedOut
        {
            self.stage.stalled();
        }
        polled
    }
}

/// Reads until the peer is done, or has said too much.
async fn read_out(socket: &TcpStream) {
    let mut seen = 0;
    while seen < LINGER_BYTES && socket.readable().await.is_ok() {
        match socket.try_read(&mut [0; 8192]) {
            Ok(0) => return,
            Ok(n) => seen += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

impl Read for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        self.note(read)
    }
}

impl Write for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper calls this when its own buffer is empty: from then on the socket has everything.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.stage.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
