//! Entries of a broker that works: order, duplicates, bounds, trimming, and journals that were re-created.

use bytes::Bytes;
use docrelay::journal::jetstream::{JetStream, JetStreamOptions};
use docrelay::journal::{Journal, JournalError, JournalRange, MAX_PAYLOAD_BYTES};
use futures::StreamExt;
use futures::future::join_all;

use crate::harness::brokers::{Broker, Brokers};
use crate::harness::{EPOCH, Entries, TIMEOUT, create, identity, nats_server, open, options, publish_until_stored};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_entries_keep_their_order_and_occur_once() {
    let Some(program) = nats_server() else { return };
    let brokers = Brokers::cluster(&program, 3);
    let journal = create(options(brokers.urls(), 3)).await;
    let mut early = Entries::after(&journal, 0);
    let text = |n: usize| format!("entry-{n}");
    let published = join_all((0..500).map(|n| journal.publish(text(n), Bytes::from(text(n))))).await;
    let positions: Vec<u64> = published.into_iter().map(Result::unwrap).collect();
    assert_eq!(positions, (1..=500).collect::<Vec<u64>>());
    let expected: Vec<String> = (0..500).map(text).collect();
    assert_eq!(early.texts(0, 500).await, expected);
    let other = open(options(brokers.urls(), 3)).await;
    assert_eq!(other.identity(), journal.identity());
    assert_eq!(Entries::after(&other, 300).texts(300, 200).await, expected[300..]);
    assert_eq!(other.range().await.unwrap(), JournalRange { first: 1, end: 500 });
    let health = other.health().await.unwrap();
    assert_eq!((health.replicas, health.followers.len(), health.server_version.as_str()), (3, 2, "2.15.1"));
    assert!(health.leader.is_some() && health.bytes > 0 && health.followers.iter().all(|peer| !peer.is_offline));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_id_returns_first_position() {
    let Some(program) = nats_server() else { return };
    let broker = Broker::single(&program, "");
    let journal = create(options(vec![broker.url()], 1)).await;
    assert_eq!(journal.range().await.unwrap(), JournalRange { first: 1, end: 0 });
    for id in ["a", "b", "a", "b"] {
        let position = journal.publish(id.to_owned(), Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(position, if id == "a" { 1 } else { 2 });
    }
    assert_eq!(journal.range().await.unwrap(), JournalRange { first: 1, end: 2 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_journal_and_large_entry_are_refused() {
    let Some(program) = nats_server() else { return };
    let broker = Broker::single(&program, "");
    let small = JetStreamOptions { max_bytes: 5 * 1024 * 512, ..options(vec![broker.url()], 1) };
    let journal = create(small).await;
    let largest = Bytes::from(vec![7; MAX_PAYLOAD_BYTES]);
    let too_large = Bytes::from(vec![7; MAX_PAYLOAD_BYTES + 1]);
    assert!(matches!(journal.publish("x".into(), too_large).await, Err(JournalError::Unavailable(_))));
    assert_eq!(journal.publish("a".into(), largest.clone()).await.unwrap(), 1);
    assert_eq!(journal.publish("b".into(), largest.clone()).await.unwrap(), 2);
    let refused = journal.publish("c".into(), largest.clone()).await;
    assert!(matches!(&refused, Err(JournalError::Unavailable(why)) if why.contains("maximum bytes")), "{refused:?}");
    journal.trim(2).await.unwrap();
    assert_eq!(journal.publish("c".into(), largest).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_before_trimmed_position_gets_first_one() {
    let Some(program) = nats_server() else { return };
    let broker = Broker::single(&program, "");
    let journal = create(options(vec![broker.url()], 1)).await;
    for n in 1..=5 {
        assert_eq!(publish_until_stored(&journal, &format!("{n}")).await, n);
    }
    journal.trim(3).await.unwrap();
    assert_eq!(journal.range().await.unwrap(), JournalRange { first: 3, end: 5 });
    assert!(matches!(Entries::after(&journal, 1).error().await, JournalError::Trimmed(3)));
    assert_eq!(Entries::after(&journal, 2).texts(2, 3).await, ["3", "4", "5"]);
    // A position beyond the end leaves no gap.
    journal.trim(100).await.unwrap();
    assert_eq!(journal.range().await.unwrap(), JournalRange { first: 6, end: 5 });
    assert!(matches!(Entries::after(&journal, 4).error().await, JournalError::Trimmed(6)));
    assert_eq!(publish_until_stored(&journal, "6").await, 6);
    assert_eq!(Entries::after(&journal, 5).texts(5, 1).await, ["6"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_and_remade_journal_is_replaced() {
    let Some(program) = nats_server() else { return };
    let broker = Broker::single(&program, "");
    let journal = create(options(vec![broker.url()], 1)).await;
    publish_until_stored(&journal, "old").await;
    let (mut entries, mut records) = (Entries::after(&journal, 0), journal.records());
    assert_eq!(entries.texts(0, 1).await, ["old"]);
    let connected = JetStream::connect(options(vec![broker.url()], 1)).await.unwrap();
    assert!(matches!(connected.create(identity(EPOCH)).await.map(drop), Err(JournalError::Conflict)));
    let client = async_nats::connect(broker.url()).await.unwrap();
    async_nats::jetstream::new(client).delete_stream("relays_journal").await.unwrap();
    assert!(connected.find().await.unwrap().is_none());
    let successor = connected.create(identity(EPOCH + 1)).await.unwrap();
    assert_ne!(successor.identity().id, journal.identity().id);
    assert!(matches!(journal.publish("new".into(), Bytes::from_static(b"new")).await, Err(JournalError::Replaced)));
    assert!(matches!(journal.range().await, Err(JournalError::Replaced)));
    assert!(matches!(journal.trim(2).await, Err(JournalError::Replaced)));
    assert!(matches!(entries.error().await, JournalError::Replaced));
    let end = tokio::time::timeout(TIMEOUT, records.next()).await.unwrap();
    assert!(matches!(end, Some(Err(JournalError::Replaced))), "{end:?}");
    assert_eq!(successor.range().await.unwrap(), JournalRange { first: 1, end: 0 });
}
