//! The channel by which the use cases inform the scheduler of changes. The changes themselves are in the store: a command
//! only corrects what the scheduler holds in memory.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

pub(super) use super::scheduler::SchedulerCommand;

/// Commands that may wait for the worker. While the channel is full, senders wait.
const CAPACITY: usize = 256;

/// Both ends of the channel: any number of senders, one receiver.
#[derive(Clone)]
pub(super) struct Commands {
    sender: mpsc::Sender<SchedulerCommand>,
    receiver: Arc<Mutex<Option<mpsc::Receiver<SchedulerCommand>>>>,
}

impl Commands {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        Self { sender, receiver: Arc::new(Mutex::new(Some(receiver))) }
    }

    /// Sends a command. Without a worker, as in an offline command, there is no memory to correct: it is dropped.
    pub(super) async fn send(&self, command: SchedulerCommand) {
        let has_worker = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        if has_worker {
            // Closed means that the worker has ended.
            self.sender.send(command).await.ok();
        }
    }

    /// The receiving end. A second call returns a channel without senders.
    pub(super) fn listen(&self) -> mpsc::Receiver<SchedulerCommand> {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        receiver.unwrap_or_else(|| mpsc::channel(1).1)
    }
}
