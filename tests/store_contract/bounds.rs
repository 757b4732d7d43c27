//! Contract of the bounds of the history: number and bytes, of one client and of all.

use docrelay::domain::{Credential, Disposition, Format, Secret, Status};
use docrelay::store::{Attempt, DeliveryQuery, DocumentQuery, NewEvent, PrunedRows, Reject, Retention, Store};

use crate::factory::{
    ALL, DAY, StoreFactory, at, duplicate_of, id, keyed, new_document, raw, record_attempt, retention, sequences,
    store_with, stored,
};
use crate::outbox::{attempt, default_notification, due, notification_queue, settle};
use crate::rejects::reject;
use crate::routing::{registration, route_to_callback};

pub(crate) async fn history_bounds_hold_without_pruning_pass(factory: impl StoreFactory) {
    let bounds = Retention { max_events: 50, max_event_bytes: 100_000, ..retention() };
    let store = store_with(&factory, bounds, &["many", "large"]).await;
    for first in (0..1_000).step_by(100) {
        futures::future::join_all((first..first + 100).map(|number| store.log.append(new_document("many", number))))
            .await;
        for number in first..first + 4 {
            let mut new_event = new_document("large", number);
            new_event.raw = Some(raw(&"x".repeat(30_000)));
            stored(&store, new_event).await;
        }
        finish_slices(&store).await;
        assert!(sequences(&store, "many").await.len() <= 50);
        assert_eq!(sequences(&store, "large").await.len(), 3);
    }
    let page = store.log.events_after(&id("many"), 0, ALL).await.unwrap();
    assert_eq!(page.events.len() as u64 + store.maintenance.prune(at(0)).await.unwrap().events, 1_000 + 40 - 3);
}

pub(crate) async fn largest_client_is_pruned_beyond_total_bytes(factory: impl StoreFactory) {
    let bounds = Retention { max_total_bytes: 1_000_000, ..retention() };
    let store = store_with(&factory, bounds, &["small", "large"]).await;
    let small = stored(&store, new_document("small", 1)).await.id.sequence;
    for number in 0..200 {
        let mut new_event = new_document("large", number);
        new_event.raw = Some(raw(&"x".repeat(10_000)));
        stored(&store, new_event).await;
    }
    finish_slices(&store).await;
    let left = sequences(&store, "large").await.len();
    assert!((90..=97).contains(&left), "{left} events of about 10 kB");
    assert_eq!(sequences(&store, "small").await, [small], "the oldest of all");
}

pub(crate) async fn titles_count_in_history_bytes(factory: impl StoreFactory) {
    let bounds = Retention { max_event_bytes: 50_000, ..retention() };
    let store = store_with(&factory, bounds, &["a"]).await;
    for number in 0..100 {
        let mut new_event = new_document("a", number);
        new_event.update.title = Some("t".repeat(1_000));
        stored(&store, new_event).await;
        store.maintenance.prune(at(0)).await.unwrap();
    }
    let query = DocumentQuery { limit: 1_000, ..DocumentQuery::default() };
    let documents = store.log.documents(&id("a"), query).await.unwrap().documents;
    let events = sequences(&store, "a").await.len();
    assert!(documents.len() < 50, "{} documents of about 1 kB", documents.len());
    assert!((25..40).contains(&events), "{events} events of about 1 kB beside them");
}

