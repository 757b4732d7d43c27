//! The schema of version 1, its later changes, and the settings of the connections. The meaning of the columns is
//! documented here only.

use std::time::Duration;

use rusqlite::Connection;

/// `docr`, in `application_id`: distinguishes docrelay's files from other databases.
pub(crate) const APPLICATION_ID: i64 = 0x646f_6372;

/// How long to wait for a lock. Only another program, such as a backup tool, can hold one.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Only two indexes have random keys, `dedup_key` and `document_lookup`: in a large file each of them costs a page of
/// the write-ahead log per event. Hence they hold digests instead of texts, and there is no index of the documents'
/// UUIDs: see `identity`.
pub(crate) const VERSION_1: &str = "
    -- One row: the identity of the log and the last assigned numbers. `head`, `document` and `delivery` only grow; `time`
    -- goes back only with the clock.
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
    -- `name` is NULL when the client was removed; `retention/erase.rs` says what `secrets` are then. Numbers are never used again.
    CREATE TABLE client (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT UNIQUE,
        created INTEGER NOT NULL,
        secrets BLOB NOT NULL
    );
    -- Separate from the client, because it changes with every batch. `settled` is the number of delivered and dead
    -- deliveries, `settled_bytes` those of their attempts.
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
    -- `removed` is the time of removal: the row stays, empty, until its deliveries are dead. Numbers are never used again,
    -- so a new notification of the same name inherits nothing.
    CREATE TABLE notification (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        client INTEGER NOT NULL,
        id TEXT NOT NULL,
        definition BLOB NOT NULL,
        removed INTEGER,
        UNIQUE (client, id)
    );
    -- `id` grows with time; `lookup` is a digest of the vendor's identifier, compared with the row. `routed` is 1 if there
    -- is a route.
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
    -- Clustered by client and sequence for sequential replays. `prev` is the sequence of the document's event before this
    -- one, 0 for none: its history is read backwards without an index. `bytes` includes the raw request.
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
    -- The requests, separate from the events because few of them are ever read. `headers` is JSON.
    CREATE TABLE raw (
        seq INTEGER PRIMARY KEY,
        client INTEGER NOT NULL,
        method TEXT NOT NULL,
        query TEXT,
        headers BLOB NOT NULL,
        body BLOB NOT NULL
    );
    -- Deduplication keys of the last 30 days; `seq` is the event's, which may have been pruned.
    CREATE TABLE dedup (
        seq INTEGER PRIMARY KEY,
        time INTEGER NOT NULL,
        client INTEGER NOT NULL,
        document INTEGER NOT NULL,
        key BLOB NOT NULL
    );
    CREATE UNIQUE INDEX dedup_key ON dedup (key);
    -- `method` of an unverified request has a prefix: see `rejects`.
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
    -- Destinations of a document's events. `callback` is sealed; `target` and `format` are what the writer needs of it, and
    -- no more than the deliveries show.
    CREATE TABLE route (
        client INTEGER NOT NULL,
        document INTEGER NOT NULL,
        notification TEXT,
        target TEXT,
        format TEXT,
        callback BLOB,
        PRIMARY KEY (client, document)
    ) WITHOUT ROWID;
    -- `notification` is 0 for a callback. `state`: see `document_fifo`. `due` is NULL unless the delivery is pending and the
    -- head of its document's FIFO. `tries` is the number of failed attempts since the delivery was queued or retried by
    -- hand, `bytes` are those of its attempts, `settled` is the time at which it became delivered or dead. Most columns are small numbers that grow with time, so that a new delivery touches
    -- each of its four trees near the end.
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
    -- Due deliveries of a queue, first attempts separate from retries.
    CREATE INDEX delivery_due ON delivery (client, notification, target, (tries > 0), due) WHERE due IS NOT NULL;
    -- The deliveries of a document to one notification or callback, in order. `line` is an earlier term for their FIFO.
    CREATE INDEX delivery_line ON delivery (client, document, state, notification, id);
    -- Listings, retries of dead deliveries, deliveries of a removed notification.
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

/// The bounds of pending deliveries, and queues that are found by their due times and origins.
pub(crate) const DELIVERY_BOUNDS: &str = "
    -- `size` are the bytes of the event with its request, from which the memory of an attempt is known before it is read.
    -- `restarted` is the time of the last manual retry, NULL for none: the retry schedule begins then, otherwise at
    -- `created`. `queue` is the delivery queue: a notification's name, or the origin of a callback, so that callback
    -- addresses of one host share a queue.
    ALTER TABLE delivery ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE delivery ADD COLUMN restarted INTEGER;
    ALTER TABLE delivery ADD COLUMN queue TEXT GENERATED ALWAYS AS
        (iif(notification = 0, substr(target, 1, instr(target, '#') - 1), target)) VIRTUAL;
    -- The sum of `size` over the pending deliveries.
    ALTER TABLE usage ADD COLUMN pending_bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE delivery SET size = coalesce(
        (SELECT bytes FROM event WHERE event.client = delivery.client AND event.seq = delivery.seq), 0) WHERE state = 0;
    UPDATE usage SET pending_bytes =
        (SELECT coalesce(sum(size), 0) FROM delivery WHERE delivery.client = usage.client AND state = 0);
    DROP INDEX delivery_due;
    CREATE INDEX delivery_due ON delivery (client, notification, queue, (tries > 0), due) WHERE due IS NOT NULL;
    -- Due deliveries of all queues, in order of time.
    CREATE INDEX delivery_next ON delivery (due) WHERE due IS NOT NULL;
