//! Makes entries of the commands and publishes them, a few at a time and in order. Other commands are passed on to the
//! writer; what they change, the writer proposes slice by slice.

mod proposal_queue;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use self::proposal_queue::{Batch, NextEntry, Proposal, ProposalQueue};
use crate::domain::Reloadable;
use crate::journal::{Journal, JournalError, MAX_PAYLOAD_BYTES};
use crate::store::sqlite::tables::journal::ProposalKey;
use crate::store::sqlite::writer::command::codec::Codec;
use crate::store::sqlite::writer::command::entry::{Entry, EntryBody, SliceEntry};
use crate::store::sqlite::writer::command::pending::{Pending, Waiting};
use crate::store::sqlite::writer::command::{BatchCommand, WriterCommand};
use crate::store::{Retention, StoreError};

/// Entries that are published and not yet acknowledged, at most. Commands that come while one is under way collect and
/// share the next entry, which costs the brokers and all nodes less than several small ones.
pub(super) const ENTRIES_IN_FLIGHT: usize = 4;

/// Time from an entry to the next one, unless that is full: at 1 000 webhooks a second brokers and nodes need a sixth
/// less CPU time than without it, at the same latency.
const MIN_INTERVAL: Duration = Duration::from_millis(3);

/// Commands wait no longer than this for the entry before theirs: the broker may be slow, or its answer lost.
const MAX_WAIT: Duration = Duration::from_millis(20);

/// How long an entry is published again while its outcome is unknown. Then its commands fail with
/// `Unavailable`; a vendor sends the webhook again, which is a duplicate if the entry was stored after all.
const UNKNOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long senders wait at most for their entry after it was proposed. The broker may have acknowledged it and not
/// deliver it, such as when it cannot be reached any more. Then its outcome is as unknown as without the
/// acknowledgement. Longer than an entry is published.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(15);

/// See the module's documentation.
pub(super) struct Proposer {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) codec: Codec,
    /// The format that all live nodes read.
    pub(super) format: watch::Receiver<u8>,
    pub(super) proposer: i64,
    pub(super) pending: Arc<Pending>,
    pub(super) writer: mpsc::Sender<WriterCommand>,
    /// The bounds of rejects.
    pub(super) retention: Reloadable<Retention>,
    /// [`REPLY_TIMEOUT`], or less in a test.
    pub(super) reply_timeout: Duration,
    /// The position of the last applied entry.
    pub(super) applied: watch::Receiver<u64>,
    /// Cancelled when the journal has lost entries that this node has applied. Then nothing is proposed any more.
    pub(super) lost_end: CancellationToken,
}

/// The end of a call that publishes an entry.
enum Published {
    /// The entry is in the journal, or its senders have a reply.
    Done,
    /// The entry of this counter is given up, and will not be applied as far as this node knows.
    Failed(i64, StoreError),
    /// The entry of this counter was stored at a position at which this node has applied another one.
    LostEnd(i64),
}

/// The entries that are being published.
type EntriesInFlight = FuturesUnordered<Publishing>;
type Publishing = BoxFuture<'static, Published>;

