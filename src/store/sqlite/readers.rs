//! The connections that read: a bounded pool. Each read sees one consistent snapshot.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::Semaphore;

use super::tables::{columns, schema};
use crate::store::StoreError;

/// A pool of connections, opened on demand.
pub(super) struct Readers {
    path: PathBuf,
    /// One permit per connection, granted in order; closed with the store.
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// `readers` is the maximum number of concurrent reads, 1 to 1024.
    pub(super) fn new(path: PathBuf, readers: usize) -> Self {
        let readers = readers.clamp(1, 1024);
        Self { path, permits: Arc::new(Semaphore::new(readers)), idle: Mutex::default() }
    }

    /// Runs a read on a blocking thread, in one transaction. Waits while all connections are in use.
    ///
    /// # Errors
    /// `Stopped` after [`close`](Readers::close); `Unavailable` when SQLite fails.
    pub(super) async fn read<T, F>(self: Arc<Self>, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| StoreError::Stopped)?;
        // The permit moves into the work, which goes on when this future is dropped.
        let work = move || {
            let _permit = permit;
            self.run(read).map_err(|e| columns::unavailable(&e))
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Stopped)?
    }

    /// Refuses further reads and closes the idle connections.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn run<T>(&self, read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut db = idle.map_or_else(|| self.connect(), Ok)?;
        let transaction = db.transaction_with_behavior(TransactionBehavior::Deferred)?;
        let value = read(&transaction)?;
        // Nothing was written; a drop would do the same and log it.
        transaction.rollback()?;
        // After an error the connection is dropped: the next read opens a new one. `is_closed` is checked under the lock,
        // so that no connection is added after `close`.
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

#[cfg(test)]
mod tests {
    use std::sync::Condvar;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    /// How many reads run, and how many ran at most.
    #[derive(Default)]
    struct Running {
        now: AtomicUsize,
        peak: AtomicUsize,
        is_open: Mutex<bool>,
        opened: Condvar,
    }

    /// Replays of all followers share these connections.
    // Rule 9: no herd after a disconnect.
    #[tokio::test]
    async fn concurrent_reads_are_limited_to_the_number_of_readers() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("docrelay.db");
        Connection::open(&path).expect("a database").execute_batch("CREATE TABLE t (x)").expect("a table");
        let (readers, running) = (Arc::new(Readers::new(path, 3)), Arc::new(Running::default()));
        let reads = futures::future::join_all((0..20).map(|number| {
            let running = running.clone();
            readers.clone().read(move |_| {
                let now = running.now.fetch_add(1, Ordering::SeqCst) + 1;
                running.peak.fetch_max(now, Ordering::SeqCst);
                let gate = running.is_open.lock().expect("a gate");
                drop(running.opened.wait_while(gate, |is_open| !*is_open));
                running.now.fetch_sub(1, Ordering::SeqCst);
                Ok(number)
            })
        }));
        let opener = async {
            let mut interval = tokio::time::interval(Duration::from_millis(5));
            while running.now.load(Ordering::SeqCst) < 3 {
                interval.tick().await;
            }
            // A fourth read would have begun with the others.
            for _ in 0..10 {
                interval.tick().await;
            }
            *running.is_open.lock().expect("a gate") = true;
            running.opened.notify_all();
        };
        let (results, ()) = tokio::join!(reads, opener);
        let numbers: Vec<_> = results.into_iter().map(|result| result.expect("a read")).collect();
        assert_eq!(numbers, (0..20).collect::<Vec<_>>(), "the others wait for their turn");
        assert_eq!(running.peak.load(Ordering::SeqCst), 3);
    }
}
