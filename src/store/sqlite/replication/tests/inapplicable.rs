//! An entry that SQLite refuses on every node: its command is refused, and the nodes go on. Triggers cause the error,
//! the same ones in all databases.

use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use rusqlite::Connection;
use tokio::time::timeout;

use super::items::{client, event, hook};
use super::memory_journal::MemoryJournal;
use super::node::{Node, directories, options, small_bounds};
use crate::store::{Store, StoreError};

const LIMIT: Duration = Duration::from_secs(20);

/// Documents and hooks whose name begins with `bad` cannot be stored, and events cannot be removed.
const TRIGGERS: &str = "
    CREATE TRIGGER bad_document BEFORE INSERT ON document WHEN NEW.vendor_id LIKE 'bad%'
        BEGIN SELECT RAISE(ABORT, 'bad document'); END;
    CREATE TRIGGER bad_hook BEFORE INSERT ON hook WHEN NEW.id LIKE 'bad%'
        BEGIN SELECT RAISE(ABORT, 'bad hook'); END;
    CREATE TRIGGER kept_event BEFORE DELETE ON event
        BEGIN SELECT RAISE(ABORT, 'kept event'); END;
";

fn add_triggers(directory: &Path) {
    let db = Connection::open(directory.join("docrelay.db")).expect("a database");
    db.execute_batch(TRIGGERS).expect("triggers");
}

/// Appends at once, so that the events share entries. Returns those that were refused as inapplicable.
async fn append(store: &Store, names: &[String]) -> Vec<String> {
    let replies = join_all(names.iter().map(|name| store.log.append(event(name))));
    let replies = timeout(LIMIT, replies).await.expect("a reply for each event");
    let refused = names.iter().zip(replies).filter_map(|(name, reply)| match reply {
        Ok(_) => None,
        Err(StoreError::Inapplicable(_)) => Some(name.clone()),
        Err(error) => panic!("{name}: {error}"),
    });
    refused.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_that_no_node_can_store_is_refused_and_nodes_go_on() {
    let (directories, epoch) = directories(3).await;
    directories.iter().for_each(|directory| add_triggers(directory.path()));
    let journal = MemoryJournal::new(epoch);
    let node = Node::open(options(directories[0].path(), small_bounds()), &journal);
    node.leadership.set(Some(1)).await;
    node.store.registry.add_client(client()).await.expect("added");
    for round in 0..3 {
        let names: Vec<String> =
            ["good 1", "bad 1", "good 2", "bad 2", "good 3"].map(|name| format!("{name} {round}")).into();
        assert_eq!(append(&node.store, &names).await, [names[1].clone(), names[3].clone()]);
        let added = timeout(LIMIT, node.store.registry.add_hook(&client().reference(), hook(&format!("bad {round}"))));
        assert!(matches!(added.await, Ok(Err(StoreError::Inapplicable(_)))));
        node.store.registry.add_hook(&client().reference(), hook(&format!("good {round}"))).await.expect("added");
    }
    assert_eq!(node.store.log.head(), 9, "a refused event uses no sequence");
    // More than the bound of 25: the leader proposes slices that cannot be applied.
    let many: Vec<String> = (0..40).map(|number| format!("good many {number}")).collect();
    assert_eq!(append(&node.store, &many).await, [""; 0]);
    assert_eq!(append(&node.store, &["good last".to_owned()]).await, [""; 0]);

    // The same in other groups: one entry after the other, and all at once.
    let slow = MemoryJournal::new(epoch);
    let follower = Node::open(options(directories[1].path(), small_bounds()), &slow);
    let expected = node.digest().await;
    for payload in journal.payloads() {
        slow.append(payload);
        follower.catch_up().await;
    }
    assert_eq!(follower.digest().await, expected);
    let other = Node::open(options(directories[2].path(), small_bounds()), &journal);
    assert_eq!(other.digest().await, expected);
}
