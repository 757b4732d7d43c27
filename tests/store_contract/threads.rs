//! Tests of the embedded store's threads: reads have threads of their own, and the end of a thread is reported.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use docrelay::store::StoreError;
use docrelay::store::sqlite::{SqliteOptions, SqliteStore};

use crate::factory::{SqliteFiles, client, new_document, retention, sequences, store_with, stored};

#[test]
fn reads_succeed_while_blocking_threads_are_busy() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(1).build().unwrap();
    let (release, released) = sync_channel::<()>(1);
    runtime.block_on(async {
        let files = SqliteFiles::new();
        let store = store_with(&files, retention(), &["a"]).await;
        let sequence = stored(&store, new_document("a", 1)).await.id.sequence;
        // As a look-up of a name that never answers.
        let blocked = tokio::task::spawn_blocking(move || released.recv());
        let read = tokio::time::timeout(Duration::from_secs(20), sequences(&store, "a")).await;
        drop(release);
        assert_eq!(read, Ok(vec![sequence]));
        blocked.await.unwrap().unwrap_err();
    });
}

/// Opens a store whose threads are watched; returns the names of those that ended.
fn watched(options: SqliteOptions) -> (docrelay::store::Store, std::sync::mpsc::Receiver<String>) {
    let (sender, ended) = sync_channel(16);
    let on_thread_end = Some(Arc::new(move |name: &str| sender.send(name.to_owned()).unwrap_or_default()) as _);
    (SqliteStore::open(SqliteOptions { on_thread_end, ..options }).unwrap(), ended)
}

#[tokio::test]
async fn panicking_writer_is_reported_by_name() {
    let files = SqliteFiles::new();
    let (store, ended) = watched(files.options(Some(Arc::new(|_| panic!("in the writer")))));
    store.registry.add_client(client("a")).await.unwrap();
    store.log.append(new_document("a", 1)).await.unwrap();
    assert_eq!(ended.recv_timeout(Duration::from_secs(20)).unwrap(), "store-writer");
    assert!(matches!(store.log.append(new_document("a", 2)).await, Err(StoreError::Stopped)));
    store.maintenance.close().await;
}

#[tokio::test]
async fn every_thread_ends_with_closed_store() {
    let files = SqliteFiles::new();
    let (store, ended) = watched(files.options(None));
    store.maintenance.close().await;
    let mut names: Vec<_> = (0..6).map(|_| ended.recv_timeout(Duration::from_secs(20)).unwrap()).collect();
    names.sort_unstable();
    let readers = ["store-reader-0", "store-reader-1", "store-reader-2", "store-reader-3"];
    assert_eq!(
        names,
        ["store-checkpoint"].iter().chain(&readers).chain(&["store-writer"]).copied().collect::<Vec<_>>()
    );
}
