//! The delivery queues that the reader of the outbox has to look into: those that have changed, and the progress of a
//! scan over all queues with pending deliveries. Its memory is bounded: changes that do not fit cause a scan. Does not
//! read.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::tables::document_fifo::QueueRow;
use crate::domain::QueueKey;

/// Changed queues that are remembered; further ones are found by a scan.
pub(super) const MAX_CHANGED: usize = 4_096;

/// Queues that one scan step reads, and changed queues that are returned at once.
pub(super) const QUEUES_PER_PAGE: usize = 256;

/// See the module's documentation.
pub(super) struct ReadyQueues {
    state: Mutex<State>,
    /// Notified after the state has changed.
    changed: watch::Sender<()>,
}

struct State {
    changed: HashSet<QueueKey>,
    /// The changed queues in order of their first change: no client overtakes the others.
    order: VecDeque<QueueKey>,
    scan: Option<Scan>,
    /// The scan has the next turn, so that constant changes do not delay it.
    is_scan_next: bool,
}

#[derive(Default)]
struct Scan {
    /// The last queue that was read; `None` at the beginning.
    after: Option<QueueRow>,
    /// Changes were forgotten since it began: another scan follows.
    again: bool,
}

/// What the reader does next.
pub(super) enum ReadyStep {
    /// Return these queues.
    Return(Vec<QueueKey>),
    /// Read the queues after this one and pass them to [`ReadyQueues::scanned`].
    Scan(Option<QueueRow>),
    Wait,
}

impl ReadyQueues {
    /// Begins with a scan.
    pub(super) fn new() -> Self {
        let state =
            State { changed: HashSet::new(), order: VecDeque::new(), scan: Some(Scan::default()), is_scan_next: false };
        Self { state: Mutex::new(state), changed: watch::Sender::new(()) }
    }

    /// Adds queues and wakes the waiting reader. To be called after the commit: before, the reader would find nothing.
    pub(super) fn add(&self, queues: BTreeSet<QueueKey>) {
        if queues.is_empty() {
            return;
        }
        let mut state = self.lock();
        for queue in queues {
            if state.changed.len() < MAX_CHANGED {
                if state.changed.insert(queue.clone()) {
                    state.order.push_back(queue);
                }
            } else if !state.changed.contains(&queue) {
                state.request_scan();
            }
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// Begins a scan, after the running one if there is one.
    pub(super) fn rescan(&self) {
        self.lock().request_scan();
        self.changed.send_replace(());
    }

    /// What to do now. A returned queue is not returned again until it changes.
    pub(super) fn step(&self) -> ReadyStep {
        let mut state = self.lock();
        match &state.scan {
            Some(scan) if state.is_scan_next || state.changed.is_empty() => ReadyStep::Scan(scan.after.clone()),
            _ if state.changed.is_empty() => ReadyStep::Wait,
            _ => {
                state.is_scan_next = true;
                ReadyStep::Return(state.take(Vec::new()))
            }
        }
    }

    /// A step of the scan has read up to `last`, or to the end. Returns these queues and changed ones.
    pub(super) fn scanned(&self, queues: Vec<QueueKey>, last: Option<QueueRow>) -> Vec<QueueKey> {
        let mut state = self.lock();
        state.is_scan_next = false;
        state.scan = match (last, state.scan.take()) {
            (Some(last), scan) => Some(Scan { after: Some(last), again: scan.is_some_and(|scan| scan.again) }),
            (None, Some(Scan { again: true, .. })) => Some(Scan::default()),
            (None, _) => None,
        };
        state.take(queues)
    }

    /// Notified when [`ReadyQueues::step`] may return something else. To be called before it, so that nothing is
    /// missed.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn request_scan(&mut self) {
        match &mut self.scan {
            Some(scan) => scan.again = true,
            None => self.scan = Some(Scan::default()),
        }
    }

    /// Adds changed queues to `queues`, up to a page, each queue once.
    fn take(&mut self, mut queues: Vec<QueueKey>) -> Vec<QueueKey> {
        let mut removed = false;
        for queue in &queues {
            removed |= self.changed.remove(queue);
        }
        if removed {
            self.order.retain(|queue| self.changed.contains(queue));
        }
        while queues.len() < QUEUES_PER_PAGE
            && let Some(queue) = self.order.pop_front()
        {
            self.changed.remove(&queue);
            queues.push(queue);
        }
        queues
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::QueueTarget;

    fn keys(numbers: std::ops::Range<usize>) -> BTreeSet<QueueKey> {
        let client = "a".parse().expect("a client id");
        let key = |number| QueueTarget::Origin(format!("https://h{number:05}.example").into());
        numbers.map(|number| QueueKey { client: std::clone::Clone::clone(&client), target: key(number) }).collect()
    }

    fn idle() -> ReadyQueues {
        let ready = ReadyQueues::new();
        assert!(matches!(ready.step(), ReadyStep::Scan(None)), "the first step is a scan");
        assert!(ready.scanned(Vec::new(), None).is_empty());
        ready
    }

    #[test]
    fn changes_beyond_the_bound_are_found_by_a_scan() {
        let ready = idle();
        assert!(matches!(ready.step(), ReadyStep::Wait));
        ready.add(keys(0..MAX_CHANGED + 1));
        assert_eq!(ready.lock().changed.len(), MAX_CHANGED);
        let mut found = 0;
        let mut scans = 0;
        loop {
            match ready.step() {
                ReadyStep::Return(queues) => found += queues.len(),
                ReadyStep::Scan(_) => {
                    scans += 1;
                    found += ready.scanned(Vec::new(), None).len();
                }
                ReadyStep::Wait => break,
            }
        }
        assert_eq!((found, scans), (MAX_CHANGED, 1));
    }

    #[test]
    fn queues_are_returned_in_order_of_their_change() {
        let ready = idle();
        ready.add(keys(500..900));
        ready.add(keys(0..300));
        let ReadyStep::Return(first) = ready.step() else { panic!("changed queues") };
        assert_eq!(first, keys(500..500 + QUEUES_PER_PAGE).into_iter().collect::<Vec<_>>());
        let ReadyStep::Return(second) = ready.step() else { panic!("changed queues") };
        assert_eq!(second[..144], keys(756..900).into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn scan_continues_between_constant_changes() {
        let ready = ReadyQueues::new();
        let row = |queue: &str| QueueRow { client: 1, notification: 0, queue: queue.to_owned() };
        ready.add(keys(0..1));
        assert!(matches!(ready.step(), ReadyStep::Return(queues) if queues.len() == 1));
        ready.add(keys(0..1));
        assert!(matches!(ready.step(), ReadyStep::Scan(None)));
        let page: Vec<_> = keys(0..2).into_iter().collect();
        assert_eq!(ready.scanned(page.clone(), Some(row("x"))), page, "a changed queue of the page is returned once");
        ready.rescan();
        assert!(matches!(ready.step(), ReadyStep::Scan(Some(last)) if last.queue == "x"));
        ready.scanned(Vec::new(), None);
        assert!(matches!(ready.step(), ReadyStep::Scan(None)), "requested while it was running");
    }
}
