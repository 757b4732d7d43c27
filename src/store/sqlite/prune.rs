//! Keeping the history within its bounds, slice by slice: each is as large as what arrived before it asks for, so that
//! pruning keeps up.

use rusqlite::{Connection, params};

use super::age::{Judge, Rows};
use super::writer::{Reply, answer};
use super::{age, columns, identity, outbox, rejects, usage};
use crate::domain::Timestamp;
use crate::store::{DUPLICATE_WINDOW, Retention};

/// Rows that one step looks at, at most.
const STEP: usize = 500;

/// Work of a slice when nothing arrives: what comes then waits no longer than this.
const LEAST: usize = 500;

/// Work for each item that arrived: it may have left an event, a repeat key and a document, and pruning must be faster
/// than arriving to get on.
const PER_ITEM: usize = 4;

/// Bytes that are as much work as a row.
const BYTES_PER_WORK: usize = 16 << 10;

/// Work of a step that finds nothing to delete: many clients must not make a pass endless.
const PER_STEP: usize = 4;

/// How much to prune after a transaction with so many items and bytes: the unit is a deleted row.
pub(super) fn work(items: usize, bytes: usize) -> usize {
    LEAST.saturating_add(PER_ITEM.saturating_mul(items.saturating_add(bytes / BYTES_PER_WORK)))
}

/// One pass over all clients.
pub(super) struct Prune {
    now: Timestamp,
    /// Clients to come; the last is at work.
    clients: Vec<i64>,
    step: Step,
    /// Events that went.
    removed: u64,
    reply: Option<Reply<u64>>,
}

/// What is pruned next. Events go before the documents that they tell of, repeat keys before both.
enum Step {
    Repeats,
    Events,
    /// Documents after this number.
    Documents(i64),
    Rejects,
    Deliveries,
}

impl Prune {
    /// Of these clients.
    pub(super) fn new(now: Timestamp, clients: Vec<i64>) -> Self {
        Self { now, clients, step: Step::Repeats, removed: 0, reply: None }
    }

    /// Who is told when it is done.
    pub(super) fn answer_to(&mut self, reply: Reply<u64>) {
        self.reply = Some(reply);
    }

    /// Tells them.
    pub(super) fn end(self, outcome: Result<(), &rusqlite::Error>) {
        if let Some(reply) = self.reply {
            answer(reply, outcome.map(|()| self.removed).map_err(columns::unavailable));
        }
    }

