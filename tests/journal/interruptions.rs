//! Entries while servers are killed, halted and restarted: none is missing and none occurs twice.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use docrelay::journal::jetstream::JetStream;
use docrelay::journal::{EntryRef, Journal, JournalError};

use crate::harness::brokers::{Broker, Brokers};
use crate::harness::{Entries, create, delay, nats_server, open, options, publish_until_stored};

async fn publish_all(journal: &impl Journal, numbers: std::ops::Range<usize>) -> Vec<String> {
    let mut texts = Vec::new();
    for number in numbers {
        texts.push(format!("entry-{number}"));
        publish_until_stored(journal, &texts[texts.len() - 1]).await;
    }
    texts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_continue_after_restart_of_only_broker() {
    let Some(program) = nats_server() else { return };
    let mut broker = Broker::single(&program, "");
    let journal = create(options(vec![broker.url()], 1)).await;
    let mut entries = Entries::after(&journal, 0);
    let first = publish_all(&journal, 0..20).await;
    assert_eq!(entries.texts(0, 20).await, first);
    broker.kill();
    let refused = journal.publish("down".into(), Bytes::from_static(b"down")).await;
    assert!(matches!(refused, Err(JournalError::Unavailable(_) | JournalError::Unknown(_))), "{refused:?}");
    broker.start();
    let second = publish_all(&journal, 20..40).await;
    let texts = entries.texts(20, journal.range().await.unwrap().end as usize - 20).await;
    // The entry that was published while the broker was down may have been stored, if the outcome was unknown.
    let texts: Vec<String> = texts.into_iter().filter(|text| text != "down").collect();
    assert_eq!(texts, second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_continue_after_leader_of_three_is_killed() {
    let Some(program) = nats_server() else { return };
    let mut brokers = Brokers::cluster(&program, 3);
    let journal = create(options(brokers.urls(), 3)).await;
    let (writer, reader) = (journal.clone(), open(options(brokers.urls(), 3)).await);
    let mut entries = Entries::after(&reader, 0);
    let writing = tokio::spawn(async move { publish_all(&writer, 0..400).await });
    let mut texts = entries.texts(0, 100).await;
    let leader = journal.health().await.unwrap().leader.unwrap();
    brokers.named(&leader).kill();
    texts.extend(entries.texts(100, 200).await);
    brokers.named(&leader).start();
    texts.extend(entries.texts(300, 100).await);
    assert_eq!(texts, writing.await.unwrap());
    assert_eq!(journal.range().await.unwrap().end, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_continue_while_broker_of_three_hangs() {
    let Some(program) = nats_server() else { return };
    let mut brokers = Brokers::cluster(&program, 3);
    let journal = create(options(brokers.urls(), 3)).await;
    let mut entries = Entries::after(&journal, 0);
    let mut expected = publish_all(&journal, 0..10).await;
    // The server of this connection, which may be the leader, too.
    let hanging = journal.health().await.unwrap().server_name;
    brokers.named(&hanging).pause();
    let (writer, other) = (journal.clone(), tokio::task::spawn_blocking(|| delay(Duration::from_secs(10))));
    let writing = tokio::spawn(async move { publish_all(&writer, 10..60).await });
    let mut texts = entries.texts(0, 60).await;
    other.await.unwrap();
    brokers.named(&hanging).resume();
    expected.extend(writing.await.unwrap());
    expected.extend(publish_all(&journal, 60..70).await);
    texts.extend(entries.texts(60, 10).await);
    assert_eq!(texts, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publish_to_hanging_broker_is_unknown_until_it_continues() {
    let Some(program) = nats_server() else { return };
    let broker = Broker::single(&program, "");
    let journal = create(options(vec![broker.url()], 1)).await;
    let mut entries = Entries::after(&journal, 0);
    publish_until_stored(&journal, "before").await;
    broker.pause();
    let unknown = journal.publish("during".into(), Bytes::from_static(b"during")).await;
    assert!(matches!(unknown, Err(JournalError::Unknown(_))), "{unknown:?}");
    delay(Duration::from_secs(5));
    let range = journal.range().await;
    assert!(matches!(range, Err(JournalError::Unavailable(_) | JournalError::Unknown(_))), "{range:?}");
    broker.resume();
    publish_until_stored(&journal, "during").await;
    assert_eq!(entries.texts(0, 2).await, ["before", "during"]);
    assert_eq!(journal.range().await.unwrap().end, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_ahead_of_journal_that_lost_entries_gets_replaced() {
    let Some((_broker, journal, _)) = journal_without_its_end().await else { return };
    assert!(matches!(Entries::after(&journal, 6).error().await, JournalError::Replaced));
    assert_eq!(Entries::after(&journal, 0).texts(0, 3).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reader_of_lost_entries_gets_replaced_when_others_have_their_positions() {
    let Some((_broker, journal, mut entries)) = journal_without_its_end().await else { return };
    publish_all(&journal, 10..15).await;
    // The reader was open all the time, and asks the broker only now: the journal ends after its position.
    assert!(matches!(entries.error().await, JournalError::Replaced));
    let last = |position: u64, text: &str| EntryRef { position, id: Some(text.to_owned()) };
    assert!(matches!(Entries::after_entry(&journal, last(6, "entry-5")).error().await, JournalError::Replaced));
    let expected: Vec<String> = (10..15).map(|number| format!("entry-{number}")).collect();
    assert_eq!(Entries::after_entry(&journal, last(3, "entry-2")).texts(3, 5).await, expected);
    assert_eq!(Entries::after_entry(&journal, last(6, "entry-12")).texts(6, 2).await, expected[3..]);
    // The entry itself is trimmed: the positions go on.
    journal.trim(7).await.unwrap();
    assert_eq!(Entries::after_entry(&journal, last(6, "entry-5")).texts(6, 2).await, expected[3..]);
    journal.trim(9).await.unwrap();
    let mut waiting = Entries::after_entry(&journal, last(8, "entry-14"));
    let texts = publish_all(&journal, 20..21).await;
    assert_eq!(waiting.texts(8, 1).await, texts);
}

/// A journal with three entries, whose broker has lost three more, and a reader that has got all six.
async fn journal_without_its_end() -> Option<(Broker, JetStream, Entries)> {
    let program = nats_server()?;
    let mut broker = Broker::single(&program, "");
    let journal = create(options(vec![broker.url()], 1)).await;
    let mut entries = Entries::after(&journal, 0);
    publish_all(&journal, 0..3).await;
    broker.kill();
    let copy = broker.store().with_extension("copy");
    copy_directory(broker.store(), &copy);
    broker.start();
    publish_all(&journal, 3..6).await;
    assert_eq!(entries.texts(0, 6).await.len(), 6);
    broker.kill();
    std::fs::remove_dir_all(broker.store()).unwrap();
    copy_directory(&copy, broker.store());
    broker.start();
    Some((broker, journal, entries))
}

fn copy_directory(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success());
}