impl Proposer {
    /// Runs until the store is closed. The end of the journal shows in `feed`.
    pub(super) async fn run(
        self,
        mut queue: mpsc::Receiver<WriterCommand>,
        mut slices: mpsc::Receiver<Box<SliceEntry>>,
        mut comparisons: mpsc::Receiver<u64>,
    ) {
        let mut in_flight: EntriesInFlight = FuturesUnordered::new();
        let (mut received, mut waiting) = (Vec::new(), ProposalQueue::default());
        let mut last_proposal = Instant::now();
        // Commands are left that were due when the last entries were proposed.
        let mut is_overdue = false;
        let mut counter = 0;
        loop {
            let may_propose = in_flight.len() < ENTRIES_IN_FLIGHT && !self.lost_end.is_cancelled();
            let (room, may_collect) = (waiting.room(), !waiting.is_full());
            let due = last_proposal + pause(&in_flight);
            let overdue = self.pending.oldest().map(|since| since + self.reply_timeout);
            tokio::select! {
                Some(published) = in_flight.next() => match published {
                    Published::Done => {}
                    Published::Failed(counter, error) => self.give_up(counter, &error).await,
                    Published::LostEnd(counter) => {
                        self.lost_end.cancel();
                        self.give_up(counter, &lost_end()).await;
                    }
                },
                // Nothing is proposed for a store that is closed; dropping the commands replies `Stopped`.
                () = self.writer.closed() => return,
                Some(slice) = slices.recv(), if may_propose => {
                    let body = EntryBody::Slice(slice);
                    in_flight.extend(self.propose(&mut counter, body, Waiting::Slice).await);
                }
                Some(fence) = comparisons.recv(), if may_propose => {
                    let body = EntryBody::Comparison { fence };
                    in_flight.extend(self.propose(&mut counter, body, Waiting::Comparison).await);
                }
                count = queue.recv_many(&mut received, room), if may_collect => {
                    if count == 0 {
                        return;
                    }
                    for command in received.drain(..) {
                        if self.collect(command, &mut waiting).await.is_err() {
                            return;
                        }
                    }
                }
                () = sleep_until(due), if may_propose && !waiting.is_empty() => {}
                Some(()) = reached(overdue) => self.give_up_overdue().await,
            }
            // The other nodes would apply them, and the senders would get no reply.
            let refusal = match self.lost_end.is_cancelled() {
                true => Some(lost_end()),
                false => self.pending.failure(),
            };
            if let Some(error) = refusal {
                waiting.refuse(&error);
            }
            let is_due = is_overdue || waiting.is_full() || last_proposal.elapsed() >= pause(&in_flight);
            // One is left for background work that waits: under load it would never get one.
            let slots = ENTRIES_IN_FLIGHT - usize::from(!slices.is_empty() || !comparisons.is_empty());
            if is_due && !waiting.is_empty() && in_flight.len() < slots {
                last_proposal = Instant::now();
                self.propose_due(&mut counter, &mut in_flight, slots, &mut waiting).await;
            }
            is_overdue = is_due && !waiting.is_empty();
        }
    }

    /// Adds a command to the waiting ones, or passes on what is for the writer itself, which must not wait for the
    /// broker. Fails when the store is closed.
    async fn collect(&self, command: WriterCommand, waiting: &mut ProposalQueue) -> Result<(), StoreError> {
        match command {
            WriterCommand::Batch(item) => waiting.push(Proposal::Command(item)),
            WriterCommand::ChangeRegistry(change, reply) => waiting.push(Proposal::Registry(change, reply)),
            other => self.pass_on(other).await?,
        }
        Ok(())
    }

    /// Proposes the waiting commands in their order, in as few entries as possible, until so many are in flight.
    async fn propose_due(
        &self,
        counter: &mut i64,
        in_flight: &mut EntriesInFlight,
        max_in_flight: usize,
        waiting: &mut ProposalQueue,
    ) {
        while in_flight.len() < max_in_flight {
            let Some(entry) = waiting.next_entry() else { return };
            in_flight.extend(match entry {
                NextEntry::Batch(batch) => self.propose_batch(counter, batch, waiting),
                NextEntry::Registry(change, reply) => {
                    self.propose(counter, EntryBody::Registry(change), Waiting::Registry(reply)).await
                }
            });
        }
    }

    /// Passes a command on to the writer, or refuses it when the writer cannot apply entries and takes no command.
    /// Fails when the store is closed.
    async fn pass_on(&self, command: WriterCommand) -> Result<(), StoreError> {
        let mut failures = self.pending.failures();
        tokio::select! {
            biased;
            Ok(failure) = failures.wait_for(Option::is_some) => {
                if let Some(error) = &*failure {
                    command.refuse(error.clone());
                }
            }
            permit = self.writer.reserve() => {
                permit.map_err(|_| StoreError::Stopped)?.send(command);
            }
        }
        Ok(())
    }

    /// Proposes commands in one entry. If they do not fit into one, they wait again in two parts: only a command that
    /// does not fit alone is refused.
    fn propose_batch(&self, counter: &mut i64, batch: Batch, waiting: &mut ProposalQueue) -> Option<Publishing> {
        let adds_reject = batch.commands.iter().any(|command| matches!(command, BatchCommand::AddReject { .. }));
        let bounds = adds_reject.then(|| Box::new(self.retention.load().as_ref().clone()));
        let body = EntryBody::Batch { commands: batch.commands, bounds };
        let mut entry = self.entry(counter, body);
        match (self.encode(&mut entry), entry.body) {
            (Ok(payload), _) => Some(self.publishing(entry.key, Waiting::Batch(batch.replies), payload)),
            (Err(StoreError::TooLarge { .. }), EntryBody::Batch { commands, .. }) if commands.len() > 1 => {
                waiting.split(commands, batch.replies);
                None
            }
            (Err(error), _) => {
                batch.replies.into_iter().for_each(|reply| reply.send(Err(error.clone())));
                None
            }
        }
    }

