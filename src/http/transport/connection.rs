//! One connection: hyper speaks HTTP on it until it ends, or until the head of an event stream has been flushed; then
//! the socket is taken back and handed to the streams' own runtime.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;

use crate::http::request::Peer;
use crate::http::transport::handoff::{Handed, Offer, Stage, StageBody};
use crate::http::transport::server::{Place, Server};
use crate::http::transport::watched::Watched;
use crate::metrics::Disconnect;
use crate::stream::hub::Framing;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Body = Either<UnsyncBoxBody<Bytes, BoxError>, StageBody>;

/// Serves one connection to its end, or hands it off.
pub(in crate::http) async fn serve<S, B>(server: Server, socket: TcpStream, peer: SocketAddr, place: Place, service: S)
where
    S: tower_service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Unpin
        + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    prepare(&socket, &server);
    let stage = Arc::new(Stage::default());
    let io = Watched::new(socket, server.options.write_timeout, stage.clone());
    let answer = {
        let stage = stage.clone();
        service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            // HTTP/1.0 has no chunks: its streams end by closing.
            let framing = match request.version() {
                http::Version::HTTP_11 => Framing::Chunked,
                _ => Framing::Bare,
            };
            request.extensions_mut().insert(framing);
            // hyper takes a connection apart only when its service's future is Unpin.
            Box::pin(respond(service.clone(), request, stage.clone()))
        })
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(server.options.header_timeout)
        // hyper's bound is on its read buffer; it cannot go below 8 KiB.
        .max_buf_size(server.options.max_header_bytes.max(8192))
        // A sender may close its side once it has said everything, and still waits for the answer.
        .half_close(true)
        .serve_connection(io, answer);
    let mut stopping = Box::pin(server.stop.cancelled());
    let mut asked = false;
    let taken_back = poll_fn(|cx| {
        if !asked && stopping.as_mut().poll(cx).is_ready() {
            asked = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        match connection.poll_without_shutdown(cx) {
            Poll::Ready(result) => Poll::Ready(result.map(|()| false)),
            Poll::Pending if stage.is_set() => Poll::Ready(Ok(true)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    let io = connection.into_parts().io;
    match taken_back {
        Ok(true) => {
            if let Some(follower) = stage.follower() {
                server.streams.hand(Handed { socket: io.into_socket(), follower, place }).await;
            }
        }
        ended => {
            // Time-outs, resets and broken requests: the peer's doing, and hyper has answered where it could.
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
            // Whoever has left before the stream began gives up the seat at once.
            if let Some(mut follower) = stage.follower()
                && stage.has_stalled()
            {
                follower.ended(Disconnect::Stalled);
            }
            io.finish(&server.stop).await;
        }
    }
}

/// Runs the routes, and turns the offer of a stream into the body under which it is handed off.
async fn respond<S, B>(
    mut service: S,
    request: Request<Incoming>,
    stage: Arc<Stage>,
) -> Result<Response<Body>, Infallible>
where
    S: tower_service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let mut response = service.call(request).await?;
    Ok(match response.extensions_mut().remove::<Offer>().and_then(|offer| offer.take()) {
        None => response.map(|body| Either::Left(body.map_err(Into::into).boxed_unsync())),
        Some(follower) => {
            // After the stream the socket is closed: say so, instead of letting the client find out.
            response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
            if follower.framing() == Framing::Bare {
                // hyper promises `keep-alive` to a client of HTTP/1.0 that asks for it, unless the answer itself is of
                // that version; but only the end of the connection ends this one.
                *response.version_mut() = http::Version::HTTP_10;
            }
            stage.set(follower);
            response.map(|_| Either::Right(StageBody::new(stage)))
        }
    })
}

/// Small answers and events go out at once, and a peer that has vanished without a word is noticed.
fn prepare(socket: &TcpStream, server: &Server) {
    use rustix::net::sockopt;
    let patience = u32::try_from(server.options.write_timeout.as_millis()).unwrap_or(u32::MAX);
    let set = socket
        .set_nodelay(true)
        .and_then(|()| Ok(sockopt::set_socket_keepalive(socket, true)?))
        .and_then(|()| Ok(sockopt::set_tcp_user_timeout(socket, patience)?));
    if let Err(error) = set {
        tracing::debug!(%error, "a socket option could not be set");
    }
}
