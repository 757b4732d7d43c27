//! The threads that read: a fixed pool, each thread with a connection of its own. They are no blocking threads of
//! tokio, because whatever else blocks there, such as name resolution, would delay reads. Each read sees one consistent
//! snapshot.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::{Semaphore, oneshot, watch};

use super::panics::contain;
use super::tables::{columns, schema};
use super::threads::Threads;
use crate::store::StoreError;

/// A read on one of the connections. It opens the connection if there is none, and takes it away after an error of
/// SQLite.
type Job = Box<dyn FnOnce(&mut ReaderConnection) + Send>;

/// The handle of the threads. They end when it is dropped.
pub(super) struct Readers {
    /// One permit per thread, granted in order; closed with the store.
    permits: Arc<Semaphore>,
    /// One place per permit, so it is never full. `None` after `close`.
    jobs: Mutex<Option<SyncSender<Job>>>,
    /// Closed when the last thread has ended.
    running: watch::Receiver<()>,
}

impl Readers {
    /// Starts `readers` threads, 1 to 1024.
    pub(super) fn start(path: &Path, readers: usize, threads: &Threads) -> std::io::Result<Self> {
        let readers = readers.clamp(1, 1024);
        let (sender, jobs) = sync_channel::<Job>(readers);
        let jobs = Arc::new(Mutex::new(jobs));
        let (alive, running) = watch::channel(());
        for number in 0..readers {
            let (mut reader, jobs, alive) = (ReaderConnection::new(path.to_owned()), jobs.clone(), alive.clone());
            threads.spawn(format!("store-reader-{number}"), move |_end| {
                while let Some(job) = next(&jobs) {
                    job(&mut reader);
                }
                drop(reader);
                drop(alive);
            })?;
        }
        Ok(Self { permits: Arc::new(Semaphore::new(readers)), jobs: Mutex::new(Some(sender)), running })
    }

    /// Runs a read in one transaction. Waits while all threads are busy.
    ///
    /// # Errors
    /// `Stopped` after [`close`](Readers::close); `Unavailable` when SQLite fails or `read` panics.
    pub(super) async fn read<T, F>(self: Arc<Self>, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| StoreError::Stopped)?;
        let (reply, result) = oneshot::channel();
        let job: Job = Box::new(move |reader| {
            // The permit moves into the job, which goes on when the future is dropped.
            let _permit = permit;
            reply.send(reader.run(read)).ok();
        });
        self.jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .and_then(|jobs| jobs.try_send(job).ok())
            .ok_or(StoreError::Stopped)?;
        result.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// Refuses further reads, and completes when the running ones have ended and all connections are closed.
    pub(super) async fn close(&self) {
        self.permits.close();
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Nothing is ever sent: this ends with the last thread.
        self.running.clone().changed().await.ok();
    }
}

/// The next job; `None` when the handle is dropped or closed. The idle threads wait for the lock, the first of them for
/// a job.
fn next(jobs: &Mutex<Receiver<Job>>) -> Option<Job> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// The connection of one thread, opened with its first read.
struct ReaderConnection {
    path: PathBuf,
    db: Option<Connection>,
}

impl ReaderConnection {
    fn new(path: PathBuf) -> Self {
        Self { path, db: None }
    }

    /// A panic is an error of this read only. After an error of SQLite the connection is dropped, and the next read
    /// opens a new one. After a panic it is kept: opening one for each read that panics would occupy the thread for
    /// much longer.
    fn run<T>(&mut self, read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let unavailable = |error: rusqlite::Error| columns::unavailable(&error);
        let mut db = self.db.take().map_or_else(|| self.connect(), Ok).map_err(unavailable)?;
        let value = contain("a read", || read_in_transaction(&mut db, read));
        // The unwinding has rolled the transaction back.
        if matches!(value, Ok(Ok(_)) | Err(_)) && db.is_autocommit() {
            self.db = Some(db);
        }
        value?.map_err(unavailable)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&self.path, flags)?;
        schema::tune_reader(&db)?;
        Ok(db)
    }
}

fn read_in_transaction<T>(
    db: &mut Connection,
    read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let value = read(&transaction)?;
    // Nothing was written; a drop would do the same and log it.
    transaction.rollback()?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;

    fn readers(directory: &tempfile::TempDir, number: usize) -> Arc<Readers> {
        let path = directory.path().join("docrelay.db");
        Connection::open(&path).expect("a database");
        Arc::new(Readers::start(&path, number, &Threads { on_end: None }).expect("threads"))
    }

    fn one(db: &Transaction<'_>) -> rusqlite::Result<i64> {
        db.query_row("SELECT 1", [], |row| row.get(0))
    }

    #[tokio::test]
    async fn panicking_read_is_refused_and_next_read_succeeds() {
        let directory = tempfile::tempdir().expect("a directory");
        let readers = readers(&directory, 1);
        for _ in 0..3 {
            let refused = readers.clone().read(|_| -> rusqlite::Result<i64> { panic!("in a read") }).await;
            assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        }
        assert_eq!(readers.clone().read(one).await.ok(), Some(1));
        readers.close().await;
        assert!(matches!(readers.read(one).await, Err(StoreError::Stopped)));
    }

    /// The 99th percentile of the times of reads, each beside a read that panics if `beside_panics`.
    async fn p99(readers: &Arc<Readers>, beside_panics: bool) -> Duration {
        let mut times = Vec::new();
        for _ in 0..300 {
            let begun = std::time::Instant::now();
            let beside = readers.clone().read(move |db| {
                if beside_panics {
                    // Without the hook of the tests, which prints a backtrace.
                    std::panic::resume_unwind(Box::new("in a read"));
                }
                one(db)
            });
            let (_, read) = tokio::join!(beside, readers.clone().read(one));
            assert_eq!(read.ok(), Some(1));
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        times[times.len() * 99 / 100]
    }

    #[tokio::test]
    async fn panicking_reads_delay_no_other_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let readers = readers(&directory, 2);
        let (mut without, mut beside) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            without.push(p99(&readers, false).await);
            beside.push(p99(&readers, true).await);
        }
        // Other load on the machine spoils some rounds of both kinds, panics would slow all of one kind.
        without.sort_unstable();
        beside.sort_unstable();
        eprintln!("{beside:?} beside panics, {without:?} without");
        let allowed = without[2] * 2 + Duration::from_millis(10);
        assert!(beside[2] <= allowed, "{beside:?} beside panics, {without:?} without");
    }

    #[tokio::test]
    async fn dropped_read_releases_its_thread() {
        let directory = tempfile::tempdir().expect("a directory");
        let readers = readers(&directory, 1);
        let (release, released) = sync_channel::<()>(1);
        let mut first = Box::pin(readers.clone().read(move |db| {
            released.recv().ok();
            one(db)
        }));
        assert!(first.as_mut().now_or_never().is_none());
        drop(first);
        let mut second = Box::pin(readers.read(one));
        assert!(second.as_mut().now_or_never().is_none(), "the thread is busy");
        drop(release);
        assert_eq!(second.await.ok(), Some(1));
    }

    /// How many reads run, and how many ran at most.
    #[derive(Default)]
    struct Running {
        now: AtomicUsize,
        peak: AtomicUsize,
        is_open: std::sync::Mutex<bool>,
        opened: Condvar,
    }

    /// Replays of all followers share these connections.
    // Rule 9: no herd after a disconnect.
    #[tokio::test]
    async fn concurrent_reads_are_limited_to_the_number_of_readers() {
        let directory = tempfile::tempdir().expect("a directory");
        let (readers, running) = (readers(&directory, 3), Arc::new(Running::default()));
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
