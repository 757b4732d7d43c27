//! The embedded store: one SQLite file, one thread that writes it, and a pool of threads that read it. This file opens
//! it: the lock, the file, its schema, the registry, the threads. The handle that it returns implements the ports.

pub mod comparison;
mod database_file;
mod migrate;
mod offline;
mod panics;
mod ports;
mod readers;
mod ready_queues;
mod receiver_changes;
mod registry_cache;
pub mod replication;
mod retention;
mod tables;
mod tails;
mod threads;
mod writer;

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::mpsc;

use self::comparison::DigestThread;
pub use self::database_file::lock::DatabaseLock;
use self::database_file::run_marker::RunMarker;
use self::database_file::{flush_wal, open_private};
use self::migrate::MIGRATIONS;
pub use self::offline::reseal::{ResealReport, reseal};
pub use self::offline::{check, snapshot};
use self::readers::Readers;
use self::ready_queues::ReadyQueues;
use self::receiver_changes::ReceiverChanges;
use self::registry_cache::RegistryCache;
use self::replication::{CatchUp, NodeHandles, ReplicatedStore, ReplicationOptions};
use self::tables::identity::{self, LogIdentity};
use self::tables::journal::JournalMark;
use self::tables::registry::{ClientRow, LoadError};
use self::tables::{columns, registry, schema};
use self::tails::Tails;
pub use self::threads::OnThreadEnd;
use self::threads::Threads;
use self::writer::checkpoint::Checkpointer;
use self::writer::command::WriterCommand;
use self::writer::jobs::{Jobs, Leadership};
use self::writer::{MAX_QUEUED_COMMANDS, MAX_QUEUED_ENTRIES, RepeatedPanics, Writer};
use crate::domain::Reloadable;
use crate::journal::JournalIdentity;
use crate::store::{GivenUp, Retention, Seal, Store};

/// Called by the writer after every transaction with commands, and after every slice of background work. It must not
/// block: all senders would wait.
pub type OnCommit = Arc<dyn Fn(CommitReport) + Send + Sync>;

/// Called by the writer with the reason and the number of pending deliveries that were given up. It must not block.
pub type OnGivenUp = Arc<dyn Fn(GivenUp, u64) + Send + Sync>;

/// The result of one transaction of the writer.
#[derive(Debug, Clone, Copy)]
pub struct CommitReport {
    /// Commands that shared the transaction; 0 for background work.
    pub commands: usize,
    /// Events that became durable; 0 after a failure.
    pub events: usize,
    /// Time from the first statement until the data was flushed.
    pub duration: Duration,
    /// Commands in the queue at the end.
    pub queued: usize,
    /// Bytes of the write-ahead log that are in use.
    pub wal_bytes: u64,
    /// Whether a reader of an old snapshot has made the write-ahead log longer than its bound.
    pub wal_over_limit: bool,
    /// Whether it was committed.
    pub committed: bool,
    /// Changes in the journal that were not made, because they fail or panic on every node.
    pub refused: usize,
}

/// How to open the store.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The database file. Beside it are files with `-wal`, `-shm`, `.lock` and `.run` appended to its name.
    pub path: PathBuf,
    /// The bounds of what is kept for each client.
    pub retention: Retention,
    /// Number of threads that read, each with a connection; further reads wait in order.
    pub readers: usize,
    /// Seals the secrets of clients, hooks, notifications and callbacks.
    pub seal: Arc<dyn Seal>,
    /// Whether the database of a cluster's node may be opened without the cluster. It leaves the cluster then.
    pub may_leave_cluster: bool,
    /// Gets a report of each transaction.
    pub on_commit: Option<OnCommit>,
    /// Gets the name of each thread of the store that ends. They end when the store is closed or dropped; the end of a
    /// thread before that is a fault, after which the store must be closed.
    pub on_thread_end: Option<OnThreadEnd>,
    /// Gets the number of deliveries that were given up.
    pub on_given_up: Option<OnGivenUp>,
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
    /// The database is that of a cluster's node, and what is stored past the journal would be on this node only.
    #[error("the database {} belongs to a cluster: send the command to a running node, or leave the cluster for good with docrelay serve without --cluster", .0.display())]
    Member(PathBuf),
    /// The database and the journal of the cluster have different histories.
    #[error("the database {} does not belong to this cluster's journal: name the right cluster, or start with an empty --data to join this one", .0.display())]
    OtherJournal(PathBuf),
    /// A secret could not be opened with this key.
    #[error("the secrets in the database {} cannot be opened with this key ({reason}): restore the key file that belongs to it", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// The reason given by [`Seal::open`].
        reason: String,
    },
    /// SQLite has found faults in the file.
    #[error("the database {} is damaged ({reason}): restore a copy", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
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

