//! The context of one batch: its transaction, the counters from which it assigns ids, and what it reads besides the
//! database.

use rusqlite::Connection;

use crate::store::sqlite::registry_cache::RegistryCache;
use crate::store::sqlite::tables::identity::{LogCounters, LogIdentity};
use crate::store::sqlite::tables::write_tx::WriteTx;
use crate::store::{Retention, Seal, StoreError};

/// What does not change during a batch.
#[derive(Clone, Copy)]
pub(crate) struct BatchContext<'a> {
    pub(crate) registry: &'a RegistryCache,
    pub(crate) identity: LogIdentity,
    pub(crate) retention: &'a Retention,
    pub(crate) seal: &'a dyn Seal,
}

/// The transaction of a batch.
pub(crate) struct BatchTx<'a> {
    pub(crate) write: WriteTx<'a>,
    /// The last numbers assigned, including those of this batch.
    pub(crate) counters: LogCounters,
    pub(crate) context: BatchContext<'a>,
}

impl BatchTx<'_> {
    pub(crate) fn db(&self) -> &Connection {
        &self.write.db
    }
}

/// Why a command has no output.
#[derive(Debug)]
pub(crate) enum ApplyError {
    /// The command is refused and has written nothing; the batch goes on.
    Refused(StoreError),
    /// SQLite failed: the whole batch is rolled back.
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for ApplyError {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}
