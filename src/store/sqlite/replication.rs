//! The store as a node of a cluster: what changes it becomes an entry of the journal first, and every node applies the
//! entries in the journal's order. `proposer` makes entries of the commands, `feed` passes the journal's entries to the writer,
//! which applies them (`writer/apply`) and replies to those who wait for one of its own.

mod catch_up;
mod feed;
mod proposer;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use futures::future::BoxFuture;
use rusqlite::Connection;
use tokio::sync::{mpsc, watch};

pub(super) use self::catch_up::CatchUp;
use self::proposer::Proposer;
use super::tables::identity;
use super::tables::journal::JournalMark;
use super::writer::command::WriterCommand;
use super::writer::command::entry::Codec;
use super::writer::command::pending::{Pending, WriterReplication};
use super::{OpenError, tables};
use crate::journal::{Journal, JournalError, JournalIdentity};
use crate::store::{Retention, Seal, Store};

/// How to open the store as a node of a cluster.
#[derive(Clone)]
pub struct ReplicationOptions {
    /// The journal that the database belongs to, or shall belong to.
    pub journal: Arc<dyn Journal>,
    /// Seals the entries: the broker sees no content.
    pub seal: Arc<dyn Seal>,
}

/// A task of the store that the caller runs. It ends when the store is closed, or with an error after which it must be.
pub type ReplicationTask = BoxFuture<'static, Result<(), JournalError>>;

/// An opened store of a cluster's node.
pub struct ReplicatedStore {
    /// The ports.
    pub store: Store,
    /// To be run by the caller; each has a name.
    pub tasks: Vec<(&'static str, ReplicationTask)>,
    /// Tells the store whether this node leads.
    pub leadership: LeadershipHandle,
    /// The position of the last applied entry.
    pub applied: watch::Receiver<u64>,
}

/// Tells a store whether its node leads the cluster.
pub struct LeadershipHandle {
    control: mpsc::Sender<WriterCommand>,
}

impl LeadershipHandle {
    pub(super) fn new(control: mpsc::Sender<WriterCommand>) -> Self {
        Self { control }
    }

    /// This node leads since this revision of the lease; `None` when another one does.
    pub async fn set(&self, revision: Option<u64>) {
        // The store is closed when the queue is.
        self.control.send(WriterCommand::Lead(revision)).await.ok();
    }
}

/// The journal's mark in the database; attaches a database that belongs to no journal yet and has the journal's epoch.
pub(super) fn mark_of(db: &Connection, path: &Path, journal: JournalIdentity) -> Result<JournalMark, OpenError> {
    let sql = |e: rusqlite::Error| OpenError::sql(path, &e);
    let (identity, _) = identity::load(db).map_err(sql)?;
    match tables::journal::load(db).map_err(sql)? {
        Some(mark) if mark.journal == journal.id => Ok(mark),
        None if identity.epoch.number() == journal.epoch => {
            let mark = JournalMark { journal: journal.id, position: 0, fence: 0 };
            tables::journal::attach(db, mark).map_err(sql)?;
            Ok(mark)
        }
        _ => Err(OpenError::OtherJournal(path.to_owned())),
    }
}

/// Makes a database that is opened without a cluster leave its cluster; returns whether it does now.
///
/// # Errors
/// [`OpenError::Member`] if it may not.
pub(super) fn leave(db: &Connection, path: &Path, may_leave: bool) -> Result<bool, OpenError> {
    let sql = |e: rusqlite::Error| OpenError::sql(path, &e);
    match tables::journal::load(db).map_err(sql)? {
        Some(mark) if !mark.has_left() && !may_leave => Err(OpenError::Member(path.to_owned())),
        Some(mark) if !mark.has_left() => {
            tables::journal::leave(db).map_err(sql)?;
            tracing::warn!("database has left its cluster: to join again, this node needs an empty data directory");
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// The tasks, and the ends of their channels.
pub(super) struct Replication {
    /// Takes the place of the writer's queue for the handles.
    pub(super) queue: mpsc::Sender<WriterCommand>,
    pub(super) writer: WriterReplication,
    pub(super) catch_up: CatchUp,
    pub(super) applied: watch::Receiver<u64>,
    pub(super) tasks: Vec<(&'static str, ReplicationTask)>,
}

/// Connects a writer, whose queue this is, with the journal.
///
/// # Errors
/// The system's random source failed.
pub(super) fn start(
    options: ReplicationOptions,
    writer: mpsc::Sender<WriterCommand>,
    position: u64,
    retention: Retention,
) -> Result<Replication, getrandom::Error> {
    let proposer = i64::from_ne_bytes(getrandom::u64()?.to_ne_bytes());
    let pending = Arc::new(Pending::default());
    let (queue, commands) = mpsc::channel(super::writer::MAX_QUEUED_COMMANDS);
    let (slices, proposed_slices) = mpsc::channel(1);
    let (applied, applied_until) = watch::channel(position);
    let codec = Codec { seal: options.seal, journal: options.journal.identity().id };
    let entries = feed::run(options.journal.clone(), codec.clone(), position, writer.clone());
    let catch_up = CatchUp::new(options.journal.clone(), applied_until.clone());
    let proposals = Proposer { journal: options.journal, codec, proposer, pending: pending.clone(), writer, retention };
    Ok(Replication {
        queue,
        writer: WriterReplication { pending, proposer, slices, applied },
        catch_up,
        applied: applied_until,
        tasks: vec![
            ("journal entries", Box::pin(entries)),
            (
                "journal proposals",
                Box::pin(async move {
                    proposals.run(commands, proposed_slices).await;
                    Ok(())
                }),
            ),
        ],
    })
}
