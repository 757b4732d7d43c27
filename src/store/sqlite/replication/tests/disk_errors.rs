//! A disk error stops the applying, and the node goes on with the same entry.

use std::sync::Arc;

use futures::future::join_all;

use super::memory_journal::MemoryJournal;
use super::node::{Node, OpenSeal, digest_of, directories, options, small_bounds};
use super::random_commands::RandomCommands;
use crate::store::sqlite::replication::ReplicationOptions;
use crate::store::sqlite::writer::command::entry::Codec;
use crate::store::sqlite::{DatabaseLock, Prepared, prepare};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disk_error_stops_applying_and_skips_nothing() {
    let (directories, epoch) = directories(2).await;
    let journal = MemoryJournal::new(epoch);
    let leader = Node::open(options(directories[0].path(), small_bounds()), &journal);
    leader.leadership.set(Some(1)).await;
    let mut commands = RandomCommands::new(5);
    for _ in 0..30 {
        join_all((0..4).map(|_| commands.next(&leader.store)).collect::<Vec<_>>()).await;
    }
    leader.store.maintenance.prune(commands.now).await.expect("pruned");
    let expected = leader.digest().await;

    let replication = ReplicationOptions { journal: Arc::new(MemoryJournal::new(epoch)), seal: Arc::new(OpenSeal) };
    let options = options(directories[1].path(), small_bounds());
    let path = options.path.clone();
    let lock = DatabaseLock::acquire(&path).expect("an unused database");
    let Prepared { mut writer, .. } = prepare(lock, options, Some(replication)).expect("a database of this journal");
    let codec = Codec { seal: Arc::new(OpenSeal), journal: 7 };
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
