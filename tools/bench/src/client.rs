//! Connections of clients: TCP, or TLS on it, from a chosen address of the loopback interface; and one HTTP/1.1
//! exchange.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Bytes that an exchange reads at once.
const READ_BYTES: usize = 4096;

/// A connection of either kind.
pub trait Io: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// How connections are opened.
#[derive(Clone)]
pub struct Client {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

impl Client {
    /// Trusts the certificates in this file only; those of no authority without a file.
    ///
    /// # Panics
    ///
    /// The file has no certificate.
    #[must_use]
    pub fn new(ca: Option<&str>) -> Self {
        let mut roots = RootCertStore::empty();
        if let Some(ca) = ca {
            let certificate = CertificateDer::from_pem_file(ca).expect("a certificate in PEM form");
            roots.add(certificate).expect("a certificate that can be an authority");
        }
        let config = |protocol: &[u8]| {
            let mut config = ClientConfig::builder().with_root_certificates(roots.clone()).with_no_client_auth();
            config.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(config)
        };
        Self { http1: config(b"http/1.1"), http2: config(b"h2") }
    }

    /// The configuration of TLS for this protocol; `None` without TLS.
    #[must_use]
    pub fn tls(&self, kind: Kind) -> Option<&Arc<ClientConfig>> {
        match kind {
            Kind::Http1 | Kind::Http2 => None,
            Kind::Http1Tls => Some(&self.http1),
            Kind::Http2Tls => Some(&self.http2),
        }
    }

    /// Opens a connection, and begins TLS if it is asked for, for HTTP/1.1 or HTTP/2.
    ///
    /// # Errors
    ///
    /// The connection or the handshake failed.
    pub async fn connect(&self, kind: Kind, to: SocketAddr, source: Ipv4Addr) -> io::Result<Box<dyn Io>> {
        let tcp = connect_tcp(to, source).await?;
        let Some(config) = self.tls(kind) else { return Ok(Box::new(tcp)) };
        let name = ServerName::IpAddress(to.ip().into());
        Ok(Box::new(TlsConnector::from(config.clone()).connect(name, tcp).await?))
    }
}

/// A plain connection from this address.
///
/// # Errors
///
/// It is refused, or there is no free port.
pub async fn connect_tcp(to: SocketAddr, source: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if source != Ipv4Addr::UNSPECIFIED {
        socket.bind(SocketAddr::from((source, 0)))?;
    }
    let tcp = socket.connect(to).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Http1,
    Http1Tls,
    /// By prior knowledge.
    Http2,
    Http2Tls,
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "h1" => Ok(Self::Http1),
            "h1-tls" => Ok(Self::Http1Tls),
            "h2" => Ok(Self::Http2),
            "h2-tls" => Ok(Self::Http2Tls),
            _ => Err("h1, h1-tls, h2 or h2-tls is expected".to_owned()),
        }
    }
}

/// A response with its head as text.
pub struct Response {
    pub status: u16,
    pub head: String,
}

impl Response {
    /// The value of a header; its name is compared in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// Reads the head of a response. Bytes behind it stay in `buffer`.
///
/// # Errors
///
/// The connection has ended or failed, or the head is not understood.
pub async fn read_head(io: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<Response> {
    loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            buffer.drain(..end + 4);
            let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or(ErrorKind::InvalidData)?;
            return Ok(Response { status, head });
        }
        buffer.reserve(READ_BYTES);
        if io.read_buf(buffer).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Sends a request, and reads a response with a `Content-Length`. A response without one leaves its body unread.
///
/// # Errors
///
/// See [`read_head`].
pub async fn exchange(io: &mut (impl Io + ?Sized), request: &[u8], buffer: &mut Vec<u8>) -> io::Result<Response> {
    io.write_all(request).await?;
    let mut io = io;
    let response = read_head(&mut io, buffer).await?;
    let length: usize = response.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while buffer.len() < length {
        if io.read_buf(buffer).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    buffer.drain(..length);
    Ok(response)
}

/// Runs a future for at most this time; a late one is the error `TimedOut`.
///
/// # Errors
///
/// Any error of the future, or `TimedOut`.
pub async fn within<T>(time: Duration, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(time, future).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}