pub(crate) async fn callbacks_and_rows_of_documents_count_in_history_bytes(factory: impl StoreFactory) {
    let bounds = Retention { max_events: 10, max_event_bytes: 1_000_000, ..retention() };
    let store = store_with(&factory, bounds, &["a", "b"]).await;
    for number in 0..200 {
        let mut destinations = route_to_callback("https://app.example.com/");
        let secret = Secret::new(&"t".repeat(4_000));
        destinations.callback.as_mut().unwrap().credential = Some(Credential::Cookie(secret));
        stored(&store, registration(&format!("job-{number}"), destinations)).await;
    }
    for first in (0..3_000).step_by(100) {
        futures::future::join_all((first..first + 100).map(|number| store.log.append(new_document("b", number)))).await;
    }
    store.maintenance.prune(at(0)).await.unwrap();
    let count = async |client: &str| {
        let query = DocumentQuery { limit: 10_000, ..DocumentQuery::default() };
        let documents = store.log.documents(&id(client), query).await.unwrap();
        assert_eq!(documents.next, None);
        documents.documents.len()
    };
    // A quarter of the bytes is for documents.
    let (callbacks, rows) = (count("a").await, count("b").await);
    assert!((50..70).contains(&callbacks), "{callbacks} callbacks of about 4 kB");
    assert!((1_000..1_300).contains(&rows), "{rows} rows of about 200 bytes");
}

pub(crate) async fn deliveries_and_rejects_beyond_total_bytes_are_removed_before_foreign_events(
    factory: impl StoreFactory,
) {
    let bounds = Retention { max_total_bytes: 1_000_000, ..retention() };
    let store = store_with(&factory, bounds, &["deliveries", "rejects", "events"]).await;
    for number in 0..20 {
        let new_event = new_document("events", number);
        stored(&store, NewEvent { raw: Some(raw(&"x".repeat(10_000))), ..new_event }).await;
    }
    store.registry.add_notification(&id("deliveries"), default_notification("main", Format::Gini)).await.unwrap();
    let main = notification_queue("deliveries", "main");
    for number in 0..100 {
        stored(&store, new_document("deliveries", number)).await;
    }
    for (time, delivery) in (0..).zip(due(&store, &main, at(0)).await) {
        let failed = Attempt { response_body: vec![b'x'; 16 << 10].into(), ..attempt(at(time), 500) };
        record_attempt(&store, &main, delivery, Some(failed), Disposition::Dead, at(time)).await.unwrap();
    }
    let settled = async || {
        finish_slices(&store).await;
        let query = DeliveryQuery { limit: 1_000, ..DeliveryQuery::default() };
        let mut count = 0;
        let mut page = store.outbox.deliveries(&id("deliveries"), query.clone()).await.unwrap();
        loop {
            count += page.items.len();
            let Some(next) = page.next else { return count };
            page = store
                .outbox
                .deliveries(&id("deliveries"), DeliveryQuery { before: Some(next), ..query.clone() })
                .await
                .unwrap();
        }
    };
    let left = settled().await;
    assert!((40..50).contains(&left), "{left} deliveries of about 16 kB");
    for number in 0..100 {
        let large = Reject { raw: raw(&"x".repeat(20_000)), ..reject(number) };
        store.rejects.add(&id("rejects"), large).await.unwrap();
    }
    let (deliveries, rejects) = (settled().await, store.rejects.list(&id("rejects"), 1_000, None).await.unwrap());
    assert!((17..30).contains(&deliveries), "{deliveries} deliveries of about 16 kB");
    assert!((15..30).contains(&rejects.items.len()), "{} rejects of about 20 kB", rejects.items.len());
    assert_eq!(sequences(&store, "events").await.len(), 20, "this client is the smallest");
    assert_eq!(sequences(&store, "deliveries").await.len(), 100, "its deliveries are larger than its events");
}

/// A slice follows each batch. It is bounded in time, so on a busy machine there are more of them.
async fn finish_slices(store: &Store) {
    for _ in 0..50 {
        store.maintenance.probe().await.unwrap();
    }
}

