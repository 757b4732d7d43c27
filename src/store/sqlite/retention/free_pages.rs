//! Returning free pages to the file system. Rows leave free pages, which later rows use. Only when many pages are free
//! is the file made shorter, because each page that is moved for this is written again. The file itself becomes shorter
//! with the next checkpoint.

use rusqlite::Connection;

use super::SliceBudget;

/// Free pages that are always kept: 8 MiB.
const MIN_FREE_PAGES: i64 = 2_048;

/// The share of free pages in the file at which they are returned, and the share that is kept then.
const START_SHARE: i64 = 8;
const END_SHARE: i64 = 32;

/// Pages that one step returns.
const PAGES_PER_STEP: i64 = 16;

/// Whether the number of free pages exceeds the threshold from which they are returned. False for a file that cannot do
/// so: see `migrate`.
pub(crate) fn are_many(db: &Connection) -> rusqlite::Result<bool> {
    let (free, all) = count(db)?;
    let can_return = number(db, "PRAGMA auto_vacuum")? != 0;
    Ok(can_return && free > MIN_FREE_PAGES && free > all / START_SHARE)
}

/// Returns free pages for the time of one slice, in one transaction; true when enough are returned.
pub(crate) fn return_slice(db: &mut Connection, budget: SliceBudget) -> rusqlite::Result<bool> {
    let tx = db.transaction()?;
    let is_complete = loop {
        let (free, all) = count(&tx)?;
        if free <= MIN_FREE_PAGES / 2 || free <= all / END_SHARE {
            break true;
        }
        if budget.is_over(0) {
            break false;
        }
        let mut step = tx.prepare_cached(&format!("PRAGMA incremental_vacuum({PAGES_PER_STEP})"))?;
        // Each row is one page.
        let mut rows = step.query([])?;
        while rows.next()?.is_some() {}
        if count(&tx)?.0 >= free {
            // Without progress there is nothing more to do.
            break true;
        }
    };
    tx.commit()?;
    Ok(is_complete)
}

/// Free pages and all pages.
fn count(db: &Connection) -> rusqlite::Result<(i64, i64)> {
    Ok((number(db, "PRAGMA freelist_count")?, number(db, "PRAGMA page_count")?))
}

fn number(db: &Connection, sql: &str) -> rusqlite::Result<i64> {
    db.prepare_cached(sql)?.query_row([], |row| row.get(0))
}
