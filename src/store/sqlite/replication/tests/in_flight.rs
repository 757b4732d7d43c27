//! The bound of the entries that are published at the same time.

use std::time::Duration;

use futures::future::{join, join_all};
use tokio::time::timeout;

use super::items::{client, event, hook};
use super::memory_journal::MemoryJournal;
use super::node::{Node, directories, options, small_bounds};
use crate::store::sqlite::replication::proposer::ENTRIES_IN_FLIGHT;

/// Changes of the registry, each an entry of its own.
const CHANGES: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collected_commands_keep_the_bound_of_entries_in_flight_and_their_order() {
    let (directories, epoch) = directories(2).await;
    let journal = MemoryJournal::held(epoch);
    let node = Node::open(options(directories[0].path(), small_bounds()), &journal);
    journal.answer_held(1);
    node.store.registry.add_client(client()).await.expect("added");
    let owner = client().reference();
    let names: Vec<String> = (0..CHANGES).map(|number| format!("{number}")).collect();
    let commands = join_all(names.iter().map(async |name| {
        node.store.registry.add_hook(&owner, hook(name)).await.expect("added");
        node.store.log.append(event(name)).await.expect("appended");
    }));
    // The client's entry, one for each hook, and those of the events, which share entries.
    let answers = async {
        journal.in_flight_are(ENTRIES_IN_FLIGHT).await;
        for count in 2..=1 + CHANGES {
            journal.answer_held(1);
            journal.entries_are(count).await;
        }
        journal.answer_held(CHANGES);
    };
    timeout(Duration::from_secs(60), join(commands, answers)).await.expect("a reply for each sender");
    assert_eq!(journal.max_in_flight(), ENTRIES_IN_FLIGHT);
    let hooks: Vec<String> = node.store.registry.hooks(&owner).iter().map(|hook| hook.id.clone()).collect();
    assert_eq!(hooks, names, "in the order in which they were sent");
    journal.answer_held(CHANGES);
    let other = Node::open(options(directories[1].path(), small_bounds()), &journal);
    assert_eq!(other.digest().await, node.digest().await);
}