impl OpenError {
    /// An error of SQLite.
    fn sql(path: &Path, error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::Foreign(path.to_owned()),
            _ => Self::unusable(path, error),
        }
    }

    /// Any other error.
    fn unusable(path: &Path, reason: impl ToString) -> Self {
        Self::Unusable { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// What the writer and the handles share.
struct Shared {
    identity: LogIdentity,
    /// The last committed sequence. Set after the commit and before any reply: by the writer, or by a reader that
    /// returns a newer sequence before the writer has set it.
    head: AtomicU64,
    tails: Tails,
    ready_queues: ReadyQueues,
    receiver_changes: ReceiverChanges,
    registry: RegistryCache,
    /// Whether a reader of an old snapshot has made the write-ahead log longer than its bound.
    wal_over_limit: AtomicBool,
}

/// The handle behind the ports; all clones refer to the same store.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
    /// The writer's queue. Bounded: while it is full the sender waits, and with it the vendor's request.
    queue: mpsc::Sender<WriterCommand>,
    /// The writer's queue for what must not wait for the cluster; the same as `queue` without one.
    control: mpsc::Sender<WriterCommand>,
    /// `None` without a cluster.
    catch_up: Option<CatchUp>,
    /// The bounds of what this node proposes to its cluster.
    proposed_bounds: Reloadable<Retention>,
    readers: Arc<Readers>,
    seal: Arc<dyn Seal>,
}

impl SqliteStore {
    /// Opens the file, creates or migrates it if needed, loads the registry into memory, and starts the writer. Blocks.
    ///
    /// # Errors
    /// [`OpenError`]; the file is then unchanged, or migrated up to the last complete step.
    pub fn open(options: SqliteOptions) -> Result<Store, OpenError> {
        let lock = DatabaseLock::acquire(&options.path)?;
        Self::open_locked(lock, options)
    }

    /// The same with a lock of the file that the caller has acquired.
    ///
    /// # Errors
    /// As in [`SqliteStore::open`].
    pub fn open_locked(lock: DatabaseLock, options: SqliteOptions) -> Result<Store, OpenError> {
        let path = options.path.clone();
        let threads = Threads { on_end: options.on_thread_end.clone() };
        let Prepared { writer, commands, store, .. } = prepare(lock, options, None)?;
        threads
            .spawn("store-writer".into(), move |end| writer.run(commands, end))
            .map_err(|e| OpenError::unusable(&path, e))?;
        Ok(store.ports())
    }

    /// Opens the file as a node of a cluster. It begins to apply entries when the tasks run.
    ///
    /// # Errors
    /// As [`SqliteStore::open`]; [`OpenError::OtherJournal`] if the database does not belong to the journal.
    pub fn open_replicated(
        lock: DatabaseLock,
        options: SqliteOptions,
        replication: ReplicationOptions,
    ) -> Result<ReplicatedStore, OpenError> {
        let path = options.path.clone();
        let threads = Threads { on_end: options.on_thread_end.clone() };
        let Prepared { writer, commands, store, node } = prepare(lock, options, Some(replication))?;
        let Some(NodeHandles { tasks, progress, format, comparisons }) = node else {
            return Err(OpenError::unusable(&path, "it was opened without its journal"));
        };
        threads
            .spawn("store-writer".into(), move |end| writer.run(commands, end))
            .map_err(|e| OpenError::unusable(&path, e))?;
        let leadership = replication::LeadershipHandle::new(store.control.clone());
        Ok(ReplicatedStore { store: store.ports(), tasks, leadership, progress, format, comparisons })
    }

    fn ports(self) -> Store {
        let store = Arc::new(self);
        Store {
            log: store.clone(),
            registry: store.clone(),
            rejects: store.clone(),
            outbox: store.clone(),
            maintenance: store,
        }
    }
}

/// A store whose writer's thread has not been started.
struct Prepared {
    writer: Writer,
    commands: mpsc::Receiver<WriterCommand>,
    store: SqliteStore,
    /// `None` without a cluster.
    node: Option<NodeHandles>,
}

/// An open database of the latest schema version.
struct OpenDatabase {
    db: Connection,
    /// POSIX drops the locks of SQLite when any descriptor of the file is closed, so this one stays open longer.
    file: File,
    marker: RunMarker,
    /// The last applied entry of the journal; position 0 without a cluster.
    mark: JournalMark,
}

/// Opens the file, creates or migrates it if needed, and counts the start. `journal` is that of the node's cluster.
fn open_database(
    path: &Path,
    journal: Option<JournalIdentity>,
    may_leave_cluster: bool,
) -> Result<OpenDatabase, OpenError> {
    let file = open_private(path).map_err(|e| OpenError::unusable(path, e))?;
    let sql = |e: rusqlite::Error| OpenError::sql(path, &e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(sql)?;
    schema::tune_writer(&db).map_err(sql)?;
    let marker = RunMarker::new(path);
    marker.adopt_version_1(&db)?;
    migrate::create_or_migrate(&mut db, path, &MIGRATIONS)?;
    migrate::enable_returning_pages(&db);
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(sql)?;
    if mode != "wal" {
        let reason = "its file system has no shared memory, which the write-ahead log needs";
        return Err(OpenError::unusable(path, reason));
    }
    flush_wal(path).map_err(|e| OpenError::unusable(path, e))?;
    let mark = match journal {
        // The journal tells what the database lacks, also a restored one. The marker is for the time after the cluster.
        Some(journal) => {
            let mark = replication::mark_of(&db, path, journal)?;
            marker.write(&db);
            mark
        }
        None => {
            replication::leave(&db, path, may_leave_cluster)?;
            marker.start(&mut db)?;
            JournalMark::default()
        }
    };
    Ok(OpenDatabase { db, file, marker, mark })
}

fn load_registry(db: &Connection, path: &Path, seal: &dyn Seal) -> Result<Vec<ClientRow>, OpenError> {
    registry::load(db, seal).map_err(|e| match e {
        LoadError::Sql(error) => OpenError::sql(path, &error),
        LoadError::Sealed(reason) => OpenError::Sealed { path: path.to_owned(), reason },
    })
}

/// Everything but the start of the writer's thread.
fn prepare(
    lock: DatabaseLock,
    options: SqliteOptions,
    replication: Option<ReplicationOptions>,
) -> Result<Prepared, OpenError> {
    let SqliteOptions { path, retention, readers, seal, may_leave_cluster, on_commit, on_thread_end, on_given_up } =
        options;
    let threads = Threads { on_end: on_thread_end };
    let journal = replication.as_ref().map(ReplicationOptions::identity);
    let OpenDatabase { db, file, marker, mark } = open_database(&path, journal, may_leave_cluster)?;
    let sql = |e: rusqlite::Error| OpenError::sql(&path, &e);
    if replication.is_some() {
        schema::tune_node(&db).map_err(sql)?;
    }
    let (identity, counters) = identity::load(&db).map_err(sql)?;
    let clients = load_registry(&db, &path, &*seal)?;
    let leadership = if replication.is_some() { Leadership::Follower } else { Leadership::Alone };
    let jobs = Jobs::load(&db, &retention, on_given_up, leadership).map_err(sql)?;
    let capacity = if replication.is_some() { MAX_QUEUED_ENTRIES } else { MAX_QUEUED_COMMANDS };
    let (control, commands) = mpsc::channel(capacity);
    let shared = Arc::new(Shared {
        identity,
        head: AtomicU64::new(columns::unsigned(counters.head)),
        tails: Tails::default(),
        ready_queues: ReadyQueues::new(),
        receiver_changes: ReceiverChanges::default(),
        registry: RegistryCache::new(clients),
        wal_over_limit: AtomicBool::new(false),
    });
    let checkpointer = Checkpointer::start(&path, file, replication.is_some(), control.downgrade(), &threads)
        .map_err(|e| OpenError::unusable(&path, e))?;
    let digests = replication.is_some().then(|| DigestThread::start(&path, &threads)).transpose();
    let digests = digests.map_err(|e| OpenError::unusable(&path, e))?;
    let proposed_bounds = Reloadable::new(retention.clone());
    let replication = replication
        .zip(digests)
        .map(|(options, digests)| {
            let last = tables::journal::last_entry(&db, mark.position).map_err(sql)?;
            replication::start(options, control.clone(), last, proposed_bounds.clone(), digests)
                .map_err(|e| OpenError::unusable(&path, e))
        })
        .transpose()?;
    let (queue, replication, catch_up, node) = match replication {
        Some(parts) => (parts.queue, Some(parts.writer), Some(parts.catch_up), Some(parts.node)),
        None => (control.clone(), None, None, None),
    };
    let writer = Writer {
        db,
        shared: shared.clone(),
        identity,
        counters,
        retention,
        jobs,
        checkpointer,
        marker,
        seal: seal.clone(),
        on_commit,
        is_failing: false,
        last_command: Instant::now(),
        pause_until: Instant::now(),
        replication,
        entries: VecDeque::new(),
        panics: RepeatedPanics::default(),
        mark,
        lock: lock.file,
    };
    let readers = Readers::start(&path, readers, &threads).map_err(|e| OpenError::unusable(&path, e))?;
    let store = SqliteStore { shared, queue, control, catch_up, proposed_bounds, readers: Arc::new(readers), seal };
    Ok(Prepared { writer, commands, store, node })
}
