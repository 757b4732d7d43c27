//! What those who manage notifications tell the one who delivers. It changes no delivery, for these are in the store: only
//! what the deliverer has in memory of a lane.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::domain::ClientId;
use crate::store::QueueKey;

/// Messages that may wait. When it is full, whoever manages waits.
const CAPACITY: usize = 256;

/// One message.
#[derive(Debug)]
pub(super) enum SchedulerCommand {
    /// The lane's endpoint is another one, or its owner says that it works: what is known of it counts no more.
    Reset(QueueKey),
    /// This delivery is sent again by hand: its endpoint gets another chance, and if an attempt is under way, its failure
    /// is not the last word.
    RetryNow(QueueKey, u64),
    /// The lane is gone.
    QueueRemoved(QueueKey),
    /// All lanes of the client are gone.
    ClientRemoved(ClientId),
}

/// Both ends: many may tell, one listens.
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

    /// Tells. When nobody delivers, as in a command without a relay, there is nobody who would have to know.
    pub(super) async fn send(&self, commands: SchedulerCommand) {
        let nobody = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if !nobody {
            // Closed means that the deliverer has ended: the relay is stopping.
            let (Ok(()) | Err(_)) = self.sender.send(commands).await;
        }
    }

    /// The listening end, once. Without it, one that never hears anything.
    pub(super) fn listen(&self) -> mpsc::Receiver<SchedulerCommand> {
        let taken = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.unwrap_or_else(|| mpsc::channel(1).1)
    }
}
