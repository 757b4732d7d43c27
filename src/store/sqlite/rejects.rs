//! The rejects: kept within their bounds as they come, listed, read, removed.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::writer::{Command, Item};
use super::{SqliteStore, append, columns};
use crate::domain::{ClientId, Timestamp};
use crate::store::{Reject, RejectStore, Retention, StoreFuture};

impl RejectStore for SqliteStore {
    fn add(&self, client: &ClientId, reject: Reject) -> StoreFuture<'_, u64> {
        let client = client.clone();
        Box::pin(self.ask(move |reply| Command::Item(Item::Keep(client, Box::new(reject), reply))))
    }

    fn list(&self, client: &ClientId, limit: usize, before: Option<u64>) -> StoreFuture<'_, Vec<Reject>> {
        let number = self.number(client);
        Box::pin(async move {
            let number = number?;
            self.readers.clone().read(move |db| list(db, number, limit, before)).await
        })
    }

    fn get(&self, client: &ClientId, id: u64) -> StoreFuture<'_, Option<Reject>> {
        let number = self.number(client);
        Box::pin(async move {
            let number = number?;
            self.readers.clone().read(move |db| get(db, number, id)).await
        })
    }

    fn remove(&self, client: &ClientId, id: u64) -> StoreFuture<'_, ()> {
        let client = client.clone();
        Box::pin(self.ask(move |reply| Command::Item(Item::Discard(client, id, reply))))
    }
}

/// Stores one and drops the oldest beyond the bounds. The new one stays even when it alone is larger than allowed.
pub(super) fn keep(db: &Connection, client: i64, bounds: &Retention, reject: &Reject) -> rusqlite::Result<u64> {
    let raw = &reject.raw;
    let bytes = append::weight(raw).saturating_add(columns::size(reject.reason.len()));
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
    count(db, client, 1, bytes)?;
    // All that is too much goes now: at most as many as the bound on their number.
    bound(db, client, bounds, reject.time, (Some(id), usize::MAX))?;
    Ok(columns::unsigned(id))
}

/// Drops the oldest that are beyond the bounds, at most so many, sparing one; returns how many went.
pub(super) fn bound(
    db: &Connection,
    client: i64,
    bounds: &Retention,
    now: Timestamp,
    (spared, most): (Option<i64>, usize),
) -> rusqlite::Result<usize> {
    let Some((mut number, mut bytes)) = db
        .prepare_cached("SELECT rejects, reject_bytes FROM usage WHERE client = ?1")?
        .query_row([client], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
        .optional()?
    else {
        return Ok(0);
    };
    let oldest_allowed = now.minus(bounds.max_reject_age);
    let mut gone = Vec::new();
    let mut statement = db.prepare_cached("SELECT id, time, bytes FROM reject WHERE client = ?1 ORDER BY id")?;
    let mut rows = statement.query([client])?;
    while gone.len() < most
        && let Some(row) = rows.next()?
    {
        let (id, time, size) = (row.get::<_, i64>(0)?, columns::time(row, 1)?, row.get::<_, i64>(2)?);
        let too_much = number > columns::signed(bounds.max_rejects) || bytes > columns::signed(bounds.max_reject_bytes);
        if spared == Some(id) || !(too_much || time < oldest_allowed) {
            break;
        }
        gone.push((id, size));
        number -= 1;
        bytes -= size;
    }
    for (id, size) in &gone {
        db.prepare_cached("DELETE FROM reject WHERE id = ?1")?.execute([id])?;
        count(db, client, -1, -size)?;
    }
    Ok(gone.len())
}

/// Removes one; false when the client has no such reject.
pub(super) fn discard(db: &Connection, client: i64, id: u64) -> rusqlite::Result<bool> {
    let bytes = db
        .prepare_cached("DELETE FROM reject WHERE id = ?1 AND client = ?2 RETURNING bytes")?
        .query_row([columns::signed(id), client], |row| row.get::<_, i64>(0))
        .optional()?;
    match bytes {
        Some(bytes) => count(db, client, -1, -bytes).map(|()| true),
        None => Ok(false),
    }
}

fn count(db: &Connection, client: i64, number: i64, bytes: i64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE usage SET rejects = rejects + ?2, reject_bytes = reject_bytes + ?3 WHERE client = ?1")?
        .execute([client, number, bytes])?;
    Ok(())
}

fn list(db: &Connection, client: i64, limit: usize, before: Option<u64>) -> rusqlite::Result<Vec<Reject>> {
    let before = before.map_or(i64::MAX, columns::signed);
    db.prepare_cached(
        "SELECT id, hook, time, reason, method, query, headers, body FROM reject
         WHERE client = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
    )?
    .query_map(params![client, before, columns::size(limit)], read)?
    .collect()
}

fn get(db: &Connection, client: i64, id: u64) -> rusqlite::Result<Option<Reject>> {
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
        raw: columns::raw(row, 4)?,
    })
}
