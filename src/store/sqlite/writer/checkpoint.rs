//! Checkpoints of the write-ahead log, off the writer's path.
//!
//! A thread with its own connection copies most pages into the database while the writer goes on. It alone never reaches
//! the end of the log, which would then grow without bound: when few pages are left, it asks the writer to copy these
//! between two batches and to restart the log. If the thread does not keep up, the writer waits for it: the log has a
//! bound.
//!
//! SQLite flushes the database only when a checkpoint reaches the end of the log. In the writer this would stop all
//! commands for 100 to 200 ms, so the thread flushes the file itself before it asks.

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::mpsc::WeakSender;

use super::command::WriterCommand;
use crate::store::sqlite::tables::schema::LOCK_TIMEOUT;
use crate::store::sqlite::threads::Threads;

/// Pages in the log before the thread starts a checkpoint. Smaller checkpoints write a page of a busy index more often,
/// larger ones occupy the disk for longer at a time.
const MIN_CHECKPOINT_PAGES: u64 = 8_000;

/// Pages at which the log is restarted with the writer's help: 125 MiB.
const RESTART_PAGES: u64 = 32_000;

/// Pages that are left to the writer at most: they take it 5 to 10 ms, 1 000 pages twice that.
const MAX_WRITER_PAGES: u64 = 300;

/// Checkpoints of the thread before it asks the writer; each leaves the pages that were written meanwhile.
const MAX_ROUNDS: usize = 10;

/// Pages at which the writer completes the checkpoint itself: 256 MiB.
const MAX_LOG_PAGES: u64 = 65_536;

/// Bytes of a page with the header of its frame in the log.
const FRAME_BYTES: u64 = 4_096 + 24;

/// The writer's handle of the thread.
pub(crate) struct Checkpointer {
    /// Wakes the thread; `None` stops it.
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Held during a checkpoint: SQLite refuses a second one instead of letting it wait.
    checkpoint_lock: Arc<Mutex<()>>,
    /// The database file, to flush it. POSIX drops a process's locks on a file when any descriptor of it is closed, and
    /// with them SQLite's: so one descriptor stays open until the connections are closed.
    _file: Arc<File>,
}

impl Checkpointer {
    /// Starts the thread. `file` is the database at `path`.
    pub(crate) fn start(
        path: &Path,
        file: File,
        queue: WeakSender<WriterCommand>,
        threads: &Threads,
    ) -> Result<Self, Box<dyn Error>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)?;
        db.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;")?;
        let (checkpoint_lock, file) = (Arc::new(Mutex::new(())), Arc::new(file));
        let (wake, wake_requests) = sync_channel(1);
        let thread =
            CheckpointThread { db, checkpoint_lock: checkpoint_lock.clone(), file: file.clone(), wake_requests, queue };
        let thread = threads.spawn("store-checkpoint".into(), move || thread.run())?;
        Ok(Self { wake: Some(wake), thread: Some(thread), checkpoint_lock, _file: file })
    }

    /// Checks the size of the log after a commit; returns its bytes.
    pub(crate) fn after_commit(&self, db: &Connection) -> u64 {
        let Ok(Progress { pages, done, .. }) = checkpoint(db, "NOOP") else { return 0 };
        // A log that was copied completely restarts with the next transaction.
        let used = if pages == done { 0 } else { pages };
        if pages > MAX_LOG_PAGES {
            self.restart(db, Duration::from_secs(1));
        } else if pages - done.min(pages) > MIN_CHECKPOINT_PAGES
            && let Some(wake) = &self.wake
        {
            // A full channel means that the thread is awake.
            wake.try_send(()).ok();
        }
        used * FRAME_BYTES
    }

    /// Completes a checkpoint and restarts the log. Waits up to `timeout` for readers of old snapshots.
    pub(crate) fn restart(&self, db: &Connection, timeout: Duration) {
        let guard = self.checkpoint_lock.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        let outcome = with_busy_timeout(db, timeout, || checkpoint(db, "RESTART"));
        drop(guard);
        match outcome {
            // When a reader was busy, a later commit tries again.
            Ok(Progress { busy, pages, .. }) => {
                let took_ms = started.elapsed().as_millis() as u64;
                tracing::debug!(took_ms, pages, busy, "write-ahead log checkpointed");
            }
            Err(error) => tracing::warn!(%error, "cannot restart the write-ahead log; retrying with a later commit"),
        }
    }

    /// Stops the thread and empties the log, so that the next start need not recover it.
    pub(crate) fn stop(&mut self, db: &Connection) {
        self.wake = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("checkpoint thread panicked");
        }
        if let Err(error) = checkpoint(db, "TRUNCATE") {
            tracing::warn!(%error, "cannot empty the write-ahead log; the next start does it");
        }
    }
}

struct CheckpointThread {
    db: Connection,
    checkpoint_lock: Arc<Mutex<()>>,
    file: Arc<File>,
    /// Closed when the writer stops.
    wake_requests: Receiver<()>,
    queue: WeakSender<WriterCommand>,
}

impl CheckpointThread {
    fn run(self) {
        let mut failing = false;
        while self.wake_requests.recv().is_ok() {
            let is_long = self.checkpoint_rounds();
            if let (Err(error), false) = (&is_long, failing) {
                tracing::warn!(%error, "checkpoint failed; retrying with every commit");
            }
            failing = is_long.is_err();
            if !is_long.unwrap_or(false) {
                continue;
            }
            let Some(queue) = self.queue.upgrade() else { return };
            let (reply, done) = sync_channel(1);
            if queue.blocking_send(WriterCommand::RestartLog(reply)).is_err() {
                return;
            }
            drop(queue);
            // An error means that the writer stops; then the next `recv` fails, too.
            done.recv().ok();
            // A request that came meanwhile is done.
            self.wake_requests.try_recv().ok();
        }
    }

    /// Checkpoints once, and if the log is long until few pages are left: then true.
    fn checkpoint_rounds(&self) -> Result<bool, Box<dyn Error>> {
        for _ in 0..MAX_ROUNDS {
            let guard = self.checkpoint_lock.lock().unwrap_or_else(PoisonError::into_inner);
            checkpoint(&self.db, "PASSIVE")?;
            drop(guard);
            self.file.sync_data()?;
            let progress = checkpoint(&self.db, "NOOP")?;
            if progress.pages < RESTART_PAGES {
                return Ok(false);
            }
            if progress.pages.saturating_sub(progress.done) < MAX_WRITER_PAGES {
                break;
            }
        }
        Ok(true)
    }
}

/// The result of a checkpoint.
#[derive(Debug)]
struct Progress {
    /// Another connection prevented its completion.
    busy: bool,
    /// Pages in the log.
    pages: u64,
    /// Pages of the log that are in the database.
    done: u64,
}

fn checkpoint(db: &Connection, mode: &str) -> rusqlite::Result<Progress> {
    db.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?.query_row([], |row| {
        let pages = |column| row.get::<_, i64>(column).map(|pages| u64::try_from(pages).unwrap_or(0));
        Ok(Progress { busy: row.get::<_, i64>(0)? != 0, pages: pages(1)?, done: pages(2)? })
    })
}

fn with_busy_timeout<T>(
    db: &Connection,
    timeout: Duration,
    work: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    db.busy_timeout(timeout)?;
    let outcome = work();
    db.busy_timeout(LOCK_TIMEOUT)?;
    outcome
}
