//! The deduplication keys of the last 30 days. A key may outlive its event.

use rusqlite::{Connection, OptionalExtension, params};

use super::columns;
use super::document_ids;
use super::documents::{self, DocumentRow};
use crate::domain::{Timestamp, Vendor};
use crate::store::DUPLICATE_WINDOW;

/// The digest of a key, as its index holds it.
pub(crate) type KeyDigest = [u8; 16];

pub(crate) fn digest(client: i64, vendor: Vendor, key: &str) -> KeyDigest {
    document_ids::duplicate_key(client, vendor, key)
}

/// A stored event with the same key.
pub(crate) struct Duplicate {
    pub(crate) sequence: i64,
    pub(crate) document: DocumentRow,
}

/// The event that was stored under this key within the window. A time in the future, which a wrong clock has left, lies
/// within the window. Removes a key that is older.
pub(crate) fn find(
    db: &Connection,
    client: i64,
    key: &KeyDigest,
    now: Timestamp,
) -> rusqlite::Result<Option<Duplicate>> {
    let found = db
        .prepare_cached("SELECT seq, time, document FROM dedup WHERE key = ?1")?
        .query_row([key], |row| Ok((row.get(0)?, columns::time(row, 1)?, row.get(2)?)))
        .optional()?;
    let Some((sequence, time, number)) = found else { return Ok(None) };
    if time.until(now) <= DUPLICATE_WINDOW
        && let Some(document) = documents::by_number(db, client, number)?
    {
        return Ok(Some(Duplicate { sequence, document }));
    }
    // Not pruned yet; the key of the new event takes its place.
    db.prepare_cached("DELETE FROM dedup WHERE seq = ?1")?.execute([sequence])?;
    Ok(None)
}

/// The key of a new event.
pub(crate) struct KeyRow<'a> {
    /// Of the event.
    pub(crate) sequence: i64,
    pub(crate) time: Timestamp,
    pub(crate) client: i64,
    /// The document's number.
    pub(crate) document: i64,
    pub(crate) key: &'a KeyDigest,
}

pub(crate) fn insert(db: &Connection, row: &KeyRow<'_>) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO dedup (seq, time, client, document, key) VALUES (?1,?2,?3,?4,?5)")?
        .execute(params![row.sequence, row.time.millis(), row.client, row.document, row.key])?;
    Ok(())
}
