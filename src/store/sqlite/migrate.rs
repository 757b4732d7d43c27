//! The schema versions: creates a new database, migrates an older one step by step, refuses a newer one. The version is
//! SQLite's `user_version`.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;
use super::tables::identity::{self, DocumentIds, LogIdentity};
use super::tables::{columns, schema};

/// One step: the statements that lead from the version before to this one. They run in one transaction.
pub(super) struct Migration {
    /// What changes, for the log.
    pub(super) description: &'static str,
    pub(super) sql: &'static str,
}

/// All steps in order; the first one creates the tables of version 1. A released step is never changed.
pub(super) const MIGRATIONS: [Migration; 7] = [
    Migration { description: "tables of docrelay 0.1", sql: schema::VERSION_1 },
    Migration { description: "bounds of pending deliveries, queues per origin", sql: schema::DELIVERY_BOUNDS },
    Migration { description: "the bytes of documents count in the history", sql: schema::DOCUMENT_BYTES },
    Migration { description: "the position in a cluster's journal", sql: schema::JOURNAL },
    Migration { description: "limits of single clients", sql: schema::CLIENT_LIMITS },
    Migration { description: "attempts of pending deliveries count and are bounded", sql: schema::ATTEMPT_BOUNDS },
    Migration { description: "rows of documents, callbacks and deduplication keys count", sql: schema::DOCUMENT_ROWS },
];

/// A database up to this size is copied before it is migrated: a copy takes seconds. For a larger one the operator's
/// own backup must do; each step is atomic in any case.
const MAX_BACKUP_BYTES: u64 = 1 << 30;

/// A database up to this size is rewritten to return free pages: it takes about a second, and as much memory.
const MAX_REWRITE_BYTES: i64 = 128 << 20;

/// Leads the database to the version of the last migration. After a crash the next call continues with the step that
/// was interrupted.
///
/// # Errors
/// `Foreign` for a file that is not docrelay's, `Newer` for a version after the last migration, `Unusable` when a step
/// or the backup fails.
pub(super) fn create_or_migrate(db: &mut Connection, path: &Path, migrations: &[Migration]) -> Result<(), OpenError> {
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|e| OpenError::sql(path, &e));
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let (application, found) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    let known = columns::size(migrations.len());
    match (tables, application) {
        (0, 0) => create(db, path, migrations),
        (_, schema::APPLICATION_ID) if found > known => Err(OpenError::Newer { path: path.to_owned(), found, known }),
        (_, schema::APPLICATION_ID) if found == known => Ok(()),
        (_, schema::APPLICATION_ID) if found > 0 => migrate(db, path, found, migrations),
        _ => Err(OpenError::Foreign(path.to_owned())),
    }
}

/// Creates the tables and the identity of a new log, all or nothing.
fn create(db: &mut Connection, path: &Path, migrations: &[Migration]) -> Result<(), OpenError> {
    let epoch = identity::random_epoch().map_err(|e| OpenError::unusable(path, e))?;
    let mut node = [0; 6];
    getrandom::fill(&mut node).map_err(|e| OpenError::unusable(path, e))?;
    // The multicast bit of RFC 9562.
    node[0] |= 1;
    let identity = LogIdentity { epoch, document_ids: DocumentIds { node } };
    let mut create = || -> rusqlite::Result<()> {
        // Before the first table, and outside of a transaction.
        db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (index, migration) in migrations.iter().enumerate() {
            transaction.execute_batch(migration.sql)?;
            if index == 0 {
                // Later steps find the row that a database of version 1 has.
                identity::create(&transaction, &identity)?;
            }
        }
        transaction.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", columns::size(migrations.len()))?;
        transaction.commit()
    };
    create().map_err(|e| OpenError::sql(path, &e))
}

/// Runs the steps after version `found`, each in a transaction of its own.
fn migrate(db: &mut Connection, path: &Path, found: i64, migrations: &[Migration]) -> Result<(), OpenError> {
    back_up(db, path, found)?;
    for (version, migration) in (1..).zip(migrations).filter(|(version, _)| *version > found) {
        let mut step = || -> rusqlite::Result<()> {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(migration.sql)?;
            transaction.pragma_update(None, "user_version", version)?;
            transaction.commit()
        };
        step().map_err(|e| OpenError::unusable(path, format!("migration to schema version {version} failed: {e}")))?;
        tracing::info!(version, change = migration.description, "database migrated");
    }
    Ok(())
}

/// Rewrites a database of docrelay 0.1, so that it can return free pages to the file system. New databases can. A large
/// one is left as it is, because rewriting it would take long and as much memory: its free pages are used for later
/// rows only.
pub(super) fn enable_returning_pages(db: &Connection) {
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0));
    let rewrite = || -> rusqlite::Result<()> {
        if number("PRAGMA auto_vacuum")? != 0 {
            return Ok(());
        }
        let bytes = number("PRAGMA page_count")?.saturating_mul(number("PRAGMA page_size")?);
        if bytes > MAX_REWRITE_BYTES {
            tracing::warn!(
                bytes,
                limit_bytes = MAX_REWRITE_BYTES,
                "database too large to rewrite: it never becomes smaller"
            );
            return Ok(());
        }
        db.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")?;
        tracing::info!(bytes, "database rewritten: it returns disk space after large removals");
        Ok(())
    };
    if let Err(error) = rewrite() {
        tracing::warn!(%error, "cannot rewrite the database: it does not become smaller; retrying with the next start");
    }
}

/// Copies the database to `<name>.v<version>.backup`, unless it is too large. The copy is complete if it has that name.
fn back_up(db: &Connection, path: &Path, version: i64) -> Result<(), OpenError> {
    let backup = backup_path(path, version);
    let bytes = fs::metadata(path).map_err(|e| OpenError::unusable(path, e))?.len();
    if bytes > MAX_BACKUP_BYTES {
        tracing::warn!(bytes, limit_bytes = MAX_BACKUP_BYTES, "database too large to back up before its migration");
        return Ok(());
    }
    let mut partial = backup.clone().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let copy = || -> Result<(), Box<dyn std::error::Error>> {
        // Left by a crash. SQLite writes into an empty file only, and takes its permissions.
        if partial.exists() {
            fs::remove_file(&partial)?;
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        let name = partial.to_str().ok_or("the path is not UTF-8")?;
        // A consistent copy, including the write-ahead log. A copy of the file would drop SQLite's locks when closed.
        db.execute("VACUUM INTO ?1", [name])?;
        file.sync_all()?;
        fs::rename(&partial, &backup)?;
        Ok(())
    };
    copy().map_err(|e| OpenError::unusable(path, format!("no backup before its migration: {e}")))?;
    tracing::info!(backup = %backup.display(), bytes, "database backed up before its migration");
    Ok(())
}

fn backup_path(path: &Path, version: i64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".v{version}.backup"));
    name.into()
}

#[cfg(test)]
mod tests;
