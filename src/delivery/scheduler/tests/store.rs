//! A model of the outbox: deliveries in a map, with the store's rules for due times.

use std::collections::{BTreeMap, BTreeSet};

use crate::delivery::scheduler::{AttemptKind, DueSpan, LoadedPage, Parallelism, Prefetched};
use crate::domain::{Disposition, Timestamp};

/// Deliveries of a page at most: the outbox cuts pages by bytes as well.
const PAGE: usize = 5;

/// Queues are numbered by the caller.
#[derive(Default)]
pub(super) struct OutboxModel {
    pub(super) rows: BTreeMap<u64, Row>,
    ready: BTreeSet<usize>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) queue: usize,
    pub(super) document: u32,
    pub(super) state: RowState,
    /// Exactly one of the pending deliveries of one document in one queue has a due time.
    pub(super) due: Option<Timestamp>,
    pub(super) failures: u32,
    /// Changes with each failure and each retry by hand.
    pub(super) version: u32,
    pub(super) bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowState {
    Pending,
    Settled,
    /// Removed with its queue; its attempt is cancelled.
    Removed,
}

/// What recording an outcome has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordEffect {
    Applied,
    Superseded,
}

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// [`Row::version`] when the attempt began.
    pub(super) version: u32,
    pub(super) disposition: Disposition,
}

impl Row {
    fn is_pending(&self) -> bool {
        self.state == RowState::Pending
    }
}

impl OutboxModel {
    pub(super) fn publish(&mut self, queue: usize, document: u32, now: Timestamp) {
        let due = self.due_of_new(queue, document, now);
        let id = self.rows.len() as u64 + 1;
        let bytes = id % 7 * 1_000;
        self.rows.insert(id, Row { queue, document, state: RowState::Pending, due, failures: 0, version: 0, bytes });
        self.ready.insert(queue);
    }

    /// [`OutboxModel::publish`] of a document that has no other event.
    pub(super) fn publish_alone(&mut self, queue: usize, document: u32, now: Timestamp) {
        let id = self.rows.len() as u64 + 1;
        let (state, due) = (RowState::Pending, Some(now));
        self.rows.insert(id, Row { queue, document, state, due, failures: 0, version: 0, bytes: 1_000 });
        self.ready.insert(queue);
    }

    pub(super) fn take_ready(&mut self) -> BTreeSet<usize> {
        std::mem::take(&mut self.ready)
    }

    /// Reports every queue with pending deliveries.
    pub(super) fn rescan(&mut self) {
        self.ready.extend(self.rows.values().filter(|row| row.due.is_some() && row.is_pending()).map(|row| row.queue));
    }

    /// Reports the queues in which a delivery became due, and returns the next due time.
    pub(super) fn wake_due(&mut self, span: DueSpan) -> Option<Timestamp> {
        let due = || self.rows.values().filter(|row| row.is_pending()).filter_map(|row| Some((row.due?, row.queue)));
        let is_in_span = |due: Timestamp| span.after < due && due <= span.through;
        let woken: Vec<usize> = due().filter(|(due, _)| is_in_span(*due)).map(|(_, queue)| queue).collect();
        let next = due().map(|(due, _)| due).filter(|due| *due > span.through).min();
        self.ready.extend(woken);
        next
    }

    pub(super) fn read(&self, queue: usize, limit: usize, exclude: &[u64], now: Timestamp) -> LoadedPage {
        let is_candidate =
            |id: &u64, row: &Row| row.queue == queue && row.state == RowState::Pending && !exclude.contains(id);
        let mut pending: Vec<(bool, Timestamp, u64)> = (self.rows.iter())
            .filter(|(id, row)| is_candidate(id, row))
            .filter_map(|(id, row)| Some((row.failures > 0, row.due?, *id)))
            .collect();
        pending.sort_unstable();
        let (due, later): (Vec<_>, Vec<_>) = pending.into_iter().partition(|(_, due, _)| *due <= now);
        let limit = limit.min(PAGE);
        let (first, retries): (Vec<_>, Vec<_>) = due.into_iter().partition(|(is_retry, ..)| !*is_retry);
        let retry_count = retries.len().min(limit.saturating_sub(first.len()).max(1)).min(limit);
        let (first, cut) = first.split_at(first.len().min(limit - retry_count));
        let (retries, cut_retries) = retries.split_at(retry_count);
        let kind = |is_retry| if is_retry { AttemptKind::Retry } else { AttemptKind::First };
        LoadedPage {
            deliveries: (first.iter().chain(retries))
                .map(|(is_retry, _, id)| Prefetched { id: *id, bytes: self.rows[id].bytes, kind: kind(*is_retry) })
                .collect(),
            next_due: cut.iter().chain(cut_retries).chain(&later).map(|(_, due, _)| *due).min(),
            parallelism: Parallelism::Adaptive,
        }
    }

    /// Stores the outcome of an attempt. `None` if the delivery was removed.
    pub(super) fn record(&mut self, delivery: u64, outcome: &Outcome, now: Timestamp) -> Option<RecordEffect> {
        let row = self.rows.get_mut(&delivery).filter(|row| row.state == RowState::Pending)?;
        if outcome.version != row.version && outcome.disposition != Disposition::Delivered {
            return Some(RecordEffect::Superseded);
        }
        if let Disposition::Retry(at) = outcome.disposition {
            row.failures += 1;
            row.version += 1;
            row.due = row.due.map(|_| at);
            return Some(RecordEffect::Applied);
        }
        row.state = RowState::Settled;
        row.due = None;
        let line = (row.queue, row.document);
        let is_next = |row: &&mut Row| (row.queue, row.document) == line && row.state == RowState::Pending;
        if let Some(next) = self.rows.values_mut().find(is_next) {
            next.due = Some(now);
            self.ready.insert(line.0);
        }
        Some(RecordEffect::Applied)
    }

    /// Makes a delivery pending, due now unless another one of its document is.
    pub(super) fn retry(&mut self, delivery: u64, now: Timestamp) {
        let row = &self.rows[&delivery];
        let due = match row.state {
            RowState::Removed => return,
            RowState::Pending => row.due.map(|_| now),
            RowState::Settled => self.due_of_new(row.queue, row.document, now),
        };
        self.ready.insert(row.queue);
        if let Some(row) = self.rows.get_mut(&delivery) {
            (row.state, row.due, row.failures) = (RowState::Pending, due, 0);
            row.version += 1;
        }
    }

    pub(super) fn make_due(&mut self, queue: usize, now: Timestamp) {
        for row in self.rows.values_mut().filter(|row| row.queue == queue) {
            row.due = row.due.map(|due| due.min(now));
        }
        self.ready.insert(queue);
    }

    pub(super) fn remove(&mut self, is_removed: impl Fn(&Row) -> bool) {
        for row in self.rows.values_mut().filter(|row| is_removed(row)) {
            row.state = RowState::Removed;
        }
    }

    fn due_of_new(&self, queue: usize, document: u32, now: Timestamp) -> Option<Timestamp> {
        let is_before = |row: &Row| (row.queue, row.document) == (queue, document) && row.state == RowState::Pending;
        (!self.rows.values().any(is_before)).then_some(now)
    }
}
