//! The socket of a connection, plain or with TLS, under hyper. It returns first what was read ahead to detect the
//! protocol.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tokio_rustls::rustls::ServerConnection;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::http::transport::frame_scanner::FrameScanner;

/// After our side is closed, the peer's bytes are discarded for this long, and up to this number of bytes.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_LINGER_BYTES: usize = 16 << 20;

/// A TCP connection with or without TLS, for hyper.
pub(in crate::http) struct Socket {
    io: SocketIo,
    /// Bytes of the peer that are read again before all others.
    unread: Bytes,
    /// Sees everything that is read, and how much is written.
    scanner: Option<Box<FrameScanner>>,
}

enum SocketIo {
    Plain(TcpStream),
    /// Boxed: a session has about a kilobyte.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    pub(in crate::http) fn plain(socket: TcpStream) -> Self {
        Self { io: SocketIo::Plain(socket), unread: Bytes::new(), scanner: None }
    }

    /// A connection after its TLS handshake.
    pub(in crate::http) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self { io: SocketIo::Tls(Box::new(stream)), unread: Bytes::new(), scanner: None }
    }

    /// The TCP connection below.
    pub(in crate::http) fn tcp(&self) -> &TcpStream {
        match &self.io {
            SocketIo::Plain(socket) => socket,
            SocketIo::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Gives back bytes that were read from this socket, all at once.
    pub(in crate::http) fn unread(&mut self, bytes: Bytes) {
        self.unread = bytes;
    }

    /// Gives everything that is read from now on to the scanner as well. A flood fails the read.
    pub(in crate::http) fn scan_frames(&mut self, scanner: FrameScanner) {
        self.scanner = Some(Box::new(scanner));
    }

    /// The TCP connection, and the TLS session on it if there is one. Unread bytes are discarded.
    pub(in crate::http) fn into_parts(self) -> (TcpStream, Option<Box<ServerConnection>>) {
        match self.io {
            SocketIo::Plain(socket) => (socket, None),
            SocketIo::Tls(stream) => {
                let (socket, session) = stream.into_inner();
                (socket, Some(Box::new(session)))
            }
        }
    }

    /// What the kernel has not sent yet is lost when the connection is closed. Otherwise the kernel would keep
    /// megabytes, and send them at the pace of the peer.
    pub(in crate::http) fn discard_unsent(&self) {
        if let Err(error) = sockopt::set_socket_linger(self.tcp(), Some(Duration::ZERO)) {
            tracing::debug!(%error, "cannot set socket option");
        }
    }

    /// Closes our side, then discards what the peer still sends. Closing a socket over unread bytes resets the
    /// connection, and a peer that writes first would never read the response.
    ///
    /// With TLS, closing first writes what the session still holds. A peer that does not accept it within `timeout`, or
    /// soon after `stop`, loses it.
    pub(in crate::http) async fn close(mut self, timeout: Duration, stop: &CancellationToken) {
        let closed = tokio::select! {
            // A response that was written just before the stop is not cut off.
            biased;
            closed = self.shutdown() => closed,
            () = sleep(timeout) => Err(io::ErrorKind::TimedOut.into()),
            () = async { stop.cancelled().await; sleep(LINGER_TIMEOUT).await } => Err(io::ErrorKind::TimedOut.into()),
        };
        if let Err(error) = closed {
            tracing::trace!(%error, "connection not closed in order");
            if error.kind() == io::ErrorKind::TimedOut {
                self.discard_unsent();
            }
            return;
        }
        tokio::select! {
            () = discard(self.tcp()) => {}
            () = sleep(LINGER_TIMEOUT) => {}
            () = stop.cancelled() => {}
        }
    }
}

impl Socket {
    fn poll_read_unscanned(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return match &mut self.io {
                SocketIo::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
                SocketIo::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            };
        }
        let count = buf.remaining().min(self.unread.len());
        buf.put_slice(&self.unread[..count]);
        self.unread.advance(count);
        if self.unread.is_empty() {
            // An empty part would keep the memory of the whole.
            self.unread = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl Socket {
    fn count_written(&mut self, written: &Poll<io::Result<usize>>) {
        if let (Some(scanner), Poll::Ready(Ok(count))) = (&mut self.scanner, written) {
            scanner.add_sent(*count);
        }
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

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.poll_read_unscanned(cx, buf))?;
        if let Some(scanner) = &mut self.scanner {
            scanner.scan(&buf.filled()[before..], Instant::now()).map_err(io::Error::other)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = match &mut self.io {
            SocketIo::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            SocketIo::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        };
        self.count_written(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.io {
            SocketIo::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            SocketIo::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        };
        self.count_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            SocketIo::Plain(socket) => socket.is_write_vectored(),
            SocketIo::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            SocketIo::Plain(socket) => Pin::new(socket).poll_flush(cx),
            SocketIo::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            SocketIo::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            SocketIo::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
