//! The embedded store tells a copy of its database from the database that last ran: only the copy gets a new epoch.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use docrelay::domain::{Epoch, Status};
use docrelay::store::Store;
use docrelay::store::sqlite::{SqliteOptions, SqliteStore};

use crate::factory::{Mask, SqliteFiles, client, stored, unkeyed};

fn open(path: &Path) -> Store {
    let seal = Arc::new(Mask(0x5a));
    let options = SqliteFiles::new().options(None);
    SqliteStore::open(SqliteOptions { path: path.to_owned(), seal, ..options }).unwrap()
}

/// One run of a relay: stores an event, if asked for, and stops. Returns the epoch.
async fn run(path: &Path, events: usize) -> Epoch {
    let store = open(path);
    if store.registry.clients().is_empty() {
        store.registry.add_client(client("a")).await.unwrap();
    }
    for number in 0..events {
        stored(&store, unkeyed("a", &format!("{number} {}", store.log.head()), Status::Pending)).await;
    }
    store.maintenance.close().await;
    store.log.epoch()
}

#[tokio::test]
async fn restart_and_move_keep_the_epoch() {
    let home = tempfile::tempdir().unwrap();
    let (first, second) = (home.path().join("first"), home.path().join("second"));
    fs::create_dir(&first).unwrap();
    let epoch = run(&first.join("docrelay.db"), 1).await;
    assert_eq!(run(&first.join("docrelay.db"), 0).await, epoch, "a restart");
    fs::rename(&first, &second).unwrap();
    assert_eq!(run(&second.join("docrelay.db"), 1).await, epoch, "a move within the file system");
}

#[tokio::test]
async fn backup_restored_over_the_database_changes_the_epoch() {
    let home = tempfile::tempdir().unwrap();
    let (path, backup) = (home.path().join("docrelay.db"), home.path().join("backup.db"));
    let epoch = run(&path, 1).await;
    fs::copy(&path, &backup).unwrap();
    // Nothing was stored since the backup: its ids are those of the database.
    fs::copy(&backup, &path).unwrap();
    assert_eq!(run(&path, 1).await, epoch);
    // The inode stays the same.
    fs::copy(&backup, &path).unwrap();
    let restored = run(&path, 1).await;
    assert_ne!(restored, epoch);
    assert_eq!(run(&path, 1).await, restored, "only once");
}

#[tokio::test]
async fn backup_of_a_running_store_changes_the_epoch() {
    let home = tempfile::tempdir().unwrap();
    let (path, backup) = (home.path().join("docrelay.db"), home.path().join("backup.db"));
    run(&path, 1).await;
    let store = open(&path);
    let epoch = store.log.epoch();
    rusqlite::Connection::open(&path).unwrap().execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
    stored(&store, unkeyed("a", "after the backup", Status::Pending)).await;
    store.maintenance.close().await;
    fs::copy(&backup, &path).unwrap();
    assert_ne!(run(&path, 0).await, epoch);
}

#[tokio::test]
async fn copied_directory_or_missing_marker_changes_the_epoch() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("docrelay.db");
    let epoch = run(&path, 1).await;
    let copy = tempfile::tempdir().unwrap();
    for name in ["docrelay.db", "docrelay.db.run"] {
        fs::copy(home.path().join(name), copy.path().join(name)).unwrap();
    }
    assert_ne!(run(&copy.path().join("docrelay.db"), 0).await, epoch);
    fs::remove_file(home.path().join("docrelay.db.run")).unwrap();
    assert_ne!(run(&path, 0).await, epoch);
}
