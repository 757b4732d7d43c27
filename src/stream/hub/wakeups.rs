//! How a published event wakes the followers of its client. A task that is woken from another thread costs one system
//! call, and there would be one for each follower and event. So each thread that serves followers has a queue: the
//! publisher adds the clients whose followers there have something to do, which wakes the thread once, and the thread
//! wakes its tasks itself.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// The signal of the followers of one client that one thread serves.
#[derive(Debug, Default)]
pub(super) struct Signal {
    changed: Arc<Notify>,
    /// Followers that wait for this signal.
    followers: AtomicUsize,
    /// Whether it is in the queue of its thread.
    is_queued: AtomicBool,
}

impl Signal {
    /// Completes when the followers have been woken after this call.
    pub(super) fn changed(&self) -> OwnedNotified {
        self.changed.clone().notified_owned()
    }

    /// Wakes the followers, each at the cost of a system call if this is not the thread that serves them.
    pub(super) fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// Must be called before the follower looks at the ring for the first time: an event that is published without a
    /// wake-up is then found there.
    pub(super) fn add_follower(&self) {
        self.followers.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn remove_follower(&self) {
        self.followers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The signals that wait for one thread. Cheap to clone. It is bounded, because each signal is in it once at most.
#[derive(Debug, Clone, Default)]
pub struct WakeQueue {
    shared: Arc<WaitingSignals>,
}

#[derive(Debug, Default)]
struct WaitingSignals {
    signals: Mutex<Vec<Arc<Signal>>>,
    filled: Notify,
}

impl WakeQueue {
    /// Wakes followers until the future is dropped. To be polled by the thread that serves them.
    pub async fn serve(&self) {
        loop {
            self.shared.filled.notified().await;
            for signal in self.take() {
                // Before the wake-up: a follower that is woken now may not see an event that is published after this.
                signal.is_queued.store(false, Ordering::SeqCst);
                signal.wake();
            }
        }
    }

    /// Adds the signals that have followers and are not in the queue.
    fn add<'a>(&self, signals: impl Iterator<Item = &'a Arc<Signal>>) {
        let is_new = |signal: &&Arc<Signal>| {
            signal.followers.load(Ordering::SeqCst) > 0 && !signal.is_queued.swap(true, Ordering::SeqCst)
        };
        let mut waiting = self.shared.signals.lock().unwrap_or_else(PoisonError::into_inner);
        let before = waiting.len();
        waiting.extend(signals.filter(is_new).cloned());
        let has_grown = waiting.len() > before;
        drop(waiting);
        if has_grown {
            self.shared.filled.notify_one();
        }
    }

    fn take(&self) -> Vec<Arc<Signal>> {
        std::mem::take(&mut *self.shared.signals.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The queues of all threads that serve followers. Without one, publishing wakes the followers itself.
#[derive(Debug)]
pub(super) struct WakeQueues(Vec<WakeQueue>);

/// The signals of one client, one for each thread that serves followers.
#[derive(Debug)]
pub(super) struct ClientSignals(Box<[Arc<Signal>]>);

impl WakeQueues {
    pub(super) fn new(threads: usize) -> Self {
        Self((0..threads).map(|_| WakeQueue::default()).collect())
    }

    pub(super) fn all(&self) -> Vec<WakeQueue> {
        self.0.clone()
    }

    /// The signals of a new client.
    pub(super) fn signals(&self) -> ClientSignals {
        ClientSignals((0..self.0.len().max(1)).map(|_| Arc::default()).collect())
    }

    /// Has the followers of these clients woken.
    pub(super) fn wake(&self, clients: &[&ClientSignals]) {
        for (thread, queue) in self.0.iter().enumerate() {
            queue.add(clients.iter().map(|signals| &signals.0[thread]));
        }
        if self.0.is_empty() {
            clients.iter().for_each(|signals| signals.wake());
        }
    }
}

impl ClientSignals {
    /// The thread that serves the follower of this number.
    pub(super) fn thread(&self, follower: u64) -> usize {
        usize::try_from(follower).unwrap_or(0) % self.0.len()
    }

    /// The signal of the follower of this number.
    pub(super) fn of(&self, follower: u64) -> &Signal {
        &self.0[self.thread(follower)]
    }

    /// Wakes all followers at once.
    pub(super) fn wake(&self) {
        self.0.iter().for_each(|signal| signal.wake());
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// How many signals a queue holds.
    fn waiting(queue: &WakeQueue) -> usize {
        queue.shared.signals.lock().expect("no panic").len()
    }

    #[test]
    fn each_thread_is_woken_once_for_many_events_and_only_if_it_serves_followers() {
        let queues = WakeQueues::new(2);
        let signals = queues.signals();
        let (thread, signal) = (signals.thread(3), signals.of(3));
        signal.add_follower();
        let mut changed = Box::pin(signal.changed());
        for _ in 0..3 {
            queues.wake(&[&signals]);
        }
        assert_eq!((thread, waiting(&queues.0[1]), waiting(&queues.0[0])), (1, 1, 0));
        assert!(changed.as_mut().now_or_never().is_none(), "woken by the publisher instead of its thread");
        assert!(queues.0[1].serve().now_or_never().is_none());
        assert!(changed.now_or_never().is_some());

        let mut next = Box::pin(signal.changed());
        assert!(next.as_mut().now_or_never().is_none(), "nothing was published since");
        queues.wake(&[&signals]);
        assert!(queues.0[1].serve().now_or_never().is_none());
        assert!(next.now_or_never().is_some());

        signal.remove_follower();
        queues.wake(&[&signals]);
        assert_eq!(waiting(&queues.0[1]), 0);
    }

    #[test]
    fn without_threads_publishing_wakes_the_followers() {
        let queues = WakeQueues::new(0);
        let signals = queues.signals();
        let changed = signals.of(7).changed();
        queues.wake(&[&signals]);
        assert!(changed.now_or_never().is_some());
    }
}
