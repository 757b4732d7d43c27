//! Tests of the mechanism with made-up lists of migrations: order, one transaction per step, continuation, backup,
//! refusal.

use std::os::unix::fs::PermissionsExt;

use super::*;

const BASE: Migration = Migration { description: "tables", sql: schema::VERSION_1 };
const ADD: Migration =
    Migration { description: "a table", sql: "CREATE TABLE added (step INTEGER); INSERT INTO added VALUES (2);" };
/// Fails unless `ADD` came before.
const EXTEND: Migration =
    Migration { description: "a column", sql: "INSERT INTO added VALUES (3); ALTER TABLE added ADD COLUMN note TEXT;" };
/// Fails after its first statement.
const BROKEN: Migration =
    Migration { description: "fails", sql: "INSERT INTO added VALUES (9); INSERT INTO missing VALUES (1);" };

struct Database {
    directory: tempfile::TempDir,
}

impl Database {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("docrelay.db")
    }

    fn connect(&self) -> Connection {
        Connection::open(self.path()).expect("a connection")
    }

    /// Opens the file with these migrations, as a process would.
    fn open(&self, migrations: &[Migration]) -> Result<(), OpenError> {
        create_or_migrate(&mut self.connect(), &self.path(), migrations)
    }

    fn version(&self) -> i64 {
        self.connect().query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a number")
    }

    fn steps(&self) -> Vec<i64> {
        let db = self.connect();
        let mut statement = db.prepare("SELECT step FROM added ORDER BY rowid").expect("a table");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<Result<_, _>>().expect("numbers")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).expect("a directory");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    }
}

#[test]
fn new_database_runs_all_steps_without_backup() {
    let database = Database::new();
    database.open(&[BASE, ADD, EXTEND]).expect("a new database");
    assert_eq!((database.version(), database.steps()), (3, vec![2, 3]));
    assert_eq!(database.names(), ["docrelay.db"]);
    let (identity, _) = identity::load(&database.connect()).expect("the state");
    assert_ne!(identity.epoch.number(), 0);
}

#[test]
fn older_database_runs_missing_steps_in_order() {
    let database = Database::new();
    database.open(&[BASE]).expect("version 1");
    let (before, _) = identity::load(&database.connect()).expect("the state");
    database.open(&[BASE, ADD, EXTEND]).expect("version 3");
    assert_eq!((database.version(), database.steps()), (3, vec![2, 3]));
    let (after, _) = identity::load(&database.connect()).expect("the state");
    assert_eq!(after.epoch, before.epoch);
    database.open(&[BASE, ADD, EXTEND]).expect("nothing to do");
    assert_eq!(database.steps(), [2, 3]);
}

#[test]
fn failed_step_is_rolled_back_and_next_open_continues() {
    let database = Database::new();
    database.open(&[BASE]).expect("version 1");
    let refused = database.open(&[BASE, ADD, BROKEN, EXTEND]);
    assert!(matches!(&refused, Err(OpenError::Unusable { reason, .. }) if reason.contains("version 3")), "{refused:?}");
    assert_eq!((database.version(), database.steps()), (2, vec![2]), "the step before it is kept");
    database.open(&[BASE, ADD, EXTEND]).expect("version 3");
    assert_eq!((database.version(), database.steps()), (3, vec![2, 3]));
}

#[test]
fn older_database_is_backed_up_before_migration() {
    let database = Database::new();
    database.open(&[BASE]).expect("version 1");
    // Not checkpointed: the write-ahead log belongs to the backup, too.
    let writer = database.connect();
    writer.pragma_update(None, "journal_mode", "WAL").expect("a setting");
    writer.execute("UPDATE state SET head = 7", []).expect("a write");
    let partial = database.directory.path().join("docrelay.db.v1.backup.partial");
    fs::write(&partial, "left by a crash").expect("a file");
    database.open(&[BASE, ADD]).expect("version 2");
    let backup = database.directory.path().join("docrelay.db.v1.backup");
    assert_eq!(fs::metadata(&backup).expect("a backup").permissions().mode() & 0o777, 0o600);
    assert!(!partial.exists());
    let copy = Connection::open(&backup).expect("a database");
    let number = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    assert_eq!((number("SELECT head FROM state"), number("PRAGMA user_version")), (7, 1));
    assert_eq!(number("PRAGMA application_id"), schema::APPLICATION_ID);
    assert_eq!(number("SELECT count(*) FROM sqlite_schema WHERE name = 'added'"), 0);
}

#[test]
fn newer_database_is_refused_and_left_unchanged() {
    let database = Database::new();
    database.open(&[BASE, ADD]).expect("version 2");
    let before = fs::read(database.path()).expect("a file");
    let refused = database.open(&[BASE]).expect_err("a refusal");
    assert!(matches!(refused, OpenError::Newer { found: 2, known: 1, .. }), "{refused}");
    let message = refused.to_string();
    assert!(message.contains("use the docrelay version that wrote it"), "{message}");
    assert!(!message.contains("move"), "{message}");
    assert_eq!(fs::read(database.path()).expect("a file"), before);
    assert_eq!(database.names(), ["docrelay.db"]);
}
