//! What each client takes up, gathered over one transaction and written once at its end.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

/// Changes of clients' counters, by client number.
#[derive(Default)]
pub(super) struct Changes(BTreeMap<i64, (i64, i64)>);

impl Changes {
    /// Counts one more event.
    pub(super) fn add(&mut self, client: i64, bytes: i64) {
        let sum = self.0.entry(client).or_default();
        sum.0 += 1;
        sum.1 = sum.1.saturating_add(bytes);
    }

    /// Writes them.
    pub(super) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        let mut update =
            db.prepare_cached("UPDATE usage SET events = events + ?2, bytes = bytes + ?3 WHERE client = ?1")?;
        for (client, (events, bytes)) in &self.0 {
            update.execute(params![client, events, bytes])?;
        }
        Ok(())
    }
}

/// Events and bytes of a client; `None` when it is gone.
pub(super) fn of(db: &Connection, client: i64) -> rusqlite::Result<Option<(i64, i64)>> {
    db.prepare_cached("SELECT events, bytes FROM usage WHERE client = ?1")?
        .query_row([client], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// The last of the client's events that was deleted, 0 for none.
pub(super) fn pruned_through(db: &Connection, client: i64) -> rusqlite::Result<i64> {
    let through = db
        .prepare_cached("SELECT pruned_through FROM usage WHERE client = ?1")?
        .query_row([client], |row| row.get(0))
        .optional()?;
    Ok(through.unwrap_or(0))
}
