//! The digest of a database's contents: SHA-256 over the rows of all tables. It is equal on all nodes that have applied
//! the same entries of a journal, however the entries were grouped into transactions and whatever the pages look like.

use std::fmt::Write as _;

use aws_lc_rs::digest::{Context, SHA256};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Transaction};

/// Tables that are left out:
/// - `journal`: which journal the database belongs to and how far it was applied. A database without a cluster has no
///   row; the position is named beside the digest.
/// - `sqlite_stat1` and the other statistics of SQLite's planner: a node may have them or not, and they change no
///   result.
const EXCLUDED_TABLES: [&str; 4] = ["journal", "sqlite_stat1", "sqlite_stat3", "sqlite_stat4"];

/// Columns that are left out:
/// - `state.commits` counts transactions, and each node groups the entries as they arrive.
/// - `proposer.position` is where an entry stands in the journal, as in the table `journal`.
const EXCLUDED_COLUMNS: [(&str, &str); 2] = [("state", "commits"), ("proposer", "position")];

/// The columns of a table that count, and those by which its rows are ordered.
struct TableShape {
    columns: Vec<String>,
    order: Vec<String>,
}

/// The digest as 64 hexadecimal digits. Reads the whole database, in one transaction of the caller, so that all tables
/// are of one moment. `sqlite_sequence` is one of the tables: it decides the numbers of later rows.
pub(crate) fn of_contents(tx: &Transaction<'_>) -> rusqlite::Result<String> {
    // It is not cancelled.
    of_contents_unless(tx, &|| false).map(Option::unwrap_or_default)
}

/// The same over a connection with an open transaction; `None` once `is_cancelled`, which is called for each row.
pub(crate) fn of_contents_unless(db: &Connection, is_cancelled: &dyn Fn() -> bool) -> rusqlite::Result<Option<String>> {
    let mut digest = Context::new(&SHA256);
    for table in tables(db)? {
        add_text(&mut digest, &table);
        if !add_rows(db, &mut digest, &table, is_cancelled)? {
            return Ok(None);
        }
    }
    let mut text = String::with_capacity(64);
    for byte in digest.finish().as_ref() {
        // Writing into a String cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    Ok(Some(text))
}

/// All tables, by name.
fn tables(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut names: Vec<String> = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    names.retain(|name| !EXCLUDED_TABLES.contains(&name.as_str()));
    Ok(names)
}

fn shape(db: &Connection, table: &str) -> rusqlite::Result<TableShape> {
    // Without generated columns, which follow from the others.
    let mut rows = db.prepare("SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid")?;
    let all: Vec<(String, i64)> =
        rows.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let mut key: Vec<&(String, i64)> = all.iter().filter(|(_, place)| *place > 0).collect();
    key.sort_by_key(|(_, place)| *place);
    // `sqlite_sequence` has no key, and its rows no meaningful order.
    let order = if key.is_empty() { all.iter().collect() } else { key };
    let counts = |name: &str| !EXCLUDED_COLUMNS.contains(&(table, name));
    Ok(TableShape {
        order: order.into_iter().map(|(name, _)| name.clone()).collect(),
        columns: all.iter().map(|(name, _)| name.clone()).filter(|name| counts(name)).collect(),
    })
}

/// Adds the names of the columns, and then each row; false when it was cancelled.
fn add_rows(
    db: &Connection,
    digest: &mut Context,
    table: &str,
    is_cancelled: &dyn Fn() -> bool,
) -> rusqlite::Result<bool> {
    let TableShape { columns, order } = shape(db, table)?;
    for column in &columns {
        add_text(digest, column);
    }
    let list = |names: &[String]| names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT {} FROM {} ORDER BY {}", list(&columns), quoted(table), list(&order));
    let mut statement = db.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if is_cancelled() {
            return Ok(false);
        }
        digest.update(b"row");
        for column in 0..columns.len() {
            add_value(digest, row.get_ref(column)?);
        }
    }
    digest.update(b"end");
    Ok(true)
}

