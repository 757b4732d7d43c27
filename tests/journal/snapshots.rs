//! Snapshots of a database in the object store.

use async_nats::jetstream;
use docrelay::journal::{Journal, JournalError, SnapshotInfo};

use crate::harness::brokers::Broker;
use crate::harness::{create, nats_server, options};

fn info(position: u64, digest: &str, content: &[u8]) -> SnapshotInfo {
    SnapshotInfo { position, digest: digest.to_owned(), bytes: content.len() as u64, maker: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshot_of_twenty_mebibytes_is_read_back_unchanged() {
    let Some(program) = nats_server() else { return };
    let broker = Broker::single(&program, "");
    let journal = create(options(vec![broker.url()], 1)).await;
    assert!(journal.snapshots().await.unwrap().is_empty());
    let directory = tempfile::tempdir().unwrap();
    let (small, large) = (b"small".to_vec(), (0..20 * 1024 * 1024).map(|_| fastrand::u8(..)).collect::<Vec<u8>>());
    let infos = [info(9, "s", &small), info(10, "l/x", &large)];
    for (info, content) in infos.iter().zip([&small, &large]) {
        let source = directory.path().join("source");
        std::fs::write(&source, content).unwrap();
        journal.put_snapshot(info.clone(), source).await.unwrap();
    }
    assert_eq!(journal.snapshots().await.unwrap(), [infos[1].clone(), infos[0].clone()]);
    let copy = directory.path().join("copy");
    journal.get_snapshot(infos[1].clone(), copy.clone()).await.unwrap();
    assert!(std::fs::read(&copy).unwrap() == large, "another content");
    // Never over a file that exists.
    assert!(matches!(journal.get_snapshot(infos[1].clone(), copy).await, Err(JournalError::Unavailable(_))));
    journal.remove_snapshot(infos[1].clone()).await.unwrap();
    journal.remove_snapshot(infos[1].clone()).await.unwrap();
    assert_eq!(journal.snapshots().await.unwrap(), infos[..1]);
    let missing = directory.path().join("missing");
    assert!(matches!(journal.get_snapshot(infos[1].clone(), missing.clone()).await, Err(JournalError::Unavailable(_))));
    assert!(!missing.exists());
    // The file is shorter than the description says.
    let wrong = SnapshotInfo { bytes: 99, ..infos[0].clone() };
    let source = directory.path().join("source");
    assert!(matches!(journal.put_snapshot(wrong, source).await, Err(JournalError::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_of_failed_upload_are_removed_by_next() {
    let Some(program) = nats_server() else { return };
    let broker = Broker::single(&program, "");
    let journal = create(options(vec![broker.url()], 1)).await;
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    std::fs::write(&source, b"content").unwrap();
    let first = info(1, "first", b"content");
    journal.put_snapshot(first.clone(), source.clone()).await.unwrap();
    let bucket = format!("relays_snapshots_{:016x}", journal.identity().id);
    let context = jetstream::new(async_nats::connect(broker.url()).await.unwrap());
    for _ in 0..3 {
        context.publish(format!("$O.{bucket}.C.failed"), vec![0; 1000].into()).await.unwrap().await.unwrap();
    }
    let stored = || async {
        let stream = context.get_stream(format!("OBJ_{bucket}")).await.unwrap();
        stream.cached_info().state.messages
    };
    assert_eq!(stored().await, 2 + 3);
    journal.put_snapshot(info(2, "second", b"content"), source).await.unwrap();
    assert_eq!(stored().await, 2 + 2);
    let copy = directory.path().join("copy");
    journal.get_snapshot(first, copy.clone()).await.unwrap();
    assert_eq!(std::fs::read(copy).unwrap(), b"content");
}
