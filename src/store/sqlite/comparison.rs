//! This store's part in the comparison of the nodes' databases: at each comparison mark of the journal it computes the
//! digest of its contents, on a thread of its own, while the writer goes on. It does not know the digests of other
//! nodes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::{mpsc, watch};

use super::migrate::MIGRATIONS;
use super::offline::digest;
use super::tables::schema;
use super::threads::Threads;

/// The digest of this node's database at a comparison mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDigest {
    /// The position of the mark.
    pub position: u64,
    /// The version of the tables: databases of different versions cannot be compared.
    pub schema: usize,
    /// SHA-256 over the contents, as hexadecimal digits; `None` if SQLite finds the file damaged.
    pub digest: Option<String>,
    /// Whether this process has proposed the mark.
    pub is_proposer: bool,
}

/// Takes part in comparisons on behalf of the caller.
pub struct ComparisonHandle {
    proposals: mpsc::Sender<u64>,
    is_enabled: Arc<AtomicBool>,
    digests: watch::Receiver<Option<StateDigest>>,
}

impl ComparisonHandle {
    /// Computes digests from now on. To be called when the node has caught up: old marks are not worth reading the
    /// database.
    pub fn enable(&self) {
        self.is_enabled.store(true, Ordering::Release);
    }

    /// Proposes a mark as the leader with this fence. It may get lost: a digest with `is_proposer` shows that it was
    /// applied.
    pub fn propose(&self, fence: u64) {
        // Full: the last one is not published yet. Closed: the store is.
        self.proposals.try_send(fence).ok();
    }

    /// The latest digest.
    pub fn digests(&self) -> watch::Receiver<Option<StateDigest>> {
        self.digests.clone()
    }
}

/// A state of the database to be read, in an open transaction.
struct ReadPoint {
    db: Connection,
    position: u64,
    is_proposer: bool,
    is_cancelled: Arc<AtomicBool>,
}

/// The writer's handle of the thread.
pub(crate) struct DigestThread {
    path: PathBuf,
    /// `None` stops the thread.
    points: Option<SyncSender<ReadPoint>>,
    thread: Option<JoinHandle<()>>,
    /// Whether the thread has a point.
    is_busy: Arc<AtomicBool>,
    is_enabled: Arc<AtomicBool>,
    /// Set to cancel the digest of the last point.
    is_cancelled: Arc<AtomicBool>,
}

/// What [`DigestThread::start`] makes.
pub(super) struct Comparisons {
    pub(super) thread: DigestThread,
    pub(super) handle: ComparisonHandle,
    /// The fences of the marks that are to be proposed.
    pub(super) proposals: mpsc::Receiver<u64>,
}

impl DigestThread {
    /// Starts the thread for the database at `path`.
    pub(super) fn start(path: &Path, threads: &Threads) -> std::io::Result<Comparisons> {
        let (points, received) = sync_channel(1);
        let (sender, digests) = watch::channel(None);
        let is_busy = Arc::<AtomicBool>::default();
        let busy = is_busy.clone();
        let thread = threads.spawn("store-digest".into(), move |_end| run(&received, &busy, &sender))?;
        let (proposals, proposed) = mpsc::channel(1);
        let is_enabled = Arc::<AtomicBool>::default();
        let handle = ComparisonHandle { proposals, is_enabled: is_enabled.clone(), digests };
        let (path, is_cancelled) = (path.to_owned(), Arc::default());
        let thread = Self { path, points: Some(points), thread: Some(thread), is_busy, is_enabled, is_cancelled };
        Ok(Comparisons { thread, handle, proposals: proposed })
    }

    /// Begins to compute the digest of what is committed. To be called by the writer, before it applies the next entry.
    /// Skips the mark while the digest of the last one is being computed.
    pub(crate) fn begin(&mut self, position: u64, is_proposer: bool) {
        let Some(points) = self.points.as_ref().filter(|_| self.is_enabled.load(Ordering::Acquire)) else { return };
        if self.is_busy.load(Ordering::Acquire) {
            return tracing::info!(position, "comparison skipped: the last one is not complete");
        }
        match open(&self.path) {
            Ok(db) => {
                self.is_cancelled = Arc::default();
                self.is_busy.store(true, Ordering::Release);
                let point = ReadPoint { db, position, is_proposer, is_cancelled: self.is_cancelled.clone() };
                // There is room: the thread is not busy. It ends when the writer does.
                points.try_send(point).ok();
            }
            Err(error) => tracing::warn!(%error, position, "comparison skipped: the database cannot be read"),
        }
    }

    /// Gives up the digest that is being computed, if any.
    pub(crate) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Ends the thread: its transaction would keep the write-ahead log from being emptied.
    pub(crate) fn stop(&mut self) {
        self.cancel();
        self.points = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("digest thread panicked");
        }
    }
}

/// A connection with a transaction that sees the last commit, and none of later ones.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    schema::tune_reader(&db)?;
    db.execute_batch("BEGIN")?;
    // The transaction begins with the first read.
    db.query_row("SELECT count(*) FROM state", [], |_| Ok(()))?;
    Ok(db)
}

fn run(points: &Receiver<ReadPoint>, is_busy: &AtomicBool, digests: &watch::Sender<Option<StateDigest>>) {
    while let Ok(ReadPoint { db, position, is_proposer, is_cancelled }) = points.recv() {
        let started = Instant::now();
        let result = digest::of_contents_unless(&db, &|| is_cancelled.load(Ordering::Relaxed));
        // Ends the transaction.
        drop(db);
        is_busy.store(false, Ordering::Release);
        let took_ms = started.elapsed().as_millis() as u64;
        let digest = match result {
            Ok(Some(digest)) => {
                tracing::debug!(position, digest, took_ms, "digest of the database computed");
                Some(digest)
            }
            Ok(None) => {
                tracing::info!(position, took_ms, "comparison given up: it must not delay the writer or the stop");
                continue;
            }
            Err(error) if is_damage(&error) => {
                tracing::error!(%error, position, "database is damaged");
                None
            }
            Err(error) => {
                tracing::warn!(%error, position, "comparison skipped: the database cannot be read");
                continue;
            }
        };
        digests.send_replace(Some(StateDigest { position, schema: MIGRATIONS.len(), digest, is_proposer }));
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
