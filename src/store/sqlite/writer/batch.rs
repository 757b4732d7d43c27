//! A batch: commands that share one transaction, what becomes of each, and who is told.

use std::collections::BTreeSet;

use rusqlite::{Connection, TransactionBehavior, params};

use super::{Reply, answer as send};
use crate::domain::{ClientId, SharedEvent, Timestamp};
use crate::store::sqlite::append::{self, Coming, Naming, Position};
use crate::store::sqlite::outbox;
use crate::store::sqlite::registry::Cache;
use crate::store::sqlite::rejects;
use crate::store::sqlite::usage::Changes;
use crate::store::{AppendOutcome, AttemptRecord, NewEvent, QueueKey, Reject, Retention, Seal, StoreError};

/// A command that shares its transaction.
pub(in crate::store::sqlite) enum Item {
    /// Append an arrival.
    Append(Box<NewEvent>, Reply<AppendOutcome>),
    /// Keep a reject.
    Keep(ClientId, Box<Reject>, Reply<u64>),
    /// Remove a reject.
    Discard(ClientId, u64, Reply<()>),
    /// Store an attempt and what it makes of its delivery.
    Settle(Box<AttemptRecord>, Reply<()>),
    /// Make a delivery pending again.
    Revive(ClientId, u64, Timestamp, Reply<()>),
    /// Commit anything.
    Probe(Reply<()>),
}

/// What the items of a batch are judged with.
pub(super) struct Ground<'a> {
    pub(super) cache: &'a Cache,
    pub(super) naming: Naming,
    pub(super) retention: &'a Retention,
    pub(super) seal: &'a dyn Seal,
}

impl Item {
    /// Bytes that it will write, about.
    pub(super) fn weight(&self) -> usize {
        match self {
            Item::Append(arrival, _) => arrival.raw.as_ref().map_or(0, |raw| raw.body.len()),
            Item::Keep(_, reject, _) => reject.raw.body.len(),
            Item::Settle(settlement, _) => settlement.attempt.as_ref().map_or(0, |attempt| attempt.response_body.len()),
            Item::Discard(..) | Item::Revive(..) | Item::Probe(_) => 0,
        }
    }
}

/// What became of an item, provided that the transaction is committed.
pub(super) enum Verdict {
    AppendOutcome(Result<AppendOutcome, StoreError>),
    Kept(Result<u64, StoreError>),
    Done(Result<(), StoreError>),
}

/// Writes and commits all of them; on an error none of them is stored. The answer is what became of each, and the lanes
/// that are stirred.
pub(super) fn write(
    db: &mut Connection,
    ground: &Ground<'_>,
    at: &mut Position,
    items: &[Item],
) -> rusqlite::Result<(Vec<Verdict>, BTreeSet<QueueKey>)> {
    let before = *at;
    // Dropped on an error, which rolls back.
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut changes = Changes::default();
    let mut verdicts = Vec::with_capacity(items.len());
    for item in items {
        verdicts.push(judge(&transaction, ground, at, &mut changes, item)?);
    }
    let stirred = changes.write(&transaction)?;
    // A batch of repeats has nothing to write; a probe must write to prove anything.
    if *at != before || items.iter().any(|item| matches!(item, Item::Probe(_))) {
        transaction
            .prepare_cached(
                "UPDATE state SET head = ?1, document = ?2, time = ?3, delivery = ?4, commits = commits + 1",
            )?
            .execute(params![at.head, at.document, at.time.millis(), at.delivery])?;
    }
    transaction.commit()?;
    Ok((verdicts, stirred))
}

fn judge(
    db: &Connection,
    ground: &Ground<'_>,
    at: &mut Position,
    changes: &mut Changes,
    item: &Item,
) -> rusqlite::Result<Verdict> {
    let cache = ground.cache;
    Ok(match item {
        Item::Append(arrival, _) => Verdict::AppendOutcome(match cache.audience(&arrival.client) {
            Some(audience) => {
                let coming = Coming { arrival, audience: &audience, seal: ground.seal };
                Ok(append::append(db, ground.naming, at, changes, coming)?)
            }
            None => Err(NO_CLIENT),
        }),
        Item::Keep(client, reject, _) => Verdict::Kept(match cache.number(client) {
            Some(number) => Ok(rejects::keep(db, number, ground.retention, reject)?),
            None => Err(NO_CLIENT),
        }),
        Item::Discard(client, id, _) => Verdict::Done(match cache.number(client) {
            Some(number) if rejects::discard(db, number, *id)? => Ok(()),
            Some(_) => Err(StoreError::NotFound("reject")),
            None => Err(NO_CLIENT),
        }),
        Item::Settle(settlement, _) => Verdict::Done(match cache.audience(&settlement.queue.client) {
            Some(audience) => outbox::settle(db, changes, &audience, settlement)?,
            None => Err(NO_CLIENT),
        }),
        Item::Revive(client, id, now, _) => Verdict::Done(match cache.audience(client) {
            Some(audience) => outbox::revive(db, changes, &audience, (*id, *now))?,
            None => Err(NO_CLIENT),
        }),
        Item::Probe(_) => Verdict::Done(Ok(())),
    })
}

/// Answers everybody after the commit; returns the new events.
pub(super) fn answer(items: Vec<Item>, verdicts: Vec<Verdict>) -> Vec<SharedEvent> {
    let mut events = Vec::with_capacity(items.len());
    for (item, verdict) in items.into_iter().zip(verdicts) {
        match (item, verdict) {
            (Item::Append(_, reply), Verdict::AppendOutcome(outcome)) => {
                if let Ok(AppendOutcome::Stored(event)) = &outcome {
                    events.push(event.clone());
                }
                send(reply, outcome);
            }
            (Item::Keep(_, _, reply), Verdict::Kept(outcome)) => send(reply, outcome),
            (
                Item::Discard(_, _, reply) | Item::Settle(_, reply) | Item::Revive(_, _, _, reply) | Item::Probe(reply),
                Verdict::Done(outcome),
            ) => send(reply, outcome),
            // `write` judges each item in its own way; dropping the reply would still answer it.
            (_, Verdict::AppendOutcome(_) | Verdict::Kept(_) | Verdict::Done(_)) => {}
        }
    }
    events
}

/// Answers everybody when nothing was stored.
pub(super) fn refuse(items: Vec<Item>, error: &StoreError) {
    for item in items {
        match item {
            Item::Append(_, reply) => send(reply, Err(error.clone())),
            Item::Keep(_, _, reply) => send(reply, Err(error.clone())),
            Item::Discard(_, _, reply) | Item::Settle(_, reply) | Item::Revive(_, _, _, reply) | Item::Probe(reply) => {
                send(reply, Err(error.clone()))
            }
        }
    }
}

const NO_CLIENT: StoreError = StoreError::NotFound("client");
