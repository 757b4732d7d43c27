//! The take-over of a connection from hyper, as a state machine. An idle connection inside hyper costs a read buffer of
//! 8 KiB; a stream needs none. So hyper writes the response head and the opening of a stream, and then a stream worker
//! gets the socket. GET and POST over HTTP/1.1 (chunked) and HTTP/1.0 (bare) are taken over; HEAD opens no stream.
//!
//! ```text
//!             offer                 opening_buffered                  flushed
//!   Serving ─────────► Offered(f) ──────────────────► Buffered(f) ────────────► Flushed(f)
//!                          │                              │                         │
//!                          └───────────── stalled ────────┴───────── stalled ───────┤
//!                                                                                   ▼
//!                                                                              Stalled(f)
//! ```
//!
//! | state | meaning | left by |
//! |---|---|---|
//! | `Serving` | hyper serves ordinary requests | the handler of a stream: [`Takeover::offer`] |
//! | `Offered` | hyper has the head, and [`OpeningBody`] as the response body | `OpeningBody`, when it is polled a second time: the opening is in hyper's write buffer |
//! | `Buffered` | head and opening are in hyper's write buffer | `HyperIo`, at the next completed flush: hyper's write buffer is empty |
//! | `Flushed` | the kernel has head and opening | [`FlushedStream::hand_over`]: follower and socket go to a stream worker |
//! | `Stalled` | the peer accepted nothing for the write time-out | `connection`, which closes the socket |
//!
//! A connection that ends in any other state drops its follower. There is no way back: the response says
//! `Connection: close`, and bytes that the client sends after its request are discarded.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};

use crate::http::transport::ConnectionPermit;
use crate::http::transport::socket::Socket;
use crate::http::transport::stream_sink::DetachedSink;
use crate::http::transport::workers::{DetachedStream, StreamWorkers};
use crate::metrics::Disconnect;
use crate::stream::Follower;

/// The states of a take-over; `F` is the follower.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum TakeoverState<F> {
    #[default]
    Serving,
    Offered(F),
    Buffered(F),
    Flushed(F),
    Stalled(F),
}

/// What moves a take-over on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TakeoverEvent {
    OpeningBuffered,
    Flushed,
    Stalled,
}

impl<F> TakeoverState<F> {
    /// The next state. An event that means nothing in a state leaves it: most flushes are those of ordinary responses.
    fn after(self, event: TakeoverEvent) -> Self {
        match (self, event) {
            (Self::Offered(follower), TakeoverEvent::OpeningBuffered) => Self::Buffered(follower),
            (Self::Buffered(follower), TakeoverEvent::Flushed) => Self::Flushed(follower),
            (Self::Offered(follower) | Self::Buffered(follower) | Self::Flushed(follower), TakeoverEvent::Stalled) => {
                Self::Stalled(follower)
            }
            (state, _) => state,
        }
    }
}

/// The take-over of one connection. Clones share it: the connection, its I/O wrapper, its requests and the body.
#[derive(Clone, Default)]
pub(in crate::http) struct Takeover {
    state: Arc<Mutex<TakeoverState<Box<Follower>>>>,
}

impl Takeover {
    /// Offers a follower to the connection, which takes it over once hyper has written the head of the response.
    pub(in crate::http) fn offer(&self, follower: Follower) {
        let mut state = self.lock();
        // A connection has one stream at most: hyper serves the requests of a connection one after the other, and the
        // response of a stream never ends inside hyper.
        if matches!(*state, TakeoverState::Serving) {
            *state = TakeoverState::Offered(Box::new(follower));
        }
    }

    /// The follower that was offered, on HTTP/2: there is nothing to take over.
    pub(in crate::http) fn take_offered(&self) -> Option<Box<Follower>> {
        match std::mem::take(&mut *self.lock()) {
            TakeoverState::Offered(follower) => Some(follower),
            _ => None,
        }
    }

    /// Whether the response that is being prepared opens a stream.
    pub(in crate::http) fn is_offered(&self) -> bool {
        matches!(*self.lock(), TakeoverState::Offered(_))
    }

    /// Whether hyper has nothing more to do on this connection.
    pub(in crate::http) fn is_finished(&self) -> bool {
        matches!(*self.lock(), TakeoverState::Flushed(_) | TakeoverState::Stalled(_))
    }

