//! The store as a node of a cluster: what changes it becomes an entry of the journal first, and every node applies the
//! entries in the journal's order. `proposer` makes entries of the commands, `feed` passes the journal's entries to the
//! writer, which applies them (`writer/apply_entries`) and replies to the senders of its own.

mod catch_up;
mod feed;
mod proposer;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use rusqlite::Connection;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub(super) use self::catch_up::CatchUp;
use self::feed::Feed;
use self::proposer::Proposer;
use super::comparison::{ComparisonHandle, Comparisons};
use super::tables::journal::JournalMark;
use super::writer::command::WriterCommand;
use super::writer::command::codec::Codec;
use super::writer::command::entry_format::{ENTRY_FORMATS, EntryFormat};
use super::writer::command::pending::{Pending, WriterReplication};
use super::{OpenError, tables};
use crate::domain::Reloadable;
use crate::journal::{EntryRef, Journal, JournalError, JournalIdentity};
use crate::store::{Retention, Seal, Store, StoreError};

/// The format of entries that every version of docrelay reads.
const FIRST_ENTRY_FORMAT: u8 = ENTRY_FORMATS[0].version;

/// The latest format of entries that this program reads.
pub const LATEST_ENTRY_FORMAT: u8 = ENTRY_FORMATS[ENTRY_FORMATS.len() - 1].version;

/// How to open the store as a node of a cluster.
#[derive(Clone)]
pub struct ReplicationOptions {
    journal: Arc<dyn Journal>,
    seal: Arc<dyn Seal>,
    formats: &'static [EntryFormat],
    reply_timeout: Duration,
}

impl ReplicationOptions {
    /// `journal` is the one that the database belongs to, or shall belong to. `seal` seals the entries: the broker sees
    /// no content.
    pub fn new(journal: Arc<dyn Journal>, seal: Arc<dyn Seal>) -> Self {
        Self { journal, seal, formats: ENTRY_FORMATS, reply_timeout: proposer::REPLY_TIMEOUT }
    }

    /// The journal that the database belongs to, or shall belong to.
    pub(super) fn identity(&self) -> JournalIdentity {
        self.journal.identity()
    }
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
    /// How far the entries are applied.
    pub progress: ApplyProgress,
    /// Takes part in the comparison of the nodes' databases.
    pub comparisons: ComparisonHandle,
    /// The format in which entries are proposed; at first the earliest one.
    pub format: watch::Sender<u8>,
}

/// How far a node has applied the journal. Cheap to clone.
#[derive(Clone)]
pub struct ApplyProgress {
    position: watch::Receiver<u64>,
    failure: watch::Receiver<Option<StoreError>>,
}

impl ApplyProgress {
    /// The position of the last applied entry.
    pub fn position(&self) -> u64 {
        *self.position.borrow()
    }

    /// Whether entries cannot be applied at present, such as with a full disk.
    pub fn is_failing(&self) -> bool {
        self.failure.borrow().is_some()
    }
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

/// The journal's mark in the database.
///
/// # Errors
/// [`OpenError::OtherJournal`]: also of a database with the journal's epoch that belongs to none. It may be a copy from
/// before the founding, and lack events that are in no entry.
pub(super) fn mark_of(db: &Connection, path: &Path, journal: JournalIdentity) -> Result<JournalMark, OpenError> {
    let sql = |e: rusqlite::Error| OpenError::sql(path, &e);
    match tables::journal::load(db).map_err(sql)? {
        Some(mark) if mark.journal == journal.id => Ok(mark),
        _ => Err(OpenError::OtherJournal(path.to_owned())),
    }
}

/// Makes a database that is opened without a cluster leave its cluster.
///
/// # Errors
/// [`OpenError::Member`] if it may not.
pub(super) fn leave(db: &Connection, path: &Path, may_leave: bool) -> Result<(), OpenError> {
    let sql = |e: rusqlite::Error| OpenError::sql(path, &e);
    match tables::journal::load(db).map_err(sql)? {
        Some(mark) if !mark.has_left() && !may_leave => Err(OpenError::Member(path.to_owned())),
        Some(mark) if !mark.has_left() => {
            tables::journal::leave(db).map_err(sql)?;
            tracing::warn!("database has left its cluster: to join again, this node needs an empty data directory");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The tasks, and the ends of their channels.
pub(super) struct Replication {
    /// Takes the place of the writer's queue for the handles.
    pub(super) queue: mpsc::Sender<WriterCommand>,
    pub(super) writer: WriterReplication,
    pub(super) catch_up: CatchUp,
    pub(super) node: NodeHandles,
}

/// What the caller gets of a replicated store.
pub(super) struct NodeHandles {
    pub(super) progress: ApplyProgress,
    pub(super) format: watch::Sender<u8>,
    pub(super) tasks: Vec<(&'static str, ReplicationTask)>,
    pub(super) comparisons: ComparisonHandle,
}

/// Connects a writer, whose queue this is, with the journal. `last` is the last entry that was applied.
///
/// # Errors
/// The system's random source failed.
pub(super) fn start(
    options: ReplicationOptions,
    writer: mpsc::Sender<WriterCommand>,
    last: EntryRef,
    retention: Reloadable<Retention>,
    digests: Comparisons,
) -> Result<Replication, getrandom::Error> {
    let proposer = i64::from_ne_bytes(getrandom::u64()?.to_ne_bytes());
    let pending = Arc::new(Pending::default());
    let (queue, commands) = mpsc::channel(super::writer::MAX_QUEUED_COMMANDS);
    let (slices, proposed_slices) = mpsc::channel(1);
    let (applied, applied_until) = watch::channel(last.position);
    let (format, present_format) = watch::channel(FIRST_ENTRY_FORMAT);
    let codec = Codec { seal: options.seal, journal: options.journal.identity().id, formats: options.formats };
    let lost_end = CancellationToken::new();
    let feed = Feed { journal: options.journal.clone(), codec: codec.clone(), lost_end: lost_end.clone() };
    let entries = feed.run(last, writer.clone());
    let catch_up = CatchUp::new(options.journal.clone(), applied_until.clone(), pending.clone());
    let progress = ApplyProgress { position: applied_until.clone(), failure: pending.failures() };
    let proposals = Proposer {
        journal: options.journal,
        codec,
        format: present_format,
        proposer,
        pending: pending.clone(),
        writer,
        retention,
        reply_timeout: options.reply_timeout,
        applied: applied_until,
        lost_end,
    };
    let Comparisons { thread, handle, proposals: proposed_marks } = digests;
    let proposing = async move {
        proposals.run(commands, proposed_slices, proposed_marks).await;
        Ok(())
    };
    Ok(Replication {
        queue,
        writer: WriterReplication { pending, proposer, slices, applied, digests: thread },
        catch_up,
        node: NodeHandles {
            tasks: vec![("journal entries", Box::pin(entries)), ("journal proposals", Box::pin(proposing))],
            progress,
            format,
            comparisons: handle,
        },
    })
}
