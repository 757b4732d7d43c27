//! Flushes the write-ahead log (WAL) of a node in small portions while it grows. A node's commits are not flushed, so a
//! checkpoint would have to flush all of the WAL at once, and a NATS server on the same disk would wait with its own
//! flushes until then: 50 to 100 ms every two seconds at 1 000 webhooks a second.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::store::sqlite::threads::Threads;

/// Pages that were written since the last portion: 2 MiB.
const PORTION_PAGES: u64 = 512;

/// The writer's handle of the thread that flushes.
pub(super) struct WalFlusher {
    /// Wakes the thread; `None` stops it.
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Pages in the WAL when the thread was woken last.
    flushed: u64,
}

impl WalFlusher {
    /// Starts the thread. The database at `path` has a WAL.
    pub(super) fn start(path: &Path, threads: &Threads) -> io::Result<Self> {
        let mut wal = path.as_os_str().to_owned();
        wal.push("-wal");
        let wal = File::options().write(true).open(wal)?;
        let (wake, requests) = sync_channel(1);
        let thread = threads.spawn("store-wal-flush".into(), move |_end| {
            while requests.recv().is_ok() {
                // A failure shows in the next checkpoint, which flushes the WAL itself.
                wal.sync_data().ok();
            }
        })?;
        Ok(Self { wake: Some(wake), thread: Some(thread), flushed: 0 })
    }

    /// Takes note of the WAL's length after a commit.
    pub(super) fn note(&mut self, pages: u64) {
        let is_due = unflushed_pages(self.flushed, pages) >= PORTION_PAGES;
        // A full channel means that the thread is behind; the next commit asks again.
        if is_due && self.wake.as_ref().is_some_and(|wake| wake.try_send(()).is_ok()) {
            self.flushed = pages;
        }
    }
}

/// Pages of the WAL that the last portion did not have. A shorter WAL has begun again after a checkpoint.
fn unflushed_pages(flushed: u64, pages: u64) -> u64 {
    pages.checked_sub(flushed).unwrap_or(pages)
}

impl Drop for WalFlusher {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wal_that_begins_again_is_flushed_from_its_begin() {
        assert_eq!(unflushed_pages(700, 1_300), 600);
        assert_eq!(unflushed_pages(15_000, 40), 40);
    }
}
