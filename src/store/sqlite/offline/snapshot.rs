//! Snapshots of a node's database: a consistent copy that another node begins with, made without the writer. Also what
//! is known of a database that is not open.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};

use super::digest;
use crate::journal::{EntryRef, JournalIdentity};
use crate::store::sqlite::database_file::run_marker::RunMarker;
use crate::store::sqlite::migrate::MIGRATIONS;
use crate::store::sqlite::tables::journal::JournalMark;
use crate::store::sqlite::tables::{columns, identity, journal, schema};
use crate::store::sqlite::{DatabaseLock, OpenError};

/// The schema version of the databases of this program.
pub const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// What a copy contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseCopy {
    /// The position of the last applied entry of the journal.
    pub position: u64,
    /// The digest of the contents.
    pub digest: String,
}

/// The first schema version with a journal.
const FIRST_CLUSTER_VERSION: i64 = 4;

/// The journal of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedJournal {
    /// Distinguishes it from others of the same name.
    pub id: u64,
    /// The last applied entry.
    pub last: EntryRef,
}

/// What a database says about its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseState {
    /// The name of its log.
    pub epoch: u64,
    /// The journal that it belongs to; `None` if it belongs to none.
    pub journal: Option<AppliedJournal>,
    /// Whether it was about to found the cluster of this journal, which may not have been made.
    pub is_founding: bool,
}