    /// True when everything is done.
    pub(super) fn slice(&mut self, db: &Connection, bounds: &Retention, work: usize) -> rusqlite::Result<bool> {
        let mut done = 0;
        while done < work {
            match self.step(db, bounds, work - done)? {
                Some(more) => done += more + PER_STEP,
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// One step of at most about so much work; how much it was, `None` when everything is done.
    fn step(&mut self, db: &Connection, bounds: &Retention, work: usize) -> rusqlite::Result<Option<usize>> {
        if let Step::Repeats = self.step {
            let removed = repeats(db, self.now)?;
            if removed == 0 {
                self.step = Step::Events;
            }
            return Ok(Some(removed));
        }
        let Some(client) = self.clients.last().copied() else { return Ok(None) };
        match self.step {
            Step::Repeats => Ok(Some(0)),
            Step::Events => {
                let (removed, bytes) = events(db, client, (bounds, self.now), work)?;
                self.removed += removed as u64;
                if removed == 0 {
                    self.step = Step::Documents(0);
                }
                Ok(Some(removed + bytes / BYTES_PER_WORK))
            }
            Step::Documents(after) => {
                let (seen, next) = documents(db, client, (bounds, self.now), after)?;
                self.step = next.map_or(Step::Rejects, Step::Documents);
                Ok(Some(seen))
            }
            Step::Rejects => {
                let removed = rejects::bound(db, client, bounds, self.now, (None, STEP))?;
                if removed < STEP {
                    self.step = Step::Deliveries;
                }
                Ok(Some(removed))
            }
            Step::Deliveries => {
                let (removed, bytes) =
                    outbox::bound(db, client, (bounds, self.now), (STEP, work.saturating_mul(BYTES_PER_WORK)))?;
                if removed == 0 {
                    self.clients.pop();
                    self.step = Step::Events;
                }
                Ok(Some(removed + bytes / BYTES_PER_WORK))
            }
        }
    }
}

/// Drops the oldest keys while they are older than the window; returns how many went.
fn repeats(db: &Connection, now: Timestamp) -> rusqlite::Result<usize> {
    let keys = Rows {
        from: "SELECT seq, time FROM dedup WHERE seq >= ?2 ORDER BY seq LIMIT 1",
        last: "SELECT seq, time FROM dedup WHERE ?1 = 0 ORDER BY seq DESC LIMIT 1",
    };
    let mut judge = Judge::new(db, keys, 0, (now, now.minus(DUPLICATE_WINDOW)));
    let mut last = None;
    let mut statement = db.prepare_cached("SELECT seq, time FROM dedup ORDER BY seq LIMIT ?1")?;
    let mut rows = statement.query([columns::size(STEP)])?;
    while let Some(row) = rows.next()? {
        let seq = row.get(0)?;
        if !judge.too_old(seq, columns::time(row, 1)?)? {
            break;
        }
        last = Some(seq);
    }
    let Some(last) = last else { return Ok(0) };
    db.prepare_cached("DELETE FROM dedup WHERE seq <= ?1")?.execute([last])
}

/// Drops the client's oldest events while they are too old, too many or too large; returns how many went, and their
/// bytes.
fn events(
    db: &Connection,
    client: i64,
    (bounds, now): (&Retention, Timestamp),
    work: usize,
) -> rusqlite::Result<(usize, usize)> {
    let Some((mut number, mut bytes)) = usage::of(db, client)? else { return Ok((0, 0)) };
    let history = Rows {
        from: "SELECT seq, time FROM event WHERE client = ?1 AND seq >= ?2 ORDER BY seq LIMIT 1",
        last: "SELECT seq, time FROM event WHERE client = ?1 ORDER BY seq DESC LIMIT 1",
    };
    let mut judge = Judge::new(db, history, client, (now, now.minus(bounds.max_event_age)));
    let mut gone: Vec<i64> = Vec::new();
    let mut freed: i64 = 0;
    let mut statement =
        db.prepare_cached("SELECT seq, time, bytes FROM event WHERE client = ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query(params![client, columns::size(STEP)])?;
    while freed < columns::size(work.saturating_mul(BYTES_PER_WORK))
        && let Some(row) = rows.next()?
    {
        let (seq, size): (i64, i64) = (row.get(0)?, row.get(2)?);
        let too_much = number > columns::signed(bounds.max_events) || bytes > columns::signed(bounds.max_event_bytes);
        if !too_much && !judge.too_old(seq, columns::time(row, 1)?)? {
            break;
        }
        gone.push(seq);
        number -= 1;
        bytes -= size;
        freed += size;
    }
    let Some(last) = gone.last() else { return Ok((0, 0)) };
    for seq in &gone {
        db.prepare_cached("DELETE FROM raw WHERE seq = ?1")?.execute([seq])?;
    }
    db.prepare_cached("DELETE FROM event WHERE client = ?1 AND seq <= ?2")?.execute([client, *last])?;
    db.prepare_cached("UPDATE usage SET events = ?2, bytes = ?3, pruned_through = ?4 WHERE client = ?1")?
        .execute(params![client, number, bytes, last])?;
    Ok((gone.len(), usize::try_from(freed).unwrap_or(usize::MAX)))
}

/// Drops documents that nobody has told of for long; the answer is how many were looked at and where to go on, `None`
/// at the end. Numbers grow with time, so only documents that were made before the cut are looked at, not all that
/// there are; unless the numbers are ahead of the clock, which was set back: then they say nothing about when. A
/// document that was last told of while the clock was ahead stays until that time and the bound have passed.
fn documents(
    db: &Connection,
    client: i64,
    (bounds, now): (&Retention, Timestamp),
    after: i64,
) -> rusqlite::Result<(usize, Option<i64>)> {
    let cut = now.minus(bounds.max_event_age.max(DUPLICATE_WINDOW));
    let newest: i64 = db.prepare_cached("SELECT document FROM state")?.query_row([], |row| row.get(0))?;
    let ahead = newest > identity::first_number(age::credible(now));
    let end = if ahead { i64::MAX } else { identity::first_number(cut) };
    let seen: Vec<(i64, Timestamp, bool)> = db
        .prepare_cached(
            "SELECT id, updated, routed FROM document WHERE client = ?1 AND id > ?2 AND id < ?3 ORDER BY id LIMIT ?4",
        )?
        .query_map(params![client, after, end, columns::size(STEP)], |row| {
            Ok((row.get(0)?, columns::time(row, 1)?, row.get(2)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (number, _, routed) in seen.iter().filter(|(_, updated, _)| *updated < cut) {
        if *routed {
            db.prepare_cached("DELETE FROM route WHERE client = ?1 AND document = ?2")?.execute([client, *number])?;
        }
        db.prepare_cached("DELETE FROM document WHERE client = ?1 AND id = ?2")?.execute([client, *number])?;
    }
    Ok((seen.len(), seen.last().map(|(number, ..)| *number)))
}
