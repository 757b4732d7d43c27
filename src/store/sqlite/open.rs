//! From a path to a running store: the lock, the file, the tables, the registry, the threads.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};
use tokio::sync::mpsc;

use super::append::{Naming, Position};
use super::checkpoint::Checkpointer;
use super::identity::Mint;
use super::jobs::Jobs;
use super::outbox::{Stirs, backlog};
use super::readers::Readers;
use super::registry::{self, LoadError};
use super::tails::Tails;
use super::writer::{Command, QUEUE, Writer};
use super::{OpenError, Options, Shared, SqliteStore, columns, schema};
use crate::domain::Epoch;

/// Opens or makes the database and starts its threads.
pub(super) fn open(options: Options) -> Result<SqliteStore, OpenError> {
    let path = options.path.clone();
    let (writer, commands, store) = prepare(options)?;
    std::thread::Builder::new()
        .name("store-writer".into())
        .spawn(move || writer.run(commands))
        .map_err(|e| unusable(&path, e))?;
    Ok(store)
}

/// All but the writer's thread.
pub(super) fn prepare(options: Options) -> Result<(Writer, mpsc::Receiver<Command>, SqliteStore), OpenError> {
    let Options { path, retention, readers, seal, on_commit } = options;
    let lock = lock(&path)?;
    let file = private(&path).map_err(|e| unusable(&path, e))?;
    let sql = |e: rusqlite::Error| refused(&path, &e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(&path, flags).map_err(sql)?;
    schema::tune_writer(&db).map_err(sql)?;
    if is_new(&db, &path)? {
        create(&mut db, &path)?;
    }
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(sql)?;
    if mode != "wal" {
        return Err(unusable(&path, "its file system has no shared memory, which the write-ahead log needs"));
    }
    let (naming, at) = state(&db).map_err(sql)?;
    let cache = registry::load(&db, &*seal).map_err(|e| match e {
        LoadError::Sql(error) => refused(&path, &error),
        LoadError::Sealed(reason) => OpenError::Sealed { path: path.clone(), reason },
    })?;
    let jobs = Jobs::new(&db).map_err(sql)?;
    let stirs = Stirs::new(backlog::lanes(&db).map_err(sql)?.into_iter().map(|waiting| waiting.lane));
    let (queue, commands) = mpsc::channel(QUEUE);
    let shared = Arc::new(Shared {
        epoch: naming.epoch,
        mint: naming.mint,
        head: AtomicU64::new(columns::unsigned(at.head)),
        tails: Tails::default(),
        stirs,
        cache,
    });
    let checkpointer = Checkpointer::start(&path, file, queue.downgrade()).map_err(|e| unusable(&path, e))?;
    let writer = Writer {
        db,
        shared: shared.clone(),
        naming,
        at,
        retention,
        jobs,
        checkpointer,
        seal: seal.clone(),
        on_commit,
        failing: false,
        lock,
    };
    Ok((writer, commands, SqliteStore { shared, queue, readers: Arc::new(Readers::new(path, readers)), seal }))
}

/// Takes the file beside the database: SQLite's own locks come and go with each transaction.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = private(&PathBuf::from(name)).map_err(|e| unusable(path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(unusable(path, error)),
    }
}

/// A file that only its owner can read, made or made so. SQLite gives the files beside it the same rights.
fn private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Whether the tables are still to be made; an error when the file is not ours.
fn is_new(db: &Connection, path: &Path) -> Result<bool, OpenError> {
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|e| refused(path, &e));
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let (application, found) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    match (tables, application) {
        (0, 0) => Ok(true),
        (_, schema::APPLICATION) if found > schema::SCHEMA => {
            Err(OpenError::Newer { path: path.to_owned(), found, known: schema::SCHEMA })
        }
        (_, schema::APPLICATION) if found == schema::SCHEMA => Ok(false),
        _ => Err(OpenError::Foreign(path.to_owned())),
    }
}

/// Makes the tables and names the log, all or nothing.
fn create(db: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let mut random = [0; 14];
    getrandom::fill(&mut random).map_err(|e| unusable(path, e))?;
    let (epoch, node) = random.split_at(8);
    // 52 bits: the epoch stays exact where numbers are floating.
    let epoch = epoch.iter().fold(0, |number: i64, byte| (number << 8 | i64::from(*byte)) & 0xf_ffff_ffff_ffff);
    let mut node = node.to_vec();
    node[0] |= 1;
    let make = |db: &mut Connection| -> rusqlite::Result<()> {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(schema::TABLES)?;
        transaction.execute(
            "INSERT INTO state (id, epoch, node, head, document, time, delivery, commits) VALUES (1, ?1, ?2, 0, 0, 0, 0, 0)",
            params![epoch.max(1), node],
        )?;
        transaction.pragma_update(None, "application_id", schema::APPLICATION)?;
        transaction.pragma_update(None, "user_version", schema::SCHEMA)?;
        transaction.commit()
    };
    make(db).map_err(|e| refused(path, &e))
}

fn state(db: &Connection) -> rusqlite::Result<(Naming, Position)> {
    db.query_row("SELECT epoch, node, head, document, time, delivery FROM state", [], |row| {
        let epoch = Epoch::new(columns::unsigned(row.get(0)?));
        let naming = Naming { epoch, mint: Mint { node: row.get(1)? } };
        let (time, delivery) = (columns::time(row, 4)?, row.get(5)?);
        Ok((naming, Position { head: row.get(2)?, document: row.get(3)?, time, delivery }))
    })
}

fn refused(path: &Path, error: &rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign(path.to_owned()),
        _ => unusable(path, error),
    }
}

fn unusable(path: &Path, reason: impl ToString) -> OpenError {
    OpenError::Unusable { path: path.to_owned(), reason: reason.to_string() }
}
