//! Where the write loop of a stream writes: a TCP socket, TLS on one, or a stream of an HTTP/2 connection. A sink
//! accepts bytes without waiting, and reports when it accepts more and when its peer has closed. It knows nothing of
//! followers.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConnection;

use crate::http::transport::stream_channel::StreamSender;
use crate::metrics::Disconnect;
use crate::stream::hub::BufferSegment;

/// Bytes that are read from a follower and discarded before the stream is ended: it has nothing to send.
const DISCARD_LIMIT_BYTES: usize = 64 << 10;

/// Buffers of one vectored write. The kernel accepts up to 1 024 of them.
const MAX_IO_SLICES: usize = 64;

/// The encrypted bytes that a TLS session holds of one follower: two records. An idle session holds none.
const MAX_ENCRYPTED_BYTES: usize = 32 << 10;

/// A sink on its way to a worker. A socket is registered with no runtime.
pub(in crate::http) enum DetachedSink {
    Socket { socket: std::net::TcpStream, session: Option<Box<ServerConnection>> },
    Http2(StreamSender),
}

/// The sink of one stream.
pub(in crate::http) enum StreamSink {
    Tcp(TcpStream),
    Tls(TlsSink),
    Http2(StreamSender),
}

/// A TLS session and the socket below it.
pub(in crate::http) struct TlsSink {
    socket: TcpStream,
    /// Never contended: the stream's task reads and writes in turn.
    session: Box<Mutex<ServerConnection>>,
}

impl DetachedSink {
    /// # Errors
    ///
    /// When the socket cannot be removed from its runtime; it is closed then.
    pub(in crate::http) fn new(socket: TcpStream, session: Option<Box<ServerConnection>>) -> io::Result<Self> {
        Ok(Self::Socket { socket: socket.into_std()?, session })
    }

    /// Registers the socket with the runtime of the caller.
    ///
    /// # Errors
    ///
    /// The runtime does not accept the socket; it is closed then.
    pub(in crate::http) fn attach(self) -> io::Result<StreamSink> {
        let (socket, session) = match self {
            Self::Socket { socket, session } => (TcpStream::from_std(socket)?, session),
            Self::Http2(sender) => return Ok(StreamSink::Http2(sender)),
        };
        Ok(match session {
            None => StreamSink::Tcp(socket),
            Some(mut session) => {
                session.set_buffer_limit(Some(MAX_ENCRYPTED_BYTES));
                StreamSink::Tls(TlsSink { socket, session: Box::new(Mutex::new(*session)) })
            }
        })
    }
}

impl StreamSink {
    /// Writes the first bytes of `pending`, or the encrypted bytes before them; returns how many bytes of `pending`
    /// were accepted. 0 is progress, too.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if nothing was accepted.
    pub(in crate::http) fn try_write(&self, pending: &VecDeque<BufferSegment>) -> io::Result<usize> {
        match (self, pending.len()) {
            (Self::Tls(sink), _) => sink.try_write(pending),
            (Self::Http2(sender), _) => sender.try_write(pending),
            // The usual case, and cheaper than a vectored write of one.
            (Self::Tcp(socket), 1) => socket.try_write(pending[0].as_slice()),
            (Self::Tcp(socket), _) => socket.try_write_vectored(&io_slices(pending)),
        }
    }

