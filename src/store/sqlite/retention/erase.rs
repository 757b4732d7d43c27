//! Erasing the rows of a removed client, slice by slice. The client's own row is deleted last: as long as it is there,
//! without a name, erasing continues after a restart.

use rusqlite::{Connection, params};

use crate::store::sqlite::tables::columns;

/// Rows that one transaction deletes, per table.
const ROWS_PER_SLICE: usize = 500;

/// The numbers of the removed clients with rows left.
pub(crate) fn removed_clients(db: &Connection) -> rusqlite::Result<Vec<i64>> {
    db.prepare("SELECT id FROM client WHERE name IS NULL")?.query_map([], |row| row.get(0))?.collect()
}

/// Deletes one slice; true when no row is left. Deduplication keys of events that were pruned before stay for their 30
/// days: digests that match nothing, because the client's number is never used again.
pub(crate) fn slice(db: &Connection, client: i64) -> rusqlite::Result<bool> {
    let limit = columns::size(ROWS_PER_SLICE);
    let events: Vec<i64> = db
        .prepare_cached("SELECT seq FROM event WHERE client = ?1 ORDER BY seq LIMIT ?2")?
        .query_map(params![client, limit], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for seq in &events {
        db.prepare_cached("DELETE FROM raw WHERE seq = ?1")?.execute([seq])?;
        db.prepare_cached("DELETE FROM dedup WHERE seq = ?1")?.execute([seq])?;
    }
    if let Some(last) = events.last() {
        db.prepare_cached("DELETE FROM event WHERE client = ?1 AND seq <= ?2")?.execute([client, *last])?;
        return Ok(false);
    }
    let deliveries: Vec<i64> = db
        .prepare_cached("SELECT id FROM delivery WHERE client = ?1 ORDER BY id LIMIT ?2")?
        .query_map(params![client, limit], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in &deliveries {
        db.prepare_cached("DELETE FROM attempt WHERE delivery = ?1")?.execute([id])?;
    }
    if let Some(last) = deliveries.last() {
        db.prepare_cached("DELETE FROM delivery WHERE client = ?1 AND id <= ?2")?.execute([client, *last])?;
        return Ok(false);
    }
    for statement in [
        "DELETE FROM route WHERE client = ?1 AND document IN
         (SELECT document FROM route WHERE client = ?1 ORDER BY document LIMIT ?2)",
        "DELETE FROM document WHERE client = ?1 AND id IN
         (SELECT id FROM document WHERE client = ?1 ORDER BY id LIMIT ?2)",
        "DELETE FROM reject WHERE id IN (SELECT id FROM reject WHERE client = ?1 ORDER BY id LIMIT ?2)",
    ] {
        if db.prepare_cached(statement)?.execute(params![client, limit])? > 0 {
            return Ok(false);
        }
    }
    db.execute("DELETE FROM usage WHERE client = ?1", [client])?;
    db.execute("DELETE FROM client WHERE id = ?1 AND name IS NULL", [client])?;
    Ok(true)
}
