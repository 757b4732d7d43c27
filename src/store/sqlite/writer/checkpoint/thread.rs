//! The checkpoint thread: copies the write-ahead log (WAL) into the database while the writer goes on, and flushes the
//! database.

use std::error::Error;
use std::fs::File;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::mpsc::WeakSender;

use super::{CheckpointState, RESTART_PAGES, checkpoint};
use crate::store::sqlite::panics::contain;
use crate::store::sqlite::writer::command::WriterCommand;

/// Pages that are left to the writer at most: they take it 5 to 10 ms, 1 000 pages twice that.
const MAX_WRITER_PAGES: u64 = 300;

/// Checkpoints of the thread before it asks the writer; each leaves the pages that were written meanwhile.
const MAX_ROUNDS: usize = 10;

/// Pauses between two attempts while a reader or an error prevents a checkpoint; they double from the first to the
/// second.
const MIN_RETRY_PAUSE: Duration = Duration::from_millis(50);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct CheckpointThread {
    pub(super) db: Connection,
    pub(super) shared: Arc<CheckpointState>,
    pub(super) file: Arc<File>,
    /// Closed when the writer stops.
    pub(super) wake_requests: Receiver<()>,
    pub(super) queue: WeakSender<WriterCommand>,
}

/// What the rounds of checkpoints have achieved.
enum Outcome {
    /// The WAL is short.
    Short,
    /// The WAL is long and nearly copied: the writer can restart it.
    Copied,
    /// A reader of an old snapshot prevents further copying.
    Blocked,
}

impl CheckpointThread {
    pub(super) fn run(self) {
        let (mut failing, mut pause) = (false, None);
        while self.wait(pause) {
            // After a panic it is tried again, as after an error: it has no transaction open, and no state but the
            // lock.
            let outcome = contain("a checkpoint", || self.checkpoint_rounds());
            let outcome = outcome.unwrap_or_else(|panicked| Err(panicked.into()));
            if let (Err(error), false) = (&outcome, failing) {
                tracing::warn!(%error, "checkpoint failed; retrying");
            }
            failing = outcome.is_err();
            let is_blocked = match outcome {
                Ok(Outcome::Short) => {
                    self.shared.blocked.store(false, Ordering::Release);
                    // The writer may have paused its background work.
                    if !self.send(WriterCommand::CheckpointEnded) {
                        return;
                    }
                    false
                }
                Ok(Outcome::Copied) => {
                    let (reply, restarted) = sync_channel(1);
                    if !self.send(WriterCommand::RestartWal(reply)) {
                        return;
                    }
                    // An error means that the writer stops; then the next wait ends, too.
                    !restarted.recv().unwrap_or(false)
                }
                Ok(Outcome::Blocked) => true,
                Err(_) => true,
            };
            if is_blocked {
                self.shared.blocked.store(true, Ordering::Release);
            }
            pause = is_blocked.then(|| pause.map_or(MIN_RETRY_PAUSE, |pause| (pause * 2).min(MAX_RETRY_PAUSE)));
        }
    }

    /// Waits for a request, or while a checkpoint is prevented for the pause; false when the writer stops.
    fn wait(&self, pause: Option<Duration>) -> bool {
        match pause {
            None => self.wake_requests.recv().is_ok(),
            Some(pause) => !matches!(self.wake_requests.recv_timeout(pause), Err(RecvTimeoutError::Disconnected)),
        }
    }

    /// False when the store is closed.
    fn send(&self, command: WriterCommand) -> bool {
        self.queue.upgrade().is_some_and(|queue| queue.blocking_send(command).is_ok())
    }

    /// Checkpoints once, and if the WAL is long until few pages are left.
    fn checkpoint_rounds(&self) -> Result<Outcome, Box<dyn Error>> {
        let mut before = checkpoint(&self.db, "NOOP")?;
        for _ in 0..MAX_ROUNDS {
            let guard = self.shared.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
            checkpoint(&self.db, "PASSIVE")?;
            drop(guard);
            self.file.sync_data()?;
            let progress = checkpoint(&self.db, "NOOP")?;
            tracing::debug!(pages = progress.pages, done = progress.done, "pages of the write-ahead log copied");
            if progress.backlog() >= MAX_WRITER_PAGES && progress.done <= before.done && progress.pages >= before.pages
            {
                return Ok(Outcome::Blocked);
            }
            if progress.pages < RESTART_PAGES {
                return Ok(Outcome::Short);
            }
            if progress.backlog() < MAX_WRITER_PAGES {
                break;
            }
            before = progress;
        }
        Ok(Outcome::Copied)
    }
}
