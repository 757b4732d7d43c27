//! HTTP/1.1 over a raw TCP connection, or over TLS on one. It knows nothing of the relay.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{self, AddressFamily, SocketType, sockopt};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::TIMEOUT;
use super::request::Request;
use super::response::{ChunkDecoder, Response};

/// One TCP connection, plain or with TLS.
pub(crate) struct Connection {
    stream: Stream,
    /// Bytes that were read behind the last response.
    pending: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buf),
            Self::Tls(stream) => stream.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(buf),
            Self::Tls(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// The result of a read with a deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    Bytes(Vec<u8>),
    /// The peer has closed or reset the connection.
    Closed,
    TimedOut,
}

impl Connection {
    #[track_caller]
    pub(crate) fn open(to: SocketAddr) -> Self {
        Self::try_open(to).expect("a connection")
    }

    /// Connects from this address of the loopback interface.
    #[track_caller]
    pub(crate) fn open_from(source: Ipv4Addr, to: SocketAddr) -> Self {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        net::bind(&socket, &SocketAddr::from((source, 0))).expect("an address of the loopback interface");
        net::connect(&socket, &to).expect("a connection");
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).expect("a socket option");
        stream.set_write_timeout(Some(TIMEOUT)).expect("a socket option");
        Self { stream: Stream::Plain(stream), pending: Vec::new() }
    }

    /// Connects to a peer that may have died.
    pub(crate) fn try_open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self { stream: Stream::Plain(stream), pending: Vec::new() })
    }

    /// Connects with TLS. The handshake is complete when this returns.
    ///
    /// # Errors
    /// The handshake failed.
    pub(crate) fn try_open_tls(to: SocketAddr, client: &Arc<ClientConfig>) -> io::Result<Self> {
        Self::try_open(to)?.try_start_tls(client)
    }

    /// Begins TLS on a connection without it.
    ///
    /// # Errors
    /// The handshake failed.
    pub(crate) fn try_start_tls(self, client: &Arc<ClientConfig>) -> io::Result<Self> {
        let mut socket = self.into_stream();
        socket.set_read_timeout(Some(TIMEOUT))?;
        let name = ServerName::IpAddress(socket.peer_addr()?.ip().into());
        let mut session = ClientConnection::new(client.clone(), name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        Ok(Self { stream: Stream::Tls(Box::new(StreamOwned::new(session, socket))), pending: Vec::new() })
    }

    #[track_caller]
    pub(crate) fn open_tls(to: SocketAddr, client: &Arc<ClientConfig>) -> Self {
        Self::try_open_tls(to, client).expect("a connection with TLS")
    }

    /// The TLS session.
    #[track_caller]
    pub(crate) fn session(&self) -> &ClientConnection {
        match &self.stream {
            Stream::Tls(stream) => &stream.conn,
            Stream::Plain(_) => panic!("a connection without TLS"),
        }
    }

    /// Sends a request and reads its response.
    #[track_caller]
    pub(crate) fn send(&mut self, request: &Request) -> Response {
        self.write(request.bytes());
        if request.method == "HEAD" { self.read_head() } else { self.read_response() }
    }

    /// Sends a request to a relay that may be killed meanwhile; `None` when the connection ends before the response is
    /// complete.
    #[track_caller]
    pub(crate) fn try_send(&mut self, request: &Request) -> Option<Response> {
        self.try_write(request.bytes()).ok()?;
        let mut read = Vec::new();
        loop {
            match self.read(TIMEOUT) {
                ReadOutcome::Bytes(bytes) => read.extend(bytes),
                ReadOutcome::Closed | ReadOutcome::TimedOut => return None,
            }
            let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let mut response = Response::from_head(&read[..end]);
            let mut chunks = ChunkDecoder::default();
            response.body = match response.is_chunked() {
                true => chunks.decode(&read[end + 4..]),
                false => read[end + 4..].to_vec(),
            };
            let length = response.header("content-length").map(|length| length.parse().expect("a length"));
            if chunks.ended || response.status == 204 || length == Some(response.body.len()) {
                return Some(response);
            }
        }
    }

    #[track_caller]
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_write(bytes).expect("a connection that accepts bytes");
    }

    /// Writes to a connection that the peer may have closed.
    pub(crate) fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// Closes the sending half.
    #[track_caller]
    pub(crate) fn shutdown_write(&self) {
        self.stream.tcp().shutdown(Shutdown::Write).expect("an open connection");
    }

    /// Ends the connection with a TCP reset, as the death of a process with unread bytes does.
    #[track_caller]
    pub(crate) fn reset(self) {
        sockopt::set_socket_linger(self.stream.tcp(), Some(Duration::ZERO)).expect("a socket option");
    }

    /// The socket of a connection without TLS. Bytes that were read and not returned are lost.
    #[track_caller]
    pub(crate) fn into_stream(self) -> TcpStream {
        match self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(_) => panic!("a connection with TLS"),
        }
    }

    /// Makes the kernel buffer few bytes for a reader that does not read.
    #[track_caller]
    pub(crate) fn shrink_receive_buffer(&self) {
        sockopt::set_socket_recv_buffer_size(self.stream.tcp(), 4096).expect("a socket option");
    }

    /// Reads the next bytes.
    pub(crate) fn read(&mut self, timeout: Duration) -> ReadOutcome {
        if !self.pending.is_empty() {
            return ReadOutcome::Bytes(std::mem::take(&mut self.pending));
        }
        let deadline = Instant::now() + timeout;
        let mut chunk = vec![0; 64 * 1024];
        loop {
            // The socket takes a timeout of zero for no timeout.
            let remaining = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.tcp().set_read_timeout(Some(remaining)).expect("a socket option");
            match self.stream.read(&mut chunk) {
                Ok(0) => return ReadOutcome::Closed,
                Ok(n) => return ReadOutcome::Bytes(chunk[..n].to_vec()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return ReadOutcome::TimedOut;
                }
                Err(_) => return ReadOutcome::Closed,
            }
        }
    }

    /// Reads until the peer closes the connection.
    #[track_caller]
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match self.read(TIMEOUT) {
                ReadOutcome::Bytes(bytes) => all.extend(bytes),
                ReadOutcome::Closed => return all,
                ReadOutcome::TimedOut => {
                    panic!("the connection stays open after {:?}", String::from_utf8_lossy(&all));
                }
            }
        }
    }

    /// Whether the peer closes the connection in time. Bytes before that are discarded.
    pub(crate) fn is_closed_by_peer(&mut self) -> bool {
        loop {
            match self.read(TIMEOUT) {
                ReadOutcome::Bytes(_) => {}
                ReadOutcome::Closed => return true,
                ReadOutcome::TimedOut => return false,
            }
        }
    }

    /// Reads the head of a response and leaves its body unread.
    #[track_caller]
    pub(crate) fn read_head(&mut self) -> Response {
        let mut read = Vec::new();
        loop {
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                self.pending = read.split_off(end + 4);
                return Response::from_head(&read[..end]);
            }
            match self.read(TIMEOUT) {
                ReadOutcome::Bytes(bytes) => read.extend(bytes),
                other => panic!("{other:?} instead of a head, after {:?}", String::from_utf8_lossy(&read)),
            }
        }
    }

    /// Reads a whole response to any request but HEAD.
    #[track_caller]
    pub(crate) fn read_response(&mut self) -> Response {
        let mut response = self.read_head();
        if matches!(response.status, 100..200 | 204 | 304) {
            return response;
        }
        let length: Option<usize> = response.header("content-length").map(|n| n.parse().expect("a length"));
        let mut chunks = response.is_chunked().then(ChunkDecoder::default);
        while length != Some(response.body.len()) && chunks.as_ref().is_none_or(|c| !c.ended) {
            match self.read(TIMEOUT) {
                ReadOutcome::Bytes(bytes) => match (&mut chunks, length) {
                    (Some(chunks), _) => response.body.extend(chunks.decode(&bytes)),
                    (None, Some(length)) => {
                        let end = bytes.len().min(length - response.body.len());
                        response.body.extend(&bytes[..end]);
                        self.pending = bytes[end..].to_vec();
                    }
                    (None, None) => response.body.extend(bytes),
                },
                ReadOutcome::Closed if length.is_none() && chunks.is_none() => break,
                other => panic!("{other:?} in the middle of {response:?}"),
            }
        }
        if let Some(chunks) = chunks {
            self.pending = chunks.pending;
        }
        response
    }
}
