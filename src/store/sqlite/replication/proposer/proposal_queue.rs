//! The commands that wait to be proposed, in their order, and how they share entries. Knows nothing of the journal.

use std::collections::VecDeque;

use crate::store::StoreError;
use crate::store::sqlite::writer::command::{BatchCommand, BatchItem, CommandReply, ReplySender, send};
use crate::store::sqlite::writer::registry_change::RegistryChange;

/// Commands of one entry, and of the queue.
const MAX_COMMANDS: usize = 512;

/// Weight of the commands of one entry, unless a single one weighs more: the broker takes messages up to 1 MiB.
const MAX_BYTES: usize = 640 << 10;

/// See the module's documentation. While it is full no more commands are taken, and their senders wait.
#[derive(Default)]
pub(super) struct ProposalQueue {
    proposals: VecDeque<Proposal>,
    /// Weight of the commands.
    bytes: usize,
    /// Parts of an entry that was too large for the broker, the next one last. They come before the proposals.
    parts: Vec<Batch>,
}

/// A command that becomes an entry, or a part of one.
pub(super) enum Proposal {
    /// Shares an entry with the commands beside it.
    Command(BatchItem),
    /// An entry of its own.
    Registry(Box<RegistryChange>, ReplySender<()>),
}

/// What the next entry holds.
pub(super) enum NextEntry {
    Batch(Batch),
    Registry(Box<RegistryChange>, ReplySender<()>),
}

/// Commands that share an entry, and as many replies.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) commands: Vec<BatchCommand>,
    pub(super) replies: Vec<CommandReply>,
    bytes: usize,
}

impl ProposalQueue {
    pub(super) fn push(&mut self, proposal: Proposal) {
        self.bytes += proposal.weight();
        self.proposals.push_back(proposal);
    }

    /// How many more commands are taken.
    pub(super) fn room(&self) -> usize {
        MAX_COMMANDS.saturating_sub(self.proposals.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.proposals.is_empty() && self.parts.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.room() == 0 || self.bytes >= MAX_BYTES
    }

    /// Takes the commands of an entry that is too large back, to propose them as two.
    pub(super) fn split(&mut self, mut commands: Vec<BatchCommand>, mut replies: Vec<CommandReply>) {
        let half = commands.len() / 2;
        let second = Batch { commands: commands.split_off(half), replies: replies.split_off(half), bytes: 0 };
        self.parts.extend([second, Batch { commands, replies, bytes: 0 }]);
    }

    /// Takes the commands of the next entry.
    pub(super) fn next_entry(&mut self) -> Option<NextEntry> {
        if let Some(part) = self.parts.pop() {
            return Some(NextEntry::Batch(part));
        }
        let mut batch = Batch::default();
        while let Some(proposal) = self.proposals.pop_front() {
            let weight = proposal.weight();
            match proposal {
                Proposal::Command(item) if batch.has_room_for(weight) => {
                    self.bytes -= weight;
                    batch.push(item, weight);
                }
                Proposal::Registry(change, reply) if batch.commands.is_empty() => {
                    return Some(NextEntry::Registry(change, reply));
                }
                other => {
                    self.proposals.push_front(other);
                    break;
                }
            }
        }
        (!batch.commands.is_empty()).then_some(NextEntry::Batch(batch))
    }

    /// Replies to all senders that nothing was proposed.
    pub(super) fn refuse(&mut self, error: &StoreError) {
        let Self { proposals, parts, .. } = std::mem::take(self);
        for reply in parts.into_iter().rev().flat_map(|part| part.replies) {
            reply.send(Err(error.clone()));
        }
        for proposal in proposals {
            match proposal {
                Proposal::Command(item) => item.reply.send(Err(error.clone())),
                Proposal::Registry(_, reply) => send(reply, Err(error.clone())),
            }
        }
    }
}

impl Proposal {
    fn weight(&self) -> usize {
        match self {
            Self::Command(item) => item.command.weight(),
            Self::Registry(..) => 0,
        }
    }
}

impl Batch {
    fn has_room_for(&self, weight: usize) -> bool {
        self.commands.is_empty() || self.bytes + weight <= MAX_BYTES
    }

    fn push(&mut self, item: BatchItem, weight: usize) {
        self.bytes += weight;
        self.commands.push(item.command);
        self.replies.push(item.reply);
    }
}
