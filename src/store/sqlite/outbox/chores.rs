//! Changes of many deliveries at once, slice by slice, so that the senders between two slices do not notice: what a
//! removed notification leaves, hurrying a lane, recovering what is dead.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, params};

use super::Track;
use super::line::{self, DEAD, Line, PENDING};
use super::settle;
use crate::domain::Timestamp;
use crate::store::sqlite::columns;
use crate::store::sqlite::usage::Changes;
use crate::store::sqlite::writer::{Reply, answer};
use crate::store::{Attempt, QueueKey};

/// Deliveries that one slice looks at.
const SLICE: usize = 500;

/// A notification that is gone.
#[derive(Clone, Copy)]
pub(in crate::store::sqlite) struct Removed {
    pub(in crate::store::sqlite) client: i64,
    pub(in crate::store::sqlite) number: i64,
    /// When it was removed.
    pub(in crate::store::sqlite) time: Timestamp,
}

impl Removed {
    /// Empties its row. That stays until its deliveries are dead: while it is there, the next start goes on.
    pub(in crate::store::sqlite) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        db.prepare_cached("UPDATE notification SET definition = x'', removed = ?2 WHERE number = ?1")?
            .execute([self.number, self.time.millis()])?;
        Ok(())
    }
}

/// Where a slice goes on, and what it is about.
pub(in crate::store::sqlite) struct Sweep<T> {
    lane: QueueKey,
    track: Track,
    now: Timestamp,
    /// Only those that died then or later.
    since: Timestamp,
    /// The last number that was looked at.
    after: i64,
    done: u64,
    reply: Reply<T>,
}

/// One such change.
pub(in crate::store::sqlite) enum Chore {
    /// Everything that is pending for a removed notification dies. Who removed it waits for the end.
    Bury(Removed, Option<Reply<()>>),
    /// Everything in a lane is due now.
    Hurry(Sweep<()>),
    /// Everything in a lane that is dead is pending again.
    Recover(Sweep<u64>),
}

impl Chore {
    /// Hurries a lane.
    pub(super) fn hurry((lane, track): (QueueKey, Track), now: Timestamp, reply: Reply<()>) -> Self {
        Self::Hurry(Sweep { lane, track, now, since: now, after: 0, done: 0, reply })
    }

    /// Recovers what died in a lane.
    pub(super) fn recover(
        (lane, track): (QueueKey, Track),
        (since, now): (Timestamp, Timestamp),
        reply: Reply<u64>,
    ) -> Self {
        Self::Recover(Sweep { lane, track, now, since, after: 0, done: 0, reply })
    }

    /// What the last run did not get to the end of.
    pub(in crate::store::sqlite) fn left_over(db: &Connection) -> rusqlite::Result<Vec<Self>> {
        db.prepare("SELECT client, number, removed FROM notification WHERE removed IS NOT NULL")?
            .query_map([], |row| {
                let removed = Removed { client: row.get(0)?, number: row.get(1)?, time: columns::time(row, 2)? };
                Ok(Self::Bury(removed, None))
            })?
            .collect()
    }

    /// One slice; true when nothing is left.
    pub(in crate::store::sqlite) fn slice(&mut self, db: &Connection, changes: &mut Changes) -> rusqlite::Result<bool> {
        match self {
            Self::Bury(removed, _) => bury(db, changes, *removed),
            Self::Hurry(sweep) => sweep.hurry(db, changes),
            Self::Recover(sweep) => sweep.recover(db, changes),
        }
    }

    /// Answers who waits.
    pub(in crate::store::sqlite) fn end(self, outcome: Result<(), &rusqlite::Error>) {
        let outcome = outcome.map_err(columns::unavailable);
        match self {
            // It is removed, whatever becomes of its deliveries: they are taken up again with the next pruning.
            Self::Bury(_, reply) => {
                if let Err(error) = outcome {
                    tracing::warn!(%error, "what a removed notification left could not be settled yet");
                }
                reply.into_iter().for_each(|reply| answer(reply, Ok(())));
            }
            Self::Hurry(sweep) => answer(sweep.reply, outcome),
            Self::Recover(sweep) => answer(sweep.reply, outcome.map(|()| sweep.done)),
        }
    }
}

fn bury(db: &Connection, changes: &mut Changes, removed: Removed) -> rusqlite::Result<bool> {
    let Removed { client, number, time } = removed;
    let error = Some("the notification was deleted".to_owned());
    let last = Attempt { time, duration: Duration::ZERO, status: None, response_body: Bytes::new(), error };
    let pending: Vec<(i64, i64)> = db
        .prepare_cached(
            "SELECT id, bytes FROM delivery INDEXED BY delivery_state
             WHERE client = ?1 AND state = ?2 AND notification = ?3 ORDER BY id LIMIT ?4",
        )?
        .query_map(params![client, PENDING, number, columns::size(SLICE)], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (id, bytes) in &pending {
        let bytes = bytes + settle::keep(db, *id, &last)?;
        line::close(db, changes, (client, *id), (DEAD, bytes, time))?;
    }
    if pending.len() == SLICE {
        return Ok(false);
    }
    db.prepare_cached("DELETE FROM notification WHERE number = ?1")?.execute([number])?;
    Ok(true)
}

impl<T> Sweep<T> {
    /// Each of the index's two groups, tried and never tried, has what is due later at its end: what was hurried is not
    /// there any more, so the next slice finds the rest.
    fn hurry(&mut self, db: &Connection, changes: &mut Changes) -> rusqlite::Result<bool> {
        let Track { client, notification, target } = &self.track;
        let mut hurried = 0;
        for tried in [0, 1] {
            hurried += db
                .prepare_cached(
                    "UPDATE delivery SET due = ?5 WHERE client = ?1 AND id IN
                     (SELECT id FROM delivery INDEXED BY delivery_due
                      WHERE client = ?1 AND notification = ?2 AND target = ?3 AND (tries > 0) = ?4 AND due > ?5
                      AND due IS NOT NULL ORDER BY due LIMIT ?6)",
                )?
                .execute(params![client, notification, target, tried, self.now.millis(), columns::size(SLICE)])?;
        }
        if hurried > 0 {
            changes.stir(self.lane.clone());
        }
        Ok(hurried < SLICE)
    }

    fn recover(&mut self, db: &Connection, changes: &mut Changes) -> rusqlite::Result<bool> {
        // Removed since it was asked for: nobody would ever send what came to life after the burying.
        let mut alive = db.prepare_cached("SELECT 1 FROM notification WHERE number = ?1 AND removed IS NULL")?;
        if !alive.exists([self.track.notification])? {
            return Ok(true);
        }
        let dead: Vec<(i64, i64, i64, Timestamp)> = db
            .prepare_cached(
                "SELECT id, document, bytes, settled FROM delivery INDEXED BY delivery_state
                 WHERE client = ?1 AND state = ?2 AND notification = ?3 AND id > ?4 ORDER BY id LIMIT ?5",
            )?
            .query_map(
                params![self.track.client, DEAD, self.track.notification, self.after, columns::size(SLICE)],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, columns::time(row, 3)?)),
            )?
            .collect::<rusqlite::Result<_>>()?;
        // The oldest first: the others of its document then find it and wait.
        for (id, document, bytes, _) in dead.iter().filter(|(.., died)| *died >= self.since) {
            Line { track: &self.track, document: *document }.rejoin(db, changes, (*id, *bytes, self.now))?;
            changes.stir(self.lane.clone());
            self.done += 1;
        }
        self.after = dead.last().map_or(self.after, |(id, ..)| *id);
        Ok(dead.len() < SLICE)
    }
}
