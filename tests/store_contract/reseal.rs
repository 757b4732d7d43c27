//! Sealing the secrets of a database again, with another key.

use std::sync::Arc;

use docrelay::domain::Format;
use docrelay::store::sqlite::{DatabaseLock, ResealReport, SqliteOptions, SqliteStore, reseal};
use docrelay::store::{Seal, Store};
use futures::future::join_all;
use rusqlite::Connection;

use crate::factory::{Mask, SqliteFiles, at, client, id, retention, store_with};
use crate::notifications::full_notification;
use crate::outbox::{content, due};
use crate::registry::hook;
use crate::routing::{callback, origin, registration, route_to_callback};

/// The key of [`SqliteFiles::options`], and the one that replaces it.
const OLD: u8 = 0x5a;
const NEW: u8 = 0x21;

/// More than two transactions of callbacks.
const CALLBACKS: usize = 2_100;

const URL: &str = "https://app.example.com/hook";

/// A cipher during a rotation: seals with the new key, opens values of both.
struct BothKeys;

impl Seal for BothKeys {
    fn seal(&self, text: &[u8], context: &[u8]) -> Vec<u8> {
        Mask(NEW).seal(text, context)
    }

    fn seal_with_nonce(&self, text: &[u8], context: &[u8], _: [u8; 12]) -> Vec<u8> {
        self.seal(text, context)
    }

    fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, String> {
        Mask(NEW).open(sealed, context).or_else(|_| Mask(OLD).open(sealed, context))
    }
}

/// A database with every kind of sealed value, and with rows of what was removed.
async fn filled() -> SqliteFiles {
    let files = SqliteFiles::new();
    let store = store_with(&files, retention(), &["a", "b", "removed"]).await;
    for name in ["one", "two"] {
        store.registry.add_hook(&id("a"), hook(name)).await.unwrap();
        store.registry.add_notification(&id("a"), full_notification(name)).await.unwrap();
    }
    store.registry.remove_notification(&id("a"), "two").await.unwrap();
    let documents = (0..CALLBACKS).map(|n| registration(&format!("x{n}"), route_to_callback(URL)));
    for appended in join_all(documents.map(|document| store.log.append(document))).await {
        appended.unwrap();
    }
    store.registry.remove_client(&id("removed").id).await.unwrap();
    store.maintenance.close().await;
    files
}

fn reseal_all(files: &SqliteFiles) -> ResealReport {
    reseal(&DatabaseLock::acquire(&files.path()).unwrap(), &BothKeys).unwrap()
}

fn open_with(files: &SqliteFiles, key: u8) -> Store {
    SqliteStore::open(SqliteOptions { seal: Arc::new(Mask(key)), ..files.options(None) }).unwrap()
}

/// The number of values that are not sealed with the new key.
fn old_values(files: &SqliteFiles) -> i64 {
    let sql = "SELECT count(*) FROM (
        SELECT secrets AS sealed FROM client WHERE name IS NOT NULL
        UNION ALL SELECT definition FROM hook
        UNION ALL SELECT definition FROM notification WHERE removed IS NULL
        UNION ALL SELECT callback FROM route WHERE callback IS NOT NULL
    ) WHERE substr(sealed, 1, 1) != ?1";
    Connection::open(files.path()).unwrap().query_row(sql, [[NEW]], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resealed_values_open_with_the_new_key_alone() {
    let files = filled().await;
    let expected = ResealReport { clients: 2, hooks: 2, notifications: 1, callbacks: CALLBACKS, damaged_callbacks: 0 };
    // The second time as after a kill before the old key was dropped.
    for _ in 0..2 {
        assert_eq!(reseal_all(&files), expected);
        assert_eq!(old_values(&files), 0);
    }
    let store = open_with(&files, NEW);
    assert_eq!(*store.registry.client(&id("a").id).unwrap(), client("a"));
    assert_eq!(*store.registry.hooks(&id("a"))[1], hook("two"));
    assert_eq!(*store.registry.notifications(&id("a"))[0], full_notification("one"));
    let queue = origin("a", URL);
    for delivery in due(&store, &queue, at(0)).await {
        assert_eq!(content(&store, &queue, delivery).await.callback, Some(callback(URL, Format::Gini)));
    }
    store.maintenance.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resealing_keeps_the_epoch_and_skips_damaged_callbacks() {
    let files = filled().await;
    let store = open_with(&files, OLD);
    let (epoch, head) = (store.log.epoch(), store.log.head());
    store.maintenance.close().await;
    let sql = "UPDATE route SET callback = x'00' WHERE document = (SELECT max(document) FROM route)";
    assert_eq!(Connection::open(files.path()).unwrap().execute(sql, []).unwrap(), 1);
    let report = reseal_all(&files);
    assert_eq!((report.callbacks, report.damaged_callbacks), (CALLBACKS - 1, 1));
    let store = open_with(&files, NEW);
    assert_eq!((store.log.epoch(), store.log.head()), (epoch, head));
    store.maintenance.close().await;
}
