//! The tasks of the exchanges on HTTP/2 connections. hyper gives each exchange to an executor as a future of its own;
//! here such a task can be ended from outside, which resets the stream: after the time-out of its response, and when a
//! follower accepts nothing. hyper itself would wait for the peer's flow control without end.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::transport::http2_requests::RequestPermit;
use crate::http::transport::stream_channel::MAX_PIECE_BYTES;
use crate::metrics::Counter;

tokio::task_local! {
    /// The control of the exchange whose task is running.
    static CONTROL: ExchangeControl;
}

/// Ends one exchange from outside of hyper. Clones share it: its task, its response and its follower.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct ExchangeControl {
    reset: CancellationToken,
    response_due: Arc<Mutex<Option<Instant>>>,
}

impl ExchangeControl {
    /// The control of the exchange that calls this; a new one outside of an exchange.
    pub(in crate::http) fn current() -> Self {
        CONTROL.try_with(Clone::clone).unwrap_or_default()
    }

    /// Cancelling it resets the stream of the exchange.
    pub(in crate::http) fn reset_token(&self) -> CancellationToken {
        self.reset.clone()
    }

    /// Sets the deadline for the peer to accept the response.
    pub(in crate::http) fn set_response_due(&self, due: Instant) {
        *self.response_due.lock().unwrap_or_else(PoisonError::into_inner) = Some(due);
    }

    fn response_due(&self) -> Option<Instant> {
        *self.response_due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Spawns the exchanges of a server's HTTP/2 connections.
#[derive(Clone)]
pub(in crate::http) struct ExchangeExecutor {
    /// The server waits for these tasks when it stops.
    pub(in crate::http) tasks: TaskTracker,
    pub(in crate::http) slow_responses: Counter,
}

impl<F> Executor<F> for ExchangeExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, exchange: F) {
        let control = ExchangeControl::default();
        let slow_responses = self.slow_responses.clone();
        self.tasks.spawn(CONTROL.scope(control.clone(), run(exchange, control, slow_responses)));
    }
}

async fn run(exchange: impl Future<Output = ()>, control: ExchangeControl, slow_responses: Counter) {
    let mut exchange = pin!(exchange);
    let mut reset = pin!(control.reset.cancelled());
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if exchange.as_mut().poll(cx).is_ready() || reset.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(due) = control.response_due() else { return Poll::Pending };
        let expired = timer.get_or_insert_with(|| Box::pin(sleep_until(due))).as_mut().poll(cx);
        if expired.is_ready() {
            slow_responses.inc();
        }
        expired
    })
    .await;
}

/// A response body in pieces, so that hyper holds one of them at a time for a peer that accepts nothing.
pub(in crate::http) struct PieceBody<B> {
    body: B,
    /// What follows the piece that was returned last.
    rest: Bytes,
    _permit: RequestPermit,
}

impl<B> PieceBody<B> {
    /// `permit` is that of the request.
    pub(in crate::http) fn new(body: B, permit: RequestPermit) -> Self {
        Self { body, rest: Bytes::new(), _permit: permit }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for PieceBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return other,
            }
        }
        let length = self.rest.len().min(MAX_PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Asked before the first frame only.
        self.body.size_hint()
    }
}
