//! Erasing of removed clients. The client's own row, without a name, is marked last: until then erasing continues after
//! a restart. It stays for the time of creation, which no later client may get: tokens name their client by it.

use rusqlite::{Connection, params};

use super::SliceBudget;
use super::expired_rows::{BYTES_PER_STEP, ROWS_PER_STEP};
use crate::store::sqlite::tables::columns;

/// The row of a removed client has these secrets when everything else of it is erased, and empty ones before.
const ERASED: &[u8] = b"erased";

/// Rows of erased clients that are kept. A later client would need the time of creation of an earlier one than these,
/// by a clock that is set back to that millisecond.
const MAX_ERASED_CLIENTS: usize = 10_000;

/// The numbers of the removed clients with rows left.
pub(crate) fn removed_clients(db: &Connection) -> rusqlite::Result<Vec<i64>> {
    db.prepare("SELECT id FROM client WHERE name IS NULL AND secrets = x''")?.query_map([], |row| row.get(0))?.collect()
}

/// Deletes one slice of a removed client's rows; true when no row is left.
pub(crate) fn slice(db: &Connection, client: i64, budget: SliceBudget) -> rusqlite::Result<bool> {
    let mut done = 0;
    loop {
        if !step(db, client)? {
            db.execute("DELETE FROM usage WHERE client = ?1", [client])?;
            mark_erased(db, client, MAX_ERASED_CLIENTS)?;
            return Ok(true);
        }
        done += ROWS_PER_STEP;
        if budget.is_over(done) {
            return Ok(false);
        }
    }
}

/// Keeps the row of an erased client, and deletes those of the clients before the last `max_kept`.
fn mark_erased(db: &Connection, client: i64, max_kept: usize) -> rusqlite::Result<()> {
    db.execute("UPDATE client SET secrets = ?2 WHERE id = ?1 AND name IS NULL", params![client, ERASED])?;
    db.execute(
        "DELETE FROM client WHERE name IS NULL AND secrets = ?1 AND id <=
         (SELECT id FROM client WHERE name IS NULL AND secrets = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        params![ERASED, columns::size(max_kept)],
    )?;
    Ok(())
}

/// Deletes a few rows of one table; false when no row is left.
fn step(db: &Connection, client: i64) -> rusqlite::Result<bool> {
    let events = first_rows(db, "SELECT seq, bytes FROM event WHERE client = ?1 ORDER BY seq LIMIT ?2", client)?;
    if let Some(last) = events.last() {
        for seq in &events {
            db.prepare_cached("DELETE FROM raw WHERE seq = ?1")?.execute([seq])?;
            db.prepare_cached("DELETE FROM dedup WHERE seq = ?1")?.execute([seq])?;
        }
        db.prepare_cached("DELETE FROM event WHERE client = ?1 AND seq <= ?2")?.execute([client, *last])?;
        return Ok(true);
    }
    let deliveries = first_rows(db, "SELECT id, bytes FROM delivery WHERE client = ?1 ORDER BY id LIMIT ?2", client)?;
    if let Some(last) = deliveries.last() {
        for id in &deliveries {
            db.prepare_cached("DELETE FROM attempt WHERE delivery = ?1")?.execute([id])?;
        }
        db.prepare_cached("DELETE FROM delivery WHERE client = ?1 AND id <= ?2")?.execute([client, *last])?;
        return Ok(true);
    }
    let rejects = first_rows(db, "SELECT id, bytes FROM reject WHERE client = ?1 ORDER BY id LIMIT ?2", client)?;
    for id in &rejects {
        db.prepare_cached("DELETE FROM reject WHERE id = ?1")?.execute([id])?;
    }
    if !rejects.is_empty() {
        return Ok(true);
    }
    for statement in [
        "DELETE FROM dedup WHERE seq IN
         (SELECT seq FROM dedup INDEXED BY dedup_client WHERE client = ?1 ORDER BY seq LIMIT ?2)",
        "DELETE FROM route WHERE client = ?1 AND document IN
         (SELECT document FROM route WHERE client = ?1 ORDER BY document LIMIT ?2)",
        "DELETE FROM document WHERE client = ?1 AND id IN
         (SELECT id FROM document WHERE client = ?1 ORDER BY id LIMIT ?2)",
    ] {
        if db.prepare_cached(statement)?.execute(params![client, columns::size(ROWS_PER_STEP)])? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The numbers of the first rows, which have about the bytes of one step. `sql` selects number and bytes.
fn first_rows(db: &Connection, sql: &str, client: i64) -> rusqlite::Result<Vec<i64>> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![client, columns::size(ROWS_PER_STEP)])?;
    let (mut numbers, mut bytes) = (Vec::new(), 0_i64);
    while bytes < BYTES_PER_STEP
        && let Some(row) = rows.next()?
    {
        numbers.push(row.get(0)?);
        bytes = bytes.saturating_add(row.get(1)?);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::tables::schema;

    const ROWS: usize = ROWS_PER_STEP;
    const ROW_BYTES: usize = 256 << 10;

    fn count(db: &Connection, table: &str) -> usize {
        let number = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0));
        usize::try_from(number.expect("a number")).expect("a count")
    }

    /// The rows that the first step leaves of a table with large rows of a client.
    fn left_after_step(table: &str, insert: &str) -> usize {
        let db = Connection::open_in_memory().expect("a database");
        db.execute_batch(schema::VERSION_1).expect("tables");
        db.execute_batch(schema::DELIVERY_BOUNDS).expect("more columns");
        for number in 0..ROWS {
            db.execute(insert, params![columns::size(number + 1), columns::size(ROW_BYTES)]).expect("a row");
        }
        assert!(step(&db, 1).expect("a step"));
        count(&db, table)
    }

    #[test]
    fn number_of_kept_erased_clients_is_bounded() {
        let db = Connection::open_in_memory().expect("a database");
        db.execute_batch(schema::VERSION_1).expect("tables");
        for number in 1..=10 {
            let name = (number == 3).then_some("present");
            db.execute("INSERT INTO client VALUES (?1, ?2, ?1, x'')", params![number, name]).expect("a row");
        }
        for number in (1..=9).filter(|number| *number != 3) {
            mark_erased(&db, number, 4).expect("marked");
        }
        assert_eq!(removed_clients(&db).expect("numbers"), [10]);
        let mut kept = db.prepare("SELECT id FROM client ORDER BY id").expect("a statement");
        let kept: Vec<i64> =
            kept.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("ids");
        assert_eq!(kept, [3, 6, 7, 8, 9, 10]);
    }

    // A step over 64 large rows would hold up the writer.
    #[test]
    fn erase_step_is_bounded_by_bytes() {
        let event = "INSERT INTO event VALUES (1, ?1, x'', 0, 'COMPLETED', 0, ?2, zeroblob(?2))";
        let delivery =
            "INSERT INTO delivery (client, id, notification, target, seq, document, uuid, state, tries, created,
            bytes) VALUES (1, ?1, 1, 'main', ?1, 1, x'', 1, 0, 0, ?2)";
        let reject = "INSERT INTO reject VALUES (?1, 1, '', 0, '', 'POST', NULL, x'', zeroblob(?2), ?2)";
        let step_rows = usize::try_from(BYTES_PER_STEP).expect("small") / ROW_BYTES;
        for (table, insert) in [("event", event), ("delivery", delivery), ("reject", reject)] {
            assert_eq!(left_after_step(table, insert), ROWS - step_rows, "{table}");
        }
    }
}