/// Adds a value with its type, so that the number 1 and the text `1` differ.
fn add_value(digest: &mut Context, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => digest.update(b"n"),
        ValueRef::Integer(number) => {
            digest.update(b"i");
            digest.update(&number.to_be_bytes());
        }
        ValueRef::Real(number) => {
            digest.update(b"r");
            digest.update(&number.to_bits().to_be_bytes());
        }
        ValueRef::Text(text) => {
            digest.update(b"t");
            add_bytes(digest, text);
        }
        ValueRef::Blob(blob) => {
            digest.update(b"b");
            add_bytes(digest, blob);
        }
    }
}

fn add_text(digest: &mut Context, text: &str) {
    add_bytes(digest, text.as_bytes());
}

/// Adds the length first: different lists of values never collide by concatenation.
fn add_bytes(digest: &mut Context, bytes: &[u8]) {
    digest.update(&(bytes.len() as u64).to_be_bytes());
    digest.update(bytes);
}

/// A name in an SQL text.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    fn digest_after(changes: &[&str]) -> String {
        let mut db = Connection::open_in_memory().expect("a database");
        let tables = "CREATE TABLE a (n INTEGER PRIMARY KEY AUTOINCREMENT, v); CREATE TABLE b (x, y, PRIMARY KEY (y, x)) WITHOUT ROWID;
             CREATE TABLE state (id INTEGER PRIMARY KEY, head, commits); CREATE TABLE journal (id INTEGER PRIMARY KEY, position);
             INSERT INTO state VALUES (1, 0, 0);";
        db.execute_batch(tables).expect("tables");
        for change in changes {
            db.execute_batch(change).expect("a change");
        }
        of_contents(&db.transaction().expect("a transaction")).expect("a digest")
    }

    #[test]
    fn every_value_with_its_type_counts() {
        let changes: [&[&str]; 9] = [
            &[],
            &["INSERT INTO a (v) VALUES (1)"],
            &["INSERT INTO a (v) VALUES ('1')"],
            &["INSERT INTO a (v) VALUES (x'31')"],
            &["INSERT INTO a (v) VALUES (1.5)"],
            &["INSERT INTO a (v) VALUES (NULL)"],
            // The next number differs.
            &["INSERT INTO a (v) VALUES (1); DELETE FROM a"],
            &["INSERT INTO b VALUES ('1', '23')"],
            &["INSERT INTO b VALUES ('12', '3')"],
        ];
        let digests: std::collections::BTreeSet<String> = changes.iter().map(|changes| digest_after(changes)).collect();
        assert_eq!(digests.len(), changes.len());
    }

    #[test]
    fn cancelled_digest_reads_no_further_row() {
        let db = Connection::open_in_memory().expect("a database");
        db.execute_batch("CREATE TABLE a (n); INSERT INTO a VALUES (1), (2), (3);").expect("rows");
        let rows = std::cell::Cell::new(0);
        let is_cancelled = |after: i32| {
            rows.set(rows.get() + 1);
            rows.get() > after
        };
        assert_eq!(of_contents_unless(&db, &|| is_cancelled(1)).expect("read"), None);
        assert_eq!(rows.replace(0), 2);
        assert!(of_contents_unless(&db, &|| is_cancelled(3)).expect("read").is_some());
    }

    #[test]
    fn order_of_writing_and_excluded_values_do_not_count() {
        let rows = ["INSERT INTO b VALUES (1, 2)", "INSERT INTO b VALUES (2, 1)"];
        let reversed = ["INSERT INTO b VALUES (2, 1)", "INSERT INTO b VALUES (1, 2)"];
        assert_eq!(digest_after(&rows), digest_after(&reversed));
        let local = ["UPDATE state SET commits = 7", "INSERT INTO journal VALUES (1, 9)"];
        assert_eq!(digest_after(&local), digest_after(&[]));
        assert_ne!(digest_after(&["UPDATE state SET head = 7"]), digest_after(&[]));
    }
}
