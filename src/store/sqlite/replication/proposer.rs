//! Makes entries of the commands and publishes them, a few at a time and in order. Other
//! commands are passed on to the writer; what they change, the writer proposes slice by slice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;

use crate::journal::{Journal, JournalError, MAX_PAYLOAD_BYTES};
use crate::store::sqlite::tables::journal::ProposalKey;
use crate::store::sqlite::writer::command::entry::{Codec, Entry, EntryBody, SliceEntry};
use crate::store::sqlite::writer::command::pending::{Pending, Waiting};
use crate::store::sqlite::writer::command::{BatchCommand, BatchItem, CommandReply, WriterCommand};
use crate::store::{Retention, StoreError};

/// Entries that are published and not yet acknowledged. While there are so many, commands collect and share the next entry.
const ENTRIES_IN_FLIGHT: usize = 4;

/// Commands of one entry.
const MAX_COMMANDS: usize = 512;

/// Bytes of requests in one entry, about: the broker takes messages up to 1 MiB.
const MAX_BYTES: usize = 640 << 10;

/// How long an entry is published again while its outcome is unknown. Then the senders are told that the store is unavailable;
/// a vendor repeats, and the repetition is a duplicate if the entry was stored after all.
const UNKNOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// See the module's documentation.
pub(super) struct Proposer {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) codec: Codec,
    pub(super) proposer: i64,
    pub(super) pending: Arc<Pending>,
    pub(super) writer: mpsc::Sender<WriterCommand>,
    /// The bounds of rejects.
    pub(super) retention: Retention,
}

/// The end of a proposal that will not be applied; `None` once it is in the journal.
type Published = Option<(i64, StoreError)>;

impl Proposer {
    /// Runs until the store is closed. The end of the journal shows in `feed`.
    pub(super) async fn run(
        self,
        mut queue: mpsc::Receiver<WriterCommand>,
        mut slices: mpsc::Receiver<Box<SliceEntry>>,
    ) {
        let mut in_flight: FuturesUnordered<BoxFuture<'static, Published>> = FuturesUnordered::new();
        let mut commands = Vec::with_capacity(MAX_COMMANDS);
        let mut counter = 0;
        loop {
            let may_propose = in_flight.len() < ENTRIES_IN_FLIGHT;
            tokio::select! {
                Some(published) = in_flight.next() => if let Some((counter, error)) = published {
                    self.give_up(counter, &error).await;
                },
                // Nothing is proposed for a store that is closed; dropping the commands replies `Stopped`.
                () = self.writer.closed() => return,
                Some(slice) = slices.recv(), if may_propose => {
                    let body = EntryBody::Slice(slice);
                    in_flight.extend(self.propose(&mut counter, body, Waiting::Slice).await);
                }
                received = queue.recv_many(&mut commands, MAX_COMMANDS), if may_propose => {
                    if received == 0 {
                        return;
                    }
                    let mut batch = Batch::default();
                    for command in commands.drain(..) {
                        match command {
                            WriterCommand::Batch(item) => {
                                if batch.bytes + item.command.weight() > MAX_BYTES {
                                    in_flight.extend(self.propose_batch(&mut counter, &mut batch).await);
                                }
                                batch.push(item);
                            }
                            WriterCommand::ChangeRegistry(change, reply) => {
                                in_flight.extend(self.propose_batch(&mut counter, &mut batch).await);
                                let body = EntryBody::Registry(change);
                                in_flight.extend(self.propose(&mut counter, body, Waiting::Registry(reply)).await);
                            }
                            other => {
                                in_flight.extend(self.propose_batch(&mut counter, &mut batch).await);
                                if self.writer.send(other).await.is_err() {
                                    return;
                                }
                            }
                        }
                    }
                    in_flight.extend(self.propose_batch(&mut counter, &mut batch).await);
                }
            }
        }
    }

    async fn propose_batch(&self, counter: &mut i64, batch: &mut Batch) -> Option<BoxFuture<'static, Published>> {
        let Batch { commands, replies, .. } = std::mem::take(batch);
        if commands.is_empty() {
            return None;
        }
        let adds_reject = commands.iter().any(|command| matches!(command, BatchCommand::AddReject { .. }));
        let bounds = adds_reject.then(|| Box::new(self.retention.clone()));
        self.propose(counter, EntryBody::Batch { commands, bounds }, Waiting::Batch(replies)).await
    }

    /// Encodes an entry; the returned future publishes it when it is polled.
    async fn propose(
        &self,
        counter: &mut i64,
        body: EntryBody,
        waiting: Waiting,
    ) -> Option<BoxFuture<'static, Published>> {
        *counter += 1;
        let key = ProposalKey { proposer: self.proposer, counter: *counter };
        self.pending.insert(key.counter, waiting);
        let mut salt = [0; 32];
        let encoded = getrandom::fill(&mut salt)
            .map_err(|error| error.to_string())
            .and_then(|()| self.codec.encode(&Entry { key, salt, body }));
        let refused = match encoded {
            Ok(payload) if payload.len() <= MAX_PAYLOAD_BYTES => {
                return Some(Box::pin(publish(self.journal.clone(), self.pending.clone(), key, payload)));
            }
            Ok(payload) => {
                format!("an entry of the journal has {} bytes, and the broker takes {MAX_PAYLOAD_BYTES}", payload.len())
            }
            Err(reason) => reason,
        };
        self.give_up(key.counter, &StoreError::Unavailable(refused)).await;
        None
    }

    /// Replies that a proposal was not applied.
    async fn give_up(&self, counter: i64, error: &StoreError) {
        let tells_writer = self.pending.remove(counter).is_some_and(|waiting| waiting.refuse(error));
        if tells_writer {
            // The writer is gone only when the store is closed.
            self.writer.send(WriterCommand::SliceRefused(error.clone())).await.ok();
        }
    }
}

/// Publishes an entry until its outcome is known, or its senders have waited for too long.
async fn publish(journal: Arc<dyn Journal>, pending: Arc<Pending>, key: ProposalKey, payload: Bytes) -> Published {
    let id = format!("{:x}.{}", key.proposer, key.counter);
    let started = Instant::now();
    let mut may_be_stored = false;
    loop {
        match journal.publish(id.clone(), payload.clone()).await {
            Ok(_) => return None,
            // Not stored, unless an earlier try was.
            Err(JournalError::Unavailable(reason)) if !may_be_stored => {
                return Some((key.counter, StoreError::Unavailable(reason)));
            }
            Err(error) => {
                may_be_stored = true;
                // A later entry of this process was applied, so this one never will be; or it was itself.
                if !pending.contains(key.counter) {
                    return None;
                }
                if started.elapsed() >= UNKNOWN_TIMEOUT {
                    return Some((key.counter, StoreError::Unavailable(error.to_string())));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Commands that share the next entry.
#[derive(Default)]
struct Batch {
    commands: Vec<BatchCommand>,
    replies: Vec<CommandReply>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, item: BatchItem) {
        self.bytes += item.command.weight();
        self.commands.push(item.command);
        self.replies.push(item.reply);
    }
}
