//! The usage counters of the embedded store, compared with a recount of the rows.

use std::path::Path;
use std::time::Duration;

use docrelay::domain::{Disposition, Format, Timestamp};
use docrelay::store::{Attempt, Retention};
use rusqlite::Connection;

use crate::factory::{DAY, SqliteFiles, at, id, new_document, record_attempt, retention, store_with, stored};
use crate::outbox::{attempt, default_notification, due, notification_queue};

/// The counters that a recount contradicts.
pub(crate) fn differences(path: &Path) -> Vec<(String, String, i64, i64)> {
    let db = Connection::open(path).unwrap();
    let mut statement = db.prepare(include_str!("../fixtures/usage_differences.sql")).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn usage_is_exact_after_retries_settlement_and_removal() {
    let files = SqliteFiles::new();
    let bounds = Retention { max_delivery_age: Duration::from_secs(3_600), ..retention() };
    let store = store_with(&files, bounds, &["a"]).await;
    store.registry.add_notification(&id("a"), default_notification("main", Format::Gini)).await.unwrap();
    let main = notification_queue("a", "main");
    for number in 0..4 {
        stored(&store, new_document("a", number)).await;
    }
    let ids = due(&store, &main, at(0)).await;
    let fail = async |delivery: u64, time: u64, disposition: Disposition| {
        let body = vec![b'x'; usize::try_from(time * 100).unwrap()];
        let failed = Attempt { response_body: body.into(), ..attempt(at(time), 500) };
        record_attempt(&store, &main, delivery, Some(failed), disposition, at(time)).await.unwrap();
    };
    for time in 1..=30 {
        for delivery in &ids {
            fail(*delivery, time, Disposition::Retry(at(0))).await;
        }
    }
    assert_eq!(differences(&files.path()), [], "four are pending");
    fail(ids[0], 31, Disposition::Delivered).await;
    fail(ids[1], 31, Disposition::Dead).await;
    fail(ids[2], 31, Disposition::Dead).await;
    assert_eq!(differences(&files.path()), [], "three are settled");
    store.outbox.retry(&id("a"), ids[1], at(32)).await.unwrap();
    assert_eq!(differences(&files.path()), [], "one of them is pending again");
    store.registry.remove_notification(&id("a"), "main").await.unwrap();
    store.maintenance.prune(at(33)).await.unwrap();
    assert_eq!(differences(&files.path()), [], "all are settled");
    // The removal has the present time.
    store.maintenance.prune(Timestamp::now().plus(Duration::from_secs(DAY))).await.unwrap();
    assert_eq!(differences(&files.path()), [], "all are removed");
    store.maintenance.close().await;
    let left: i64 = Connection::open(files.path())
        .unwrap()
        .query_row("SELECT (SELECT count(*) FROM attempt) + pending_bytes + settled_bytes FROM usage", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(left, 0);
}
