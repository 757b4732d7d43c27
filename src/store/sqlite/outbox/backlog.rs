//! How much waits, and where: a few steps of an index for each lane, and a counter for each client, however many
//! deliveries there are.

use rusqlite::{Connection, OptionalExtension, params};

use crate::domain::{ClientId, Target, Timestamp};
use crate::store::sqlite::columns;
use crate::store::{Backlog, QueueKey};

/// A lane in which something is pending.
pub(in crate::store::sqlite) struct Waiting {
    pub(in crate::store::sqlite) lane: QueueKey,
    /// The earliest time at which anything of it is due.
    earliest: Timestamp,
}

/// All of them together.
pub(super) fn read(db: &Connection) -> rusqlite::Result<Backlog> {
    let pending: Option<i64> = db
        .prepare_cached(
            "SELECT sum(pending) FROM usage JOIN client ON client.id = usage.client WHERE name IS NOT NULL",
        )?
        .query_row([], |row| row.get(0))?;
    let oldest_due = lanes(db)?.into_iter().map(|waiting| waiting.earliest).min();
    Ok(Backlog { pending: columns::unsigned(pending.unwrap_or(0)), oldest_due })
}

/// Every lane in which anything is pending. Not those of clients and notifications that are gone: what is left of these
/// is never sent.
pub(in crate::store::sqlite) fn lanes(db: &Connection) -> rusqlite::Result<Vec<Waiting>> {
    let mut step = db.prepare_cached(
        "SELECT client, notification, target FROM delivery INDEXED BY delivery_due
         WHERE due IS NOT NULL AND (client, notification, target) > (?1, ?2, ?3)
         ORDER BY client, notification, target LIMIT 1",
    )?;
    let mut alive = db.prepare_cached(
        "SELECT name FROM client WHERE id = ?1 AND name IS NOT NULL AND
         (?2 = 0 OR EXISTS (SELECT 1 FROM notification WHERE number = ?2 AND removed IS NULL))",
    )?;
    let mut first = db.prepare_cached(
        "SELECT due FROM delivery INDEXED BY delivery_due
         WHERE client = ?1 AND notification = ?2 AND target = ?3 AND (tries > 0) = ?4 AND due IS NOT NULL
         ORDER BY due LIMIT 1",
    )?;
    let (mut lanes, mut last): (Vec<Waiting>, (i64, i64, String)) = (Vec::new(), (0, 0, String::new()));
    while let Some(found) =
        step.query_row(params![last.0, last.1, last.2], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?
    {
        last = found;
        let name: Option<ClientId> = alive.query_row([last.0, last.1], |row| columns::word(row, 0)).optional()?;
        let (Some(client), Ok(target)) = (name, Target::from_key(&last.2)) else { continue };
        let mut earliest = None;
        for tried in [0, 1] {
            let due =
                first.query_row(params![last.0, last.1, last.2, tried], |row| columns::time(row, 0)).optional()?;
            earliest = earliest.into_iter().chain(due).min();
        }
        lanes.extend(earliest.map(|earliest| Waiting { lane: QueueKey { client, target }, earliest }));
    }
    Ok(lanes)
}
