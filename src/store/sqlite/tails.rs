//! The tails: who hears of every committed batch. Knows nothing of SQL.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::store::CommittedBatch;

/// Batches that a tail may be behind. When it is full the writer waits, and with it every sender.
const CAPACITY: usize = 64;

/// One of them.
#[derive(Clone)]
struct Tail {
    /// The head when it began. The head is set before the writer pushes: what a new tail could still be given of that
    /// was committed before.
    since: u64,
    sender: mpsc::Sender<CommittedBatch>,
}

/// All tails of a store.
#[derive(Default)]
pub(super) struct Tails {
    tails: Mutex<Vec<Tail>>,
    /// Set when the store closes: then nobody is waited for any more.
    closing: AtomicBool,
}

impl Tails {
    /// A new tail; ends when the store closes.
    pub(super) fn add(&self, head: &AtomicU64) -> BoxStream<'static, CommittedBatch> {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        let mut tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.closing.load(Ordering::Acquire) {
            // Read under the lock: a head that is set later is pushed to a list in which this tail stands.
            tails.push(Tail { since: head.load(Ordering::Acquire), sender });
        }
        ReceiverStream::new(receiver).boxed()
    }

    /// Gives a batch to every tail, in the order of the calls; waits for those that are full.
    pub(super) fn push(&self, batch: &CommittedBatch) {
        // A copy of the list, so that a full tail does not hold up who wants a new one.
        let tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let last = batch.events.last().map_or(0, |event| event.id.sequence);
        let gone = tails.iter().filter(|tail| last > tail.since && !self.offer(&tail.sender, batch)).count();
        if gone > 0 {
            self.tails.lock().unwrap_or_else(PoisonError::into_inner).retain(|tail| !tail.sender.is_closed());
        }
    }

    /// From now on the writer waits for no tail.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Ends every tail, after what it has been given.
    pub(super) fn end(&self) {
        self.close();
        self.tails.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// False when the tail is gone.
    fn offer(&self, sender: &mpsc::Sender<CommittedBatch>, batch: &CommittedBatch) -> bool {
        let mut batch = batch.clone();
        loop {
            match sender.try_send(batch) {
                Ok(()) => return true,
                Err(mpsc::error::TrySendError::Closed(_)) => return false,
                // A reader that has stopped reading must not keep the store from closing; it reads the log later.
                Err(mpsc::error::TrySendError::Full(_)) if self.closing.load(Ordering::Acquire) => return true,
                Err(mpsc::error::TrySendError::Full(back)) => batch = back,
            }
            // The writer is a plain thread: the channel's own waiting could not hear of the closing.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
