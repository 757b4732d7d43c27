//! The embedded store: one SQLite file, one thread that writes it, and a pool of readers. This file holds the options, the
//! errors of opening, and the handle that implements the four ports.

mod migrate;
mod open;
mod ports;
mod readers;
mod ready_queues;
mod registry_cache;
mod retention;
mod tables;
mod tails;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::store::{Retention, Seal, Store};

use self::readers::Readers;
use self::ready_queues::ReadyQueues;
use self::registry_cache::RegistryCache;
use self::tables::state::LogIdentity;
use self::tails::Tails;
use self::writer::command::WriterCommand;

/// Called by the writer after every transaction that carried commands. It must not block: all senders would wait.
pub type OnCommit = Arc<dyn Fn(CommitReport) + Send + Sync>;

/// The result of one transaction of the writer.
#[derive(Debug, Clone, Copy)]
pub struct CommitReport {
    /// Commands that shared the transaction.
    pub commands: usize,
    /// Events that became durable; 0 after a failure.
    pub events: usize,
    /// Time from the first statement until the data was flushed.
    pub duration: Duration,
    /// Commands in the queue at the end.
    pub queued: usize,
    /// Bytes of the write-ahead log that are in use.
    pub wal_bytes: u64,
    /// Whether it was committed.
    pub committed: bool,
}

/// How to open the store.
#[derive(Clone)]
pub struct Options {
    /// The database file. Beside it are files with `-wal`, `-shm` and `.lock` appended to its name.
    pub path: PathBuf,
    /// The bounds of what is kept for each client.
    pub retention: Retention,
    /// Maximum number of concurrent reads; further ones wait in order.
    pub readers: usize,
    /// Seals the secrets of clients, hooks, notifications and callbacks.
    pub seal: Arc<dyn Seal>,
    /// Gets a report of each transaction.
    pub on_commit: Option<OnCommit>,
}

/// Why the store could not be opened. Each message is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another handle of this one, has opened it.
    #[error("the database {} is in use by another docrelay: stop that one or choose another --data", .0.display())]
    Locked(PathBuf),
    /// The file is not a database, or another program's.
    #[error("{} is not a docrelay database: move it away or choose another --data", .0.display())]
    Foreign(PathBuf),
    /// A later version of docrelay has migrated the file.
    #[error("the database {} has schema version {found}, but this docrelay reads up to version {known}: use the docrelay version that wrote it, or a newer one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The latest schema version of this program.
        known: i64,
    },
    /// A secret could not be opened with this key.
    #[error("the secrets in the database {} cannot be opened with this key ({reason}): restore the key file that belongs to it", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// The reason given by [`Seal::open`].
        reason: String,
    },
    /// The file system or SQLite failed.
    #[error("cannot open the database {}: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The error.
        reason: String,
    },
}

/// What the writer and the handles share.
struct Shared {
    identity: LogIdentity,
    /// The last committed sequence. Set after the commit and before any reply: by the writer, or by a reader that returns a
    /// newer sequence before the writer has set it.
    head: AtomicU64,
    tails: Tails,
    ready_queues: ReadyQueues,
    registry: RegistryCache,
}

/// The handle behind the ports; all clones refer to the same store.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
    /// The writer's queue. Bounded: while it is full the sender waits, and with it the vendor's request.
    queue: mpsc::Sender<WriterCommand>,
    readers: Arc<Readers>,
    seal: Arc<dyn Seal>,
}

impl SqliteStore {
    /// Opens the file, creates or migrates it if needed, loads the registry into memory, and starts the writer. Blocks.
    ///
    /// # Errors
    /// [`OpenError`]; the file is then unchanged, or migrated up to the last complete step.
    pub fn open(options: Options) -> Result<Store, OpenError> {
        let store = Arc::new(open::open(options)?);
        Ok(Store { log: store.clone(), registry: store.clone(), rejects: store.clone(), outbox: store })
    }
}
