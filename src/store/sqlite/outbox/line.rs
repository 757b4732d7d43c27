//! The line of one document's deliveries in a lane, and every change of a delivery's state: while any of a line is
//! pending, exactly one of them has a time at which it is due, and the others wait for it.

use rusqlite::{Connection, OptionalExtension, params};

use super::Track;
use crate::domain::{DocumentId, Timestamp};
use crate::store::sqlite::append::Position;
use crate::store::sqlite::columns;
use crate::store::sqlite::usage::{self, Changes};
use crate::store::{DeliveryState, Retention};

/// The states as their column holds them.
pub(super) const PENDING: i64 = 0;
pub(super) const DELIVERED: i64 = 1;
pub(super) const DEAD: i64 = 2;

/// A state as the column holds it.
pub(super) fn number(state: DeliveryState) -> i64 {
    match state {
        DeliveryState::Pending => PENDING,
        DeliveryState::Delivered => DELIVERED,
        DeliveryState::Dead => DEAD,
    }
}

/// And back.
pub(super) fn state(number: i64) -> DeliveryState {
    DeliveryState::ALL.into_iter().find(|state| self::number(*state) == number).unwrap_or(DeliveryState::Dead)
}

/// A document in a lane.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) track: &'a Track,
    pub(super) document: i64,
}

impl Line<'_> {
    /// The last delivery of this line in this state, or the first: its number and its event.
    fn end(&self, db: &Connection, sql: &'static str, state: i64) -> rusqlite::Result<Option<(i64, i64)>> {
        let Track { client, notification, target } = self.track;
        db.prepare_cached(sql)?
            .query_row(params![client, self.document, state, notification, target], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
    }

    /// The first one that is pending.
    fn first(&self, db: &Connection) -> rusqlite::Result<Option<(i64, i64)>> {
        const FIRST: &str = "SELECT id, seq FROM delivery INDEXED BY delivery_line WHERE client = ?1 AND document = ?2
            AND state = ?3 AND notification = ?4 AND target = ?5 ORDER BY id LIMIT 1";
        self.end(db, FIRST, PENDING)
    }

    /// Whether this event, the document's latest, has been queued here.
    pub(super) fn has(&self, db: &Connection, sequence: i64) -> rusqlite::Result<bool> {
        const LAST: &str = "SELECT id, seq FROM delivery INDEXED BY delivery_line WHERE client = ?1 AND document = ?2
            AND state = ?3 AND notification = ?4 AND target = ?5 ORDER BY id DESC LIMIT 1";
        for state in [PENDING, DELIVERED, DEAD] {
            if self.end(db, LAST, state)?.is_some_and(|(_, last)| last == sequence) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Queues an event, due now unless it has to wait.
    pub(super) fn join(
        &self,
        db: &Connection,
        at: &mut Position,
        changes: &mut Changes,
        (sequence, document, now): (i64, DocumentId, Timestamp),
    ) -> rusqlite::Result<()> {
        let due = if self.first(db)?.is_some() { None } else { Some(now.millis()) };
        let Track { client, notification, target } = self.track;
        let id = at.delivery.saturating_add(1);
        db.prepare_cached(
            "INSERT INTO delivery
             (client, id, notification, target, seq, document, uuid, state, tries, due, created, bytes)
             VALUES (?1,?2,?3,?4,?5,?6,?7,?8,0,?9,?10,0)",
        )?
        .execute(params![
            client,
            id,
            notification,
            target,
            sequence,
            self.document,
            document.uuid().as_bytes(),
            PENDING,
            due,
            now.millis(),
        ])?;
        at.delivery = id;
        changes.queued(*client);
        Ok(())
    }

    /// Lets the first one go that waits; true when there was one. Only when none of the line is due.
    pub(super) fn release(&self, db: &Connection, now: Timestamp) -> rusqlite::Result<bool> {
        let Some((first, _)) = self.first(db)? else { return Ok(false) };
        db.prepare_cached("UPDATE delivery SET due = ?3 WHERE client = ?1 AND id = ?2")?.execute(params![
            self.track.client,
            first,
            now.millis()
        ])?;
        Ok(true)
    }

    /// A settled one is pending again, at the beginning of its schedule, due now unless it has to wait. Its number is
    /// the one that the lane bears now.
    pub(super) fn rejoin(
        &self,
        db: &Connection,
        changes: &mut Changes,
        (id, bytes, now): (i64, i64, Timestamp),
    ) -> rusqlite::Result<()> {
        let due = if self.first(db)?.is_some() { None } else { Some(now.millis()) };
        db.prepare_cached(
            "UPDATE delivery SET state = ?3, notification = ?4, tries = 0, due = ?5, settled = NULL
             WHERE client = ?1 AND id = ?2",
        )?
        .execute(params![self.track.client, id, PENDING, self.track.notification, due])?;
        changes.revived(self.track.client, bytes);
        Ok(())
    }
}

/// Settles a pending one, which now has so many bytes of attempts.
pub(super) fn close(
    db: &Connection,
    changes: &mut Changes,
    (client, id): (i64, i64),
    (state, bytes, now): (i64, i64, Timestamp),
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE delivery SET state = ?3, due = NULL, settled = ?4, bytes = ?5 WHERE client = ?1 AND id = ?2",
    )?
    .execute(params![client, id, state, now.millis(), bytes])?;
    changes.settled(client, bytes);
    Ok(())
}

/// Drops the client's settled deliveries that are too old, too many or too large, those that were settled first before
/// the others, so many and about so many bytes at most; returns how many went and their bytes.
pub(in crate::store::sqlite) fn bound(
    db: &Connection,
    client: i64,
    (bounds, now): (&Retention, Timestamp),
    (most, most_bytes): (usize, usize),
) -> rusqlite::Result<(usize, usize)> {
    let Some((mut number, mut bytes)) = usage::settled(db, client)? else { return Ok((0, 0)) };
    let cut = now.minus(bounds.max_delivery_age);
    let mut gone: Vec<(i64, i64)> = Vec::new();
    let mut freed: i64 = 0;
    let mut statement = db.prepare_cached(
        "SELECT id, settled, bytes FROM delivery INDEXED BY delivery_settled
         WHERE client = ?1 AND settled IS NOT NULL ORDER BY settled, id LIMIT ?2",
    )?;
    let mut rows = statement.query(params![client, columns::size(most)])?;
    while freed <= columns::size(most_bytes)
        && let Some(row) = rows.next()?
    {
        let (id, settled, size): (i64, _, i64) = (row.get(0)?, columns::time(row, 1)?, row.get(2)?);
        let too_much =
            number > columns::signed(bounds.max_deliveries) || bytes > columns::signed(bounds.max_attempt_bytes);
        if !too_much && settled >= cut {
            break;
        }
        gone.push((id, size));
        number -= 1;
        bytes -= size;
        freed += size;
    }
    let mut changes = Changes::default();
    for (id, size) in &gone {
        db.prepare_cached("DELETE FROM attempt WHERE delivery = ?1")?.execute([id])?;
        db.prepare_cached("DELETE FROM delivery WHERE client = ?1 AND id = ?2")?.execute([client, *id])?;
        changes.forgotten(client, *size);
    }
    changes.write(db)?;
    Ok((gone.len(), usize::try_from(freed).unwrap_or(0)))
}
