//! Entries that a node gets damaged: it reads them once more before it ends.

use super::items::{client, event};
use super::memory_journal::MemoryJournal;
use super::node::{Node, directories, options, small_bounds};
use crate::journal::JournalError;

/// The position of the entry that is damaged.
const DAMAGED: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_entry_is_read_once_more_before_the_node_ends() {
    let (directories, epoch) = directories(3).await;
    let journal = MemoryJournal::new(epoch);
    let node = Node::open(options(directories[0].path(), small_bounds()), &journal);
    node.store.registry.add_client(client()).await.expect("added");
    for name in ["a", "b", "c", "d", "e"] {
        node.store.log.append(event(name)).await.expect("stored");
    }
    let expected = node.digest().await;

    journal.damage(DAMAGED, 1);
    let other = Node::open(options(directories[1].path(), small_bounds()), &journal);
    assert_eq!(other.digest().await, expected, "the second copy is good");

    journal.damage(DAMAGED, 2);
    let unable = Node::open(options(directories[2].path(), small_bounds()), &journal);
    let progress = unable.progress.clone();
    let (error, _) = unable.error().await;
    assert!(matches!(error, JournalError::Unreadable(_)), "{error}");
    let expected = "entry 4 was sealed with another key, or is damaged: check that this node has the cluster_key_file";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert_eq!(progress.position(), DAMAGED - 1, "the entries before it are applied");
}
