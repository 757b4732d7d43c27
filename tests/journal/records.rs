//! Records: compare-and-swap, deletion, and the watch.

use bytes::Bytes;
use docrelay::journal::{Journal, JournalError, Record};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::harness::brokers::{Broker, Brokers};
use crate::harness::{TIMEOUT, create, nats_server, options};

async fn next(records: &mut BoxStream<'static, Result<Record, JournalError>>) -> Record {
    tokio::time::timeout(TIMEOUT, records.next()).await.expect("a record in time").expect("no end").expect("no error")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_racing_writers_lose_no_update() {
    let Some(program) = nats_server() else { return };
    let brokers = Brokers::cluster(&program, 3);
    let journal = create(options(brokers.urls(), 3)).await;
    let key = "counter/a=b.c";
    journal.put_record(key.into(), Bytes::from_static(b"0"), Some(0)).await.unwrap();
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let journal = journal.clone();
            tokio::spawn(async move {
                let (mut records, mut updates) = (journal.records(), 0);
                while updates < 10 {
                    let record = next(&mut records).await;
                    let count: u64 = String::from_utf8(record.value.unwrap().to_vec()).unwrap().parse().unwrap();
                    let value = Bytes::from((count + 1).to_string());
                    match journal.put_record(key.into(), value, Some(record.revision)).await {
                        Ok(_) => updates += 1,
                        Err(JournalError::Conflict) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let last = next(&mut journal.records()).await;
    assert_eq!(last.value.unwrap(), Bytes::from_static(b"80"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_repeats_records_and_deletions_after_restart() {
    let Some(program) = nats_server() else { return };
    let mut broker = Broker::single(&program, "");
    let journal = create(options(vec![broker.url()], 1)).await;
    let put = |key: &str, value: &'static str, expected| {
        journal.put_record(key.to_owned(), Bytes::from_static(value.as_bytes()), expected)
    };
    let gone = put("gone", "x", None).await.unwrap();
    journal.delete_record("gone".into(), Some(gone)).await.unwrap();
    let a = put("a", "1", Some(0)).await.unwrap();
    assert!(matches!(put("a", "2", Some(0)).await, Err(JournalError::Conflict)));
    assert!(matches!(put("a", "2", Some(a + 9)).await, Err(JournalError::Conflict)));
    assert!(matches!(journal.delete_record("a".into(), Some(a + 9)).await, Err(JournalError::Conflict)));
    assert!(matches!(put("a b", "1", None).await, Err(JournalError::Unavailable(_))));
    let mut records = journal.records();
    let first = next(&mut records).await;
    assert_eq!((first.key.as_str(), first.value.as_deref(), first.revision), ("a", Some(&b"1"[..]), a));
    // A deleted record does not exist.
    let again = put("gone", "y", Some(0)).await.unwrap();
    assert_eq!(next(&mut records).await.revision, again);
    journal.delete_record("gone".into(), Some(again)).await.unwrap();
    let deleted = next(&mut records).await;
    assert_eq!((deleted.key.as_str(), deleted.value), ("gone", None));
    broker.kill();
    broker.start();
    broker.wait_until_healthy();
    let mut keys = vec![next(&mut records).await.key, next(&mut records).await.key];
    keys.sort();
    assert_eq!(keys, ["a", "gone"]);
}