    /// Whether the kernel, or hyper, has all bytes that were accepted.
    pub(in crate::http) fn is_flushed(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Http2(_) => true,
            Self::Tls(sink) => !sink.session().wants_write(),
        }
    }

    /// Waits until [`StreamSink::try_write`] may accept something.
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub(in crate::http) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) | Self::Tls(TlsSink { socket, .. }) => socket.writable().await,
            // Boxed, so that the followers of HTTP/1 do not have its memory.
            Self::Http2(sender) => Box::pin(sender.writable()).await,
        }
    }

    /// Waits until the peer has closed its side.
    pub(in crate::http) fn peer_closed(&self) -> impl Future<Output = Disconnect> {
        // Boxed, so that the followers of HTTP/1 do not have its memory.
        let mut http2 = match self {
            Self::Http2(sender) => Some(Box::pin(sender.closed())),
            Self::Tcp(_) | Self::Tls(_) => None,
        };
        let mut discarded = 0;
        poll_fn(move |cx| match (self, &mut http2) {
            (Self::Tcp(socket) | Self::Tls(TlsSink { socket, .. }), _) => {
                self.poll_peer_closed(socket, &mut discarded, cx)
            }
            (Self::Http2(_), Some(closed)) => closed.as_mut().poll(cx),
            (Self::Http2(_), None) => Poll::Pending,
        })
    }

    /// Discards what the peer has sent, until it has closed its side or has sent too much. `poll_read_ready` has one
    /// waker in the socket's registration, `readable` a node in the memory of each follower.
    fn poll_peer_closed(&self, socket: &TcpStream, discarded: &mut usize, cx: &mut Context<'_>) -> Poll<Disconnect> {
        loop {
            if let Err(error) = ready!(socket.poll_read_ready(cx)) {
                return Poll::Ready(self.disconnect_reason(&error));
            }
            match self.try_discard() {
                Ok(0) => return Poll::Ready(Disconnect::Closed),
                Ok(n) if *discarded + n > DISCARD_LIMIT_BYTES => return Poll::Ready(Disconnect::Closed),
                Ok(n) => *discarded += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(self.disconnect_reason(&error)),
            }
        }
    }

    /// Everything was written, and the stream has ended in order.
    pub(in crate::http) fn finish(&self) {
        if let Self::Http2(sender) = self {
            sender.finish();
        }
    }

    /// What an error of this sink says about its peer. The kernel's user time-out fires for one that accepts nothing,
    /// when everything fitted into the kernel's buffer.
    pub(in crate::http) fn disconnect_reason(&self, error: &io::Error) -> Disconnect {
        match self {
            Self::Http2(sender) => sender.disconnect_reason(),
            _ if error.kind() == io::ErrorKind::TimedOut => Disconnect::Stalled,
            _ => Disconnect::Closed,
        }
    }

    /// Closes our side, and discards what the peer has sent: a socket that is closed over unread bytes is reset, and a
    /// reset makes the peer discard the end of the stream that it has not read yet.
    pub(in crate::http) async fn close(self) {
        let mut socket = match self {
            Self::Tcp(socket) => socket,
            Self::Tls(sink) => sink.end_session(),
            Self::Http2(_) => return,
        };
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

    /// Reads and discards bytes of the peer; 0 at the end of its side.
    fn try_discard(&self) -> io::Result<usize> {
        match self {
            // A buffer of the call, so that an idle follower does not keep it while it waits.
            Self::Tcp(socket) => socket.try_read(&mut [0u8; 512]),
            Self::Tls(sink) => sink.try_discard(),
            Self::Http2(_) => Ok(0),
        }
    }
}

impl TlsSink {
    fn session(&self) -> MutexGuard<'_, ServerConnection> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_write(&self, pending: &VecDeque<BufferSegment>) -> io::Result<usize> {
        let mut session = self.session();
        // New bytes are encrypted when the kernel has all earlier ones: a peer that reads slowly costs two records.
        if session.wants_write() {
            let written = session.write_tls(&mut KernelBuffer(&self.socket))?;
            return if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(0) };
        }
        let accepted = session.writer().write_vectored(&io_slices(pending))?;
        if accepted == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        match session.write_tls(&mut KernelBuffer(&self.socket)) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(accepted),
        }
    }

    fn try_discard(&self) -> io::Result<usize> {
        let mut session = self.session();
        let read = session.read_tls(&mut KernelBuffer(&self.socket))?;
        let state = session.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if state.peer_has_closed() {
            return Ok(0);
        }
        let mut plaintext = vec![0; state.plaintext_bytes_to_read()];
        session.reader().read_exact(&mut plaintext)?;
        Ok(read)
    }

    /// Tells the peer that the stream is complete, if the kernel has room for it.
    fn end_session(self) -> TcpStream {
        let mut session = self.session();
        session.send_close_notify();
        while session.wants_write() {
            if session.write_tls(&mut KernelBuffer(&self.socket)).is_err() {
                break;
            }
        }
        drop(session);
        self.socket
    }
}

/// The kernel's buffers of a socket as a reader and writer that never wait.
struct KernelBuffer<'a>(&'a TcpStream);

impl Read for KernelBuffer<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buf)
    }
}

impl Write for KernelBuffer<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.try_write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn io_slices(pending: &VecDeque<BufferSegment>) -> Vec<IoSlice<'_>> {
    pending.iter().take(MAX_IO_SLICES).map(|segment| IoSlice::new(segment.as_slice())).collect()
}
