//! Entries that the broker has acknowledged and does not deliver: their senders get a reply all the same.

use std::time::Duration;

use tokio::time::timeout;

use super::items::{client, event, hook};
use super::memory_journal::MemoryJournal;
use super::node::{Node, directories, options, small_bounds};
use super::random_commands::delivery;
use crate::domain::{Callback, Destinations, Disposition, Format};
use crate::store::{AppendOutcome, AttemptRecord, NewEvent, SchedulePosition, StoreError};

/// How long senders wait for their entries here.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// Only a failing test waits as long.
const LIMIT: Duration = Duration::from_secs(30);

fn event_with_callback(name: &str) -> NewEvent {
    let url = "https://example.com/".to_owned();
    let callback = Callback { url, format: Format::Gini, credential: None };
    NewEvent { destinations: Some(Destinations { notification: None, callback: Some(callback) }), ..event(name) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_of_withheld_entries_get_unavailable_and_the_entries_are_applied_later() {
    let (directories, epoch) = directories(2).await;
    let journal = MemoryJournal::new(epoch);
    let bounds = options(directories[0].path(), small_bounds());
    let node = Node::open_with_reply_timeout(bounds, &journal, REPLY_TIMEOUT);
    let (store, owner) = (node.store.clone(), client().reference());
    store.registry.add_client(client()).await.expect("added");
    store.log.append(event_with_callback("first")).await.expect("stored");
    let (id, queue) = delivery(&store, &owner, 0).await.expect("a delivery");
    let before = journal.payloads().len();

    journal.withhold(true);
    let now = client().created;
    let schedule = SchedulePosition { failures: 0, queued: now };
    let record =
        AttemptRecord { queue, delivery: id, schedule, attempt: None, disposition: Disposition::Delivered, now };
    let sending = async {
        tokio::join!(
            store.log.append(event("second")),
            store.registry.add_hook(&owner, hook("hook")),
            store.outbox.record_attempt(record.clone()),
        )
    };
    let (appended, added, recorded) = timeout(LIMIT, sending).await.expect("a reply for each sender");
    assert!(matches!(appended, Err(StoreError::Unavailable(_))), "{appended:?}");
    assert!(matches!(added, Err(StoreError::Unavailable(_))), "{added:?}");
    assert!(matches!(recorded, Err(StoreError::Unavailable(_))), "{recorded:?}");
    assert!(journal.payloads().len() > before, "they are in the journal");

    journal.withhold(false);
    node.catch_up().await;
    let repeated = store.log.append(event("second")).await.expect("an answer");
    assert!(matches!(repeated, AppendOutcome::Duplicate { .. }), "{repeated:?}");
    assert_eq!(store.registry.hooks(&owner).len(), 1);
    let settled = store.outbox.record_attempt(record).await;
    assert!(matches!(settled, Err(StoreError::NotFound(_))), "the delivery is not pending any more: {settled:?}");
    let other = Node::open(options(directories[1].path(), small_bounds()), &journal);
    assert_eq!(other.digest().await, node.digest().await);
}
