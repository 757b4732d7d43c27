//! A batch: commands that share one transaction, what becomes of each, and who is told.

use rusqlite::{Connection, TransactionBehavior, params};

use super::{Reply, answer as send};
use crate::event::{ClientId, SharedEvent};
use crate::store::sqlite::append::{self, Naming, Position};
use crate::store::sqlite::registry::Cache;
use crate::store::sqlite::rejects;
use crate::store::sqlite::usage::Changes;
use crate::store::{Appended, Arrival, Reject, Retention, StoreError};

/// A command that shares its transaction.
pub(in crate::store::sqlite) enum Item {
    /// Append an arrival.
    Append(Box<Arrival>, Reply<Appended>),
    /// Keep a reject.
    Keep(ClientId, Box<Reject>, Reply<u64>),
    /// Remove a reject.
    Discard(ClientId, u64, Reply<()>),
    /// Commit anything.
    Probe(Reply<()>),
}

impl Item {
    /// Bytes that it will write, about.
    pub(super) fn weight(&self) -> usize {
        match self {
            Item::Append(arrival, _) => arrival.raw.as_ref().map_or(0, |raw| raw.body.len()),
            Item::Keep(_, reject, _) => reject.raw.body.len(),
            Item::Discard(..) | Item::Probe(_) => 0,
        }
    }
}

/// What became of an item, provided that the transaction is committed.
pub(super) enum Verdict {
    Appended(Result<Appended, StoreError>),
    Kept(Result<u64, StoreError>),
    Done(Result<(), StoreError>),
}

/// Writes and commits all of them; on an error none of them is stored.
pub(super) fn write(
    db: &mut Connection,
    cache: &Cache,
    naming: Naming,
    retention: &Retention,
    at: &mut Position,
    items: &[Item],
) -> rusqlite::Result<Vec<Verdict>> {
    let before = at.head;
    // Dropped on an error, which rolls back.
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut changes = Changes::default();
    let mut verdicts = Vec::with_capacity(items.len());
    for item in items {
        verdicts.push(match item {
            Item::Append(arrival, _) => Verdict::Appended(match cache.number(&arrival.client) {
                Some(number) => Ok(append::append(&transaction, naming, at, &mut changes, (number, arrival))?),
                None => Err(NO_CLIENT),
            }),
            Item::Keep(client, reject, _) => Verdict::Kept(match cache.number(client) {
                Some(number) => Ok(rejects::keep(&transaction, number, retention, reject)?),
                None => Err(NO_CLIENT),
            }),
            Item::Discard(client, id, _) => Verdict::Done(match cache.number(client) {
                Some(number) if rejects::discard(&transaction, number, *id)? => Ok(()),
                Some(_) => Err(StoreError::NotFound("reject")),
                None => Err(NO_CLIENT),
            }),
            Item::Probe(_) => Verdict::Done(Ok(())),
        });
    }
    // A batch of repeats has nothing to write; a probe must write to prove anything.
    if at.head != before || items.iter().any(|item| matches!(item, Item::Probe(_))) {
        changes.write(&transaction)?;
        transaction
            .prepare_cached("UPDATE state SET head = ?1, document = ?2, time = ?3, commits = commits + 1")?
            .execute(params![at.head, at.document, at.time.millis()])?;
    }
    transaction.commit()?;
    Ok(verdicts)
}

/// Answers everybody after the commit; returns the new events.
pub(super) fn answer(items: Vec<Item>, verdicts: Vec<Verdict>) -> Vec<SharedEvent> {
    let mut events = Vec::with_capacity(items.len());
    for (item, verdict) in items.into_iter().zip(verdicts) {
        match (item, verdict) {
            (Item::Append(_, reply), Verdict::Appended(outcome)) => {
                if let Ok(Appended::Stored(event)) = &outcome {
                    events.push(event.clone());
                }
                send(reply, outcome);
            }
            (Item::Keep(_, _, reply), Verdict::Kept(outcome)) => send(reply, outcome),
            (Item::Discard(_, _, reply) | Item::Probe(reply), Verdict::Done(outcome)) => send(reply, outcome),
            // `write` judges each item in its own way; dropping the reply would still answer it.
            (_, Verdict::Appended(_) | Verdict::Kept(_) | Verdict::Done(_)) => {}
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
            Item::Discard(_, _, reply) | Item::Probe(reply) => send(reply, Err(error.clone())),
        }
    }
}

const NO_CLIENT: StoreError = StoreError::NotFound("client");
