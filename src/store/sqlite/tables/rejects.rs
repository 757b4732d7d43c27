//! The rows of rejects. Every insert keeps them within the bounds of the retention. The method of a request that was
//! not verified has the prefix [`UNVERIFIED`], which no method can contain: a version that does not know the prefix
//! refuses to replay the request, instead of replaying it without verification.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns;
use super::write_tx::Usage;
use crate::domain::Timestamp;
use crate::store::{ListPage, MAX_LIST_BYTES, Reject, Retention};

/// Stored before the method of an unverified request.
const UNVERIFIED: char = '?';

/// A new reject.
pub(crate) struct InsertedReject {
    pub(crate) id: u64,
    /// The number of rejects that were removed to make room.
    pub(crate) removed: usize,
}

/// Inserts a reject and removes the oldest ones beyond the bounds, but not the new one. `None` if it is unverified and
/// there is no room, and then changes nothing.
pub(crate) fn insert(
    db: &Connection,
    client: i64,
    bounds: &Retention,
    reject: &Reject,
) -> rusqlite::Result<Option<InsertedReject>> {
    let raw = &reject.raw;
    let bytes = stored_bytes(reject);
    let Some(displaced) = displaced_unverified(db, client, bounds, reject.verified, bytes)? else { return Ok(None) };
    for id in &displaced {
        delete(db, client, *id)?;
    }
    let method = if reject.verified { raw.method.clone() } else { format!("{UNVERIFIED}{}", raw.method) };
    db.prepare_cached(
        "INSERT INTO reject (client, hook, time, reason, method, query, headers, body, bytes)
         VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)",
    )?
    .execute(params![
        client,
        reject.hook,
        reject.time.millis(),
        reject.reason,
        method,
        raw.query,
        columns::headers(raw),
        &raw.body[..],
        bytes
    ])?;
    let id = db.last_insert_rowid();
    add_to_usage(db, client, 1, bytes)?;
    // Everything beyond the bounds is removed now: at most as many rows as the bound on their number.
    let pruned = prune(db, bounds, &PruneRejects { client, now: reject.time, keep: Some(id), max_rows: usize::MAX })?;
    Ok(Some(InsertedReject { id: columns::unsigned(id), removed: displaced.len() + pruned }))
}

/// The bytes that a reject occupies, which count in the bounds.
pub(crate) fn stored_bytes(reject: &Reject) -> i64 {
    columns::request_bytes(&reject.raw).saturating_add(columns::size(reject.reason.len()))
}

/// The oldest unverified rejects that must make room for a new reject of this size; `None` if the new one is unverified
/// and does not fit without removing verified ones.
fn displaced_unverified(
    db: &Connection,
    client: i64,
    bounds: &Retention,
    is_verified: bool,
    bytes: i64,
) -> rusqlite::Result<Option<Vec<u64>>> {
    let Some(mut all) = Usage::of_rejects(db, client)? else { return Ok(Some(Vec::new())) };
    all.number += 1;
    all.bytes += bytes;
    if is_verified && !all.exceeds(bounds.max_rejects, bounds.max_reject_bytes) {
        return Ok(Some(Vec::new()));
    }
    // The length of the body is in the row's header: the body itself is not read.
    let mut kept = db
        .prepare_cached(
            "SELECT id, length(body) + length(headers) FROM reject
             WHERE client = ?1 AND substr(method, 1, 1) = ?2 ORDER BY id",
        )?
        .query_map(params![client, UNVERIFIED.to_string()], |row| Ok((columns::unsigned(row.get(0)?), row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(u64, i64)>>>()?
        .into_iter();
    let mut unverified = Usage {
        number: columns::size(kept.len()).saturating_add(1),
        bytes: kept.as_slice().iter().map(|(_, size)| size).sum::<i64>().saturating_add(bytes),
    };
    let (max_number, max_bytes) = bounds.unverified_rejects();
    let mut displaced = Vec::new();
    while all.exceeds(bounds.max_rejects, bounds.max_reject_bytes)
        || !is_verified && unverified.exceeds(max_number, max_bytes)
    {
        let Some((id, size)) = kept.next() else { return Ok(is_verified.then_some(displaced)) };
        displaced.push(id);
        for usage in [&mut all, &mut unverified] {
            usage.number -= 1;
            usage.bytes -= size;
        }
    }
    Ok(Some(displaced))
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
        let too_much = usage.exceeds(bounds.max_rejects, bounds.max_reject_bytes);
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
    let mut raw = columns::raw_request(row, 4)?;
    let method = raw.method.strip_prefix(UNVERIFIED).map(str::to_owned);
    let verified = method.is_none();
    raw.method = method.unwrap_or(raw.method);
    Ok(Reject {
        verified,
        raw,
        id: columns::unsigned(row.get(0)?),
        hook: row.get(1)?,
        time: columns::time(row, 2)?,
        reason: row.get(3)?,
    })
}
