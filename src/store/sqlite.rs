//! The embedded store: one SQLite file, one thread that writes it, a bounded number of readers beside it.
//! This file holds what its user sees: the options, why it does not open, and the handle behind the four ports.

mod age;
mod append;
mod checkpoint;
mod columns;
mod documents;
mod erase;
mod events;
mod identity;
mod jobs;
mod log;
mod open;
mod outbox;
mod prune;
mod readers;
mod registry;
mod rejects;
mod schema;
mod tails;
mod usage;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::domain::{ClientId, Epoch};
use crate::store::{Retention, Seal, Store, StoreError};

use self::identity::Mint;
use self::outbox::Stirs;
use self::readers::Readers;
use self::registry::Cache;
use self::tails::Tails;
use self::writer::{Command, Reply};

/// Called by the writer after every transaction that carried commands. It must not wait: all senders would.
pub type OnCommit = Arc<dyn Fn(CommitReport) + Send + Sync>;

/// What one transaction of the writer came to.
#[derive(Debug, Clone, Copy)]
pub struct CommitReport {
    /// Commands that shared the transaction.
    pub commands: usize,
    /// Events that became durable with it; 0 when it failed.
    pub events: usize,
    /// From the first statement to the flushed disk.
    pub duration: Duration,
    /// Commands that were waiting when it ended.
    pub queued: usize,
    /// Bytes of the write-ahead log that have not been given back by a checkpoint.
    pub wal_bytes: u64,
    /// Whether it was committed.
    pub committed: bool,
}

/// What the store needs to know.
#[derive(Clone)]
pub struct Options {
    /// The database's file. Beside it lie `-wal`, `-shm` and `.lock`.
    pub path: PathBuf,
    /// How much is kept for each client.
    pub retention: Retention,
    /// Reads at the same time; the rest wait in line.
    pub readers: usize,
    /// Seals the secrets of clients, hooks, notifications and callbacks.
    pub seal: Arc<dyn Seal>,
    /// Is told of each transaction, for the metrics.
    pub on_commit: Option<OnCommit>,
}

/// Why the store did not open; each is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another handle of this one, has it.
    #[error("the database {} is in use by another docrelay: stop that one or choose another --data", .0.display())]
    Locked(PathBuf),
    /// The file is something else.
    #[error("{} is not a docrelay database: move it away or choose another --data", .0.display())]
    Foreign(PathBuf),
    /// The file was written by a later version.
    #[error("the database {} has schema {found}, this docrelay knows {known}: run a newer docrelay", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A secret could not be opened.
    #[error("the secrets in the database {} cannot be opened with this key ({reason}): restore the key file that belongs to it", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// In the sealer's words.
        reason: String,
    },
    /// The file system or SQLite refused.
    #[error("cannot open the database {}: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What was refused.
        reason: String,
    },
}

/// What the writer and the handles both look at.
struct Shared {
    epoch: Epoch,
    mint: Mint,
    /// The last committed sequence. Set after the commit, before anybody is answered: by the writer, or by a reader that
    /// shows what is committed before the writer has come to say so.
    head: AtomicU64,
    tails: Tails,
    stirs: Stirs,
    cache: Cache,
}

/// The embedded store behind its ports; all clones are the same store.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
    /// The writer's queue. Bounded: when it is full the sender waits, and with it the vendor's request.
    queue: mpsc::Sender<Command>,
    readers: Arc<Readers>,
    seal: Arc<dyn Seal>,
}

impl SqliteStore {
    /// Opens the file, or makes it, and starts the writer. Blocks; reads the registry into memory.
    pub fn open(options: Options) -> Result<Store, OpenError> {
        let store = Arc::new(open::open(options)?);
        Ok(Store { log: store.clone(), registry: store.clone(), rejects: store.clone(), outbox: store })
    }

    /// Hands a command to the writer and waits for its answer, which always comes.
    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(command(reply)).await.map_err(|_| StoreError::Stopped)?;
        answer.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// The number under which a client's rows stand.
    fn number(&self, client: &ClientId) -> Result<i64, StoreError> {
        self.shared.cache.number(client).ok_or(StoreError::NotFound("client"))
    }
}
