//! The port of the journal: the replicated sequence of entries that every node of a cluster applies to its own
//! database, and what the nodes share beside it: snapshots and small records. `journal/jetstream` implements it over
//! NATS JetStream. A relay without a cluster has no journal.

#![warn(missing_docs)]

pub mod jetstream;

use std::path::PathBuf;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

/// The largest payload of an entry. Together with its headers it fits into a message of 1 MiB.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024 - 4096;

/// The largest request, head and body, of which the event fits into an entry: an entry has the request and what was
/// read from it, and up to 28 KiB of other fields.
pub const MAX_REQUEST_BYTES: usize = 496 << 10;

/// The future that a method of the port returns.
pub type JournalFuture<T> = BoxFuture<'static, Result<T, JournalError>>;

/// Why a call has failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The broker did not do it: it cannot be reached, has no quorum, is full, or does not permit it.
    #[error("the broker is unavailable: {0}")]
    Unavailable(String),
    /// The broker, its settings or those of this node do not fit: no repetition helps before somebody changes them.
    #[error("{0}")]
    Unusable(String),
    /// No answer in time: the broker may have done it.
    #[error("the broker has not answered: {0}")]
    Unknown(String),
    /// The journal was deleted or re-created, or has lost entries: what it holds does not belong to this node's
    /// database.
    #[error("the journal was deleted or re-created, or has lost its last entries")]
    Replaced,
    /// Entries after the requested position were trimmed; the first one that is left has this position.
    #[error("the journal begins at position {0}")]
    Trimmed(u64),
    /// An entry of the journal cannot be read by this node: the reason says what to do.
    #[error("{0}")]
    Unreadable(String),
    /// A record has another revision than expected, or exists already.
    #[error("the record was changed")]
    Conflict,
}

/// What distinguishes a journal from others of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalIdentity {
    /// The epoch of the log whose databases are made from this journal.
    pub epoch: u64,
    /// Random; another one after the journal was re-created.
    pub id: u64,
}

impl JournalIdentity {
    /// That of a journal that is to be made.
    ///
    /// # Errors
    /// The system's random source failed.
    pub fn draw(epoch: u64) -> Result<Self, getrandom::Error> {
        Ok(Self { epoch, id: id_of(getrandom::u64()?) })
    }
}

/// An id that a database can store: it has signed integers, and 0 stands for no journal.
fn id_of(random: u64) -> u64 {
    (random >> 1).max(1)
}

/// An entry as it stands in the journal.
#[derive(Debug, Clone)]
pub struct JournalEntry {
    /// Positions grow by one, beginning at 1.
    pub position: u64,
    /// The id with which it was published; `None` if the publisher gave it none.
    pub id: Option<String>,
    /// The bytes that were published.
    pub payload: Bytes,
}

/// Names an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRef {
    /// Its position; 0 stands before the first entry.
    pub position: u64,
    /// The id with which it was published; `None` if it is not known.
    pub id: Option<String>,
}

impl EntryRef {
    /// The entry at a position, whichever it is.
    pub fn at(position: u64) -> Self {
        Self { position, id: None }
    }
}

/// The positions that the journal holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct JournalRange {
    /// Position of the first entry that was not trimmed; `end + 1` when none is left.
    pub first: u64,
    /// Position of the last entry, 0 for none.
    pub end: u64,
}

/// Describes a snapshot of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// The position of the last entry that it contains.
    pub position: u64,
    /// The digest of its contents.
    pub digest: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// The node that has made it; `None` if a program of an earlier version has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maker: Option<String>,
}

/// A record and its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Letters, digits, `-`, `_`, `/`, `=` and `.`.
    pub key: String,
    /// The content; `None` when the record was deleted.
    pub value: Option<Bytes>,
    /// Grows with each change of any record.
    pub revision: u64,
}

/// One journal with its snapshots and records. Futures are sent to the broker in the order in which they are first
/// polled.
pub trait Journal: Send + Sync {
    /// What distinguishes it.
    fn identity(&self) -> JournalIdentity;