    /// hyper has completed a flush.
    pub(in crate::http) fn flushed(&self) {
        self.apply(TakeoverEvent::Flushed);
    }

    /// The peer has accepted nothing for the write time-out. Returns whether that was the opening of a stream.
    pub(in crate::http) fn stalled(&self) -> bool {
        self.apply(TakeoverEvent::Stalled);
        matches!(*self.lock(), TakeoverState::Stalled(_))
    }

    /// The stream, if its head and opening are flushed. Otherwise the follower, if any, is dropped.
    pub(in crate::http) fn take_flushed(&self) -> Option<FlushedStream> {
        match std::mem::take(&mut *self.lock()) {
            TakeoverState::Flushed(follower) => Some(FlushedStream { follower }),
            TakeoverState::Stalled(mut follower) => {
                follower.set_end_reason(Disconnect::Stalled);
                None
            }
            TakeoverState::Serving | TakeoverState::Offered(_) | TakeoverState::Buffered(_) => None,
        }
    }

    fn apply(&self, event: TakeoverEvent) {
        let mut state = self.lock();
        *state = std::mem::take(&mut *state).after(event);
    }

    fn lock(&self) -> MutexGuard<'_, TakeoverState<Box<Follower>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream whose head and opening are flushed: hyper has nothing more to write to its socket.
pub(in crate::http) struct FlushedStream {
    follower: Box<Follower>,
}

impl FlushedStream {
    /// Passes the follower to a stream worker, with the socket that hyper has returned. On an error the socket is
    /// closed.
    pub(in crate::http) async fn hand_over(self, socket: Socket, permit: ConnectionPermit, workers: &StreamWorkers) {
        let (socket, session) = socket.into_parts();
        match DetachedSink::new(socket, session) {
            Ok(sink) => workers.send(DetachedStream { sink, follower: self.follower, permit: Some(permit) }).await,
            Err(error) => tracing::warn!(%error, "cannot take over connection: its client reconnects"),
        }
    }
}

/// The response body with which hyper writes the head of a stream: one frame, the opening, and then pending for ever.
pub(in crate::http) struct OpeningBody {
    takeover: Takeover,
    opening: Option<Bytes>,
}

impl OpeningBody {
    /// The body for the follower that was offered.
    pub(in crate::http) fn new(takeover: Takeover) -> Self {
        let opening = match &mut *takeover.lock() {
            TakeoverState::Offered(follower) => Some(follower.opening().into()),
            _ => None,
        };
        Self { takeover, opening }
    }
}

impl Body for OpeningBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.opening.take() {
            Some(opening) => Poll::Ready(Some(Ok(Frame::data(opening)))),
            None => {
                // Polled again: hyper has put the opening into its write buffer.
                self.takeover.apply(TakeoverEvent::OpeningBuffered);
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_event_leads_to_the_documented_state() {
        use TakeoverEvent as Event;
        use TakeoverState::{Buffered, Flushed, Offered, Serving, Stalled};
        const F: &str = "follower";
        let table = [
            (Serving, Event::OpeningBuffered, Serving),
            (Serving, Event::Flushed, Serving),
            (Serving, Event::Stalled, Serving),
            (Offered(F), Event::OpeningBuffered, Buffered(F)),
            (Offered(F), Event::Flushed, Offered(F)),
            (Offered(F), Event::Stalled, Stalled(F)),
            (Buffered(F), Event::OpeningBuffered, Buffered(F)),
            (Buffered(F), Event::Flushed, Flushed(F)),
            (Buffered(F), Event::Stalled, Stalled(F)),
            (Flushed(F), Event::OpeningBuffered, Flushed(F)),
            (Flushed(F), Event::Flushed, Flushed(F)),
            (Flushed(F), Event::Stalled, Stalled(F)),
            (Stalled(F), Event::OpeningBuffered, Stalled(F)),
            (Stalled(F), Event::Flushed, Stalled(F)),
            (Stalled(F), Event::Stalled, Stalled(F)),
        ];
        for (state, event, expected) in table {
            assert_eq!(state.clone().after(event), expected, "{state:?} after {event:?}");
        }
    }
}
