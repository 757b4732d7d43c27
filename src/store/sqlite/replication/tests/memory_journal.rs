//! A journal in memory, whose outcomes of `publish` a test sets.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::{Semaphore, watch};

use crate::journal::{
    EntryRef, Journal, JournalEntry, JournalError, JournalFuture, JournalIdentity, JournalRange, Record, SnapshotInfo,
};

/// The id of every journal in memory.
pub(super) const JOURNAL_ID: u64 = 7;

/// What a call of `publish` does, and what it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Stored and acknowledged.
    Stored,
    /// Stored, but the acknowledgement is lost.
    UnknownStored,
    /// Neither stored nor acknowledged.
    UnknownLost,
    /// Not acknowledged, and stored after the next entry.
    UnknownLate,
    /// Not stored; the call fails with an error that says so.
    Unavailable,
}

/// Cheap to clone: all clones are the same journal.
#[derive(Clone)]
pub(super) struct MemoryJournal {
    identity: JournalIdentity,
    shared: Arc<Shared>,
}

struct Shared {
    entries: watch::Sender<Vec<StoredEntry>>,
    /// Whether readers get no entries.
    withholds: watch::Sender<bool>,
    state: Mutex<State>,
    /// One permit for each call of `publish` that may be answered.
    answerable: Semaphore,
    /// Calls of `publish` that are not answered.
    in_flight: watch::Sender<usize>,
}

#[derive(Clone)]
struct StoredEntry {
    id: Option<String>,
    payload: Bytes,
}

#[derive(Default)]
struct State {
    /// The positions of the entries that have an id.
    positions: HashMap<String, u64>,
    /// Answers to the next calls; afterwards every entry is stored.
    answers: VecDeque<Answer>,
    /// Entries that are stored after the next one.
    late: Vec<(String, Bytes)>,
    /// The position of an entry that readers get damaged, and how often.
    damaged: Option<(u64, usize)>,
    /// Records with their revisions.
    records: Vec<Record>,
    /// Calls of `publish` that waited for their answers at the same time, at most.
    max_in_flight: usize,
}

impl MemoryJournal {
    pub(super) fn new(epoch: u64) -> Self {
        Self::with_permits(epoch, Semaphore::MAX_PERMITS)
    }

    /// A journal that answers no call of `publish` before [`Self::answer_held`].
    pub(super) fn held(epoch: u64) -> Self {
        Self::with_permits(epoch, 0)
    }

    fn with_permits(epoch: u64, permits: usize) -> Self {
        let answerable = Semaphore::new(permits);
        let (entries, in_flight) = (watch::channel(Vec::new()).0, watch::channel(0).0);
        let withholds = watch::Sender::new(false);
        let shared = Shared { entries, withholds, state: Mutex::default(), answerable, in_flight };
        Self { identity: JournalIdentity { epoch, id: JOURNAL_ID }, shared: Arc::new(shared) }
    }

    /// Answers so many calls, in the order in which they were made.
    pub(super) fn answer_held(&self, count: usize) {
        self.shared.answerable.add_permits(count);
    }

    /// Waits until at least so many calls of `publish` wait for their answers.
    pub(super) async fn in_flight_are(&self, count: usize) {
        // The sender is part of this journal.
        self.shared.in_flight.subscribe().wait_for(|in_flight| *in_flight >= count).await.ok();
    }

    /// How many calls of `publish` have waited for their answers at the same time.
    pub(super) fn max_in_flight(&self) -> usize {
        self.lock().max_in_flight
    }

    pub(super) fn payloads(&self) -> Vec<Bytes> {
        self.shared.entries.borrow().iter().map(|entry| entry.payload.clone()).collect()
    }

    /// Appends what another journal holds.
    pub(super) fn append(&self, payload: Bytes) {
        self.push(StoredEntry { id: None, payload });
    }

    fn push(&self, entry: StoredEntry) {
        self.shared.entries.send_modify(|entries| entries.push(entry));
    }

    /// Acknowledges entries and delivers none, or delivers them again.
    pub(super) fn withhold(&self, withholds: bool) {
        self.shared.withholds.send_replace(withholds);
    }

    /// Delivers the entry at a position damaged, so many times.
    pub(super) fn damage(&self, position: u64, times: usize) {
        self.lock().damaged = Some((position, times));
    }

    /// The payload as a reader gets it.
    fn delivered(&self, position: u64, payload: Bytes) -> Bytes {
        match &mut self.lock().damaged {
            Some((damaged, times)) if *damaged == position && *times > 0 => {
                *times -= 1;
                payload.slice(..payload.len().min(5))
            }
            _ => payload,
        }
    }

    /// Loses the entries after the first ones, like brokers whose data was restored.
    pub(super) fn lose_all_but(&self, count: usize) {
        self.lock().positions.retain(|_, position| *position <= count as u64);
        self.shared.entries.send_modify(|entries| entries.truncate(count));
    }

    /// Waits until the journal has at least so many entries.
    pub(super) async fn entries_are(&self, count: usize) {
        // The sender is part of this journal.
        self.shared.entries.subscribe().wait_for(|entries| entries.len() >= count).await.ok();
    }

