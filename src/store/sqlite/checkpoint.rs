//! Moving the write-ahead log into the database, off the senders' path.
//!
//! A thread with a connection of its own does the bulk while the writer goes on. Alone it would never get to the end,
//! and the log would grow for ever: so when little is left, it asks the writer to do that little between two batches
//! and to begin the log anew. Should the thread not keep up, the writer waits for it: the log has a bound.
//!
//! SQLite flushes the database only when a checkpoint reaches the end of the log, which would be in the writer's part:
//! 100 to 200 ms in which nobody is served. So the thread flushes the file itself before it asks.

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::mpsc::WeakSender;

use super::writer::Command;

/// Pages that the thread leaves alone. Smaller steps write a page of a busy index more often, larger ones keep the disk
/// from the senders for longer at a time.
const STEP: u64 = 8_000;

/// Pages in the log from which on it is begun anew, with the writer's help: 125 MiB.
const ENOUGH: u64 = 32_000;

/// Pages left that the writer may be asked for: it is busy with them for 5 to 10 ms, with 1 000 for twice that.
const LITTLE: u64 = 300;

/// Rounds of the thread before it asks; each leaves what the writer wrote meanwhile.
const ROUNDS: usize = 10;

/// Pages at which the writer stops and finishes the work itself: 256 MiB.
const BOUND: u64 = 65_536;

/// A page with the header of its frame, in the log.
const FRAME: u64 = 4_096 + 24;

/// The writer's end of it.
pub(super) struct Checkpointer {
    /// Wakes the thread; gone when it is stopped.
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Held during a checkpoint: SQLite would turn the second one away instead of letting it wait.
    turn: Arc<Mutex<()>>,
    /// The database, for the flushing. The system drops SQLite's locks on a file when any descriptor of it is closed:
    /// hence one for as long as the store is open, closed after the connections.
    _file: Arc<File>,
}

impl Checkpointer {
    /// Starts the thread.
    pub(super) fn start(path: &Path, file: File, queue: WeakSender<Command>) -> Result<Self, Box<dyn Error>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)?;
        db.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;")?;
        let (turn, file) = (Arc::new(Mutex::new(())), Arc::new(file));
        let (wake, woken) = sync_channel(1);
        let thread = Thread { db, turn: turn.clone(), file: file.clone(), woken, queue };
        let thread = std::thread::Builder::new().name("store-checkpoint".into()).spawn(move || thread.run())?;
        Ok(Self { wake: Some(wake), thread: Some(thread), turn, _file: file })
    }

    /// Looks at the log's size after a commit; returns its bytes.
    pub(super) fn look(&self, db: &Connection) -> u64 {
        let Ok(Progress { pages, done, .. }) = checkpoint(db, "NOOP") else { return 0 };
        // A log that is done with in full begins anew with the next transaction.
        let used = if pages == done { 0 } else { pages };
        if pages > BOUND {
            self.restart(db, Duration::from_secs(1));
        } else if pages - done.min(pages) > STEP
            && let Some(wake) = &self.wake
        {
            // Full means that it is awake.
            let (Ok(()) | Err(_)) = wake.try_send(());
        }
        used * FRAME
    }

    /// Finishes a checkpoint and begins the log anew, waiting so long for readers of old snapshots.
    pub(super) fn restart(&self, db: &Connection, patience: Duration) {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        let outcome = with_patience(db, patience, || checkpoint(db, "RESTART"));
        drop(turn);
        match outcome {
            // Busy: a reader was in the way. The next step of the log brings the next try.
            Ok(Progress { busy, pages, .. }) => {
                let took_ms = started.elapsed().as_millis() as u64;
                tracing::debug!(took_ms, pages, busy, "the write-ahead log was finished");
            }
            Err(error) => tracing::warn!(%error, "the write-ahead log could not be begun anew"),
        }
    }

    /// Stops the thread and empties the log, so that the next start has nothing to recover.
    pub(super) fn stop(&mut self, db: &Connection) {
        self.wake = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("the checkpoint thread had panicked");
        }
        if let Err(error) = checkpoint(db, "TRUNCATE") {
            tracing::warn!(%error, "the write-ahead log could not be emptied: the next start does it");
        }
    }
}

/// What the thread has.
struct Thread {
    db: Connection,
    turn: Arc<Mutex<()>>,
    file: Arc<File>,
    /// Ends when the writer drops its end.
    woken: Receiver<()>,
    queue: WeakSender<Command>,
}

impl Thread {
    fn run(self) {
        let mut failing = false;
        while self.woken.recv().is_ok() {
            let enough = self.rounds();
            if let (Err(error), false) = (&enough, failing) {
                tracing::warn!(%error, "a checkpoint failed: it is tried again with every commit");
            }
            failing = enough.is_err();
            if !enough.unwrap_or(false) {
                continue;
            }
            let Some(queue) = self.queue.upgrade() else { return };
            let (reply, done) = sync_channel(1);
            if queue.blocking_send(Command::Restart(reply)).is_err() {
                return;
            }
            drop(queue);
            // An error means that the writer is stopping, and so does the next look at `woken`.
            let (Ok(()) | Err(_)) = done.recv();
            // Asked for meanwhile, and done.
            let (Ok(()) | Err(_)) = self.woken.try_recv();
        }
    }

    /// One round, and more of them until little is left if the log is to begin anew: then true.
    fn rounds(&self) -> Result<bool, Box<dyn Error>> {
        for _ in 0..ROUNDS {
            let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            checkpoint(&self.db, "PASSIVE")?;
            drop(turn);
            self.file.sync_data()?;
            let progress = checkpoint(&self.db, "NOOP")?;
            if progress.pages < ENOUGH {
                return Ok(false);
            }
            if progress.pages.saturating_sub(progress.done) < LITTLE {
                break;
            }
        }
        Ok(true)
    }
}

/// What SQLite says of a checkpoint.
#[derive(Debug)]
struct Progress {
    /// It could not be finished: somebody was in the way.
    busy: bool,
    /// Pages in the log.
    pages: u64,
    /// How many of them are in the database.
    done: u64,
}

fn checkpoint(db: &Connection, mode: &str) -> rusqlite::Result<Progress> {
    db.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?.query_row([], |row| {
        let pages = |column| row.get::<_, i64>(column).map(|pages| u64::try_from(pages).unwrap_or(0));
        Ok(Progress { busy: row.get::<_, i64>(0)? != 0, pages: pages(1)?, done: pages(2)? })
    })
}

fn with_patience<T>(
    db: &Connection,
    patience: Duration,
    work: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    db.busy_timeout(patience)?;
    let outcome = work();
    db.busy_timeout(super::schema::PATIENCE)?;
    outcome
}