";

/// Adds the bytes of the titles and identifiers of a client's documents to its usage counters.
pub(crate) const DOCUMENT_BYTES: &str = "
    ALTER TABLE usage ADD COLUMN document_bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE usage SET document_bytes = (
        SELECT coalesce(sum(octet_length(coalesce(title, '')) + octet_length(vendor_id)), 0)
        FROM document WHERE document.client = usage.client
    );
";

/// What a node of a cluster has applied. The tables are empty in a database without a journal.
pub(crate) const JOURNAL: &str = "
    -- One row: the journal that the database belongs to, and the last entry that was applied. `fence` is the highest revision
    -- of the leader's lease in an applied entry.
    CREATE TABLE journal (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        journal INTEGER NOT NULL,
        position INTEGER NOT NULL,
        fence INTEGER NOT NULL
    );
    -- The last counter of each process that has proposed entries, and the position of the entry.
    CREATE TABLE proposer (
        id INTEGER PRIMARY KEY,
        counter INTEGER NOT NULL,
        position INTEGER NOT NULL
    );
    CREATE INDEX proposer_position ON proposer (position);
";

/// The limits that an administrator has set for a client; NULL for the default.
pub(crate) const CLIENT_LIMITS: &str = "
    ALTER TABLE client ADD COLUMN max_event_rate INTEGER;
    ALTER TABLE client ADD COLUMN max_followers INTEGER;
    ALTER TABLE client ADD COLUMN max_notifications INTEGER;
    -- The bound of `bytes` and of the documents' share of them. It is read together with these counters.
    ALTER TABLE usage ADD COLUMN max_bytes INTEGER;
";

/// Keeps the first and the last 19 attempts of each delivery, and counts those of pending deliveries.
pub(crate) const ATTEMPT_BOUNDS: &str = "
    DELETE FROM attempt WHERE number > 1
        AND number <= (SELECT max(number) FROM attempt AS other WHERE other.delivery = attempt.delivery) - 19;
    UPDATE delivery SET bytes =
        (SELECT sum(octet_length(answer) + octet_length(coalesce(reason, ''))) FROM attempt WHERE attempt.delivery = delivery.id)
        WHERE (SELECT max(number) FROM attempt WHERE attempt.delivery = delivery.id) > 20;
    -- The sum of `size` and `bytes` over the pending deliveries, no longer of `size` alone.
    UPDATE usage SET
        pending_bytes = (SELECT coalesce(sum(size + bytes), 0) FROM delivery
            WHERE delivery.client = usage.client AND state = 0),
        settled_bytes = (SELECT coalesce(sum(bytes), 0) FROM delivery
            WHERE delivery.client = usage.client AND state <> 0);
";

/// Counts the rows of documents and their callbacks, and the deduplication keys of each client.
pub(crate) const DOCUMENT_ROWS: &str = "
    UPDATE usage SET document_bytes =
        (SELECT coalesce(sum(200 + octet_length(coalesce(title, '')) + octet_length(vendor_id)), 0)
            FROM document WHERE document.client = usage.client)
        + (SELECT coalesce(sum(octet_length(coalesce(target, '')) + octet_length(coalesce(callback, ''))), 0)
            FROM route WHERE route.client = usage.client);
    -- Finds the oldest keys of a client. Its keys grow with time, so that a new one touches the same page as the last.
    CREATE INDEX dedup_client ON dedup (client, seq);
    ALTER TABLE usage ADD COLUMN duplicate_keys INTEGER NOT NULL DEFAULT 0;
    UPDATE usage SET duplicate_keys = (SELECT count(*) FROM dedup WHERE dedup.client = usage.client);
";

/// Settings of the writer's connection. No memory map: a disk error would then be a signal that ends the process. The
/// write-ahead log is emptied by the checkpointer, never inside a commit.
pub(crate) fn tune_writer(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = 268435456;
         PRAGMA secure_delete = FAST;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -65536;",
    )?;
    db.set_prepared_statement_cache_capacity(128);
    db.busy_timeout(LOCK_TIMEOUT)
}

/// The difference on a node of a cluster: a commit is not flushed, because what a power cut takes is read again from
/// the journal. It takes back whole transactions, and each holds its position.
pub(crate) fn tune_node(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "synchronous", "NORMAL")
}

/// Settings of a reader's connection.
pub(crate) fn tune_reader(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4096;")?;
    db.set_prepared_statement_cache_capacity(48);
    db.busy_timeout(LOCK_TIMEOUT)
}
