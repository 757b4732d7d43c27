//! Detects a start on a copy: a restored backup, a copied directory, or a file that was copied over the database. Such
//! a database assigns ids again that another one has assigned, so its log gets a new epoch. A small file beside the
//! database, the marker, says which database ran last. Which copies are not detected is in the reference.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rusqlite::{Connection, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use crate::domain::Epoch;
use crate::store::sqlite::OpenError;
use crate::store::sqlite::tables::{columns, identity, schema};

/// The marker of one database.
pub(in crate::store::sqlite) struct RunMarker {
    database: PathBuf,
}

/// The content of the marker. All fields are compared with those of the database at its start.
#[derive(Debug, Serialize, Deserialize)]
struct RunRecord {
    epoch: u64,
    /// The database's count of transactions when the marker was written. It only grows: an older copy has a smaller
    /// one.
    commits: i64,
    /// Inode and time of creation of the database file: a copy has others, unless it was written into the same file.
    inode: u64,
    /// `None` if the file system has no such time.
    created_ns: Option<u64>,
}

impl RunMarker {
    pub(in crate::store::sqlite) fn new(database: &Path) -> Self {
        Self { database: database.to_owned() }
    }

    /// Writes the marker of a database of docrelay 0.1, which had none: its upgrade is no copy. To be called before the
    /// migration, so that an interrupted one finds the marker at the next start.
    ///
    /// # Errors
    /// `Unusable` when the database cannot be read.
    pub(in crate::store::sqlite) fn adopt_version_1(&self, db: &Connection) -> Result<(), OpenError> {
        let number = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let is_version_1 = number("application_id").and_then(|id| Ok((id, number("user_version")?)));
        let is_version_1 = is_version_1.map_err(|e| OpenError::sql(&self.database, &e))? == (schema::APPLICATION_ID, 1);
        if is_version_1 && !self.path("run").exists() {
            // The marker must not count commits that a power cut can take back.
            super::flush_wal(&self.database).map_err(|e| OpenError::unusable(&self.database, e))?;
            self.write(db);
        }
        Ok(())
    }

    /// Compares the database with the marker, gives the log a new epoch if the database is a copy, and writes the
    /// marker.
    ///
    /// # Errors
    /// `Unusable` when the database cannot be read, or is a copy and the new epoch cannot be stored.
    pub(in crate::store::sqlite) fn start(&self, db: &mut Connection) -> Result<(), OpenError> {
        let present = self.record(db).map_err(|e| OpenError::unusable(&self.database, e))?;
        let difference = match (self.read(), present.commits) {
            // A database that was just created has no marker.
            (None, 0) => None,
            (None, _) => Some("there is no marker of the last run"),
            (Some(last), _) => last.difference(&present),
        };
        if let Some(reason) = difference {
            let epoch = self.renew_epoch(db)?;
            tracing::warn!(
                reason,
                old_epoch = %Epoch::new(present.epoch),
                new_epoch = %epoch,
                "database is a copy, not the one that last ran here: new epoch, followers get a reset"
            );
            return Ok(());
        }
        if let Err(error) = count_start(db) {
            // A full disk: reads are served, and the writer says when it accepts again.
            tracing::warn!(%error, "cannot count this start: a copy of the database may not be detected later");
        }
        self.write(db);
        Ok(())
    }

    /// Gives the log a new epoch, and writes the marker.
    ///
    /// # Errors
    /// `Unusable` when the new epoch cannot be stored.
    pub(in crate::store::sqlite) fn renew_epoch(&self, db: &mut Connection) -> Result<Epoch, OpenError> {
        let epoch = change_epoch(db).map_err(|e| OpenError::unusable(&self.database, e))?;
        self.write(db);
        Ok(epoch)
    }

    /// Writes the marker at the end of a run. After a crash, that of the start is in place.
    pub(in crate::store::sqlite) fn write(&self, db: &Connection) {
        let written = self.record(db).map_err(io::Error::other).and_then(|record| self.replace(&record));
        if let Err(error) = written {
            tracing::warn!(%error, "cannot write the marker of the database: the next start may change the epoch");
        }
    }

    fn record(&self, db: &Connection) -> Result<RunRecord, Box<dyn std::error::Error + Send + Sync>> {
        let (epoch, commits): (i64, i64) =
            db.query_row("SELECT epoch, commits FROM state", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let file = fs::metadata(&self.database)?;
        let created = file.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(RunRecord {
            epoch: columns::unsigned(epoch),
            commits,
            inode: file.ino(),
            created_ns: created.and_then(|time| u64::try_from(time.as_nanos()).ok()),
        })
    }

    /// `None` if the marker does not exist or cannot be read, as after a crash of the file system.
    fn read(&self) -> Option<RunRecord> {
        serde_json::from_slice(&fs::read(self.path("run")).ok()?).ok()
    }

    /// Replaces the file atomically and flushes it.
    fn replace(&self, record: &RunRecord) -> io::Result<()> {
        let (path, draft) = (self.path("run"), self.path("run.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()
    }

    fn path(&self, extension: &str) -> PathBuf {
        let mut name = self.database.as_os_str().to_owned();
        name.push(".");
        name.push(extension);
        name.into()
    }
}

impl RunRecord {
    /// Why the database is not the one of this record; `None` if it is.
    fn difference(&self, present: &Self) -> Option<&'static str> {
        if self.epoch != present.epoch {
            Some("its epoch differs from that of the last run")
        } else if present.commits < self.commits {
            Some("it is older than at the last run")
        } else if (self.inode, self.created_ns) != (present.inode, present.created_ns) {
            Some("its file is another one than at the last run")
        } else {
            None
        }
    }
}

/// Makes a copy taken before this start older than the database.
fn count_start(db: &Connection) -> rusqlite::Result<()> {
    db.execute("UPDATE state SET commits = commits + 1", [])?;
    Ok(())
}

fn change_epoch(db: &mut Connection) -> Result<Epoch, Box<dyn std::error::Error>> {
    let epoch = identity::random_epoch()?;
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute("UPDATE state SET epoch = ?1", params![columns::signed(epoch.number())])?;
    count_start(&transaction)?;
    transaction.commit()?;
    Ok(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::migrate::{MIGRATIONS, create_or_migrate};

    fn epoch(db: &Connection) -> i64 {
        db.query_row("SELECT epoch FROM state", [], |row| row.get(0)).expect("a row")
    }

    #[test]
    fn only_version_1_without_marker_keeps_its_epoch() {
        for version in 1..=MIGRATIONS.len() {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("docrelay.db");
            let mut db = Connection::open(&path).expect("a connection");
            create_or_migrate(&mut db, &path, &MIGRATIONS[..version]).expect("a database");
            count_start(&db).expect("a run without marker");
            let before = epoch(&db);
            let marker = RunMarker::new(&path);
            marker.adopt_version_1(&db).expect("read");
            create_or_migrate(&mut db, &path, &MIGRATIONS).expect("migrated");
            marker.start(&mut db).expect("started");
            assert_eq!(epoch(&db) == before, version == 1, "version {version}");
            let after = epoch(&db);
            marker.start(&mut db).expect("started");
            assert_eq!(epoch(&db), after, "version {version}");
        }
    }
}
