//! Checkpoints of the write-ahead log (WAL), off the writer's path.
//!
//! A thread with its own connection copies most pages into the database while the writer goes on. It alone never
//! reaches the end of the WAL, which would then grow without bound: when few pages are left, it asks the writer to copy
//! these between two batches and to restart the WAL.
//!
//! The WAL has a bound. Background work pauses while the WAL is long. If commands alone fill the WAL faster than the
//! thread copies it, the writer completes the checkpoint itself. Only a reader of an old snapshot, such as another
//! process that copies the database, can make the WAL longer: senders never wait for it, background work does.
//!
//! SQLite flushes the database only when a checkpoint reaches the end of the WAL. In the writer this would stop all
//! commands for 100 to 200 ms, so the thread flushes the file itself before it asks.

mod thread;
mod wal_flush;

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::mpsc::WeakSender;

use self::thread::CheckpointThread;
use self::wal_flush::WalFlusher;
use super::command::WriterCommand;
use crate::store::sqlite::tables::schema::LOCK_TIMEOUT;
use crate::store::sqlite::threads::Threads;

/// Pages in the WAL before the thread starts a checkpoint. Smaller checkpoints write a page of a busy index more often,
/// larger ones occupy the disk for longer at a time.
const MIN_CHECKPOINT_PAGES: u64 = 8_000;

/// The same on a node of a cluster, which flushes the WAL beforehand: what a checkpoint flushes is the database, and
/// the less often, the fewer flushes of a NATS server on the same disk wait for it.
const MIN_NODE_CHECKPOINT_PAGES: u64 = 15_000;

/// Pages at which the WAL is restarted with the writer's help: 125 MiB.
const RESTART_PAGES: u64 = 32_000;

/// Pages that background work lets the WAL grow to, and pages of them that are not in the database: 188 and 62 MiB.
const MAX_BACKGROUND_PAGES: u64 = 48_000;
const MAX_BACKGROUND_BACKLOG: u64 = 16_000;

/// Pages at which the writer completes the checkpoint itself, or reports the reader that prevents it: 256 MiB.
const MAX_WAL_PAGES: u64 = 65_536;

/// How long the writer waits for readers of old snapshots when it restarts the WAL between two batches. The store's own
/// reads take less.
const RESTART_TIMEOUT: Duration = Duration::from_millis(20);

/// Bytes of a page with the header of its frame in the WAL.
const FRAME_BYTES: u64 = 4_096 + 24;

/// The writer's handle of the thread.
pub(crate) struct Checkpointer {
    /// Wakes the thread; `None` stops it.
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<CheckpointState>,
    /// The database file, to flush it. POSIX drops a process's locks on a file when any descriptor of it is closed, and
    /// with them SQLite's: so one descriptor stays open until the connections are closed.
    _file: Arc<File>,
    /// The WAL after the last transaction.
    progress: Progress,
    /// Whether it was logged that a reader prevents the restart.
    reported: bool,
    /// `None` without a cluster.
    flusher: Option<WalFlusher>,
}

/// What the writer and the thread share.
#[derive(Default)]
struct CheckpointState {
    /// Held during a checkpoint: SQLite refuses a second one instead of letting it wait.
    checkpoint: Mutex<()>,
    /// Set while a reader of an old snapshot prevents a checkpoint. Only a restart of the WAL by the writer, or a
    /// checkpoint of the thread that makes progress, clears it.
    blocked: AtomicBool,
}

/// Whether background work may write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WalSpace {
    Free,
    /// The WAL is long. The thread sends a command when it has copied it.
    Full,
    /// The WAL is long, and a reader prevents that it becomes shorter.
    Blocked,
}

/// The size of the WAL, for metrics and readiness.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WalSize {
    /// Bytes in use.
    pub(crate) bytes: u64,
    /// Whether a reader of an old snapshot has made the WAL longer than its bound.
    pub(crate) is_over_limit: bool,
}

