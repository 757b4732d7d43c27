//! What a page of a client's history costs, in bytes that are read from the file: counted, so that no clock decides.

use std::fs;

use crate::store::sqlite::tables::schema;

use super::*;

/// Events that follow the position of the reader.
const NEWER_EVENTS: usize = 10;
const PAGE_BYTES: u64 = 4096;

/// Bytes that this thread has read so far, by any system call.
fn bytes_read() -> u64 {
    let counters = fs::read_to_string("/proc/thread-self/io").expect("the counters of this thread");
    let bytes = counters.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("a counter");
    bytes.parse().expect("a number")
}

/// The pages of the database that a resume reads with an empty cache, when the client has this many older events and
/// another client has as many.
fn pages_read_by_resume(older: usize) -> u64 {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("docrelay.db");
    let last = older + NEWER_EVENTS;
    let db = Connection::open(&path).expect("a database");
    db.execute_batch(schema::VERSION_1).expect("the tables");
    db.execute("INSERT INTO state VALUES (1, 1, x'00', ?1, 1, 0, 0, 0)", [columns::size(2 * last)]).expect("a state");
    db.execute(
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1)
         INSERT INTO event (client, seq, document, prev, status, time, bytes, json)
         SELECT client, 2 * n - 2 + client, zeroblob(16), 0, 'COMPLETED', 0, 200, zeroblob(200)
         FROM number, (SELECT 1 AS client UNION ALL SELECT 2)",
        [columns::size(last)],
    )
    .expect("the events");
    drop(db);
    let db = Connection::open(&path).expect("a reader");
    schema::tune_reader(&db).expect("its settings");
    let reader = EventReader { epoch: Epoch::new(1), client: "acme".parse().expect("a name"), number: 1 };
    let limit = PageLimit { events: 512, bytes: 256 << 10 };
    let sequence = u64::try_from(2 * older - 1).expect("a sequence");
    let before = bytes_read();
    let page = reader.after(&db, sequence, limit).expect("a page");
    let pages = bytes_read().saturating_sub(before).div_ceil(PAGE_BYTES);
    assert_eq!(page.events.len(), NEWER_EVENTS);
    assert_eq!(page.events[0].id.sequence, sequence + 2);
    pages
}

/// An id holds the sequence, so the log is searched for it and not scanned from its oldest event.
// Rule 1: a resume searches, it does not scan.
#[test]
fn resume_reads_as_many_pages_behind_long_history_as_behind_short() {
    let (short, long) = (pages_read_by_resume(1_000), pages_read_by_resume(100_000));
    eprintln!("pages read by a resume: {short} behind 1 000 events, {long} behind 100 000");
    assert!(short > 0, "the cache is empty at first");
    // A tree of a hundred times as many rows has one or two levels more.
    assert!(long <= short + 4, "{long} pages behind 100 000 events, {short} behind 1 000");
}
