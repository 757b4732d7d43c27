//! Waiting for commands with a time-out, which the channel's blocking methods do not have.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use tokio::sync::mpsc;

use super::MAX_BATCH_COMMANDS;
use super::command::WriterCommand;

/// Wakes a parked thread.
struct ThreadWaker(Thread);

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Takes the queued commands; waits for one until `deadline`. False when no further command can come.
pub(super) fn receive_until(
    queue: &mut mpsc::Receiver<WriterCommand>,
    commands: &mut Vec<WriterCommand>,
    deadline: Instant,
) -> bool {
    let waker = Waker::from(Arc::new(ThreadWaker(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(received) = queue.poll_recv_many(&mut context, commands, MAX_BATCH_COMMANDS) {
            return received > 0;
        }
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return true;
        }
        thread::park_timeout(rest);
    }
}
