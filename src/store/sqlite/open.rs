//! Opening: the lock, the file, its schema, the registry, the threads.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::mpsc;

use super::migrate::{self, MIGRATIONS};
use super::readers::Readers;
use super::ready_queues::ReadyQueues;
use super::registry_cache::RegistryCache;
use super::tables::registry::LoadError;
use super::tables::{columns, due_deliveries, registry, schema, state};
use super::tails::Tails;
use super::writer::checkpoint::Checkpointer;
use super::writer::command::WriterCommand;
use super::writer::jobs::Jobs;
use super::writer::{MAX_QUEUED_COMMANDS, Writer};
use super::{OpenError, Options, Shared, SqliteStore};

/// Opens the database and starts its threads.
pub(super) fn open(options: Options) -> Result<SqliteStore, OpenError> {
    let path = options.path.clone();
    let (writer, commands, store) = prepare(options)?;
    std::thread::Builder::new()
        .name("store-writer".into())
        .spawn(move || writer.run(commands))
        .map_err(|e| migrate::unusable(&path, e))?;
    Ok(store)
}

/// Everything but the start of the writer's thread.
pub(super) fn prepare(options: Options) -> Result<(Writer, mpsc::Receiver<WriterCommand>, SqliteStore), OpenError> {
    let Options { path, retention, readers, seal, on_commit } = options;
    let lock = lock(&path)?;
    let file = open_private(&path).map_err(|e| migrate::unusable(&path, e))?;
    let sql = |e: rusqlite::Error| migrate::sql_error(&path, &e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(&path, flags).map_err(sql)?;
    schema::tune_writer(&db).map_err(sql)?;
    migrate::create_or_migrate(&mut db, &path, &MIGRATIONS)?;
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(sql)?;
    if mode != "wal" {
        let reason = "its file system has no shared memory, which the write-ahead log needs";
        return Err(migrate::unusable(&path, reason));
    }
    flush_log(&path).map_err(|e| migrate::unusable(&path, e))?;
    let (identity, counters) = state::load(&db).map_err(sql)?;
    let clients = registry::load(&db, &*seal).map_err(|e| match e {
        LoadError::Sql(error) => migrate::sql_error(&path, &error),
        LoadError::Sealed(reason) => OpenError::Sealed { path: path.clone(), reason },
    })?;
    let jobs = Jobs::load(&db).map_err(sql)?;
    let pending = due_deliveries::pending_queues(&db).map_err(sql)?;
    let (queue, commands) = mpsc::channel(MAX_QUEUED_COMMANDS);
    let shared = Arc::new(Shared {
        identity,
        head: AtomicU64::new(columns::unsigned(counters.head)),
        tails: Tails::default(),
        ready_queues: ReadyQueues::new(pending.into_iter().map(|queue| queue.key)),
        registry: RegistryCache::new(clients),
    });
    let checkpointer = Checkpointer::start(&path, file, queue.downgrade()).map_err(|e| migrate::unusable(&path, e))?;
    let writer = Writer {
        db,
        shared: shared.clone(),
        identity,
        counters,
        retention,
        jobs,
        checkpointer,
        seal: seal.clone(),
        on_commit,
        is_failing: false,
        lock,
    };
    Ok((writer, commands, SqliteStore { shared, queue, readers: Arc::new(Readers::new(path, readers)), seal }))
}

/// Locks a file beside the database: SQLite holds its own locks only during transactions.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = open_private(&PathBuf::from(name)).map_err(|e| migrate::unusable(path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(migrate::unusable(path, error)),
    }
}

/// Flushes the write-ahead log. A process that was killed between a commit and its flush leaves a commit that SQLite recovers,
/// although only the cache of the kernel holds it. Its events are streamed and their duplicates acknowledged, without a commit
/// that would flush them.
fn flush_log(path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    // SQLite holds no lock on this file, so it may be closed.
    match File::open(name) {
        Ok(log) => log.sync_all()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    File::open(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
}

/// Opens or creates a file that only its owner can read. SQLite gives the files beside it the same permissions.
fn open_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}
