//! A model of the outbox: deliveries in a map, with the store's rules for due times.

use std::collections::{BTreeMap, BTreeSet};

use crate::delivery::scheduler::{AttemptKind, LoadedPage, Parallelism, Prefetched};
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
    pub(super) document: u8,
    pub(super) state: RowState,
    /// Of the pending deliveries of one document in one queue exactly one has a due time.
    pub(super) due: Option<Timestamp>,
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowState {
    Pending,
    Settled,
    /// With its queue; an attempt of it is cancelled.
    Removed,
}

impl OutboxModel {
    pub(super) fn publish(&mut self, queue: usize, document: u8, now: Timestamp) {
        let due = self.due_of_new(queue, document, now);
        let id = self.rows.len() as u64 + 1;
        self.rows.insert(id, Row { queue, document, state: RowState::Pending, due, failures: 0 });
        self.ready.insert(queue);
    }

    pub(super) fn take_ready(&mut self) -> BTreeSet<usize> {
        std::mem::take(&mut self.ready)
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
        let (page, cut) = due.split_at(due.len().min(limit).min(PAGE));
        let kind = |is_retry| if is_retry { AttemptKind::Retry } else { AttemptKind::First };
        LoadedPage {
            deliveries: page.iter().map(|(is_retry, _, id)| Prefetched { id: *id, kind: kind(*is_retry) }).collect(),
            next_due: cut.iter().chain(&later).map(|(_, due, _)| *due).min(),
            parallelism: Parallelism::Adaptive,
        }
    }

    /// Stores the outcome of an attempt. Returns `false` if the delivery was removed.
    pub(super) fn record(&mut self, delivery: u64, disposition: Disposition, now: Timestamp) -> bool {
        let Some(row) = self.rows.get_mut(&delivery).filter(|row| row.state == RowState::Pending) else { return false };
        if let Disposition::Retry(at) = disposition {
            row.failures += 1;
            row.due = row.due.map(|_| at);
            return true;
        }
        row.state = RowState::Settled;
        row.due = None;
        let line = (row.queue, row.document);
        let is_next = |row: &&mut Row| (row.queue, row.document) == line && row.state == RowState::Pending;
        if let Some(next) = self.rows.values_mut().find(is_next) {
            next.due = Some(now);
            self.ready.insert(line.0);
        }
        true
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

    fn due_of_new(&self, queue: usize, document: u8, now: Timestamp) -> Option<Timestamp> {
        let is_before = |row: &Row| (row.queue, row.document) == (queue, document) && row.state == RowState::Pending;
        (!self.rows.values().any(is_before)).then_some(now)
    }
}