    pub(super) fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.lock().answers.extend(answers);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self, state: &mut State, id: String, payload: Bytes) -> u64 {
        if let Some(position) = state.positions.get(&id) {
            return *position;
        }
        self.push(StoredEntry { id: Some(id.clone()), payload });
        let position = self.shared.entries.borrow().len() as u64;
        state.positions.insert(id, position);
        position
    }

    fn answer(&self, id: String, payload: Bytes) -> Result<u64, JournalError> {
        let mut state = self.lock();
        let answer = state.answers.pop_front().unwrap_or(Answer::Stored);
        let stores = matches!(answer, Answer::Stored | Answer::UnknownStored);
        let position = if stores { self.store(&mut state, id.clone(), payload.clone()) } else { 0 };
        if stores {
            for (id, payload) in std::mem::take(&mut state.late) {
                self.store(&mut state, id, payload);
            }
        }
        let unknown = || Err(JournalError::Unknown("as the test says".to_owned()));
        match answer {
            Answer::Stored => Ok(position),
            Answer::UnknownStored | Answer::UnknownLost => unknown(),
            Answer::UnknownLate => {
                state.late.push((id, payload));
                unknown()
            }
            Answer::Unavailable => Err(JournalError::Unavailable("as the test says".to_owned())),
        }
    }
}

impl Journal for MemoryJournal {
    fn identity(&self) -> JournalIdentity {
        self.identity
    }

    fn publish(&self, id: String, payload: Bytes) -> JournalFuture<u64> {
        let journal = self.clone();
        Box::pin(async move {
            journal.shared.in_flight.send_modify(|in_flight| {
                *in_flight += 1;
                let mut state = journal.lock();
                state.max_in_flight = state.max_in_flight.max(*in_flight);
            });
            journal.shared.answerable.acquire().await.expect("an open journal").forget();
            journal.shared.in_flight.send_modify(|in_flight| *in_flight -= 1);
            journal.answer(id, payload)
        })
    }

    fn entries(&self, after: EntryRef) -> BoxStream<'static, Result<JournalEntry, JournalError>> {
        let EntryRef { position, id } = after;
        let last = position.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let present = last.and_then(|index| self.shared.entries.borrow().get(index)?.id.clone());
        if id.is_some() && present.is_some() && present != id {
            return stream::iter([Err(JournalError::Replaced)]).boxed();
        }
        let (entries, withholds) = (self.shared.entries.subscribe(), self.shared.withholds.subscribe());
        let journal = self.clone();
        stream::unfold(
            (journal, entries, withholds, position),
            |(journal, mut entries, mut withholds, after)| async move {
                let index = usize::try_from(after).ok()?;
                entries.wait_for(|entries| entries.len() > index).await.ok()?;
                withholds.wait_for(|withholds| !withholds).await.ok()?;
                // `store` holds the state while it writes the entries: no one may wait for the state with a borrow of
                // them.
                let StoredEntry { id, payload } = entries.borrow().get(index)?.clone();
                let position = after + 1;
                let entry = JournalEntry { position, id, payload: journal.delivered(position, payload) };
                Some((Ok(entry), (journal, entries, withholds, position)))
            },
        )
        .boxed()
    }

    fn range(&self) -> JournalFuture<JournalRange> {
        let end = self.shared.entries.borrow().len() as u64;
        Box::pin(async move { Ok(JournalRange { first: 1, end }) })
    }

    fn trim(&self, _: u64) -> JournalFuture<()> {
        unsupported()
    }

    fn put_snapshot(&self, _: SnapshotInfo, _: PathBuf) -> JournalFuture<()> {
        unsupported()
    }

    fn snapshots(&self) -> JournalFuture<Vec<SnapshotInfo>> {
        unsupported()
    }

    fn get_snapshot(&self, _: SnapshotInfo, _: PathBuf) -> JournalFuture<()> {
        unsupported()
    }

    fn remove_snapshot(&self, _: SnapshotInfo) -> JournalFuture<()> {
        unsupported()
    }

    fn record(&self, key: String) -> JournalFuture<Option<Record>> {
        let found = self.lock().records.iter().rev().find(|record| record.key == key).cloned();
        Box::pin(async move { Ok(found) })
    }

    fn put_record(&self, key: String, value: Bytes, _: Option<u64>) -> JournalFuture<u64> {
        let mut state = self.lock();
        let revision = state.records.len() as u64 + 1;
        state.records.push(Record { key, value: Some(value), revision });
        Box::pin(async move { Ok(revision) })
    }

    fn delete_record(&self, _: String, _: Option<u64>) -> JournalFuture<()> {
        unsupported()
    }

    fn records(&self) -> BoxStream<'static, Result<Record, JournalError>> {
        let present = self.lock().records.clone();
        stream::iter(present.into_iter().map(Ok)).chain(stream::pending()).boxed()
    }
}

/// The store uses none of these.
fn unsupported<T: Send + 'static>() -> JournalFuture<T> {
    Box::pin(async { Err(JournalError::Unavailable("not part of this test".to_owned())) })
}
