//! What precedes the first request of a connection: the PROXY protocol, the TLS handshake, and the choice of HTTP/1 or
//! HTTP/2, within a deadline. It runs in the connection's own task, so a peer that does not go on delays no other, and
//! its permit counts it from the accept.

mod proxy_header;

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::http::remote_address::connections::AddressConnections;
use crate::http::transport::connection::stop::run_until_stopped;
use crate::http::transport::connection::{Connection, set_socket_options};
use crate::http::transport::frame_scanner::PREFACE;
use crate::http::transport::http2;
use crate::http::transport::socket::Socket;
use crate::http::transport::tls::{HTTP2, Tls};
use crate::http::transport::{HttpService, ResponseBytes};
use crate::metrics::Counter;
use proxy_header::ProxyHeaderError;

/// The first byte of a TLS connection: the type of a handshake record (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// Usually the whole head of a request, so that hyper need not read again. Freed when hyper has it.
const READ_AHEAD_BYTES: usize = 4096;

/// A connection that was accepted, before its first byte.
pub(in crate::http) struct Negotiation {
    pub(in crate::http) socket: TcpStream,
    pub(in crate::http) connection: Connection,
    /// For a peer that is a trusted proxy.
    pub(in crate::http) proxied: Option<ProxiedConnection>,
    pub(in crate::http) failed_proxy_headers: Counter,
    /// The TLS configuration of the address.
    pub(in crate::http) tls: Option<Tls>,
    pub(in crate::http) failed_handshakes: Counter,
    /// Runs the exchanges of HTTP/2.
    pub(in crate::http) tasks: TaskTracker,
}

/// A connection that a proxy may have opened for a client of its own.
pub(in crate::http) struct ProxiedConnection {
    pub(in crate::http) header: ProxyHeaderRule,
    /// Counts the connections of the address in the header.
    pub(in crate::http) addresses: AddressConnections,
}

/// Whether a connection begins with a header of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeaderRule {
    /// A connection without a header, of version 1 or 2, is closed.
    Required,
    /// A header of version 2 is read if there is one.
    Optional,
}

impl Negotiation {
    /// Serves the connection until it ends or is taken over.
    pub(in crate::http) async fn serve<S, B>(self, service: S)
    where
        S: HttpService<B>,
        B: ResponseBytes,
    {
        let Self { mut socket, mut connection, proxied, failed_proxy_headers, tls, failed_handshakes, tasks } = self;
        set_socket_options(&socket, connection.limits.write_timeout);
        let deadline = connection.opened + connection.limits.header_timeout;
        let mut begun = Vec::new();
        if let Some(ProxiedConnection { header, addresses }) = proxied {
            let read = timeout_at(deadline, header.read(&mut begun, &mut socket));
            let Some(ended) = run_until_stopped(&connection.stop, read).await else { return };
            match ended.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into())) {
                Ok(source) => {
                    begun.clear();
                    if let Some(source) = source {
                        tracing::trace!(peer = %connection.peer, %source, "PROXY protocol header read");
                        let Some(address) = addresses.admit(source.ip()) else { return };
                        connection.peer = source;
                        connection.permit = connection.permit.with_address(address);
                    }
                }
                Err(_) if header == ProxyHeaderRule::Optional && !proxy_header::has_signature(&begun) => {}
                Err(error) => {
                    // A connection without a byte is how proxies check that the address listens.
                    if !matches!(error, ProxyHeaderError::Empty) {
                        failed_proxy_headers.inc();
                    }
                    return tracing::debug!(peer = %connection.peer, %error, "PROXY protocol failed");
                }
            }
        }
        let negotiated = timeout_at(deadline, negotiate(socket, tls.as_ref(), &begun));
        let Some(ended) = run_until_stopped(&connection.stop, negotiated).await else { return };
        match ended.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(DetectedProtocol::Http1(socket)) => {
                if tls.is_some() {
                    connection.opened = Instant::now();
                }
                connection.serve(socket, service).await;
            }
            Ok(DetectedProtocol::Http2(socket)) => {
                connection.opened = Instant::now();
                Box::pin(http2::serve(connection, socket, tasks, service)).await;
            }
            Ok(DetectedProtocol::PlainHttp(mut socket)) => {
                failed_handshakes.inc();
                let request_id = format!("{:016x}", fastrand::u64(..));
                tracing::info!(request_id, peer = %connection.peer, "plain HTTP request to an address with TLS refused");
                // The response fits into the buffer of a new socket.
                if socket.write_all(plain_http_response(&request_id).as_bytes()).await.is_ok() {
                    Socket::plain(socket).close(connection.limits.write_timeout, &connection.stop).await;
                }
            }
            Err(error) if tls.is_some() => {
                failed_handshakes.inc();
                tracing::debug!(peer = %connection.peer, %error, "TLS handshake failed");
            }
            Err(error) => tracing::debug!(peer = %connection.peer, %error, "connection ended before its first request"),
        }
    }
}

impl ProxyHeaderRule {
    /// Reads the header; for the bytes in `begun` see [`proxy_header::read_if_present`].
    async fn read(self, begun: &mut Vec<u8>, socket: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyHeaderError> {
        match self {
            Self::Required => proxy_header::read(socket).await,
            Self::Optional => proxy_header::read_if_present(begun, socket).await,
        }
    }
}

/// What a connection turns out to be.
enum DetectedProtocol {
    Http1(Socket),
    Http2(Socket),
    /// The peer of a TLS address has sent the first letter of an HTTP method.
    PlainHttp(TcpStream),
}

/// `begun` has what was read of the connection already.
async fn negotiate(socket: TcpStream, tls: Option<&Tls>, begun: &[u8]) -> io::Result<DetectedProtocol> {
    let Some(tls) = tls else { return detect_version(socket, begun).await };
    if !begun.is_empty() {
        // Part of the signature of a PROXY protocol header, with which no handshake begins.
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut first = [HANDSHAKE_RECORD];
    if socket.peek(&mut first).await? > 0 && first[0].is_ascii_uppercase() {
        return Ok(DetectedProtocol::PlainHttp(socket));
    }
    let stream = tls.acceptor().accept(socket).await?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
    let socket = Socket::tls(stream);
    Ok(if is_http2 { DetectedProtocol::Http2(socket) } else { DetectedProtocol::Http1(socket) })
}

/// The problem for a client that speaks plain HTTP to an address with TLS: the request is not read.
fn plain_http_response(request_id: &str) -> String {
    let detail = "this address uses TLS: call https://";
    let body = format!(r#"{{"title":"Bad Request","status":400,"detail":"{detail}","requestId":"{request_id}"}}"#);
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         x-request-id: {request_id}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// HTTP/2 by prior knowledge (RFC 9113, 3.3): the client begins with the preface, which is no request of HTTP/1.
async fn detect_version(mut tcp: TcpStream, begun: &[u8]) -> io::Result<DetectedProtocol> {
    if begun.is_empty() {
        // A connection without a request has no buffer.
        tcp.readable().await?;
    }
    let mut read = BytesMut::with_capacity(READ_AHEAD_BYTES);
    read.extend_from_slice(begun);
    let is_http2 = loop {
        let compared = read.len().min(PREFACE.len());
        if read[..compared] != PREFACE[..compared] {
            break false;
        }
        if compared == PREFACE.len() {
            break true;
        }
        if tcp.read_buf(&mut read).await? == 0 {
            break false;
        }
    };
    let mut socket = Socket::plain(tcp);
    socket.unread(read.freeze());
    Ok(if is_http2 { DetectedProtocol::Http2(socket) } else { DetectedProtocol::Http1(socket) })
}
