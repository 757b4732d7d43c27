//! The counters of each client: how many events, deliveries and rejects it has and how many bytes they occupy. Changes are
//! collected over one transaction and written once, at its end.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

/// Number and bytes of the items of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) number: i64,
    pub(crate) bytes: i64,
}

/// The changes of one transaction, by client number.
#[derive(Default)]
pub(crate) struct UsageChanges(BTreeMap<i64, ClientChanges>);

#[derive(Default)]
struct ClientChanges {
    events: i64,
    event_bytes: i64,
    pending: i64,
    settled: i64,
    attempt_bytes: i64,
}

impl UsageChanges {
    pub(crate) fn event_added(&mut self, client: i64, bytes: i64) {
        let changes = self.0.entry(client).or_default();
        changes.events += 1;
        changes.event_bytes = changes.event_bytes.saturating_add(bytes);
    }

    pub(crate) fn delivery_queued(&mut self, client: i64) {
        self.0.entry(client).or_default().pending += 1;
    }

    /// A pending delivery is now delivered or dead; `bytes` are those of all its attempts.
    pub(crate) fn delivery_settled(&mut self, client: i64, bytes: i64) {
        let changes = self.0.entry(client).or_default();
        changes.pending -= 1;
        changes.settled += 1;
        changes.attempt_bytes += bytes;
    }

    /// A delivered or dead delivery is pending again.
    pub(crate) fn delivery_requeued(&mut self, client: i64, bytes: i64) {
        let changes = self.0.entry(client).or_default();
        changes.pending += 1;
        changes.settled -= 1;
        changes.attempt_bytes -= bytes;
    }

    /// A delivered or dead delivery was removed.
    pub(crate) fn delivery_removed(&mut self, client: i64, bytes: i64) {
        let changes = self.0.entry(client).or_default();
        changes.settled -= 1;
        changes.attempt_bytes -= bytes;
    }

    pub(crate) fn save(&self, db: &Connection) -> rusqlite::Result<()> {
        let mut update = db.prepare_cached(
            "UPDATE usage SET events = events + ?2, bytes = bytes + ?3, pending = pending + ?4, settled = settled + ?5,
             settled_bytes = settled_bytes + ?6 WHERE client = ?1",
        )?;
        for (client, changes) in &self.0 {
            let ClientChanges { events, event_bytes, pending, settled, attempt_bytes } = changes;
            update.execute(params![client, events, event_bytes, pending, settled, attempt_bytes])?;
        }
        Ok(())
    }
}

/// Events of a client; `None` when it was removed.
pub(crate) fn of_events(db: &Connection, client: i64) -> rusqlite::Result<Option<Usage>> {
    read(db, "SELECT events, bytes FROM usage WHERE client = ?1", client)
}

/// Delivered and dead deliveries of a client and the bytes of their attempts; `None` when it was removed.
pub(crate) fn of_settled_deliveries(db: &Connection, client: i64) -> rusqlite::Result<Option<Usage>> {
    read(db, "SELECT settled, settled_bytes FROM usage WHERE client = ?1", client)
}

/// Rejects of a client; `None` when it was removed.
pub(crate) fn of_rejects(db: &Connection, client: i64) -> rusqlite::Result<Option<Usage>> {
    read(db, "SELECT rejects, reject_bytes FROM usage WHERE client = ?1", client)
}

fn read(db: &Connection, sql: &str, client: i64) -> rusqlite::Result<Option<Usage>> {
    db.prepare_cached(sql)?.query_row([client], |row| Ok(Usage { number: row.get(0)?, bytes: row.get(1)? })).optional()
}

/// Sequence of the client's last removed event, 0 for none.
pub(crate) fn pruned_through(db: &Connection, client: i64) -> rusqlite::Result<i64> {
    let through = db
        .prepare_cached("SELECT pruned_through FROM usage WHERE client = ?1")?
        .query_row([client], |row| row.get(0))
        .optional()?;
    Ok(through.unwrap_or(0))
}
