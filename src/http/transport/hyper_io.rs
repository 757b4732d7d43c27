//! The socket under hyper: it fails a write when the peer accepts nothing for too long or a response takes too long,
//! ends when the next request does not come in time, and reports flushes and stalls to the [`Takeover`].

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::http::transport::frame_scanner::ConnectionHealth;
use crate::http::transport::request_deadline::RequestDeadline;
use crate::http::transport::socket::Socket;
use crate::http::transport::takeover::Takeover;
use crate::metrics::Counter;

/// How slowly a peer may read.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct WriteTimeouts {
    /// How long the peer may accept no byte.
    pub(in crate::http) stall: Duration,
    /// How long a whole response may take, from its first byte until the kernel has all of it: a peer that reads a byte
    /// now and then would keep the response in memory. `None` on HTTP/2, where responses are mixed.
    pub(in crate::http) response: Option<Duration>,
}

/// A socket with time-outs on writes and on missing requests.
pub(in crate::http) struct HyperIo {
    io: TokioIo<Socket>,
    takeover: Takeover,
    /// `None` on HTTP/2, whose connection has deadlines of its own.
    deadline: Option<RequestDeadline>,
    timeouts: WriteTimeouts,
    /// Counts the responses that were ended by a time-out.
    slow_responses: Counter,
    /// Learns of time-outs on HTTP/2.
    health: Option<Arc<ConnectionHealth>>,
    /// When the first byte of the present response was written; `None` between responses.
    response_started: Option<Instant>,
    /// Runs while the peer accepts nothing.
    timer: Option<Pin<Box<Sleep>>>,
}

impl HyperIo {
    pub(in crate::http) fn new(
        socket: Socket,
        timeouts: WriteTimeouts,
        deadline: RequestDeadline,
        takeover: Takeover,
        slow_responses: Counter,
    ) -> Self {
        let io = TokioIo::new(socket);
        let deadline = Some(deadline);
        Self { io, takeover, deadline, timeouts, slow_responses, health: None, response_started: None, timer: None }
    }

    /// The I/O of a connection that hyper keeps to its end.
    pub(in crate::http) fn for_http2(socket: Socket, stall: Duration, health: Arc<ConnectionHealth>) -> Self {
        Self {
            io: TokioIo::new(socket),
            takeover: Takeover::default(),
            deadline: None,
            timeouts: WriteTimeouts { stall, response: None },
            slow_responses: Counter::default(),
            health: Some(health),
            response_started: None,
            timer: None,
        }
    }

    pub(in crate::http) fn into_socket(self) -> Socket {
        self.io.into_inner()
    }

    /// Writes with `write` unless the response has taken too long.
    fn poll_in_time(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TokioIo<Socket>>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let now = Instant::now();
        let started = *self.response_started.get_or_insert(now);
        let deadline = self.timeouts.response.map(|timeout| started + timeout);
        if deadline.is_some_and(|deadline| now >= deadline) {
            return self.report_timeout(Poll::Ready(Err(timed_out("the peer reads the response too slowly"))));
        }
        let written = write(Pin::new(&mut self.io), cx);
        if written.is_ready() {
            self.timer = None;
            return self.report_timeout(written);
        }
        let stalled_at = now + self.timeouts.stall;
        let due = deadline.map_or(stalled_at, |deadline| deadline.min(stalled_at));
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        let fired = timer.as_mut().poll(cx);
        self.report_timeout(fired.map(|()| Err(timed_out("the peer accepts nothing"))))
    }

    /// The kernel's user time-out may fire first, when the bytes that the peer does not accept fit into its buffer.
    fn report_timeout<T>(&mut self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &polled
            && error.kind() == io::ErrorKind::TimedOut
        {
            if let Some(health) = &self.health {
                health.set_stalled();
                return polled;
            }
            let is_stream = self.takeover.stalled();
            // Between two responses the peer owes nothing.
            if self.response_started.take().is_some() && !is_stream {
                self.slow_responses.inc();
                self.io.inner().discard_unsent();
            }
        }
        polled
    }
}

fn timed_out(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, reason)
}

impl Read for HyperIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if let Some(deadline) = &mut self.deadline {
            if read.is_ready() {
                deadline.received();
            } else if deadline.poll_expired(cx).is_ready() {
                // As if the peer had closed its side: hyper closes an idle connection without an error.
                return Poll::Ready(Ok(()));
            }
        }
        self.report_timeout(read)
    }
}

impl Write for HyperIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_in_time(cx, |io, cx| io.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_in_time(cx, |io, cx| io.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper calls this when its write buffer is empty: from then on the kernel has everything.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.timer = None;
            self.response_started = None;
            self.takeover.flushed();
        } else if flushed.is_pending()
            && let Some((started, timeout)) = self.response_started.zip(self.timeouts.response)
        {
            // A TLS session has taken the response, and the peer has not. Its pace within the response's deadline is
            // its own: the kernel notices a peer that accepts nothing.
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(started + timeout)));
            let fired = timer.as_mut().poll(cx);
            return self.report_timeout(fired.map(|()| Err(timed_out("the peer reads the response too slowly"))));
        }
        self.report_timeout(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
