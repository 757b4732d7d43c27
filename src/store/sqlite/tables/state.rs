//! The one row of the state table: the identity of the log and the counters from which ids are assigned.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::columns;
use super::document_ids::DocumentIds;
use crate::domain::{Epoch, Timestamp};

/// A step back of the clock up to here is smoothed.
const MAX_CLOCK_JITTER: Duration = Duration::from_secs(10);

/// What the ids of this log are derived from. Constant for the life of the database.
#[derive(Clone, Copy)]
pub(crate) struct LogIdentity {
    pub(crate) epoch: Epoch,
    pub(crate) document_ids: DocumentIds,
}

/// The last assigned numbers. The writer keeps the committed copy when a transaction fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogCounters {
    /// Sequence of the last event.
    pub(crate) head: i64,
    /// Row number of the last document.
    pub(crate) document: i64,
    /// Time of the last event.
    pub(crate) time: Timestamp,
    /// Id of the last delivery.
    pub(crate) delivery: i64,
}

impl LogCounters {
    /// The time of the next event: `now`, but not a small step behind the last event. A larger step back is taken over;
    /// otherwise a clock that was ahead once would stop the time of events for that long.
    pub(crate) fn event_time(&self, now: Timestamp) -> Timestamp {
        if now.until(self.time) <= MAX_CLOCK_JITTER { now.max(self.time) } else { now }
    }

    pub(crate) fn save(&self, db: &Connection) -> rusqlite::Result<()> {
        db.prepare_cached(
            "UPDATE state SET head = ?1, document = ?2, time = ?3, delivery = ?4, commits = commits + 1",
        )?
        .execute(params![self.head, self.document, self.time.millis(), self.delivery])?;
        Ok(())
    }
}

/// Writes the row of a new database.
pub(crate) fn create(db: &Connection, identity: &LogIdentity) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO state (id, epoch, node, head, document, time, delivery, commits) VALUES (1, ?1, ?2, 0, 0, 0, 0, 0)",
        params![columns::signed(identity.epoch.number()), identity.document_ids.node],
    )?;
    Ok(())
}

pub(crate) fn load(db: &Connection) -> rusqlite::Result<(LogIdentity, LogCounters)> {
    db.query_row("SELECT epoch, node, head, document, time, delivery FROM state", [], |row| {
        let epoch = Epoch::new(columns::unsigned(row.get(0)?));
        let identity = LogIdentity { epoch, document_ids: DocumentIds { node: row.get(1)? } };
        let (time, delivery) = (columns::time(row, 4)?, row.get(5)?);
        Ok((identity, LogCounters { head: row.get(2)?, document: row.get(3)?, time, delivery }))
    })
}