/// Copies a database, also one that is in use, into a new file. Blocks for as long as it takes to read the database
/// twice.
///
/// # Errors
/// `Unusable`: also when the new file exists.
pub fn copy(path: &Path, into: &Path) -> Result<DatabaseCopy, OpenError> {
    let sql = |error: rusqlite::Error| OpenError::sql(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(path, flags).map_err(sql)?;
    source.busy_timeout(schema::LOCK_TIMEOUT).map_err(sql)?;
    let name = into.to_str().ok_or_else(|| OpenError::unusable(into, "its name is not UTF-8"))?;
    source.execute("VACUUM INTO ?1", params![name]).map_err(sql)?;
    drop(source);
    let mut db = Connection::open_with_flags(into, flags).map_err(sql)?;
    let tx = db.transaction().map_err(sql)?;
    let mark = journal::load(&tx).map_err(sql)?;
    let digest = digest::of_contents(&tx).map_err(sql)?;
    Ok(DatabaseCopy { position: mark.map_or(0, |mark| mark.position), digest })
}

/// What the database says; `None` if there is no such file. The caller holds the lock, or the file is a copy.
///
/// # Errors
/// `Foreign`, `Newer`, `Unusable`.
pub fn describe(path: &Path) -> Result<Option<DatabaseState>, OpenError> {
    if !path.exists() {
        return Ok(None);
    }
    let sql = |error: rusqlite::Error| OpenError::sql(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(sql)?;
    let number = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(sql);
    let (application, found) = (number("application_id")?, number("user_version")?);
    let known = columns::size(MIGRATIONS.len());
    if found == 0 && application == 0 {
        // A start that was interrupted before the tables were made.
        return Ok(None);
    }
    if application != schema::APPLICATION_ID {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    let (identity, _) = identity::load(&db).map_err(sql)?;
    // A version before that of clusters has no such table.
    let mark = if found < FIRST_CLUSTER_VERSION { None } else { journal::load(&db).map_err(sql)? };
    let applied = |mark: JournalMark| {
        Ok(AppliedJournal { id: mark.journal, last: journal::last_entry(&db, mark.position).map_err(sql)? })
    };
    let journal = mark.filter(|mark| !mark.has_left()).map(applied).transpose()?;
    let is_founding = journal.is_some() && journal::is_founding(&db).map_err(sql)?;
    Ok(Some(DatabaseState { epoch: identity.epoch.number(), journal, is_founding }))
}

/// Prepares a database to found a cluster; returns the identity of the journal that is to be made. The database has its
/// id before the broker does: a copy that was made earlier does not. One that has left a cluster gets a new epoch:
/// events of that cluster that it had not applied are gone, and their ids will be those of other events.
///
/// # Errors
/// `Unusable`.
pub fn begin_founding(lock: &DatabaseLock) -> Result<JournalIdentity, OpenError> {
    let sql = |error: rusqlite::Error| OpenError::sql(&lock.path, &error);
    let mut db = founding_connection(lock)?;
    let mark = journal::load(&db).map_err(sql)?;
    if mark.is_some_and(|mark| mark.has_left()) {
        let epoch = RunMarker::new(&lock.path).renew_epoch(&mut db)?;
        tracing::warn!(new_epoch = %epoch, "database has left a cluster and may lack its last events: new epoch, followers get a reset");
    }
    let epoch = identity::load(&db).map_err(sql)?.0.epoch.number();
    // An earlier attempt may have made it.
    if let Some(mark) = mark
        && journal::is_founding(&db).map_err(sql)?
    {
        return Ok(JournalIdentity { epoch, id: mark.journal });
    }
    let identity = JournalIdentity::draw(epoch).map_err(|error| OpenError::unusable(&lock.path, error))?;
    journal::begin_founding(&db, identity.id).map_err(sql)?;
    Ok(identity)
}

/// The journal has been made, and belongs to the database.
///
/// # Errors
/// `Unusable`.
pub fn complete_founding(lock: &DatabaseLock, identity: JournalIdentity) -> Result<(), OpenError> {
    let mark = JournalMark { journal: identity.id, position: 0, fence: 0 };
    journal::attach(&founding_connection(lock)?, mark).map_err(|error| OpenError::sql(&lock.path, &error))
}

/// The journal has not been made: the database is again one that never was in a cluster.
///
/// # Errors
/// `Unusable`.
pub fn cancel_founding(lock: &DatabaseLock) -> Result<(), OpenError> {
    journal::detach(&founding_connection(lock)?).map_err(|error| OpenError::sql(&lock.path, &error))
}

/// Flushes each commit.
fn founding_connection(lock: &DatabaseLock) -> Result<Connection, OpenError> {
    let sql = |error: rusqlite::Error| OpenError::sql(&lock.path, &error);
    let db = Connection::open(&lock.path).map_err(sql)?;
    schema::tune_writer(&db).map_err(sql)?;
    Ok(db)
}

/// Removes a database with the files beside it, so that a snapshot can replace it. The caller holds the lock.
///
/// # Errors
/// `Unusable`.
pub fn remove(lock: &DatabaseLock) -> Result<(), OpenError> {
    for suffix in ["", "-wal", "-shm", ".run"] {
        let mut name = lock.path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(PathBuf::from(&name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(OpenError::unusable(Path::new(&name), error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::migrate::create_or_migrate;

    #[test]
    fn snapshot_of_later_schema_is_refused_before_it_replaces_a_database() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("restored.db");
        let mut db = Connection::open(&path).expect("a connection");
        create_or_migrate(&mut db, &path, &MIGRATIONS).expect("a database");
        assert!(describe(&path).expect("readable").is_some());
        let later = SCHEMA_VERSION + 1;
        db.pragma_update(None, "user_version", later).expect("a setting");
        let refused = describe(&path).expect_err("refused");
        assert!(matches!(refused, OpenError::Newer { found, .. } if found == i64::from(later)), "{refused}");
    }

    #[test]
    fn repeated_founding_keeps_the_journal_id_until_it_is_cancelled() {
        let directory = tempfile::tempdir().expect("a directory");
        let lock = DatabaseLock::acquire(&directory.path().join("docrelay.db")).expect("an unused database");
        let mut db = Connection::open(&lock.path).expect("a connection");
        create_or_migrate(&mut db, &lock.path, &MIGRATIONS).expect("a database");
        let state = || describe(&lock.path).expect("readable").expect("a database");
        let identity = begin_founding(&lock).expect("begun");
        let journal = |id| Some(AppliedJournal { id, last: EntryRef::at(0) });
        assert_eq!((state().journal, state().is_founding), (journal(identity.id), true));
        assert_eq!(begin_founding(&lock).expect("repeated"), identity);
        cancel_founding(&lock).expect("cancelled");
        assert_eq!((state().journal, state().is_founding), (None, false));
        let second = begin_founding(&lock).expect("begun");
        assert_eq!(second.epoch, identity.epoch);
        assert_ne!(second.id, identity.id);
        complete_founding(&lock, second).expect("completed");
        assert_eq!((state().journal, state().is_founding), (journal(second.id), false));
    }
}
