//! One HTTP/2 connection: hyper serves all requests on it, event streams too. Their bytes come from a stream worker, in
//! pieces that the peer's flow control admits. The limits of HTTP/1 hold for each stream, and those of the connection
//! are below.

mod exchange;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, COOKIE, HOST, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::task::TaskTracker;

use crate::http::transport::connection::{BoxError, Connection, ConnectionLimits, Peer};
use crate::http::transport::frame_scanner::{ConnectionHealth, FrameScanner};
use crate::http::transport::http2_requests::ConnectionRequests;
use crate::http::transport::hyper_io::HyperIo;
use crate::http::transport::request_deadline::{Exchange, ExchangeBody, Exchanges, RequestDeadline, RequestTimeouts};
use crate::http::transport::socket::Socket;
use crate::http::transport::stream_channel::{ChannelParts, StreamBody, channel};
use crate::http::transport::stream_sink::DetachedSink;
use crate::http::transport::takeover::Takeover;
use crate::http::transport::workers::{DetachedStream, StreamWorkers};
use crate::http::transport::{HttpService, ResponseBytes};
use crate::stream::hub::Framing;
use exchange::{ExchangeControl, ExchangeExecutor, PieceBody};

/// Bytes of request bodies that a stream and a connection may have on the way. They bound what a client that floods
/// bodies can make the relay buffer.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// Bytes of responses that wait inside hyper for each stream.
const MAX_SEND_BUFFER_BYTES: usize = 64 << 10;

/// Streams that a client may reset before they are served; one more ends the connection (rapid reset, CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;

/// Streams that the relay resets because of errors of the client, over the whole life of a connection; one more ends
/// it. h2 counts those beyond `max_concurrent_streams` among them: a client that opens several hundred streams at once
/// keeps those that were accepted. The bound is for a client that provokes resets and does not read them
/// (RUSTSEC-2024-0003): h2 holds some hundred bytes for each.
const MAX_ERROR_RESETS: usize = 1024;

/// Headers of a request; more are refused, as hyper refuses them on HTTP/1. Each may have taken a single byte of HPACK.
const MAX_HEADERS: usize = 100;

/// A peer that has sent nothing for this long gets a ping.
const PING_INTERVAL: Duration = Duration::from_secs(60);

/// After the end of the last exchange of a connection that is being closed, its peer has this long to confirm.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves the connection until it ends. `tasks` runs its exchanges.
pub(in crate::http) async fn serve<S, B>(connection: Connection, mut socket: Socket, tasks: TaskTracker, service: S)
where
    S: HttpService<B>,
    B: ResponseBytes,
{
    let Connection { peer, permit, limits, workers, stop, slow_responses, http2_requests, opened } = connection;
    let health = Arc::new(ConnectionHealth::default());
    let exchanges = Exchanges::default();
    socket.scan_frames(FrameScanner::new(health.clone(), limits.max_concurrent_streams, Instant::now()));
    let io = HyperIo::for_http2(socket, limits.write_timeout, health.clone());
    let timeouts = RequestTimeouts { header: limits.header_timeout, keep_alive: limits.keep_alive_timeout };
    let mut lifetime = Lifetime {
        head_timeout: limits.header_timeout,
        health: health.clone(),
        head_timer: None,
        idle: RequestDeadline::new(timeouts, exchanges.clone(), opened),
        exchanges: exchanges.clone(),
        close_timer: None,
    };
    let requests = ConnectionRequests::new(peer.ip(), http2_requests);
    let responder =
        Responder { peer: Peer(peer), response_timeout: limits.response_timeout, workers, health, requests };
    let respond = service_fn(move |request: Request<Incoming>| {
        Box::pin(responder.clone().respond(service.clone(), request, exchanges.begin()))
    });
    let executor = ExchangeExecutor { tasks, slow_responses };
    let mut connection = pin!(builder(executor, &limits).serve_connection(io, respond));
    let mut stopping = pin!(stop.cancelled());
    let mut is_closing = false;
    let ended = poll_fn(|cx| {
        if !is_closing && stopping.as_mut().poll(cx).is_ready() {
            is_closing = true;
            connection.as_mut().graceful_shutdown();
        }
        // Before the exchanges are counted: a task of their own ends them.
        lifetime.exchanges.wake_at_end(cx);
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(|error| error.to_string()));
            }
            if lifetime.poll_head_overdue(cx).is_ready() {
                return Poll::Ready(Err("the head of a request did not arrive in time".to_owned()));
            }
            if is_closing {
                return lifetime.poll_closed(cx).map(Ok);
            }
            if lifetime.idle.poll_expired(cx).is_pending() {
                return Poll::Pending;
            }
            // A request that is on its way is refused by the GOAWAY frame, so that its client repeats it.
            is_closing = true;
            connection.as_mut().graceful_shutdown();
        }
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(%peer, error, "connection ended early");
    }
    drop(permit);
}

