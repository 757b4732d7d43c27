//! What the writer publishes after a commit: the events, or the removal of a client, to every tail of the log. Does not
//! depend on SQL.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::store::LogChange;

/// Changes that a tail buffers. While a buffer is full the writer waits, and with it every sender.
const BUFFERED_CHANGES: usize = 64;

/// The tails of a store: streams of every change of the log.
#[derive(Default)]
pub(super) struct Tails {
    tails: Mutex<Vec<Tail>>,
    /// Set when the store closes: from then on the writer waits for no tail.
    closing: AtomicBool,
}

#[derive(Clone)]
struct Tail {
    /// The head when it began. The writer sets the head before it pushes: a batch up to here was committed before the
    /// tail began and is not pushed to it.
    since: u64,
    sender: mpsc::Sender<LogChange>,
}

impl Tails {
    /// A new tail; ends when the store closes.
    pub(super) fn add(&self, head: &AtomicU64) -> BoxStream<'static, LogChange> {
        let (sender, receiver) = mpsc::channel(BUFFERED_CHANGES);
        let mut tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.closing.load(Ordering::Acquire) {
            // Read under the lock: batches of a later head are pushed to a list that contains this tail.
            tails.push(Tail { since: head.load(Ordering::Acquire), sender });
        }
        ReceiverStream::new(receiver).boxed()
    }

    /// Sends a change to every tail, in the order of the calls. Waits for tails with a full buffer.
    pub(super) fn push(&self, change: &LogChange) {
        // A copy of the list, so that `add` does not wait for a full tail.
        let tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_new = |tail: &Tail| match change {
            LogChange::Events(events) => events.last().is_some_and(|event| event.id.sequence > tail.since),
            LogChange::ClientRemoved(_) => true,
        };
        let closed = tails.iter().filter(|tail| is_new(tail) && !self.send(&tail.sender, change)).count();
        if closed > 0 {
            self.tails.lock().unwrap_or_else(PoisonError::into_inner).retain(|tail| !tail.sender.is_closed());
        }
    }

    /// Stops waiting for full tails.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Whether the store is being closed.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Ends every tail after its buffered changes.
    pub(super) fn end(&self) {
        self.close();
        self.tails.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// False when the tail was dropped.
    fn send(&self, sender: &mpsc::Sender<LogChange>, change: &LogChange) -> bool {
        let mut change = change.clone();
        loop {
            match sender.try_send(change) {
                Ok(()) => return true,
                Err(mpsc::error::TrySendError::Closed(_)) => return false,
                // A reader that has stopped must not block the closing; it can read the log later.
                Err(mpsc::error::TrySendError::Full(_)) if self.closing.load(Ordering::Acquire) => return true,
                Err(mpsc::error::TrySendError::Full(back)) => change = back,
            }
            // The writer is a plain thread, and the channel's blocking send cannot be interrupted by the closing.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
