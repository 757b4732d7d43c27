//! What precedes the first request of a connection: the PROXY protocol, the TLS handshake, and the choice of HTTP/1 or HTTP/2,
//! within a deadline. It runs in the connection's own task, so a peer that does not go on delays no other, and its permit counts
//! it from the accept.

mod proxy_header;

use std::io;

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

/// For a client that speaks plain HTTP to an address with TLS.
const PLAIN_HTTP_RESPONSE: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n\
    content-length: 84\r\nconnection: close\r\n\r\n\
    {\"title\":\"Bad Request\",\"status\":400,\"detail\":\"this address uses TLS: call https://\"}";

/// A connection that was accepted, before its first byte.
pub(in crate::http) struct Negotiation {
    pub(in crate::http) socket: TcpStream,
    pub(in crate::http) connection: Connection,
    /// For a peer whose connection begins with a header of the PROXY protocol: counts the connections of the address in it.
    pub(in crate::http) proxied: Option<AddressConnections>,
    pub(in crate::http) failed_proxy_headers: Counter,
    /// The TLS configuration of the address.
    pub(in crate::http) tls: Option<Tls>,
    pub(in crate::http) failed_handshakes: Counter,
    /// Runs the exchanges of HTTP/2.
    pub(in crate::http) tasks: TaskTracker,
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
        if let Some(addresses) = proxied {
            let header = timeout_at(deadline, proxy_header::read(&mut socket));
            let Some(ended) = run_until_stopped(&connection.stop, header).await else { return };
            let source = match ended.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into())) {
                Ok(source) => source,
                Err(error) => {
                    // A connection without a byte is how proxies check that the address listens.
                    if !matches!(error, ProxyHeaderError::Empty) {
                        failed_proxy_headers.inc();
                    }
                    return tracing::debug!(peer = %connection.peer, %error, "PROXY protocol failed");
                }
            };
            if let Some(source) = source {
                tracing::trace!(peer = %connection.peer, %source, "PROXY protocol header read");
                let Some(address) = addresses.admit(source.ip()) else { return };
                connection.peer = source;
                connection.permit = connection.permit.with_address(address);
            }
        }
        let negotiated = timeout_at(deadline, negotiate(socket, tls.as_ref()));
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
                // The response fits into the buffer of a new socket.
                if socket.write_all(PLAIN_HTTP_RESPONSE.as_bytes()).await.is_ok() {
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

/// What a connection turns out to be.
enum DetectedProtocol {
    Http1(Socket),
    Http2(Socket),
    /// The peer of a TLS address has sent the first letter of an HTTP method.
    PlainHttp(TcpStream),
}

async fn negotiate(socket: TcpStream, tls: Option<&Tls>) -> io::Result<DetectedProtocol> {
    let Some(tls) = tls else { return detect_version(socket).await };
    let mut first = [HANDSHAKE_RECORD];
    if socket.peek(&mut first).await? > 0 && first[0].is_ascii_uppercase() {
        return Ok(DetectedProtocol::PlainHttp(socket));
    }
    let stream = tls.acceptor().accept(socket).await?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
    let socket = Socket::tls(stream);
    Ok(if is_http2 { DetectedProtocol::Http2(socket) } else { DetectedProtocol::Http1(socket) })
}

/// HTTP/2 by prior knowledge (RFC 9113, 3.3): the client begins with the preface, which is no request of HTTP/1.
async fn detect_version(mut tcp: TcpStream) -> io::Result<DetectedProtocol> {
    // A connection without a request has no buffer.
    tcp.readable().await?;
    let mut read = BytesMut::with_capacity(READ_AHEAD_BYTES);
    let is_http2 = loop {
        let count = tcp.read_buf(&mut read).await?;
        let compared = read.len().min(PREFACE.len());
        if count == 0 || read[..compared] != PREFACE[..compared] {
            break false;
        }
        if compared == PREFACE.len() {
            break true;
        }
    };
    let mut socket = Socket::plain(tcp);
    socket.unread(read.freeze());
    Ok(if is_http2 { DetectedProtocol::Http2(socket) } else { DetectedProtocol::Http1(socket) })
}
