//! A journal that has lost its last entries, and assigns their positions to others: no node mixes the two histories.

use super::items::{client, event};
use super::memory_journal::MemoryJournal;
use super::node::{Node, digest_of, directories, options, small_bounds};
use crate::journal::JournalError;
use crate::store::StoreError;

/// Entries that the journal keeps.
const KEPT: usize = 3;

async fn append(node: &Node, names: &[&str]) {
    for name in names {
        node.store.log.append(event(name)).await.expect("stored");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entry_stored_at_an_applied_position_stops_the_node() {
    let (directories, epoch) = directories(1).await;
    let journal = MemoryJournal::new(epoch);
    let node = Node::open(options(directories[0].path(), small_bounds()), &journal);
    node.store.registry.add_client(client()).await.expect("added");
    append(&node, &["a", "b", "c", "d", "e"]).await;
    let before = digest_of(&directories[0].path().join("docrelay.db"));
    journal.lose_all_but(KEPT);
    for name in ["f", "g"] {
        let refused = node.store.log.append(event(name)).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
    assert_eq!(journal.payloads().len(), KEPT + 1, "nothing more is proposed");
    let (error, after) = node.error().await;
    assert!(matches!(error, JournalError::Replaced), "{error}");
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_opened_over_other_entries_applies_none_of_them() {
    let (directories, epoch) = directories(2).await;
    let journal = MemoryJournal::new(epoch);
    let node = Node::open(options(directories[0].path(), small_bounds()), &journal);
    node.store.registry.add_client(client()).await.expect("added");
    append(&node, &["a", "b", "c", "d"]).await;
    let before = node.digest().await;
    journal.lose_all_but(KEPT);
    let other = Node::open(options(directories[1].path(), small_bounds()), &journal);
    append(&other, &["e", "f", "g"]).await;
    assert_eq!(journal.payloads().len(), KEPT + 3);
    let (error, after) = Node::open(options(directories[0].path(), small_bounds()), &journal).error().await;
    assert!(matches!(error, JournalError::Replaced), "{error}");
    assert_eq!(after, before);
}
