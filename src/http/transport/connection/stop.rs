//! When a connection ends because the relay stops. One that waits for a request may have it on the way: it is answered,
//! and the response tells the client to close the connection. So a restart fails no webhook on a new connection, nor on
//! one that is used again and again.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::http::transport::request_deadline::Exchanges;

/// How long a connection that waits for a request stays open after the stop: longer than a round trip on any usual
/// network.
const LAST_REQUEST_TIMEOUT: Duration = Duration::from_millis(500);

/// Runs a future until it ends, or until its connection has sent nothing for a while after `stop` was cancelled.
pub(in crate::http::transport) async fn run_until_stopped<F: Future>(
    stop: &CancellationToken,
    future: F,
) -> Option<F::Output> {
    let stopped = async {
        stop.cancelled().await;
        sleep(LAST_REQUEST_TIMEOUT).await;
    };
    tokio::select! {
        biased;
        output = future => Some(output),
        () = stopped => None,
    }
}

/// The end of an HTTP/1 connection.
pub(super) struct ConnectionStop {
    exchanges: Exchanges,
    state: StopState,
}

enum StopState {
    Running(Pin<Box<WaitForCancellationFutureOwned>>),
    /// The relay stops, and the connection waits for a request after this many.
    Waiting {
        begun: usize,
        timeout: Pin<Box<Sleep>>,
    },
    Stopping,
}

impl ConnectionStop {
    pub(super) fn new(stop: CancellationToken, exchanges: Exchanges) -> Self {
        Self { exchanges, state: StopState::Running(Box::pin(stop.cancelled_owned())) }
    }

    /// Ready when no further request is to be read. To be called after each poll of the connection.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.state {
                StopState::Running(stopped) => {
                    ready!(stopped.as_mut().poll(cx));
                    self.state = match self.exchanges.are_running() {
                        true => StopState::Stopping,
                        false => StopState::Waiting {
                            begun: self.exchanges.begun(),
                            timeout: Box::pin(sleep(LAST_REQUEST_TIMEOUT)),
                        },
                    };
                }
                StopState::Waiting { begun, timeout } => {
                    if self.exchanges.begun() == *begun {
                        ready!(timeout.as_mut().poll(cx));
                    }
                    self.state = StopState::Stopping;
                }
                StopState::Stopping => return Poll::Ready(()),
            }
        }
    }
}
