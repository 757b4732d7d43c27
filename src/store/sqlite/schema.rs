//! The tables, and the settings of the connections. What a column means is said here and nowhere else.

use std::time::Duration;

use rusqlite::Connection;

/// The number of the tables' shape, in `user_version`.
pub(super) const SCHEMA: i64 = 1;

/// `docr`, in `application_id`: tells our files from other programs' databases.
pub(super) const APPLICATION: i64 = 0x646f_6372;

/// How long a lock is waited for. Only a stranger's tool or a backup can hold one: long enough for those that are quick.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Two indexes only have random keys, `dedup_key` and `document_lookup`: each of them costs a page of the
/// write-ahead log for every event, as soon as the file has grown. Hence digests instead of texts in them, and no
/// index of the documents' UUIDs: see `identity`.
pub(super) const TABLES: &str = "
    -- One row: the names of this log and how far it has come. `head` and `document` never go back, `time` only with
    -- a clock that was set back.
    CREATE TABLE state (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        epoch INTEGER NOT NULL,
        node BLOB NOT NULL,
        head INTEGER NOT NULL,
        document INTEGER NOT NULL,
        time INTEGER NOT NULL,
        commits INTEGER NOT NULL
    );
    -- A client without a name was removed and its rows are being erased. Numbers are never used again.
    CREATE TABLE client (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT UNIQUE,
        created INTEGER NOT NULL,
        secrets BLOB NOT NULL
    );
    -- Narrow and apart from the secrets, because it changes with every batch.
    CREATE TABLE usage (
        client INTEGER PRIMARY KEY,
        events INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0,
        pruned_through INTEGER NOT NULL DEFAULT 0,
        rejects INTEGER NOT NULL DEFAULT 0,
        reject_bytes INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE hook (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        client INTEGER NOT NULL,
        id TEXT NOT NULL,
        definition BLOB NOT NULL,
        UNIQUE (client, id)
    );
    -- `id` grows with time; `lookup` is a digest of the vendor's identifier, checked against the row.
    CREATE TABLE document (
        client INTEGER NOT NULL,
        id INTEGER NOT NULL,
        lookup INTEGER NOT NULL,
        vendor TEXT NOT NULL,
        vendor_id TEXT NOT NULL,
        uuid BLOB NOT NULL,
        status TEXT NOT NULL,
        title TEXT,
        updated INTEGER NOT NULL,
        last_seq INTEGER NOT NULL,
        PRIMARY KEY (client, id)
    ) WITHOUT ROWID;
    CREATE INDEX document_lookup ON document (client, lookup);
    -- Clustered by client and sequence, so that a replay reads neighbours. `prev` is the document's event before
    -- this one, 0 for none: its history walks back without an index. `bytes` counts the raw request too.
    CREATE TABLE event (
        client INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        document BLOB NOT NULL,
        prev INTEGER NOT NULL,
        status TEXT NOT NULL,
        time INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        json BLOB NOT NULL,
        PRIMARY KEY (client, seq)
    ) WITHOUT ROWID;
    -- The requests, apart from the events because only few are ever asked for. `headers` is JSON.
    CREATE TABLE raw (
        seq INTEGER PRIMARY KEY,
        client INTEGER NOT NULL,
        method TEXT NOT NULL,
        query TEXT,
        headers BLOB NOT NULL,
        body BLOB NOT NULL
    );
    -- What was said within the last 30 days; `seq` is the event's, and may have outlived it.
    CREATE TABLE dedup (
        seq INTEGER PRIMARY KEY,
        time INTEGER NOT NULL,
        client INTEGER NOT NULL,
        document INTEGER NOT NULL,
        key BLOB NOT NULL
    );
    CREATE UNIQUE INDEX dedup_key ON dedup (key);
    CREATE TABLE reject (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        client INTEGER NOT NULL,
        hook TEXT NOT NULL,
        time INTEGER NOT NULL,
        reason TEXT NOT NULL,
        method TEXT NOT NULL,
        query TEXT,
        headers BLOB NOT NULL,
        body BLOB NOT NULL,
        bytes INTEGER NOT NULL
    );
    CREATE INDEX reject_client ON reject (client);
";

/// Settings of the connection that writes. No memory map: an error of the disk would then be a signal that ends the
/// process instead of an answer. The write-ahead log is emptied by `checkpoint`, never inside a commit.
pub(super) fn tune_writer(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = 268435456;
         PRAGMA secure_delete = FAST;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -65536;",
    )?;
    db.set_prepared_statement_cache_capacity(64);
    db.busy_timeout(PATIENCE)
}

/// Settings of a connection that reads.
pub(super) fn tune_reader(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4096;")?;
    db.set_prepared_statement_cache_capacity(32);
    db.busy_timeout(PATIENCE)
}
