//! The connections that read: a bounded number, each with one consistent snapshot at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::Semaphore;

use super::{columns, schema};
use crate::store::StoreError;

/// Opens connections when they are needed and keeps them.
pub(super) struct Readers {
    path: PathBuf,
    /// One permit for each connection. First come, first served; closed with the store.
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// At most so many reads at the same time.
    pub(super) fn new(path: PathBuf, readers: usize) -> Self {
        let readers = readers.clamp(1, 1024);
        Self { path, permits: Arc::new(Semaphore::new(readers)), idle: Mutex::default() }
    }

    /// Runs a read on a thread that may block, in one transaction. Waits while all connections are busy.
    pub(super) async fn read<T, F>(self: Arc<Self>, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| StoreError::Stopped)?;
        // The permit goes with the work, which goes on when the one who asked has left.
        let work = move || {
            let _permit = permit;
            self.run(read).map_err(|e| columns::unavailable(&e))
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Stopped)?
    }

    /// No read begins from now on, and the idle connections are closed.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn run<T>(&self, read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut db = idle.map_or_else(|| self.connect(), Ok)?;
        let transaction = db.transaction_with_behavior(TransactionBehavior::Deferred)?;
        let value = read(&transaction)?;
        // Nothing was written; dropping would do the same with a word of protest.
        transaction.rollback()?;
        // After an error the connection is not kept: the next read tries with a new one. Closing is looked at under
        // the lock, so that no connection slips in behind `close`.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.permits.is_closed() {
            idle.push(db);
        }
        Ok(value)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&self.path, flags)?;
        schema::tune_reader(&db)?;
        Ok(db)
    }
}