    /// Proposes an entry that cannot be split.
    async fn propose(&self, counter: &mut i64, body: EntryBody, waiting: Waiting) -> Option<Publishing> {
        let mut entry = self.entry(counter, body);
        match self.encode(&mut entry) {
            Ok(payload) => return Some(self.publishing(entry.key, waiting, payload)),
            Err(error) if waiting.refuse(&error) => self.refuse_slice(error).await,
            Err(_) => {}
        }
        None
    }

    /// The next entry of this node.
    fn entry(&self, counter: &mut i64, body: EntryBody) -> Entry {
        *counter += 1;
        let key = ProposalKey { proposer: self.proposer, counter: *counter };
        Entry { key, salt: [0; 32], body }
    }

    /// The payload of an entry, which gets its salt.
    fn encode(&self, entry: &mut Entry) -> Result<Bytes, StoreError> {
        getrandom::fill(&mut entry.salt).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let payload = self.codec.encode(*self.format.borrow(), entry).map_err(StoreError::Unavailable)?;
        let bytes = payload.len();
        if bytes > MAX_PAYLOAD_BYTES {
            return Err(StoreError::TooLarge { bytes, max_bytes: MAX_PAYLOAD_BYTES });
        }
        Ok(payload)
    }

    /// Publishes an entry when it is polled.
    fn publishing(&self, key: ProposalKey, waiting: Waiting, payload: Bytes) -> Publishing {
        self.pending.insert(key.counter, waiting);
        Box::pin(publish(self.journal.clone(), self.pending.clone(), self.applied.clone(), key, payload))
    }

    /// Replies that a proposal was not applied.
    async fn give_up(&self, counter: i64, error: &StoreError) {
        let tells_writer = self.pending.remove(counter).is_some_and(|waiting| waiting.refuse(error));
        if tells_writer {
            self.refuse_slice(error.clone()).await;
        }
    }

    /// Replies to the senders that have waited for too long. Their entries may be applied later.
    async fn give_up_overdue(&self) {
        let error = StoreError::Unavailable("the broker has not delivered the entry in time".to_owned());
        for waiting in self.pending.remove_older(self.reply_timeout) {
            if waiting.refuse(&error) {
                self.refuse_slice(error.clone()).await;
            }
        }
    }

    async fn refuse_slice(&self, error: StoreError) {
        // The writer is gone only when the store is closed.
        self.writer.send(WriterCommand::SliceRefused(error)).await.ok();
    }
}

/// How long after the last proposal commands are proposed that do not fill an entry.
fn pause(in_flight: &EntriesInFlight) -> Duration {
    if in_flight.is_empty() { MIN_INTERVAL } else { MAX_WAIT }
}

/// Waits for a time; `None` if there is none.
async fn reached(time: Option<Instant>) -> Option<()> {
    sleep_until(time?).await;
    Some(())
}

fn lost_end() -> StoreError {
    StoreError::Unavailable(JournalError::Replaced.to_string())
}

/// Publishes an entry until its outcome is known, or its senders have waited for too long.
async fn publish(
    journal: Arc<dyn Journal>,
    pending: Arc<Pending>,
    applied: watch::Receiver<u64>,
    key: ProposalKey,
    payload: Bytes,
) -> Published {
    let id = key.entry_id();
    let started = Instant::now();
    // The entry comes after all that was applied before it was published.
    let before = *applied.borrow();
    let mut may_be_stored = false;
    loop {
        match journal.publish(id.clone(), payload.clone()).await {
            Ok(position) if position <= before => {
                tracing::error!(position, applied = before, "the journal has lost entries that this node has applied");
                return Published::LostEnd(key.counter);
            }
            Ok(_) => return Published::Done,
            // Not stored, unless an earlier try was.
            Err(JournalError::Unavailable(reason)) if !may_be_stored => {
                return Published::Failed(key.counter, StoreError::Unavailable(reason));
            }
            Err(error) => {
                may_be_stored = true;
                // A later entry of this process was applied, so this one never will be; or it was itself.
                if !pending.contains(key.counter) {
                    return Published::Done;
                }
                if started.elapsed() >= UNKNOWN_TIMEOUT {
                    return Published::Failed(key.counter, StoreError::Unavailable(error.to_string()));
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
