//! Deduplication: decides whether an event is a duplicate of a stored one or of an earlier one of the same transaction,
//! and stores its key. The keys of the last 30 days are in the `dedup` table; a key may outlive its event.

use rusqlite::{OptionalExtension, params};

use crate::domain::Timestamp;
use crate::store::sqlite::tables::columns;
use crate::store::sqlite::tables::documents::{self, DocumentRow};
use crate::store::sqlite::tables::identity::{self, KeyDigest};
use crate::store::sqlite::tables::write_tx::WriteTx;
use crate::store::{DUPLICATE_WINDOW, DuplicateRule, NewEvent};

/// What the check of an event has found.
pub(super) enum Deduplication {
    /// The event is new.
    New {
        /// To be stored with the event.
        key: Option<KeyDigest>,
        /// The event's document; `None` if this is its first event.
        document: Option<DocumentRow>,
    },
    Duplicate(Duplicate),
}

/// The stored event that a new one is a duplicate of.
pub(super) struct Duplicate {
    pub(super) sequence: i64,
    pub(super) document: DocumentRow,
}

/// Checks an event by its [`DuplicateRule`]: with a key against the stored keys, otherwise against its document.
pub(super) fn check(tx: &mut WriteTx<'_>, client: i64, event: &NewEvent) -> rusqlite::Result<Deduplication> {
    let key = match &event.duplicate_rule {
        DuplicateRule::SameKey(key) => Some(identity::duplicate_key(client, event.vendor, key)),
        DuplicateRule::SameStatus | DuplicateRule::KnownDocument => None,
    };
    if let Some(key) = &key
        && let Some(duplicate) = find_key(tx, client, key, event.now)?
    {
        return Ok(Deduplication::Duplicate(duplicate));
    }
    let document = documents::by_vendor(&tx.db, client, event.vendor, &event.update.vendor_id)?;
    Ok(match document {
        Some(document) if is_duplicate_of_latest(event, &document) => {
            Deduplication::Duplicate(Duplicate { sequence: document.last_seq, document })
        }
        document => Deduplication::New { key, document },
    })
}

/// Whether an event without a key is a duplicate of the document's latest event.
fn is_duplicate_of_latest(event: &NewEvent, document: &DocumentRow) -> bool {
    match event.duplicate_rule {
        DuplicateRule::SameKey(_) => false,
        DuplicateRule::SameStatus => document.status == event.update.status,
        DuplicateRule::KnownDocument => true,
    }
}

/// The event that was stored under this key within the window. A time in the future, which a wrong clock has left, lies
/// within the window. Removes a key that is older.
fn find_key(tx: &mut WriteTx<'_>, client: i64, key: &KeyDigest, now: Timestamp) -> rusqlite::Result<Option<Duplicate>> {
    let found = tx
        .db
        .prepare_cached("SELECT seq, time, document FROM dedup WHERE key = ?1")?
        .query_row([key], |row| Ok((row.get(0)?, columns::time(row, 1)?, row.get(2)?)))
        .optional()?;
    let Some((sequence, time, number)) = found else { return Ok(None) };
    if time.until(now) <= DUPLICATE_WINDOW
        && let Some(document) = documents::by_number(&tx.db, client, number)?
    {
        return Ok(Some(Duplicate { sequence, document }));
    }
    // Not pruned yet; the key of the new event takes its place.
    tx.db.prepare_cached("DELETE FROM dedup WHERE seq = ?1")?.execute([sequence])?;
    tx.usage.duplicate_keys_changed(client, -1);
    Ok(None)
}

/// The key of a new event.
pub(super) struct KeyRow<'a> {
    /// The event's sequence.
    pub(super) sequence: i64,
    pub(super) time: Timestamp,
    pub(super) client: i64,
    /// The document's number.
    pub(super) document: i64,
    pub(super) key: &'a KeyDigest,
}

/// Stores the key of a new event.
pub(super) fn insert_key(tx: &mut WriteTx<'_>, row: &KeyRow<'_>) -> rusqlite::Result<()> {
    tx.db
        .prepare_cached("INSERT INTO dedup (seq, time, client, document, key) VALUES (?1,?2,?3,?4,?5)")?
        .execute(params![row.sequence, row.time.millis(), row.client, row.document, row.key])?;
    tx.usage.duplicate_keys_changed(row.client, 1);
    Ok(())
}
