//! The one thread that writes: takes everything that has queued up, commits it in one transaction, and only then
//! answers. After each transaction it does one slice of erasing or pruning, of a size that keeps up with what arrives.

mod batch;
#[cfg(test)]
mod faults;

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use self::batch::Ground;
pub(super) use self::batch::Item;

use super::append::{Naming, Position};
use super::checkpoint::Checkpointer;
use super::jobs::Jobs;
use super::outbox::Chore;
use super::prune;
use super::registry::{Change, Left};
use super::{CommitReport, OnCommit, Shared, columns};
use crate::domain::Timestamp;
use crate::store::{CommittedBatch, Retention, Seal, StoreError};

/// Commands that may wait. When it is full the sender waits.
pub(super) const QUEUE: usize = 1024;

/// Commands that share a transaction at most.
const BATCH: usize = 512;

/// Bytes of requests that share a transaction, about: more would not fit the page cache and be written twice.
const BATCH_BYTES: usize = 8 << 20;

/// Where an answer goes. Dropping it answers [`StoreError::Stopped`].
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked for.
pub(super) enum Command {
    /// Something that shares a transaction with others.
    Item(Item),
    /// A change of the registry: alone, so that what comes after it sees it.
    Change(Box<Change>, Reply<()>),
    /// A change of many deliveries, slice by slice.
    Chore(Chore),
    /// Drop what the retention does not allow, as of this time.
    Prune(Timestamp, Reply<u64>),
    /// Finish a checkpoint, of which little is left to do, and begin the write-ahead log anew.
    Restart(SyncSender<()>),
    /// Flush and end.
    Close(Reply<()>),
}

/// The writer's own state; nobody else has it.
pub(super) struct Writer {
    pub(super) db: Connection,
    pub(super) shared: Arc<Shared>,
    pub(super) naming: Naming,
    pub(super) at: Position,
    pub(super) retention: Retention,
    pub(super) jobs: Jobs,
    pub(super) checkpointer: Checkpointer,
    pub(super) seal: Arc<dyn Seal>,
    pub(super) on_commit: Option<OnCommit>,
    /// Whether the last transaction failed: only the change is worth a line in the log of operations.
    pub(super) failing: bool,
    /// Held for as long as the file is written.
    pub(super) lock: File,
}

