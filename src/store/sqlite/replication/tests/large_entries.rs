//! Commands that are large for an entry: they share none, and only one that does not fit alone is refused.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use futures::future::join_all;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::items::{client, event};
use super::memory_journal::MemoryJournal;
use super::node::{Node, directories, options, small_bounds};
use crate::journal::{MAX_PAYLOAD_BYTES, MAX_REQUEST_BYTES};
use crate::store::sqlite::writer::command::entry::EntryBody;
use crate::store::sqlite::writer::command::entry_format::{ENTRY_FORMATS, EntryFormat};
use crate::store::{AppendOutcome, NewEvent, RawRequest, Retention, StoreError};

/// The first format with 200 KiB of padding for each command.
const PADDED: &[EntryFormat] = &[EntryFormat {
    pack: |entry| {
        let commands = if let EntryBody::Batch { commands, .. } = &entry.body { commands.len() } else { 0 };
        let packed = (ENTRY_FORMATS[0].pack)(entry)?;
        let mut padding = vec![0; commands * (200 << 10)];
        getrandom::fill(&mut padding).map_err(|error| error.to_string())?;
        Ok([packed.len().to_be_bytes().as_slice(), &packed, &padding].concat())
    },
    unpack: |bytes| {
        let (length, rest) = bytes.split_first_chunk().ok_or("no length")?;
        (ENTRY_FORMATS[0].unpack)(&rest[..usize::from_be_bytes(*length)])
    },
    ..ENTRY_FORMATS[0]
}];

const LIMIT: Duration = Duration::from_secs(60);

/// Text that hardly compresses; another one for each seed.
fn random_text(seed: &str, length: usize) -> String {
    let mut text = String::with_capacity(length + 32);
    for block in 0.. {
        if text.len() >= length {
            break;
        }
        let block = digest(&SHA256, format!("{seed}/{block}").as_bytes());
        // Printable, 6 bits each.
        text.extend(block.as_ref().iter().map(|byte| char::from(b'0' + byte % 64)));
    }
    text.truncate(length);
    text
}

/// An event with a request of these sizes.
fn request(name: &str, header_bytes: usize, body_bytes: usize) -> NewEvent {
    let body = random_text(name, body_bytes);
    let mut event = event(name);
    event.update.result = Some(Map::from_iter([("text".to_owned(), Value::String(body.clone()))]));
    let headers = vec![("x-large".to_owned(), random_text(&format!("header {name}"), header_bytes))];
    event.raw = Some(RawRequest { method: "POST".into(), query: None, headers, body: body.into() });
    event
}

fn bounds() -> Retention {
    Retention { max_event_bytes: 1 << 30, max_total_bytes: 1 << 30, max_events: 1_000, ..small_bounds() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_requests_are_stored_and_one_that_fits_into_no_entry_is_refused_alone() {
    let (directories, epoch) = directories(2).await;
    let journal = MemoryJournal::new(epoch);
    let node = Node::open(options(directories[0].path(), bounds()), &journal);
    node.store.registry.add_client(client()).await.expect("added");
    // 300 heads of 16 KiB are more than one entry takes.
    let mut events: Vec<NewEvent> = (0..300).map(|number| request(&format!("{number}"), 16 << 10, 100)).collect();
    events.insert(150, request("too large", 16 << 10, 2 << 20));
    let replies = timeout(LIMIT, join_all(events.into_iter().map(|event| node.store.log.append(event)))).await;
    for (number, reply) in replies.expect("a reply for each sender").into_iter().enumerate() {
        match (number, reply) {
            (150, Err(StoreError::TooLarge { bytes, max_bytes })) => assert!(bytes > max_bytes),
            (150, reply) => panic!("{reply:?}"),
            (_, reply) => drop(reply.unwrap_or_else(|error| panic!("{number}: {error}"))),
        }
    }
    assert!(journal.payloads().iter().all(|payload| payload.len() <= MAX_PAYLOAD_BYTES));
    let other = Node::open(options(directories[1].path(), bounds()), &journal);
    assert_eq!(other.digest().await, node.digest().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn largest_request_of_a_cluster_fits_into_an_entry() {
    let (directories, epoch) = directories(1).await;
    let journal = MemoryJournal::new(epoch);
    let node = Node::open(options(directories[0].path(), bounds()), &journal);
    node.store.registry.add_client(client()).await.expect("added");
    let event = request("largest", 16 << 10, MAX_REQUEST_BYTES - (16 << 10));
    timeout(LIMIT, node.store.log.append(event)).await.expect("a reply").expect("stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entry_that_is_too_large_for_the_broker_is_proposed_in_parts_in_order() {
    let (directories, epoch) = directories(2).await;
    let journal = MemoryJournal::new(epoch);
    let node = Node::open_with(options(directories[0].path(), bounds()), &journal, PADDED);
    node.store.registry.add_client(client()).await.expect("added");
    let events = (0..40).map(|number| node.store.log.append(event(&format!("{number}"))));
    let replies = timeout(LIMIT, join_all(events)).await.expect("a reply for each sender");
    let sequences: Vec<u64> = replies
        .into_iter()
        .map(|reply| match reply.expect("stored") {
            AppendOutcome::Stored(event) => event.id.sequence,
            AppendOutcome::Duplicate { .. } => panic!("stored twice"),
        })
        .collect();
    assert_eq!(sequences, (1..=40).collect::<Vec<_>>());
    assert!(journal.payloads().iter().all(|payload| payload.len() <= MAX_PAYLOAD_BYTES));
    let other = Node::open_with(options(directories[1].path(), bounds()), &journal, PADDED);
    assert_eq!(other.digest().await, node.digest().await);
}