pub(crate) async fn delivery_bounds_hold_without_pruning_pass(factory: impl StoreFactory) {
    let bounds = Retention { max_deliveries: 50, max_attempt_bytes: 100_000, ..retention() };
    let store = store_with(&factory, bounds, &["many", "large"]).await;
    for (client, bytes, expected) in [("many", 100, 50), ("large", 10_000, 9)] {
        store.registry.add_notification(&id(client), default_notification("main", Format::Gini)).await.unwrap();
        let main = notification_queue(client, "main");
        for number in 0..150 {
            stored(&store, new_document(client, number)).await;
        }
        for (time, delivery) in (0..).zip(due(&store, &main, at(0)).await) {
            let failed = Attempt { response_body: vec![b'x'; bytes].into(), ..attempt(at(time), 500) };
            record_attempt(&store, &main, delivery, Some(failed), Disposition::Dead, at(time)).await.unwrap();
        }
        finish_slices(&store).await;
        let query = DeliveryQuery { limit: 1_000, ..DeliveryQuery::default() };
        let left = store.outbox.deliveries(&id(client), query).await.unwrap();
        assert_eq!((left.items.len(), left.next), (expected, None), "{client}");
    }
}

pub(crate) async fn deduplication_key_bound_holds_without_pruning_pass(factory: impl StoreFactory) {
    let bounds = Retention { max_duplicate_keys: 100, ..retention() };
    let store = store_with(&factory, bounds, &["a", "b"]).await;
    let message = |client: &str, key: u64| keyed(client, "x", Status::Completed, &key.to_string());
    let other = stored(&store, message("b", 0)).await.id.sequence;
    let mut last = 0;
    for key in 0..300 {
        last = stored(&store, message("a", key)).await.id.sequence;
    }
    finish_slices(&store).await;
    assert_eq!(duplicate_of(&store, message("a", 299)).await, last);
    assert_eq!(duplicate_of(&store, message("a", 200)).await, last - 99);
    assert_eq!(duplicate_of(&store, message("b", 0)).await, other);
    stored(&store, message("a", 199)).await;
    finish_slices(&store).await;
    stored(&store, message("a", 200)).await;
}

pub(crate) async fn document_bounds_hold_without_pruning_pass(factory: impl StoreFactory) {
    let bounds = Retention { max_events: 5, max_event_bytes: 400_000, ..retention() };
    let store = store_with(&factory, bounds, &["a"]).await;
    for number in 0..500 {
        let mut new_event = new_document("a", number);
        new_event.update.title = Some("t".repeat(800));
        stored(&store, new_event).await;
    }
    let query = || DocumentQuery { limit: 1_000, ..DocumentQuery::default() };
    let mut left = usize::MAX;
    // Slices are bounded in time: on a busy machine it takes more of them.
    for _ in 0..1_000 {
        store.maintenance.probe().await.unwrap();
        left = store.log.documents(&id("a"), query()).await.unwrap().documents.len();
        if left < 125 {
            break;
        }
    }
    // A quarter of the bytes, and a sixteenth of that which may be added before documents are looked at again.
    assert!((90..125).contains(&left), "{left} documents of about 1 kB");
}

/// Half of the rows exceed a bound when they are added, the others are too old for the pass of pruning.
pub(crate) async fn removed_rows_are_counted_by_kind(factory: impl StoreFactory) {
    let bounds = Retention { max_events: 5, max_duplicate_keys: 5, max_deliveries: 5, max_rejects: 5, ..retention() };
    let store = store_with(&factory, bounds, &["a"]).await;
    store.registry.add_notification(&id("a"), default_notification("main", Format::Gini)).await.unwrap();
    let main = notification_queue("a", "main");
    for number in 0..10 {
        stored(&store, keyed("a", &format!("job-{number}"), Status::Completed, &number.to_string())).await;
        store.rejects.add(&id("a"), reject(number)).await.unwrap();
    }
    for delivery in due(&store, &main, at(0)).await {
        settle(&store, &main, delivery, Disposition::Dead, at(0)).await;
    }
    finish_slices(&store).await;
    let all = PrunedRows { events: 10, documents: 10, rejects: 10, deliveries: 10, duplicate_keys: 10 };
    assert_eq!(store.maintenance.prune(at(40 * DAY)).await.unwrap(), all);
    assert_eq!(store.maintenance.prune(at(40 * DAY)).await.unwrap(), PrunedRows::default());
}