impl Writer {
    /// Works until it is told to close or all handles are gone.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut commands = Vec::with_capacity(BATCH);
        let mut closing = None;
        while closing.is_none() && self.gather(&mut queue, &mut commands) {
            let mut items = Vec::with_capacity(commands.len());
            let mut bytes: usize = 0;
            for command in commands.drain(..) {
                match command {
                    Command::Item(item) => {
                        bytes = bytes.saturating_add(item.weight());
                        items.push(item);
                        if bytes > BATCH_BYTES {
                            self.round(std::mem::take(&mut items), std::mem::take(&mut bytes), queue.len());
                        }
                        continue;
                    }
                    other => {
                        self.round(std::mem::take(&mut items), std::mem::take(&mut bytes), queue.len());
                        closing = self.alone(other);
                    }
                }
                if closing.is_some() {
                    break;
                }
            }
            self.round(items, bytes, queue.len());
        }
        self.finish(queue, closing);
    }

    /// Takes what is there; waits for something unless there is other work. False when nothing will come any more.
    fn gather(&self, queue: &mut mpsc::Receiver<Command>, commands: &mut Vec<Command>) -> bool {
        if self.jobs.is_empty() {
            return queue.blocking_recv_many(commands, BATCH) > 0;
        }
        while commands.len() < BATCH {
            match queue.try_recv() {
                Ok(command) => commands.push(command),
                Err(mpsc::error::TryRecvError::Empty) => return true,
                Err(mpsc::error::TryRecvError::Disconnected) => return !commands.is_empty(),
            }
        }
        true
    }

    /// A transaction for these, and one of erasing or pruning that keeps up with it.
    fn round(&mut self, items: Vec<Item>, bytes: usize, queued: usize) {
        let work = prune::work(items.len(), bytes);
        self.commit(items, queued);
        self.jobs.slice(&mut self.db, &self.retention, &self.shared.stirs, work);
    }

    /// One transaction for all, then the answers, then the tails.
    fn commit(&mut self, items: Vec<Item>, queued: usize) {
        if items.is_empty() {
            return;
        }
        let (started, mut at) = (Instant::now(), self.at);
        let ground =
            Ground { cache: &self.shared.cache, naming: self.naming, retention: &self.retention, seal: &*self.seal };
        let outcome = batch::write(&mut self.db, &ground, &mut at, &items);
        let mut report = CommitReport {
            commands: items.len(),
            events: 0,
            duration: started.elapsed(),
            queued,
            wal_bytes: 0,
            committed: outcome.is_ok(),
        };
        self.tell(outcome.as_ref().err());
        match outcome {
            Ok((verdicts, stirred)) => {
                self.at = at;
                self.shared.head.store(columns::unsigned(at.head), Ordering::Release);
                self.shared.stirs.add(stirred);
                let events = batch::answer(items, verdicts);
                report.events = events.len();
                if !events.is_empty() {
                    self.shared.tails.push(&CommittedBatch { events });
                }
            }
            Err(error) => batch::refuse(items, &columns::unavailable(&error)),
        }
        report.wal_bytes = self.checkpointer.look(&self.db);
        if let Some(on_commit) = &self.on_commit {
            on_commit(report);
        }
    }

    /// A command that shares no transaction; the answer is who waits for the end.
    fn alone(&mut self, command: Command) -> Option<Reply<()>> {
        match command {
            Command::Item(item) => self.commit(vec![item], 0),
            Command::Change(change, reply) => match change.make(&mut self.db, &self.shared.cache, &*self.seal) {
                Ok(Left::Nothing) => answer(reply, Ok(())),
                Ok(Left::Client(number)) => {
                    self.jobs.erase(number);
                    answer(reply, Ok(()));
                }
                Ok(Left::Notification(removed)) => self.jobs.deal(Chore::Bury(removed, Some(reply))),
                Err(error) => answer(reply, Err(error)),
            },
            Command::Chore(chore) => self.jobs.deal(chore),
            Command::Prune(now, reply) => match self.jobs.prune(&self.db, &self.shared.cache, now) {
                Ok(prune) => prune.answer_to(reply),
                Err(error) => answer(reply, Err(columns::unavailable(&error))),
            },
            Command::Restart(done) => {
                self.checkpointer.restart(&self.db, Duration::from_millis(20));
                // The checkpointer waits for this, unless it is being stopped.
                let (Ok(()) | Err(_)) = done.send(());
            }
            Command::Close(reply) => return Some(reply),
        }
        None
    }

    /// Logs when the store begins to refuse, and when it accepts again.
    fn tell(&mut self, error: Option<&rusqlite::Error>) {
        match (error, self.failing) {
            (Some(error), false) => {
                tracing::error!(%error, "the store cannot accept: free the disk or make it writable")
            }
            (None, true) => tracing::info!("the store accepts again"),
            _ => {}
        }
        self.failing = error.is_some();
    }

    fn finish(mut self, mut queue: mpsc::Receiver<Command>, closing: Option<Reply<()>>) {
        let mut closing = Vec::from_iter(closing);
        queue.close();
        // What comes too late is dropped, which answers it; who also wants to close waits for the end.
        while let Ok(command) = queue.try_recv() {
            if let Command::Close(reply) = command {
                closing.push(reply);
            }
        }
        drop(queue);
        self.shared.tails.end();
        self.checkpointer.stop(&self.db);
        if let Err((_, error)) = self.db.close() {
            tracing::warn!(%error, "the database did not close cleanly; nothing acknowledged is lost");
        }
        // After the connection, which it must outlive, and before somebody else may open the file.
        drop(self.checkpointer);
        drop(self.lock);
        for reply in closing {
            answer(reply, Ok(()));
        }
    }
}

/// Answers; who asked may have left.
pub(super) fn answer<T>(reply: Reply<T>, value: Result<T, StoreError>) {
    let (Ok(()) | Err(_)) = reply.send(value);
}
