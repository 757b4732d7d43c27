//! What becomes of one delivery: an attempt is stored and settles it, lets it wait for the next, or lets the next of its
//! document go; or its owner makes it pending again.

use rusqlite::{Connection, OptionalExtension, params};

use super::Track;
use super::line::{self, DEAD, DELIVERED, Line, PENDING};
use crate::domain::{Target, Timestamp};
use crate::store::sqlite::columns;
use crate::store::sqlite::registry::Audience;
use crate::store::sqlite::usage::Changes;
use crate::store::{Attempt, AttemptRecord, Disposition, QueueKey, StoreError};

/// Bytes of an answer that are kept at most.
const ANSWER: usize = 16 << 10;

const GONE: Result<(), StoreError> = Err(StoreError::NotFound("delivery"));

/// Stores it.
pub(in crate::store::sqlite) fn settle(
    db: &Connection,
    changes: &mut Changes,
    audience: &Audience,
    settlement: &AttemptRecord,
) -> rusqlite::Result<Result<(), StoreError>> {
    let AttemptRecord { queue: lane, disposition: fate, now, .. } = settlement;
    let Some(notification) = audience.number_of(&lane.target) else { return Ok(GONE) };
    let (id, track) = (
        columns::signed(settlement.delivery),
        Track { client: audience.number, notification, target: lane.target.key() },
    );
    let found = db
        .prepare_cached(
            "SELECT document, due, bytes FROM delivery
             WHERE client = ?1 AND id = ?2 AND state = ?3 AND notification = ?4 AND target = ?5",
        )?
        .query_row(params![track.client, id, PENDING, track.notification, track.target], |row| {
            Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, i64>(2)?))
        })
        .optional()?;
    let Some((document, due, mut bytes)) = found else { return Ok(GONE) };
    if let Some(attempt) = &settlement.attempt {
        bytes += keep(db, id, attempt)?;
    }
    let state = match fate {
        Disposition::Retry(next) => {
            // One that waits for an earlier one goes on waiting.
            db.prepare_cached(
                "UPDATE delivery SET tries = tries + 1, bytes = ?3, due = iif(due IS NULL, NULL, ?4)
                 WHERE client = ?1 AND id = ?2",
            )?
            .execute(params![track.client, id, bytes, next.millis()])?;
            return Ok(Ok(()));
        }
        Disposition::Delivered => DELIVERED,
        Disposition::Dead => DEAD,
    };
    line::close(db, changes, (track.client, id), (state, bytes, *now))?;
    if due.is_some() && (Line { track: &track, document }).release(db, *now)? {
        changes.stir(lane.clone());
    }
    Ok(Ok(()))
}

/// Makes a delivery of any state pending again, at the beginning of its schedule.
pub(in crate::store::sqlite) fn revive(
    db: &Connection,
    changes: &mut Changes,
    audience: &Audience,
    (id, now): (u64, Timestamp),
) -> rusqlite::Result<Result<(), StoreError>> {
    let (client, id) = (audience.number, columns::signed(id));
    let found = db
        .prepare_cached(
            "SELECT target, notification, document, state, bytes FROM delivery WHERE client = ?1 AND id = ?2",
        )?
        .query_row([client, id], |row| {
            let target: String = row.get(0)?;
            Ok((target, row.get::<_, i64>(1)?, row.get(2)?, row.get::<_, i64>(3)?, row.get(4)?))
        })
        .optional()?;
    let Some((key, number, document, state, bytes)) = found else { return Ok(GONE) };
    let Ok(target) = Target::from_key(&key) else { return Ok(GONE) };
    // What an earlier notification of this name left goes to the one of today: its owner asks for just that.
    let Some(notification) = audience.number_of(&target) else {
        return Ok(Err(StoreError::NotFound("notification")));
    };
    if state == PENDING {
        if number != notification {
            return Ok(GONE);
        }
        db.prepare_cached(
            "UPDATE delivery SET tries = 0, due = iif(due IS NULL, NULL, ?3) WHERE client = ?1 AND id = ?2",
        )?
        .execute([client, id, now.millis()])?;
    } else {
        let track = Track { client, notification, target: key };
        Line { track: &track, document }.rejoin(db, changes, (id, bytes, now))?;
    }
    changes.stir(QueueKey { client: audience.client.id.clone(), target });
    Ok(Ok(()))
}

/// Stores an attempt after those before it; the answer is the bytes that it takes up.
pub(super) fn keep(db: &Connection, delivery: i64, attempt: &Attempt) -> rusqlite::Result<i64> {
    let answer = &attempt.response_body[..attempt.response_body.len().min(ANSWER)];
    db.prepare_cached(
        "INSERT INTO attempt (delivery, number, time, took, status, answer, reason)
         SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM attempt WHERE delivery = ?1",
    )?
    .execute(params![
        delivery,
        attempt.time.millis(),
        i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX),
        attempt.status,
        answer,
        attempt.error,
    ])?;
    Ok(columns::size(answer.len() + attempt.error.as_ref().map_or(0, String::len)))
}