impl Checkpointer {
    /// Starts the thread. `file` is the database at `path`; with `flushes_wal` the commits do not flush the WAL.
    pub(crate) fn start(
        path: &Path,
        file: File,
        flushes_wal: bool,
        queue: WeakSender<WriterCommand>,
        threads: &Threads,
    ) -> Result<Self, Box<dyn Error>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)?;
        db.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;")?;
        let (shared, file) = (Arc::<CheckpointState>::default(), Arc::new(file));
        let (wake, wake_requests) = sync_channel(1);
        let thread = CheckpointThread { db, shared: shared.clone(), file: file.clone(), wake_requests, queue };
        let thread = threads.spawn("store-checkpoint".into(), move |_end| thread.run())?;
        let flusher = flushes_wal.then(|| WalFlusher::start(path, threads)).transpose()?;
        let progress = Progress { busy: false, pages: 0, done: 0 };
        Ok(Self { wake: Some(wake), thread: Some(thread), shared, _file: file, progress, reported: false, flusher })
    }

    /// Checks the size of the WAL after a transaction, and starts or completes a checkpoint if it is due. Never waits
    /// for a reader more than once.
    pub(crate) fn after_commit(&mut self, db: &Connection) -> WalSize {
        self.look(db);
        if let Some(flusher) = &mut self.flusher {
            flusher.note(self.progress.pages);
        }
        let min_pages = if self.flusher.is_some() { MIN_NODE_CHECKPOINT_PAGES } else { MIN_CHECKPOINT_PAGES };
        let blocked = self.shared.blocked.load(Ordering::Acquire);
        if self.progress.pages > MAX_WAL_PAGES && !blocked {
            self.restart(db);
        } else if !blocked && (self.progress.backlog() > min_pages || self.progress.pages > RESTART_PAGES) {
            self.wake();
        }
        let size = self.size();
        self.report(size);
        size
    }

    /// Starts a checkpoint of what is in the WAL, although it may be short.
    pub(crate) fn wake(&self) {
        if self.progress.backlog() > 0
            && let Some(wake) = &self.wake
        {
            // A full channel means that the thread will look again.
            wake.try_send(()).ok();
        }
    }

    /// Whether background work may write, as of the last transaction.
    pub(crate) fn space(&self) -> WalSpace {
        self.progress.space(self.shared.blocked.load(Ordering::Acquire))
    }

    /// Whether a reader of an old snapshot has made the WAL so long that background work has to wait.
    pub(crate) fn is_held_by_reader(&self) -> bool {
        self.progress.pages > MAX_BACKGROUND_PAGES && self.shared.blocked.load(Ordering::Acquire)
    }

    /// Completes a checkpoint and restarts the WAL; false when a reader of an old snapshot prevents it.
    pub(crate) fn restart(&mut self, db: &Connection) -> bool {
        let guard = self.shared.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        let outcome = with_busy_timeout(db, RESTART_TIMEOUT, || checkpoint(db, "RESTART"));
        drop(guard);
        let is_busy = match outcome {
            Ok(Progress { busy, pages, .. }) => {
                let took_ms = started.elapsed().as_millis() as u64;
                tracing::debug!(took_ms, pages, busy, "write-ahead log checkpointed");
                busy
            }
            Err(error) => {
                tracing::warn!(%error, "cannot restart the write-ahead log; retrying");
                true
            }
        };
        self.shared.blocked.store(is_busy, Ordering::Release);
        self.look(db);
        !is_busy
    }

    /// Stops the thread and empties the WAL, so that the next start need not recover it.
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

    fn look(&mut self, db: &Connection) {
        if let Ok(progress) = checkpoint(db, "NOOP") {
            self.progress = progress;
        }
    }

    fn size(&self) -> WalSize {
        let Progress { pages, done, .. } = self.progress;
        // A WAL that was copied completely restarts with the next transaction.
        let used = if pages == done { 0 } else { pages };
        let is_over_limit = pages > MAX_WAL_PAGES && self.shared.blocked.load(Ordering::Acquire);
        WalSize { bytes: used * FRAME_BYTES, is_over_limit }
    }

    /// Logs the begin and the end of the state that an operator has to end.
    fn report(&mut self, size: WalSize) {
        if size.is_over_limit && !self.reported {
            tracing::error!(
                wal_bytes = size.bytes,
                "write-ahead log cannot be restarted and grows: end the program that reads the database, such as a backup, or \
                 free the disk"
            );
            self.reported = true;
        } else if self.reported && !self.shared.blocked.load(Ordering::Acquire) {
            tracing::info!("write-ahead log is restarted again");
            self.reported = false;
        }
    }
}

/// The result of a checkpoint.
#[derive(Debug)]
struct Progress {
    /// Another connection prevented its completion.
    busy: bool,
    /// Pages in the WAL.
    pages: u64,
    /// Pages of the WAL that are in the database.
    done: u64,
}

impl Progress {
    /// Pages that are not in the database.
    fn backlog(&self) -> u64 {
        self.pages.saturating_sub(self.done)
    }

    /// Whether background work may write. A long WAL that was copied completely is as good as an empty one: the next
    /// transaction restarts it. Without that, work would wait for a command although nothing prevents it.
    fn space(&self, is_blocked: bool) -> WalSpace {
        let is_restarting = self.backlog() == 0 && !is_blocked;
        if is_restarting || self.pages <= MAX_BACKGROUND_PAGES && self.backlog() <= MAX_BACKGROUND_BACKLOG {
            WalSpace::Free
        } else if is_blocked {
            WalSpace::Blocked
        } else {
            WalSpace::Full
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_wal_that_was_copied_does_not_stop_background_work() {
        let wal = |pages, done| Progress { busy: false, pages, done };
        let long = MAX_BACKGROUND_PAGES + 1;
        assert_eq!(wal(long, long).space(false), WalSpace::Free, "the next transaction restarts it");
        assert_eq!(wal(long, long).space(true), WalSpace::Blocked, "a reader prevents the restart");
        assert_eq!(wal(long, long - 1).space(false), WalSpace::Full);
        assert_eq!(wal(long - 1, long - 2).space(false), WalSpace::Free);
    }
}
