//! What the worker does when another node has changed or removed receivers or retried deliveries: the same as when this
//! node was asked to.

use super::DeliveryWorker;
use crate::delivery::scheduler::{SchedulerCommand, SchedulerEvent};
use crate::domain::QueueKey;
use crate::store::ReceiverChange;

impl DeliveryWorker {
    pub(super) fn receivers_changed(&mut self, changes: Vec<ReceiverChange>) {
        for change in changes {
            match change {
                ReceiverChange::Changed(queue) => self.command(SchedulerCommand::Reset(queue)),
                ReceiverChange::RetryRequested(queue) => self.command(SchedulerCommand::RetryNow(queue)),
                ReceiverChange::Removed(queue) => self.receiver_removed(queue),
                ReceiverChange::ClientRemoved(client) => {
                    self.handle.in_flight.begin_cancel_client(&client);
                    self.command(SchedulerCommand::ClientRemoved(client));
                }
                ReceiverChange::Any => {
                    let queues: Vec<QueueKey> = self.scheduler.present_queues().cloned().collect();
                    for queue in queues {
                        match self.handle.is_registered(&queue) {
                            true => self.command(SchedulerCommand::Reset(queue)),
                            false => self.receiver_removed(queue),
                        }
                    }
                }
            }
        }
    }

    fn receiver_removed(&mut self, queue: QueueKey) {
        self.handle.in_flight.begin_cancel(&queue);
        if self.handle.is_registered(&queue) {
            // There is another one of this name already, and an attempt for it may have been cancelled, too.
            self.handle.store.outbox.rescan();
        }
        self.command(SchedulerCommand::QueueRemoved(queue));
    }

    fn command(&mut self, command: SchedulerCommand) {
        self.handle(SchedulerEvent::Command(command));
    }
}
