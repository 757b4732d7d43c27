//! The commands of the writer thread and their replies. A command holds everything that its result depends on, apart
//! from the database: the present time is part of it.

pub(in crate::store::sqlite) mod codec;
pub(in crate::store::sqlite) mod entry;
pub(in crate::store::sqlite) mod entry_format;
pub(in crate::store::sqlite) mod pending;
mod weight;

use std::sync::mpsc::SyncSender;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use self::entry::PlacedEntry;
use super::bulk_update::BulkUpdate;
use super::registry_change::RegistryChange;
use crate::domain::{ClientId, ClientRef, QueueKey, Timestamp};
use crate::store::{AppendOutcome, AttemptRecord, NewEvent, PrunedRows, RecordEffect, Reject, Retention, StoreError};

/// Dropping it replies [`StoreError::Stopped`].
pub(crate) type ReplySender<T> = oneshot::Sender<Result<T, StoreError>>;

/// A command in the writer's queue.
pub(crate) enum WriterCommand {
    /// Shares a transaction with other commands.
    Batch(BatchItem),
    /// A transaction of its own, so that the commands after it see the change.
    ChangeRegistry(Box<RegistryChange>, ReplySender<()>),
    /// An update of many deliveries, slice by slice.
    BulkUpdate(BulkUpdate, CommandReply),
    /// Removes what exceeds the retention at this time.
    Prune(Timestamp, ReplySender<PrunedRows>),
    /// Completes a checkpoint of which only a few pages are left, and restarts the write-ahead log. The reply is false
    /// when a reader prevents it.
    RestartWal(SyncSender<bool>),
    /// A checkpoint has ended: background work may go on.
    CheckpointEnded,
    /// Entries of the journal, in its order.
    Apply(Vec<PlacedEntry>),
    /// The slice that was proposed last was not and will not be applied.
    SliceRefused(StoreError),
    /// This node leads since this revision of the lease; `None` when another one does.
    Lead(Option<u64>),
    /// These bounds apply from now on.
    SetRetention(Box<Retention>, ReplySender<()>),
    /// Flushes and ends the thread.
    Close(ReplySender<()>),
}

impl WriterCommand {
    /// Replies that it was not done. The others are no requests: nothing waits for a reply.
    pub(crate) fn refuse(self, error: StoreError) {
        match self {
            Self::Batch(BatchItem { reply, .. }) | Self::BulkUpdate(_, reply) => reply.send(Err(error)),
            Self::ChangeRegistry(_, reply) | Self::SetRetention(_, reply) | Self::Close(reply) => {
                send(reply, Err(error))
            }
            Self::Prune(_, reply) => send(reply, Err(error)),
            Self::RestartWal(_) | Self::CheckpointEnded | Self::Apply(_) | Self::SliceRefused(_) | Self::Lead(_) => {}
        }
    }
}

/// A command that shares a transaction.
pub(crate) struct BatchItem {
    pub(crate) command: BatchCommand,
    pub(crate) reply: CommandReply,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum BatchCommand {
    Append(Box<NewEvent>),
    AddReject {
        client: ClientRef,
        reject: Box<Reject>,
    },
    RemoveReject {
        client: ClientRef,
        id: u64,
    },
    RecordAttempt(Box<AttemptRecord>),
    RetryDelivery {
        client: ClientRef,
        id: u64,
        now: Timestamp,
    },
    /// Writes something small.
    Probe,
}

impl BatchCommand {
    /// Bytes that it writes, and those of an entry that carries it, about.
    pub(crate) fn weight(&self) -> usize {
        weight::of(self)
    }

    /// The client that it belongs to.
    pub(crate) fn client(&self) -> Option<&ClientId> {
        match self {
            Self::Append(event) => Some(&event.client.id),
            Self::AddReject { client, .. } | Self::RemoveReject { client, .. } | Self::RetryDelivery { client, .. } => {
                Some(&client.id)
            }
            Self::RecordAttempt(record) => Some(&record.queue.client),
            Self::Probe => None,
        }
    }
}

/// The result of a successful command.
pub(crate) enum CommandOutput {
    Appended(AppendOutcome),
    Recorded(RecordEffect),
    /// A delivery of this queue was retried by hand.
    Retried(QueueKey),
    /// An id or a count.
    Number(u64),
    Done,
}

/// The sender that waits for the output of a command.
pub(crate) enum CommandReply {
    Appended(ReplySender<AppendOutcome>),
    Recorded(ReplySender<RecordEffect>),
    Number(ReplySender<u64>),
    Done(ReplySender<()>),
}

impl CommandReply {
    /// Whether the receiver is gone.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Appended(reply) => reply.is_closed(),
            Self::Recorded(reply) => reply.is_closed(),
            Self::Number(reply) => reply.is_closed(),
            Self::Done(reply) => reply.is_closed(),
        }
    }

    /// Sends the result. The receiver may be gone.
    pub(crate) fn send(self, result: Result<CommandOutput, StoreError>) {
        match (self, result) {
            (Self::Appended(reply), Ok(CommandOutput::Appended(outcome))) => send(reply, Ok(outcome)),
            (Self::Recorded(reply), Ok(CommandOutput::Recorded(effect))) => send(reply, Ok(effect)),
            (Self::Number(reply), Ok(CommandOutput::Number(number))) => send(reply, Ok(number)),
            (Self::Done(reply), Ok(_)) => send(reply, Ok(())),
            (Self::Appended(reply), Err(error)) => send(reply, Err(error)),
            (Self::Recorded(reply), Err(error)) => send(reply, Err(error)),
            (Self::Number(reply), Err(error)) => send(reply, Err(error)),
            (Self::Done(reply), Err(error)) => send(reply, Err(error)),
            // The port creates a command with the reply of its output. The drop of the sender is a reply, too.
            (Self::Appended(_) | Self::Recorded(_) | Self::Number(_), Ok(_)) => {}
        }
    }
}

/// Sends a result. The receiver may be gone.
pub(in crate::store::sqlite) fn send<T>(reply: ReplySender<T>, result: Result<T, StoreError>) {
    reply.send(result).ok();
}