    /// Appends an entry; returns its position when it is stored on a majority of the replicas. A second call with the
    /// same id within two minutes appends nothing and returns the position of the first. The payload has at most
    /// [`MAX_PAYLOAD_BYTES`].
    ///
    /// # Errors
    /// `Unavailable`: not appended; also at once while there is no connection. `Unknown`: it may have been, or may
    /// still be appended, even after entries that are published later. `Replaced`.
    fn publish(&self, id: String, payload: Bytes) -> JournalFuture<u64>;

    /// The entries after this one, in order and without a gap, also those that are appended later. Waits for the broker
    /// while it is away. Ends only after an error.
    ///
    /// # Errors
    /// `Trimmed`. `Replaced`: also if the journal has lost the entry before the next one, and may hold another one at
    /// its position. That cannot be told while the id of the entry is not known, or when the entry was trimmed.
    fn entries(&self, after: EntryRef) -> BoxStream<'static, Result<JournalEntry, JournalError>>;

    /// The present range. Entries that were acknowledged to anyone before the call are within it, except for those that
    /// another leader has acknowledged since this one was cut off, which it notices after 4 s.
    ///
    /// # Errors
    /// `Unavailable`, `Unknown`, `Replaced`.
    fn range(&self) -> JournalFuture<JournalRange>;

    /// Removes the entries before a position.
    ///
    /// # Errors
    /// `Unavailable`, `Unknown`, `Replaced`.
    fn trim(&self, before: u64) -> JournalFuture<()>;

    /// Stores a file as a snapshot; readers see it when it is complete. Removes what earlier calls that failed have
    /// left, so only one node may call it at a time: of two, one may fail.
    ///
    /// # Errors
    /// `Unavailable`: also when the file cannot be read. `Unknown`, `Replaced`.
    fn put_snapshot(&self, info: SnapshotInfo, file: PathBuf) -> JournalFuture<()>;

    /// The complete snapshots, latest first.
    ///
    /// # Errors
    /// `Unavailable`, `Unknown`, `Replaced`.
    fn snapshots(&self) -> JournalFuture<Vec<SnapshotInfo>>;

    /// Writes a snapshot into a new file and checks that it is complete.
    ///
    /// # Errors
    /// `Unavailable`: also when the file cannot be written. `Unknown`, `Replaced`.
    fn get_snapshot(&self, info: SnapshotInfo, file: PathBuf) -> JournalFuture<()>;

    /// Removes a snapshot.
    ///
    /// # Errors
    /// `Unavailable`, `Unknown`, `Replaced`.
    fn remove_snapshot(&self, info: SnapshotInfo) -> JournalFuture<()>;

    /// The present record of this key; `None` if there is none.
    ///
    /// # Errors
    /// `Unavailable`, `Unknown`, `Replaced`.
    fn record(&self, key: String) -> JournalFuture<Option<Record>>;

    /// Writes a record; returns its revision. `expected` is the present revision, 0 for a record that must not exist,
    /// `None` for any.
    ///
    /// # Errors
    /// `Conflict`, `Unavailable`, `Unknown`, `Replaced`.
    fn put_record(&self, key: String, value: Bytes, expected: Option<u64>) -> JournalFuture<u64>;

    /// Deletes a record. `expected` as in [`put_record`](Journal::put_record).
    ///
    /// # Errors
    /// `Conflict`, `Unavailable`, `Unknown`, `Replaced`.
    fn delete_record(&self, key: String, expected: Option<u64>) -> JournalFuture<()>;

    /// All present records, and after each change the changed one: first every record, then [`Record`]s as they change.
    /// Waits for the broker while it is away, and then may repeat records. Ends only after an error.
    ///
    /// # Errors
    /// `Replaced`.
    fn records(&self) -> BoxStream<'static, Result<Record, JournalError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarted_node_recognises_journal_with_high_random_id() {
        for random in [0, 1, 1 << 63, u64::MAX] {
            assert!((1..=i64::MAX.unsigned_abs()).contains(&id_of(random)), "{random}");
        }
    }
}
