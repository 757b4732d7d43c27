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
    -- One row: the names of this log and how far it has come. `head`, `document` and `delivery` never go back, `time`
    -- only with a clock that was set back.
    CREATE TABLE state (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        epoch INTEGER NOT NULL,
        node BLOB NOT NULL,
        head INTEGER NOT NULL,
        document INTEGER NOT NULL,
        time INTEGER NOT NULL,
        delivery INTEGER NOT NULL,
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
        reject_bytes INTEGER NOT NULL DEFAULT 0,
        pending INTEGER NOT NULL DEFAULT 0,
        settled INTEGER NOT NULL DEFAULT 0,
        settled_bytes INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE hook (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        client INTEGER NOT NULL,
        id TEXT NOT NULL,
        definition BLOB NOT NULL,
        UNIQUE (client, id)
    );
    -- One with a time of removal has nothing in it any more: it is there until its deliveries are dead. Numbers are
    -- never used again, so a new one of the same name inherits nothing.
    CREATE TABLE notification (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        client INTEGER NOT NULL,
        id TEXT NOT NULL,
        definition BLOB NOT NULL,
        removed INTEGER,
        UNIQUE (client, id)
    );
    -- `id` grows with time; `lookup` is a digest of the vendor's identifier, checked against the row. `routed` says that
    -- it has a route: only then one is looked for.
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
        routed INTEGER NOT NULL DEFAULT 0,
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
    -- Where a document's events go. The callback is sealed whole; `target` and `format` are what the writer needs of it,
    -- and no more than the deliveries show.
    CREATE TABLE route (
        client INTEGER NOT NULL,
        document INTEGER NOT NULL,
        notification TEXT,
        target TEXT,
        format TEXT,
        callback BLOB,
        PRIMARY KEY (client, document)
    ) WITHOUT ROWID;
    -- `notification` is 0 for a callback. `state`: see `outbox/line`. `due` is NULL when it is settled or waits for an
    -- earlier one of its document; `bytes` are those of its attempts. All but `target` and `uuid` are small numbers that
    -- grow with time, so that the four trees a new delivery stands in are each touched near their end.
    CREATE TABLE delivery (
        client INTEGER NOT NULL,
        id INTEGER NOT NULL,
        notification INTEGER NOT NULL,
        target TEXT NOT NULL,
        seq INTEGER NOT NULL,
        document INTEGER NOT NULL,
        uuid BLOB NOT NULL,
        state INTEGER NOT NULL,
        tries INTEGER NOT NULL,
        due INTEGER,
        created INTEGER NOT NULL,
        settled INTEGER,
        bytes INTEGER NOT NULL,
        PRIMARY KEY (client, id)
    ) WITHOUT ROWID;
    -- What is due in a lane, the never tried apart from the others.
    CREATE INDEX delivery_due ON delivery (client, notification, target, (tries > 0), due) WHERE due IS NOT NULL;
    -- The line of one document, and whether an event has gone somewhere.
    CREATE INDEX delivery_line ON delivery (client, document, state, notification, id);
    -- Listing, recovering, and what a removed notification leaves.
    CREATE INDEX delivery_state ON delivery (client, state, notification, id);
    CREATE INDEX delivery_settled ON delivery (client, settled) WHERE settled IS NOT NULL;
    -- `took` in milliseconds.
    CREATE TABLE attempt (
        delivery INTEGER NOT NULL,
        number INTEGER NOT NULL,
        time INTEGER NOT NULL,
        took INTEGER NOT NULL,
        status INTEGER,
        answer BLOB NOT NULL,
        reason TEXT,
        PRIMARY KEY (delivery, number)
    ) WITHOUT ROWID;
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
    db.set_prepared_statement_cache_capacity(128);
    db.busy_timeout(PATIENCE)
}

/// Settings of a connection that reads.
pub(super) fn tune_reader(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4096;")?;
    db.set_prepared_statement_cache_capacity(48);
    db.busy_timeout(PATIENCE)
}
