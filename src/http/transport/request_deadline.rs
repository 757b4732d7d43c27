//! When a connection is closed because its next request does not come: the idle timeout between two requests, and the
//! deadline of a request's head from its first byte. hyper has one timeout for both, so it would close idle connections
//! as early as slow ones, under a proxy that is about to send a webhook on them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// The timeouts of a connection that waits for a request.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct RequestTimeouts {
    /// The longest time from the first byte of a request, or the accept for the first request, to the end of its head.
    pub(in crate::http) header: Duration,
    /// The longest idle time between two requests.
    pub(in crate::http) keep_alive: Duration,
}

/// Counts the exchanges of one connection. An exchange lasts from the end of a request's head until hyper has the whole
/// response. Clones share the counts: the connection, which begins exchanges, and its I/O wrapper.
#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Exchanges {
    counts: Arc<ExchangeCounts>,
}

#[derive(Debug, Default)]
struct ExchangeCounts {
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// Woken at the end of each exchange.
    waker: AtomicWaker,
}

impl Exchanges {
    pub(in crate::http) fn begin(&self) -> Exchange {
        self.counts.begun.fetch_add(1, Ordering::Relaxed);
        Exchange(self.counts.clone())
    }

    /// Whether an exchange has begun and not ended.
    pub(in crate::http) fn are_running(&self) -> bool {
        self.counts.begun.load(Ordering::Relaxed) != self.counts.ended.load(Ordering::Relaxed)
    }

    /// The number of exchanges that have begun.
    pub(in crate::http) fn begun(&self) -> usize {
        self.counts.begun.load(Ordering::Relaxed)
    }

    /// Wakes the caller's task at the next end of an exchange: where exchanges have tasks of their own, nothing else
    /// does.
    pub(in crate::http) fn wake_at_end(&self, cx: &Context<'_>) {
        self.counts.waker.register(cx.waker());
    }
}

/// A running exchange; dropping it ends it.
#[derive(Debug)]
pub(in crate::http) struct Exchange(Arc<ExchangeCounts>);

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
        self.0.waker.wake();
    }
}

/// A response body that ends its exchange when hyper drops it.
pub(in crate::http) struct ExchangeBody<B> {
    body: B,
    _exchange: Exchange,
}

impl<B> ExchangeBody<B> {
    pub(in crate::http) fn new(body: B, exchange: Exchange) -> Self {
        Self { body, _exchange: exchange }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for ExchangeBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The deadline of the next request on one connection.
pub(in crate::http) struct RequestDeadline {
    timeouts: RequestTimeouts,
    exchanges: Exchanges,
    /// The exchanges before this wait.
    ended_before: usize,
    /// Whether the head has begun to arrive.
    is_head_begun: bool,
    at: Instant,
    /// A later deadline does not reset it: it is set again when it fires.
    timer: Option<Pin<Box<Sleep>>>,
}

impl RequestDeadline {
    /// For a connection that has been waiting for its first request since `opened`.
    pub(in crate::http) fn new(timeouts: RequestTimeouts, exchanges: Exchanges, opened: Instant) -> Self {
        let at = opened + timeouts.header;
        Self { timeouts, exchanges, ended_before: 0, is_head_begun: true, at, timer: None }
    }

    /// Bytes have arrived.
    pub(in crate::http) fn received(&mut self) {
        let now = Instant::now();
        if self.due(now).is_some() && !self.is_head_begun {
            self.is_head_begun = true;
            self.at = now + self.timeouts.header;
        }
    }

    /// Nothing has arrived. Ready when the connection has to be closed.
    pub(in crate::http) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.due(Instant::now()) else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
    }

    /// When the connection has to be closed; `None` while an exchange is running. The first call after an exchange
    /// begins the idle time.
    fn due(&mut self, now: Instant) -> Option<Instant> {
        let ended = self.exchanges.counts.ended.load(Ordering::Relaxed);
        if self.exchanges.counts.begun.load(Ordering::Relaxed) != ended {
            return None;
        }
        if ended != self.ended_before {
            self.ended_before = ended;
            self.is_head_begun = false;
            self.at = now + self.timeouts.keep_alive;
        }
        Some(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_idle_time_have_their_own_timeouts() {
        let (header, keep_alive) = (Duration::from_secs(10), Duration::from_secs(75));
        let exchanges = Exchanges::default();
        let mut deadline =
            RequestDeadline::new(RequestTimeouts { header, keep_alive }, exchanges.clone(), Instant::now());
        let now = Instant::now();
        let mut due = |now| deadline.due(now);
        assert!(due(now).is_some_and(|at| at <= now + header), "no byte after the accept");
        let exchange = exchanges.begin();
        assert_eq!(due(now), None, "body or response");
        drop(exchange);
        assert_eq!(due(now), Some(now + keep_alive));
        let later = now + Duration::from_secs(5);
        assert_eq!(due(later), Some(now + keep_alive), "a second look does not extend the idle time");
        // Pipelined requests: nothing is read between the exchanges.
        drop(exchanges.begin());
        drop(exchanges.begin());
        assert_eq!(due(later), Some(later + keep_alive));
    }

    #[test]
    fn first_byte_begins_the_time_of_the_head_once() {
        let (header, keep_alive) = (Duration::from_secs(10), Duration::from_secs(75));
        let exchanges = Exchanges::default();
        let mut deadline =
            RequestDeadline::new(RequestTimeouts { header, keep_alive }, exchanges.clone(), Instant::now());
        drop(exchanges.begin());
        let now = Instant::now();
        assert_eq!(deadline.due(now), Some(now + keep_alive));
        deadline.received();
        let first = deadline.due(now).expect("waiting");
        assert!(first < now + keep_alive && first >= now + header);
        deadline.received();
        assert_eq!(deadline.due(now), Some(first), "later bytes do not extend the deadline");
    }
}
