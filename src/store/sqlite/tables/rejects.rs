//! The rows of rejects. Every insert keeps them within the bounds of the retention.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns;
use super::write_tx::Usage;
use crate::domain::Timestamp;
use crate::store::{ListPage, MAX_LIST_BYTES, Reject, Retention};

/// Inserts a reject and removes the oldest ones beyond the bounds, but not the new one; returns its id.
pub(crate) fn insert(db: &Connection, client: i64, bounds: &Retention, reject: &Reject) -> rusqlite::Result<u64> {
    let raw = &reject.raw;
    let bytes = columns::request_bytes(raw).saturating_add(columns::size(reject.reason.len()));
    db.prepare_cached(
        "INSERT INTO reject (client, hook, time, reason, method, query, headers, body, bytes)
         VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)",
    )?
    .execute(params![
        client,
        reject.hook,
        reject.time.millis(),
        reject.reason,
        raw.method,
        raw.query,
        columns::headers(raw),
        &raw.body[..],
        bytes
    ])?;
    let id = db.last_insert_rowid();
    add_to_usage(db, client, 1, bytes)?;
    // Everything beyond the bounds is removed now: at most as many rows as the bound on their number.
    prune(db, bounds, &PruneRejects { client, now: reject.time, keep: Some(id), max_rows: usize::MAX })?;
    Ok(columns::unsigned(id))
}

/// Which rejects to remove.
pub(crate) struct PruneRejects {
    pub(crate) client: i64,
    pub(crate) now: Timestamp,
    /// Is not removed, nor is any later one.
    pub(crate) keep: Option<i64>,
    pub(crate) max_rows: usize,
}

/// Removes the oldest rejects beyond the bounds; returns the number of removed rows.
pub(crate) fn prune(db: &Connection, bounds: &Retention, prune: &PruneRejects) -> rusqlite::Result<usize> {
    let client = prune.client;
    let Some(mut usage) = Usage::of_rejects(db, client)? else { return Ok(0) };
    let cutoff = prune.now.minus(bounds.max_reject_age);
    let mut removed = Vec::new();
    let mut statement = db.prepare_cached("SELECT id, time, bytes FROM reject WHERE client = ?1 ORDER BY id")?;
    let mut rows = statement.query([client])?;
    while removed.len() < prune.max_rows
        && let Some(row) = rows.next()?
    {
        let (id, time, bytes) = (row.get::<_, i64>(0)?, columns::time(row, 1)?, row.get::<_, i64>(2)?);
        let too_much = usage.number > columns::signed(bounds.max_rejects)
            || usage.bytes > columns::signed(bounds.max_reject_bytes);
        if prune.keep == Some(id) || !(too_much || time < cutoff) {
            break;
        }
        removed.push((id, bytes));
        usage.number -= 1;
        usage.bytes -= bytes;
    }
    for (id, bytes) in &removed {
        db.prepare_cached("DELETE FROM reject WHERE id = ?1")?.execute([id])?;
        add_to_usage(db, client, -1, -bytes)?;
    }
    Ok(removed.len())
}

/// Removes a reject; false when the client has no such reject.
pub(crate) fn delete(db: &Connection, client: i64, id: u64) -> rusqlite::Result<bool> {
    let bytes = db
        .prepare_cached("DELETE FROM reject WHERE id = ?1 AND client = ?2 RETURNING bytes")?
        .query_row([columns::signed(id), client], |row| row.get::<_, i64>(0))
        .optional()?;
    match bytes {
        Some(bytes) => add_to_usage(db, client, -1, -bytes).map(|()| true),
        None => Ok(false),
    }
}

fn add_to_usage(db: &Connection, client: i64, number: i64, bytes: i64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE usage SET rejects = rejects + ?2, reject_bytes = reject_bytes + ?3 WHERE client = ?1")?
        .execute([client, number, bytes])?;
    Ok(())
}

/// A page, newest first.
pub(crate) fn list(
    db: &Connection,
    client: i64,
    limit: usize,
    before: Option<u64>,
) -> rusqlite::Result<ListPage<Reject>> {
    let before = before.map_or(i64::MAX, columns::signed);
    let mut statement = db.prepare_cached(
        "SELECT id, hook, time, reason, method, query, headers, body, bytes FROM reject
         WHERE client = ?1 AND id < ?2 ORDER BY id DESC",
    )?;
    let mut rows = statement.query([client, before])?;
    let (mut page, mut bytes) = (ListPage::empty(), 0);
    while let Some(row) = rows.next()? {
        if page.items.len() >= limit.max(1) || bytes > columns::size(MAX_LIST_BYTES) {
            page.next = page.items.last().map(|last: &Reject| last.id);
            break;
        }
        bytes += row.get::<_, i64>(8)?;
        page.items.push(read(row)?);
    }
    Ok(page)
}

pub(crate) fn get(db: &Connection, client: i64, id: u64) -> rusqlite::Result<Option<Reject>> {
    db.prepare_cached(
        "SELECT id, hook, time, reason, method, query, headers, body FROM reject WHERE client = ?1 AND id = ?2",
    )?
    .query_row([client, columns::signed(id)], read)
    .optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Reject> {
    Ok(Reject {
        id: columns::unsigned(row.get(0)?),
        hook: row.get(1)?,
        time: columns::time(row, 2)?,
        reason: row.get(3)?,
        raw: columns::raw_request(row, 4)?,
    })
}
