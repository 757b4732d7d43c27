//! Waits until this node has applied what is in the journal: before it refuses something that another node may have
//! made, and to tell whether it is ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::journal::{Journal, JournalError};
use crate::store::StoreError;
use crate::store::sqlite::writer::command::pending::Pending;

/// How long to wait for the broker's answer and for the writer, each.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Cheap to clone. Calls that wait at the same time share one request to the broker.
#[derive(Clone)]
pub(in crate::store::sqlite) struct CatchUp {
    journal: Arc<dyn Journal>,
    applied: watch::Receiver<u64>,
    pending: Arc<Pending>,
    rounds: Arc<Rounds>,
}

#[derive(Default)]
struct Rounds {
    /// Rounds that have begun.
    begun: AtomicU64,
    /// The last round that has ended.
    ended: Mutex<Option<Round>>,
}

struct Round {
    number: u64,
    /// The journal's end at a time after the round had begun.
    end: Result<u64, StoreError>,
}

impl CatchUp {
    pub(super) fn new(journal: Arc<dyn Journal>, applied: watch::Receiver<u64>, pending: Arc<Pending>) -> Self {
        Self { journal, applied, pending, rounds: Arc::default() }
    }

    /// Waits until everything is applied that was acknowledged to anyone before the call. Returns whether anything was
    /// missing.
    ///
    /// # Errors
    /// `Unavailable` when the broker does not answer in time, this node is too far behind, or it cannot apply entries,
    /// such as with a full disk; `Stopped`.
    pub(in crate::store::sqlite) async fn run(&self) -> Result<bool, StoreError> {
        if let Some(failure) = self.pending.failure() {
            return Err(failure);
        }
        let mut applied = self.applied.clone();
        let before = *applied.borrow();
        let end = self.end().await?;
        match timeout(TIMEOUT, applied.wait_for(|position| *position >= end)).await {
            Ok(Ok(_)) => Ok(before < end),
            Ok(Err(_)) => Err(StoreError::Stopped),
            Err(_) => Err(StoreError::Unavailable(format!("this node has not applied the journal up to {end} yet"))),
        }
    }

    /// The end of the journal at a time after the call has begun.
    async fn end(&self) -> Result<u64, StoreError> {
        let needed = self.rounds.begun.load(Ordering::Acquire) + 1;
        let mut ended = self.rounds.ended.lock().await;
        if let Some(round) = ended.as_ref().filter(|round| round.number >= needed) {
            return round.end.clone();
        }
        let number = self.rounds.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let end = match timeout(TIMEOUT, self.journal.range()).await {
            Ok(range) => range.map(|range| range.end).map_err(|error| unavailable(&error)),
            Err(_) => Err(StoreError::Unavailable("the broker has not answered".to_owned())),
        };
        *ended = Some(Round { number, end: end.clone() });
        end
    }
}

fn unavailable(error: &JournalError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
