//! Tells the delivery worker of the retries by hand that other nodes were asked for. The use case of an own one tells
//! the worker itself.

use super::Writer;
use crate::domain::QueueKey;
use crate::store::ReceiverChange;
use crate::store::sqlite::tables::journal::ProposalKey;
use crate::store::sqlite::writer::batch::CommandResult;
use crate::store::sqlite::writer::command::{CommandOutput, CommandReply};

impl Writer {
    /// Reports the retries among the results of an entry. `replies` are those of an own entry, otherwise empty. An own
    /// use case may have given up meanwhile.
    pub(super) fn report_retries(&self, results: &[CommandResult], replies: &[CommandReply]) {
        for (index, result) in results.iter().enumerate() {
            if let Ok(CommandOutput::Retried(queue)) = result
                && replies.get(index).is_none_or(CommandReply::is_closed)
            {
                self.shared.receiver_changes.add(ReceiverChange::RetryRequested(queue.clone()));
            }
        }
    }

    /// Reports a queue whose dead deliveries were made pending. To be called before the queue is reported as ready: the
    /// worker then resets the queue before it attempts them.
    pub(super) fn report_retried_queue(&self, queue: Option<QueueKey>) {
        if let Some(queue) = queue {
            self.shared.receiver_changes.add(ReceiverChange::Changed(queue));
        }
    }

    /// Whether this process has proposed the entry.
    pub(super) fn is_own(&self, key: ProposalKey) -> bool {
        self.replication.as_ref().is_some_and(|replication| key.proposer == replication.proposer)
    }
}
