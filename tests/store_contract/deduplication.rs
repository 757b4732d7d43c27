//! Contract of deduplication: which keys are known, for how long, and to which client.

use docrelay::domain::{Status, Vendor};
use docrelay::store::{AppendOutcome, DuplicateRule, Retention};

use crate::factory::{
    DAY, StoreFactory, at, duplicate_of, history, id, keyed, new_document, retention, sequences, store_with, stored,
    unkeyed,
};

pub(crate) async fn deduplication_key_expires_after_thirty_days(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let first = stored(&store, keyed("a", "x", Status::Completed, "k")).await;
    let mut again = keyed("a", "x", Status::Error, "k");
    again.now = at(30 * DAY);
    match store.log.append(again.clone()).await.unwrap() {
        AppendOutcome::Duplicate { id, document, status } => {
            assert_eq!((id, document, status), (first.id, first.document, Status::Completed));
        }
        AppendOutcome::Stored(event) => panic!("stored: {event:?}"),
    }
    again.now = at(30 * DAY + 1);
    let second = stored(&store, again.clone()).await;
    assert_eq!(second.document, first.document);
    assert_eq!(duplicate_of(&store, again).await, second.id.sequence, "the period starts again");
}

pub(crate) async fn oldest_deduplication_keys_are_pruned_by_number(factory: impl StoreFactory) {
    let bounds = Retention { max_duplicate_keys: 100, ..retention() };
    let store = store_with(&factory, bounds, &["a", "b"]).await;
    let message = |client: &str, key: u64| keyed(client, "x", Status::Completed, &key.to_string());
    stored(&store, message("b", 0)).await;
    let mut last = 0;
    for key in 0..300 {
        last = stored(&store, message("a", key)).await.id.sequence;
    }
    store.maintenance.prune(at(0)).await.unwrap();
    assert_eq!(duplicate_of(&store, message("a", 299)).await, last);
    assert_eq!(duplicate_of(&store, message("a", 200)).await, last - 99);
    duplicate_of(&store, message("b", 0)).await;
    stored(&store, message("a", 199)).await;
    store.maintenance.prune(at(0)).await.unwrap();
    stored(&store, message("a", 200)).await;
}

pub(crate) async fn deduplication_key_survives_reopen(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let first = stored(&store, keyed("a", "x", Status::Completed, "k")).await;
    store.maintenance.close().await;
    let store = factory.open(retention()).await;
    assert_eq!(duplicate_of(&store, keyed("a", "x", Status::Completed, "k")).await, first.id.sequence);
}

// Rule 18: duplicates are found where events are stored.
pub(crate) async fn concurrent_duplicates_store_one_event(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    for duplicate in [DuplicateRule::SameKey("k".into()), DuplicateRule::SameStatus, DuplicateRule::KnownDocument] {
        let mut new_event = unkeyed("a", &format!("{duplicate:?}"), Status::Completed);
        new_event.duplicate_rule = duplicate;
        let outcomes = futures::future::join_all((0..100).map(|_| store.log.append(new_event.clone()))).await;
        let (mut stored, mut ids) = (0, Vec::new());
        for outcome in outcomes {
            match outcome.unwrap() {
                AppendOutcome::Stored(event) => {
                    stored += 1;
                    ids.push((event.id, event.document));
                }
                AppendOutcome::Duplicate { id, document, .. } => ids.push((id, document)),
            }
        }
        ids.dedup();
        assert_eq!((stored, ids.len()), (1, 1), "each append returns the same event");
    }
}

pub(crate) async fn same_status_without_key_is_a_duplicate(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let first = stored(&store, unkeyed("a", "x", Status::Pending)).await;
    assert_eq!(duplicate_of(&store, unkeyed("a", "x", Status::Pending)).await, first.id.sequence);
    let second = stored(&store, unkeyed("a", "x", Status::Completed)).await;
    assert_eq!(duplicate_of(&store, unkeyed("a", "x", Status::Completed)).await, second.id.sequence);
    stored(&store, unkeyed("a", "x", Status::Pending)).await;
}

pub(crate) async fn registration_after_first_event_is_a_duplicate(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let early = stored(&store, keyed("a", "x", Status::Completed, "k")).await;
    let mut registered = unkeyed("a", "x", Status::Pending);
    registered.duplicate_rule = DuplicateRule::KnownDocument;
    match store.log.append(registered.clone()).await.unwrap() {
        AppendOutcome::Duplicate { document, status, .. } => {
            assert_eq!((document, status), (early.document, Status::Completed))
        }
        AppendOutcome::Stored(event) => panic!("stored: {event:?}"),
    }
    registered.update.vendor_id = "y".parse().unwrap();
    assert_eq!(stored(&store, registered).await.status, Status::Pending);
}

// Rule 18: duplicates are found where events are stored.
pub(crate) async fn keys_and_documents_are_separate_by_client_and_vendor(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    let first = stored(&store, keyed("a", "x", Status::Completed, "k")).await;
    let second = stored(&store, keyed("b", "x", Status::Completed, "k")).await;
    let mut third = keyed("a", "x", Status::Completed, "k");
    third.vendor = Vendor::Zoffice;
    let third = stored(&store, third).await;
    // The key of one client neither hides nor replaces that of another.
    for (client, of) in [("a", &first), ("b", &second)] {
        assert_eq!(duplicate_of(&store, keyed(client, "x", Status::Completed, "k")).await, of.id.sequence, "{client}");
    }
    assert!(first.document != second.document && first.document != third.document);
    assert!(store.log.document(&id("b"), first.document).await.unwrap().is_none());
    assert!(history(&store, &id("b"), first.document).await.is_empty());
    assert_eq!(sequences(&store, "b").await, [second.id.sequence]);
}

pub(crate) async fn deduplication_key_outlives_its_pruned_event(factory: impl StoreFactory) {
    let bounds = Retention { max_events: 1, ..retention() };
    let store = store_with(&factory, bounds, &["a"]).await;
    let first = stored(&store, keyed("a", "x", Status::Completed, "k")).await;
    stored(&store, new_document("a", 1)).await;
    assert_eq!(store.maintenance.prune(at(DAY)).await.unwrap().events, 1);
    assert_eq!(duplicate_of(&store, keyed("a", "x", Status::Completed, "k")).await, first.id.sequence);
    // Pruning removes the key after its period.
    store.maintenance.prune(at(31 * DAY)).await.unwrap();
    stored(&store, keyed("a", "x", Status::Completed, "k")).await;
}

pub(crate) async fn key_with_future_time_expires_with_its_successors(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let ahead = |number: usize, now| {
        let mut new_event = keyed("a", "ahead", Status::Completed, &format!("ahead-{number}"));
        new_event.now = now;
        new_event
    };
    // More than one slice of pruning.
    let outcomes =
        futures::future::join_all((0..1_300).map(|number| store.log.append(ahead(number, at(365 * DAY))))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(AppendOutcome::Stored(_)))));
    stored(&store, keyed("a", "x", Status::Completed, "after")).await;
    for day in [1, 29] {
        store.maintenance.prune(at(day * DAY)).await.unwrap();
        duplicate_of(&store, ahead(0, at(day * DAY))).await;
        duplicate_of(&store, ahead(1_299, at(day * DAY))).await;
    }
    store.maintenance.prune(at(31 * DAY)).await.unwrap();
    stored(&store, ahead(0, at(31 * DAY))).await;
    stored(&store, ahead(1_299, at(31 * DAY))).await;
}