fn builder(executor: ExchangeExecutor, limits: &ConnectionLimits) -> http2::Builder<ExchangeExecutor> {
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .keep_alive_interval(PING_INTERVAL)
        // A peer that reads slowly confirms late: the ping waits behind what the kernel has buffered.
        .keep_alive_timeout(limits.write_timeout * 2);
    builder
}

/// When a connection ends although its peer keeps it open.
struct Lifetime {
    head_timeout: Duration,
    health: Arc<ConnectionHealth>,
    head_timer: Option<Pin<Box<Sleep>>>,
    /// The time without exchanges.
    idle: RequestDeadline,
    exchanges: Exchanges,
    close_timer: Option<Pin<Box<Sleep>>>,
}

impl Lifetime {
    /// Ready when the head of a request is late. Other exchanges may be running meanwhile.
    fn poll_head_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.health.head_since() {
            Some(since) => poll_timer(&mut self.head_timer, since + self.head_timeout, cx),
            None => {
                self.head_timer = None;
                Poll::Pending
            }
        }
    }

    /// Ready when a connection that is being closed has had no exchange for the close time-out.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.exchanges.are_running() {
            self.close_timer = None;
            return Poll::Pending;
        }
        let timer = self.close_timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + CLOSE_TIMEOUT)));
        timer.as_mut().poll(cx)
    }
}

/// Polls a timer that is set to `due`.
fn poll_timer(timer: &mut Option<Pin<Box<Sleep>>>, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
    if timer.deadline() != due {
        timer.as_mut().reset(due);
    }
    timer.as_mut().poll(cx)
}

/// What the exchanges of one connection have in common.
#[derive(Clone)]
struct Responder {
    peer: Peer,
    response_timeout: Duration,
    workers: StreamWorkers,
    health: Arc<ConnectionHealth>,
    requests: ConnectionRequests,
}

type HandlerBody = UnsyncBoxBody<Bytes, BoxError>;
type Http2ResponseBody = ExchangeBody<Either<PieceBody<HandlerBody>, StreamBody>>;

impl Responder {
    /// Calls the service. If its handler has offered a stream, gives the follower to a worker and its bytes to the
    /// response.
    ///
    /// # Errors
    /// `REFUSED_STREAM`: the relay has as many requests as it may have. The client may send the request again.
    async fn respond<S, B>(
        self,
        mut service: S,
        mut request: Request<Incoming>,
        exchange: Exchange,
    ) -> Result<Response<Http2ResponseBody>, h2::Error>
    where
        S: HttpService<B>,
        B: ResponseBytes,
    {
        let request_permit = self.requests.admit(request.headers()).ok_or(h2::Reason::REFUSED_STREAM)?;
        let control = ExchangeControl::current();
        let piece_body = |body: HandlerBody| Either::Left(PieceBody::new(body, request_permit));
        if request.headers().len() > MAX_HEADERS {
            drop(request);
            control.set_response_due(Instant::now() + self.response_timeout);
            let body = Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync();
            let mut response = Response::new(ExchangeBody::new(piece_body(body), exchange));
            *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Ok(response);
        }
        let takeover = Takeover::default();
        convert_head(&mut request);
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(takeover.clone());
        request.extensions_mut().insert(Framing::Bare);
        let mut response = service.call(request).await.unwrap_or_else(|never| match never {});
        // RFC 9113, 8.2.2: there are no headers of the connection.
        response.headers_mut().remove(CONNECTION);
        let Some(mut follower) = takeover.take_offered() else {
            control.set_response_due(Instant::now() + self.response_timeout);
            return Ok(response.map(|body: B| {
                let body = body.map_err(Into::into).boxed_unsync();
                ExchangeBody::new(piece_body(body), exchange)
            }));
        };
        // Followers have a bound of their own.
        drop(piece_body);
        let opening = follower.opening().into();
        let (sender, body) = channel(ChannelParts { opening, reset: control.reset_token(), health: self.health });
        self.workers.send(DetachedStream { sink: DetachedSink::Http2(sender), follower, permit: None }).await;
        Ok(response.map(|_| ExchangeBody::new(Either::Right(body), exchange)))
    }
}

/// Gives a request the form that it has on HTTP/1: `Host` for `:authority` (RFC 9113, 8.3.1), and one `Cookie` (8.2.3).
/// Signatures cover the one, and credentials are in the other.
fn convert_head(request: &mut Request<Incoming>) {
    let authority = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(host) = authority {
        request.headers_mut().insert(HOST, host);
    }
    join_cookies(request.headers_mut());
}

fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_headers_become_one_in_order() {
        let mut headers = HeaderMap::new();
        join_cookies(&mut headers);
        assert!(headers.is_empty());
        for cookie in ["a=1", "b=2; c=3", "d=4"] {
            headers.append(COOKIE, HeaderValue::from_static(cookie));
        }
        join_cookies(&mut headers);
        let cookies: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3; d=4"]);
    }
}
