//! The writer's list of long work: each slice of it is a transaction of its own, as large as what arrived before it asks
//! for, so that the senders between two slices do not notice. What the work is, its own files say.

use std::collections::VecDeque;

use rusqlite::{Connection, TransactionBehavior};

use super::erase;
use super::outbox::{Chore, Stirs};
use super::prune::Prune;
use super::registry::Cache;
use super::usage::Changes;
use crate::domain::Timestamp;
use crate::store::Retention;

/// What the writer does between batches.
pub(super) struct Jobs {
    /// Somebody waits for these: they come first.
    chores: VecDeque<Chore>,
    /// Removed clients, by number.
    erasing: VecDeque<i64>,
    pruning: VecDeque<Prune>,
}

impl Jobs {
    /// With what was left over from before.
    pub(super) fn new(db: &Connection) -> rusqlite::Result<Self> {
        let chores = Chore::left_over(db)?.into();
        Ok(Self { chores, erasing: erase::pending(db)?.into(), pruning: VecDeque::new() })
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.chores.is_empty() && self.erasing.is_empty() && self.pruning.is_empty()
    }

    /// Erase what this client left.
    pub(super) fn erase(&mut self, client: i64) {
        self.erasing.push_back(client);
    }

    /// Change many deliveries.
    pub(super) fn deal(&mut self, chore: Chore) {
        self.chores.push_back(chore);
    }

    /// Prune everything, and take up again what an error of the disk kept from being done.
    pub(super) fn prune(&mut self, db: &Connection, cache: &Cache, now: Timestamp) -> rusqlite::Result<&mut Prune> {
        self.erasing = erase::pending(db)?.into();
        self.chores.extend(Chore::left_over(db)?);
        self.pruning.push_back(Prune::new(now, cache.numbers()));
        let last = self.pruning.len() - 1;
        Ok(&mut self.pruning[last])
    }

    /// Does about so much work in a transaction. After an error the job is given up until it is asked for again.
    pub(super) fn slice(&mut self, db: &mut Connection, bounds: &Retention, stirs: &Stirs, work: usize) {
        if !self.chores.is_empty() {
            return self.chore(db, stirs);
        }
        if self.is_empty() {
            return;
        }
        match (self.step(db, bounds, work), self.erasing.is_empty()) {
            (Ok(false), _) => {}
            (Ok(true), false) => drop(self.erasing.pop_front()),
            (Ok(true), true) => self.pruning.pop_front().into_iter().for_each(|prune| prune.end(Ok(()))),
            (Err(error), false) => {
                tracing::warn!(%error, "erasing a removed client was interrupted: it goes on with the next pruning");
                self.erasing.clear();
            }
            (Err(error), true) => self.pruning.pop_front().into_iter().for_each(|prune| prune.end(Err(&error))),
        }
    }

    /// A slice of the first chore.
    fn chore(&mut self, db: &mut Connection, stirs: &Stirs) {
        let Some(chore) = self.chores.front_mut() else { return };
        let mut slice = || {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut changes = Changes::default();
            let done = chore.slice(&transaction, &mut changes)?;
            let stirred = changes.write(&transaction)?;
            transaction.commit()?;
            stirs.add(stirred);
            Ok(done)
        };
        match slice() {
            Ok(false) => {}
            Ok(true) => self.chores.pop_front().into_iter().for_each(|chore| chore.end(Ok(()))),
            Err(error) => self.chores.pop_front().into_iter().for_each(|chore| chore.end(Err(&error))),
        }
    }

    /// True when the job at the front is done.
    fn step(&mut self, db: &mut Connection, bounds: &Retention, work: usize) -> rusqlite::Result<bool> {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = match (self.erasing.front(), self.pruning.front_mut()) {
            (Some(client), _) => erase::slice(&transaction, *client)?,
            (None, Some(prune)) => prune.slice(&transaction, bounds, work)?,
            (None, None) => true,
        };
        transaction.commit()?;
        Ok(done)
    }
}
