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
pub(super) enum Nudge {
    /// The lane's endpoint is another one, or its owner says that it works: what is known of it counts no more.
    Anew(QueueKey),
    /// This delivery is sent again by hand: its endpoint gets another chance, and if an attempt is under way, its failure
    /// is not the last word.
    Again(QueueKey, u64),
    /// The lane is gone.
    Gone(QueueKey),
    /// All lanes of the client are gone.
    ClientGone(ClientId),
}

/// Both ends: many may tell, one listens.
#[derive(Clone)]
pub(super) struct Nudges {
    sender: mpsc::Sender<Nudge>,
    receiver: Arc<Mutex<Option<mpsc::Receiver<Nudge>>>>,
}

impl Nudges {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        Self { sender, receiver: Arc::new(Mutex::new(Some(receiver))) }
    }

    /// Tells. When nobody delivers, as in a command without a relay, there is nobody who would have to know.
    pub(super) async fn tell(&self, nudge: Nudge) {
        let nobody = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if !nobody {
            // Closed means that the deliverer has ended: the relay is stopping.
            let (Ok(()) | Err(_)) = self.sender.send(nudge).await;
        }
    }

    /// The listening end, once. Without it, one that never hears anything.
    pub(super) fn listen(&self) -> mpsc::Receiver<Nudge> {
        let taken = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.unwrap_or_else(|| mpsc::channel(1).1)
    }
}
