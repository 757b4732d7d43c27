//! One connection: hyper serves HTTP on it until it ends, or until the take-over of a stream is due; then hyper
//! returns the socket for it.

pub(super) mod stop;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::http::transport::http2_requests::Http2Requests;
use crate::http::transport::hyper_io::{HyperIo, WriteTimeouts};
use crate::http::transport::request_deadline::{Exchange, ExchangeBody, Exchanges, RequestDeadline, RequestTimeouts};
use crate::http::transport::socket::Socket;
use crate::http::transport::takeover::{OpeningBody, Takeover};
use crate::http::transport::workers::StreamWorkers;
use crate::http::transport::{ConnectionPermit, HttpService, ResponseBytes};
use crate::metrics::Counter;
use crate::stream::hub::Framing;
use stop::ConnectionStop;

/// hyper cannot have a smaller read buffer.
const MIN_HEADER_BYTES: usize = 8192;

/// The error of any body.
pub(in crate::http) type BoxError = Box<dyn std::error::Error + Send + Sync>;
type ResponseBody = ExchangeBody<Either<UnsyncBoxBody<Bytes, BoxError>, OpeningBody>>;

/// The address of the peer, or the one that the PROXY protocol has named, in the extensions of each request.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Peer(pub(in crate::http) SocketAddr);

/// Limits of one connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Limit of a request's head; values below 8 KiB count as 8 KiB.
    pub max_header_bytes: usize,
    /// How long a request's head may take from its first byte.
    pub header_timeout: Duration,
    /// How long a connection may idle between two requests. Longer than the proxies in front keep their connections:
    /// one that is closed at this end may just be carrying a request.
    pub keep_alive_timeout: Duration,
    /// A connection whose peer accepts no byte for this long is closed.
    pub write_timeout: Duration,
    /// A connection whose peer has not accepted a response for this long is closed. Does not apply to streams. On
    /// HTTP/2 the response is reset instead.
    pub response_timeout: Duration,
    /// Exchanges at once on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
}

/// One accepted connection, apart from its socket.
pub(in crate::http) struct Connection {
    /// The other end, or the one that the PROXY protocol has named.
    pub(in crate::http) peer: SocketAddr,
    pub(in crate::http) permit: ConnectionPermit,
    pub(in crate::http) limits: ConnectionLimits,
    /// Where streams go.
    pub(in crate::http) workers: StreamWorkers,
    /// Ends the connection after the request that is running.
    pub(in crate::http) stop: CancellationToken,
    pub(in crate::http) slow_responses: Counter,
    /// Limits the requests beside others of the same connection.
    pub(in crate::http) http2_requests: Http2Requests,
    /// When its peer could first send a request.
    pub(in crate::http) opened: Instant,
}

impl Connection {
    /// Serves the connection until it ends or is taken over.
    pub(in crate::http) async fn serve<S, B>(self, socket: Socket, service: S)
    where
        S: HttpService<B>,
        B: ResponseBytes,
    {
        let Self { peer, permit, limits, workers, stop, slow_responses, opened, .. } = self;
        let takeover = Takeover::default();
        let exchanges = Exchanges::default();
        let timeouts = RequestTimeouts { header: limits.header_timeout, keep_alive: limits.keep_alive_timeout };
        let deadline = RequestDeadline::new(timeouts, exchanges.clone(), opened);
        let write_timeouts = WriteTimeouts { stall: limits.write_timeout, response: Some(limits.response_timeout) };
        let io = HyperIo::new(socket, write_timeouts, deadline, takeover.clone(), slow_responses);
        let respond = {
            let (takeover, exchanges, stop) = (takeover.clone(), exchanges.clone(), stop.clone());
            service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer(peer));
                request.extensions_mut().insert(takeover.clone());
                // hyper takes a connection apart only if the future of its service is Unpin.
                let exchange = exchanges.begin();
                Box::pin(respond(service.clone(), request, takeover.clone(), exchange, stop.clone()))
            })
        };
        let mut connection = http1::Builder::new()
            // `RequestDeadline` is the timeout.
            .header_read_timeout(None::<Duration>)
            .max_buf_size(limits.max_header_bytes.max(MIN_HEADER_BYTES))
            // A sender may close its side after its request, and still waits for the response.
            .half_close(true)
            .serve_connection(io, respond);
        let mut stopping = ConnectionStop::new(stop.clone(), exchanges);
        let mut shutting_down = false;
        let ended = poll_fn(|cx| {
            // Before the stop is looked at: hyper closes a connection at once of which it has read nothing.
            let mut polled = connection.poll_without_shutdown(cx);
            if polled.is_pending() && !shutting_down && stopping.poll(cx).is_ready() {
                shutting_down = true;
                Pin::new(&mut connection).graceful_shutdown();
                polled = connection.poll_without_shutdown(cx);
            }
            match polled {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending if takeover.is_finished() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        let io = connection.into_parts().io;
        // Always taken, so that the follower of a connection that has ended is dropped now.
        let stream = takeover.take_flushed();
        match (ended, stream) {
            (None, Some(stream)) => stream.hand_over(io.into_socket(), permit, &workers).await,
            (ended, _) => {
                // Time-outs, resets and malformed requests: hyper has responded where it could.
                if let Some(Err(error)) = ended {
                    tracing::debug!(%error, "connection ended early");
                }
                io.into_socket().close(limits.write_timeout, &stop).await;
            }
        }
    }
}

/// Calls the service. If its handler has offered a stream, gives the response the body with which it is taken over.
async fn respond<S, B>(
    mut service: S,
    mut request: Request<Incoming>,
    takeover: Takeover,
    exchange: Exchange,
    stop: CancellationToken,
) -> Result<Response<ResponseBody>, Infallible>
where
    S: HttpService<B>,
    B: ResponseBytes,
{
    // HTTP/1.0 has no chunks: its streams end with the connection.
    let framing = match request.version() {
        http::Version::HTTP_11 => Framing::Chunked,
        _ => Framing::Bare,
    };
    request.extensions_mut().insert(framing);
    let mut response = service.call(request).await?;
    if !takeover.is_offered() {
        if stop.is_cancelled() {
            response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
        }
        let body = |body: B| Either::Left(body.map_err(Into::into).boxed_unsync());
        return Ok(response.map(|b| ExchangeBody::new(body(b), exchange)));
    }
    response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    if framing == Framing::Bare {
        // hyper promises `keep-alive` to an HTTP/1.0 client that asks for it, unless the response is of that version.
        *response.version_mut() = http::Version::HTTP_10;
    }
    Ok(response.map(|_| ExchangeBody::new(Either::Right(OpeningBody::new(takeover)), exchange)))
}

/// Small writes go out at once, and the kernel notices a peer that has vanished.
pub(in crate::http) fn set_socket_options(socket: &TcpStream, write_timeout: Duration) {
    use rustix::net::sockopt;
    let user_timeout_ms = u32::try_from(write_timeout.as_millis()).unwrap_or(u32::MAX);
    let set = socket
        .set_nodelay(true)
        .and_then(|()| Ok(sockopt::set_socket_keepalive(socket, true)?))
        .and_then(|()| Ok(sockopt::set_tcp_user_timeout(socket, user_timeout_ms)?));
    if let Err(error) = set {
        tracing::debug!(%error, "cannot set socket option");
    }
}
