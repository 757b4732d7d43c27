//! Nodes under test: databases with the same beginning, opened over a journal, with their tasks running.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use super::memory_journal::{JOURNAL_ID, MemoryJournal};
use crate::journal::JournalError;
use crate::store::sqlite::comparison::ComparisonHandle;
use crate::store::sqlite::offline::digest;
use crate::store::sqlite::replication::ReplicationOptions;
use crate::store::sqlite::replication::{ApplyProgress, LATEST_ENTRY_FORMAT, LeadershipHandle, ReplicatedStore};
use crate::store::sqlite::tables::journal::{self, JournalMark};
use crate::store::sqlite::writer::command::entry_format::{ENTRY_FORMATS, EntryFormat};
use crate::store::sqlite::{DatabaseLock, SqliteOptions, SqliteStore};
use crate::store::{Retention, Seal, Store};

/// A cipher without secrecy, whose nonces are random as those of the real one: sealing twice gives different bytes.
pub(super) struct OpenSeal;

impl Seal for OpenSeal {
    fn seal(&self, text: &[u8], context: &[u8]) -> Vec<u8> {
        let mut nonce = [0; 12];
        getrandom::fill(&mut nonce).expect("random bytes");
        self.seal_with_nonce(text, context, nonce)
    }

    fn seal_with_nonce(&self, text: &[u8], _: &[u8], nonce: [u8; 12]) -> Vec<u8> {
        [&nonce, text].concat()
    }

    fn open(&self, sealed: &[u8], _: &[u8]) -> Result<Vec<u8>, String> {
        sealed.get(12..).map(<[u8]>::to_vec).ok_or_else(|| "too short".to_owned())
    }
}

/// Bounds that random commands reach.
pub(super) fn small_bounds() -> Retention {
    Retention {
        max_event_age: Duration::from_secs(20 * 24 * 3600),
        max_events: 25,
        max_event_bytes: 60_000,
        max_total_bytes: 90_000,
        max_duplicate_keys: 9,
        max_reject_age: Duration::from_secs(10 * 24 * 3600),
        max_rejects: 10,
        max_reject_bytes: 20_000,
        max_pending_age: Duration::from_secs(4 * 24 * 3600),
        max_pending: 12,
        max_pending_bytes: 30_000,
        max_delivery_age: Duration::from_secs(7 * 24 * 3600),
        max_deliveries: 15,
        max_attempt_bytes: 10_000,
    }
}

pub(super) fn options(directory: &Path, retention: Retention) -> SqliteOptions {
    SqliteOptions {
        path: directory.join("docrelay.db"),
        retention,
        readers: 1,
        seal: Arc::new(OpenSeal),
        may_leave_cluster: false,
        on_commit: None,
        on_thread_end: None,
        on_given_up: None,
    }
}

/// Directories with copies of one new database, and its epoch.
pub(super) async fn directories(count: usize) -> (Vec<tempfile::TempDir>, u64) {
    let all: Vec<_> = (0..count).map(|_| tempfile::tempdir().expect("a directory")).collect();
    let first = options(all[0].path(), small_bounds());
    let path = first.path.clone();
    let store = SqliteStore::open(first).expect("a new database");
    let epoch = store.log.epoch().number();
    store.maintenance.close().await;
    let mark = JournalMark { journal: JOURNAL_ID, position: 0, fence: 0 };
    journal::attach(&Connection::open(&path).expect("a database"), mark).expect("a database of the journal");
    for directory in &all[1..] {
        std::fs::copy(&path, directory.path().join("docrelay.db")).expect("a copy");
    }
    (all, epoch)
}

/// A running node.
pub(super) struct Node {
    pub(super) store: Store,
    pub(super) leadership: LeadershipHandle,
    pub(super) comparisons: ComparisonHandle,
    pub(super) progress: ApplyProgress,
    pub(super) format: watch::Sender<u8>,
    path: PathBuf,
    tasks: JoinSet<Result<(), JournalError>>,
}

impl Node {
    /// With the formats of this program, of which the latest is in use.
    pub(super) fn open(options: SqliteOptions, journal: &MemoryJournal) -> Self {
        let node = Self::open_with(options, journal, ENTRY_FORMATS);
        node.format.send_replace(LATEST_ENTRY_FORMAT);
        node
    }

