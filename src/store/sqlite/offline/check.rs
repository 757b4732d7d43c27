//! Checks the database of a stopped relay: its pages, its sealed values, and the digest of its contents. Changes
//! nothing.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::digest;
use crate::domain::Epoch;
use crate::store::Seal;
use crate::store::sqlite::migrate::MIGRATIONS;
use crate::store::sqlite::tables::registry::LoadError;
use crate::store::sqlite::tables::{columns, destinations, identity, journal, registry, schema};
use crate::store::sqlite::{DatabaseLock, OpenError};

/// Problems that are reported, at most.
const MAX_PROBLEMS: usize = 3;

/// What a database without faults contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// The name of its log.
    pub epoch: Epoch,
    /// The position of the last applied entry of the cluster's journal; without a cluster the last sequence of the log.
    pub position: u64,
    /// SHA-256 over its contents, as hexadecimal digits; equal on all nodes of a cluster at the same position.
    pub digest: String,
}

/// Checks the database with this path and returns what it contains. Blocks for as long as it takes to read the database
/// several times.
///
/// # Errors
/// `Locked` while a relay uses it, `Damaged` if SQLite finds faults, `Sealed` if a value cannot be opened; and the
/// other errors of opening a database.
pub fn check(path: &Path, seal: &dyn Seal) -> Result<CheckReport, OpenError> {
    let _lock = DatabaseLock::acquire(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sql = |error: rusqlite::Error| failed(path, &error);
    let mut db = Connection::open_with_flags(path, flags).map_err(sql)?;
    // Leaves the write-ahead log as it is.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(sql)?;
    schema::tune_reader(&db).map_err(sql)?;
    check_schema(&db, path)?;
    let tx = db.transaction_with_behavior(TransactionBehavior::Deferred).map_err(sql)?;
    let problems = problems(&tx).map_err(sql)?;
    if !problems.is_empty() {
        return Err(OpenError::Damaged { path: path.to_owned(), reason: problems.join("; ") });
    }
    check_sealed(&tx, seal, path)?;
    let (identity, counters) = identity::load(&tx).map_err(sql)?;
    let mark = journal::load(&tx).map_err(sql)?;
    let position = mark.map_or(columns::unsigned(counters.head), |mark| mark.position);
    Ok(CheckReport { epoch: identity.epoch, position, digest: digest::of_contents(&tx).map_err(sql)? })
}

/// An error of SQLite: a damaged file, or any other.
fn failed(path: &Path, error: &rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            OpenError::Damaged { path: path.to_owned(), reason: error.to_string() }
        }
        _ => OpenError::unusable(path, error),
    }
}

/// Refuses the file of another program or of another version.
fn check_schema(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(|e| failed(path, &e));
    let (application, found) = (number("application_id")?, number("user_version")?);
    let known = columns::size(MIGRATIONS.len());
    match found {
        _ if application != schema::APPLICATION_ID => Err(OpenError::Foreign(path.to_owned())),
        _ if found > known => Err(OpenError::Newer { path: path.to_owned(), found, known }),
        _ if found < known => Err(OpenError::unusable(
            path,
            format!("it has schema version {found}; docrelay serve migrates it to version {known}"),
        )),
        _ => Ok(()),
    }
}

/// What SQLite finds wrong with pages, rows and indexes.
fn problems(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = db.prepare(&format!("PRAGMA integrity_check({MAX_PROBLEMS})"))?;
    let mut lines: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    lines.retain(|line| line != "ok");
    // A report of several lines becomes one sentence.
    Ok(lines.iter().map(|line| line.replace('\n', ", ")).collect())
}

/// Opens the secrets of clients, hooks, notifications and callbacks.
fn check_sealed(db: &Connection, seal: &dyn Seal, path: &Path) -> Result<(), OpenError> {
    let sealed = |reason| OpenError::Sealed { path: path.to_owned(), reason };
    let clients = registry::load(db, seal).map_err(|error| match error {
        LoadError::Sql(error) => failed(path, &error),
        LoadError::Sealed(reason) => sealed(reason),
    })?;
    for row in clients {
        let fault = destinations::fault(db, seal, row.number, &row.client).map_err(|error| failed(path, &error))?;
        if let Some(reason) = fault {
            return Err(sealed(reason));
        }
    }
    Ok(())
}
