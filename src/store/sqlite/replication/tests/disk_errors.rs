//! A disk error or a panic stops the applying, and the node goes on with the same entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::join_all;

use super::memory_journal::MemoryJournal;
use super::node::{Node, OpenSeal, digest_of, directories, options, small_bounds};
use super::random_commands::RandomCommands;
use crate::store::sqlite::replication::ReplicationOptions;
use crate::store::sqlite::writer::Writer;
use crate::store::sqlite::writer::command::codec::Codec;
use crate::store::sqlite::writer::command::entry_format::ENTRY_FORMATS;
use crate::store::sqlite::{DatabaseLock, Prepared, SqliteOptions, prepare};
use crate::store::{Seal, StoreError};

/// Panics when it seals, while it is set to: the writer seals callbacks and notifications inside its transactions.
#[derive(Default)]
struct SwitchedSeal {
    is_panicking: AtomicBool,
    panics: AtomicUsize,
}

impl Seal for SwitchedSeal {
    fn seal(&self, text: &[u8], context: &[u8]) -> Vec<u8> {
        OpenSeal.seal(text, context)
    }

    fn seal_with_nonce(&self, text: &[u8], context: &[u8], nonce: [u8; 12]) -> Vec<u8> {
        if self.is_panicking.load(Ordering::Relaxed) {
            self.panics.fetch_add(1, Ordering::Relaxed);
            std::panic::resume_unwind(Box::new("in the cipher"));
        }
        OpenSeal.seal_with_nonce(text, context, nonce)
    }

    fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, String> {
        OpenSeal.open(sealed, context)
    }
}

/// A journal of random commands, the digest of the database that has applied them, and its epoch.
async fn journal_of_random_commands(options: SqliteOptions, epoch: u64) -> (MemoryJournal, String) {
    let journal = MemoryJournal::new(epoch);
    let leader = Node::open(options, &journal);
    leader.leadership.set(Some(1)).await;
    let mut commands = RandomCommands::new(5);
    for _ in 0..30 {
        join_all((0..4).map(|_| commands.next(&leader.store)).collect::<Vec<_>>()).await;
    }
    leader.store.maintenance.prune(commands.now).await.expect("pruned");
    let expected = leader.digest().await;
    (journal, expected)
}

/// The writer of a node without its thread.
fn writer(options: SqliteOptions, epoch: u64) -> Writer {
    let replication = ReplicationOptions::new(Arc::new(MemoryJournal::new(epoch)), Arc::new(OpenSeal));
    let lock = DatabaseLock::acquire(&options.path).expect("an unused database");
    let Prepared { writer, .. } = prepare(lock, options, Some(replication)).expect("a database of this journal");
    writer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disk_error_stops_applying_and_skips_nothing() {
    let (directories, epoch) = directories(2).await;
    let (journal, expected) = journal_of_random_commands(options(directories[0].path(), small_bounds()), epoch).await;
    let options = options(directories[1].path(), small_bounds());
    let path = options.path.clone();
    let mut writer = writer(options, epoch);
    let codec = Codec { seal: Arc::new(OpenSeal), journal: 7, formats: ENTRY_FORMATS };
    for (position, payload) in (1..).zip(journal.payloads()) {
        writer.entries.push_back(codec.decode(position, &payload).expect("an entry"));
        if position % 3 == 0 {
            // The others share a transaction where they can.
            continue;
        }
        while !writer.entries.is_empty() {
            let (mark, count, before) = (writer.mark, writer.entries.len(), digest_of(&path));
            writer.db.pragma_update(None, "query_only", true).expect("a setting");
            assert!(writer.apply_first().is_err(), "position {position}");
            assert_eq!((writer.mark, writer.entries.len(), digest_of(&path)), (mark, count, before));
            writer.db.pragma_update(None, "query_only", false).expect("a setting");
            writer.apply_first().expect("applied");
        }
    }
    while !writer.entries.is_empty() {
        writer.apply_first().expect("applied");
    }
    assert_eq!(writer.mark.position, journal.payloads().len() as u64);
    assert_eq!(digest_of(&path), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panic_stops_applying_and_skips_nothing() {
    let (directories, epoch) = directories(2).await;
    let (journal, expected) = journal_of_random_commands(options(directories[0].path(), small_bounds()), epoch).await;
    let seal = Arc::new(SwitchedSeal::default());
    let options = SqliteOptions { seal: seal.clone(), ..options(directories[1].path(), small_bounds()) };
    let path = options.path.clone();
    let mut writer = writer(options, epoch);
    let codec = Codec { seal: Arc::new(OpenSeal), journal: 7, formats: ENTRY_FORMATS };
    for (position, payload) in (1..).zip(journal.payloads()) {
        writer.entries.push_back(codec.decode(position, &payload).expect("an entry"));
        if position % 3 == 0 {
            continue;
        }
        while !writer.entries.is_empty() {
            let (mark, count, before) = (writer.mark, writer.entries.len(), digest_of(&path));
            seal.is_panicking.store(true, Ordering::Relaxed);
            match writer.apply_first() {
                // Nothing was to be sealed, or entries before the one that panics were applied.
                Ok(()) => assert!(writer.mark.position > mark.position, "position {position}"),
                Err(error) => {
                    let error = StoreError::from(error);
                    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
                    assert_eq!((writer.mark, writer.entries.len(), digest_of(&path)), (mark, count, before));
                    seal.is_panicking.store(false, Ordering::Relaxed);
                    writer.apply_first().expect("applied");
                }
            }
        }
    }
    seal.is_panicking.store(false, Ordering::Relaxed);
    while !writer.entries.is_empty() {
        writer.apply_first().expect("applied");
    }
    assert!(seal.panics.load(Ordering::Relaxed) > 5, "{} panics", seal.panics.load(Ordering::Relaxed));
    assert_eq!(writer.mark.position, journal.payloads().len() as u64);
    assert_eq!(digest_of(&path), expected);
}