    /// With a program that has these formats of entries, of which the first is in use.
    pub(super) fn open_with(options: SqliteOptions, journal: &MemoryJournal, formats: &'static [EntryFormat]) -> Self {
        Self::open_replicated(options, ReplicationOptions { formats, ..replication(journal) })
    }

    /// One whose senders wait no longer than this for their entries.
    pub(super) fn open_with_reply_timeout(options: SqliteOptions, journal: &MemoryJournal, limit: Duration) -> Self {
        Self::open_replicated(options, ReplicationOptions { reply_timeout: limit, ..replication(journal) })
    }

    #[expect(clippy::disallowed_methods, reason = "the test runs the tasks that the application runs")]
    fn open_replicated(options: SqliteOptions, replication: ReplicationOptions) -> Self {
        let path = options.path.clone();
        let lock = DatabaseLock::acquire(&path).expect("an unused database");
        let opened = SqliteStore::open_replicated(lock, options, replication).expect("a database of this journal");
        let ReplicatedStore { store, tasks, leadership, progress, format, comparisons } = opened;
        let mut running = JoinSet::new();
        for (name, task) in tasks {
            running.spawn(async move { task.await.inspect_err(|error| println!("{name}: {error}")) });
        }
        Self { store, leadership, comparisons, progress, format, path, tasks: running }
    }

    /// Waits until everything in the journal is applied.
    pub(super) async fn catch_up(&self) {
        // A slow machine may need more than the time of one call, and a node that cannot apply an entry fails at once.
        let catching_up = async {
            while self.store.maintenance.catch_up().await.is_err() {
                yield_now().await;
            }
        };
        timeout(Duration::from_secs(60), catching_up).await.expect("the node catches up");
    }

    /// Closes the store, which ends its tasks.
    pub(super) async fn close(mut self) {
        self.store.maintenance.close().await;
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a task without panic").expect("a task without error");
        }
    }

    /// Waits for the error of a task, closes the store and returns the error with the digest of the database.
    pub(super) async fn error(mut self) -> (JournalError, String) {
        let ended = timeout(Duration::from_secs(60), self.tasks.join_next()).await.expect("the end of a task");
        let error = ended.expect("a task").expect("a task without panic").expect_err("an error");
        let path = self.path.clone();
        self.close().await;
        (error, digest_of(&path))
    }

    /// Waits for the journal's end, closes the store and returns the digest of its database.
    pub(super) async fn digest(self) -> String {
        self.catch_up().await;
        let path = self.path.clone();
        self.close().await;
        digest_of(&path)
    }
}

fn replication(journal: &MemoryJournal) -> ReplicationOptions {
    ReplicationOptions::new(Arc::new(journal.clone()), Arc::new(OpenSeal))
}

pub(super) fn digest_of(path: &Path) -> String {
    let mut db = Connection::open(path).expect("a database");
    digest::of_contents(&db.transaction().expect("a transaction")).expect("a digest")
}

/// The usage counters that a recount of the rows contradicts.
pub(super) fn usage_differences(path: &Path) -> Vec<String> {
    let db = Connection::open(path).expect("a database");
    let sql = include_str!("../../../../../tests/fixtures/usage_differences.sql");
    let mut statement = db.prepare(sql).expect("a statement");
    let rows = statement.query_map([], |row| {
        let (client, counter): (String, String) = (row.get(0)?, row.get(1)?);
        let (stored, counted): (i64, i64) = (row.get(2)?, row.get(3)?);
        Ok(format!("{client}: {counter} is {stored}, not {counted}"))
    });
    rows.expect("rows").collect::<Result<_, _>>().expect("differences")
}

/// All rows of all tables as text, to show where two databases differ.
pub(super) fn dump(path: &Path) -> Vec<String> {
    let db = Connection::open(path).expect("a database");
    let mut names = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").expect("tables");
    let names: Vec<String> =
        names.query_map([], |row| row.get(0)).expect("names").collect::<Result<_, _>>().expect("names");
    let mut lines = Vec::new();
    for name in names {
        let mut statement = db.prepare(&format!("SELECT * FROM {name}")).expect("a table");
        let columns = statement.column_count();
        let mut rows = statement.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            let values: Vec<_> = (0..columns).map(|column| row.get::<_, rusqlite::types::Value>(column)).collect();
            lines.push(format!("{name} {values:?}"));
        }
    }
    lines
}
