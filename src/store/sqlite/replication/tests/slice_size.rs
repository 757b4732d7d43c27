//! The entries by which the leader prunes: their size does not depend on the number of clients, and they reach every
//! client.

use std::time::Duration;

use futures::future::join_all;

use super::items::{client, event};
use super::memory_journal::MemoryJournal;
use super::node::{Node, directories, options, small_bounds};
use crate::domain::{Callback, Client, Destinations, Format};
use crate::store::NewEvent;

const CLIENTS: usize = 600;

/// Bytes of an entry with a slice, sealed: its keys, bounds and place, but no list of clients.
const MAX_SLICE_BYTES: usize = 640;

fn numbered(number: usize) -> Client {
    Client { id: format!("client-{number}").parse().expect("an id"), ..client() }
}

/// An old event with a delivery.
fn event_of(number: usize) -> NewEvent {
    let callback = Callback { url: "https://example.com/".into(), format: Format::Gini, credential: None };
    let destinations = Destinations { notification: None, callback: Some(callback) };
    NewEvent { client: numbered(number).reference(), destinations: Some(destinations), ..event("old") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slices_of_pruning_stay_small_with_many_clients_and_reach_all_of_them() {
    let (directories, epoch) = directories(2).await;
    let journal = MemoryJournal::new(epoch);
    let node = Node::open(options(directories[0].path(), small_bounds()), &journal);
    let registry = &node.store.registry;
    for added in join_all((0..CLIENTS).map(|number| registry.add_client(numbered(number)))).await {
        added.expect("added");
    }
    let with_events = [0, 1, CLIENTS / 2, CLIENTS - 1];
    for appended in join_all(with_events.map(|number| node.store.log.append(event_of(number)))).await {
        appended.expect("appended");
    }
    // Numbers that no client has any more.
    for number in [2, CLIENTS - 2] {
        registry.remove_client(&numbered(number).id).await.expect("removed");
    }
    node.leadership.set(Some(1)).await;
    let before = journal.payloads().len();
    let now = client().created.plus(Duration::from_secs(365 * 24 * 3600));
    let removed = node.store.maintenance.prune(now).await.expect("pruned");
    assert_eq!(removed.events, with_events.len() as u64, "the old events of all clients");
    assert_eq!(node.store.outbox.backlog().await.expect("a number").pending, 0, "the old deliveries of all clients");
    let sizes: Vec<usize> = journal.payloads()[before..].iter().map(|payload| payload.len()).collect();
    assert!(sizes.len() > 10 && sizes.iter().all(|bytes| *bytes <= MAX_SLICE_BYTES), "{sizes:?}");
    let other = Node::open(options(directories[1].path(), small_bounds()), &journal);
    assert_eq!(other.digest().await, node.digest().await);
}
