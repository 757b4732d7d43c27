//! Entries are proposed in the format that all nodes read: a made-up one beside the first.

use std::sync::Arc;

use super::items::{client, hook};
use super::memory_journal::MemoryJournal;
use super::node::{Node, OpenSeal, directories, options, small_bounds};
use crate::store::sqlite::writer::command::codec::Codec;
use crate::store::sqlite::writer::command::entry_format::{ENTRY_FORMATS, EntryFormat};

const TWO_FORMATS: &[EntryFormat] = &[
    ENTRY_FORMATS[0],
    EntryFormat {
        version: 2,
        // Without the names of the fields.
        pack: |entry| rmp_serde::to_vec(entry).map_err(|error| error.to_string()),
        ..ENTRY_FORMATS[0]
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_proposed_in_the_format_of_the_cluster() {
    let (directories, epoch) = directories(2).await;
    let journal = MemoryJournal::new(epoch);
    let node = Node::open_with(options(directories[0].path(), small_bounds()), &journal, TWO_FORMATS);
    node.store.registry.add_client(client()).await.expect("added");
    node.format.send_replace(2);
    node.store.registry.add_hook(&client().reference(), hook("main")).await.expect("added");

    let payloads = journal.payloads();
    assert_eq!(payloads.iter().map(|payload| payload[0]).collect::<Vec<_>>(), [1, 2]);
    let present = Codec { seal: Arc::new(OpenSeal), journal: 7, formats: &ENTRY_FORMATS[..1] };
    present.decode(1, &payloads[0]).map(drop).expect("an entry of the first format");
    let error = present.decode(2, &payloads[1]).map(drop).expect_err("a later format").to_string();
    assert!(error.contains("entry 2 has a later format: upgrade docrelay"), "{error}");
    let other = Node::open_with(options(directories[1].path(), small_bounds()), &journal, TWO_FORMATS);
    assert_eq!(other.digest().await, node.digest().await);
}
