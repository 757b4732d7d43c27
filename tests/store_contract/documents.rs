//! Contract of documents: state, list, history and counts.

use docrelay::domain::{Status, Vendor};
use docrelay::store::{DocumentQuery, MinuteCount, Retention};

use crate::factory::{
    ALL, DAY, StoreFactory, at, duplicate_of, history, id, json, large, new_document, retention, store_with, stored,
    unkeyed,
};

const ANY: DocumentQuery = DocumentQuery { vendor: None, vendor_id: None, status: None, limit: 1_000, cursor: None };

pub(crate) async fn document_state_follows_its_last_event(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    stored(&store, unkeyed("a", "x", Status::Pending)).await;
    let mut last = unkeyed("a", "x", Status::Completed);
    last.now = at(5_000);
    let event = stored(&store, last).await;
    let document = store.log.document(&id("a"), event.document).await.unwrap().unwrap();
    assert_eq!((document.status, document.event, document.updated), (Status::Completed, event.id, at(5_000)));
    assert_eq!((document.vendor, document.vendor_id.as_str()), (Vendor::Ppj, "x"));
    assert_eq!(document.json, Some(event.json.clone()));
    assert_eq!(document.id, event.document);
}

pub(crate) async fn documents_are_filtered_and_paged_newest_first(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    let mut made = Vec::new();
    for number in 0..60 {
        let mut new_event = unkeyed("a", &format!("job-{number}"), Status::ALL[number % 3]);
        new_event.vendor = if number % 2 == 0 { Vendor::Ppj } else { Vendor::Baidu };
        made.push((stored(&store, new_event.clone()).await.document, new_event));
        stored(&store, new_document("b", number)).await;
    }
    made.reverse();
    let queries = [
        ANY,
        DocumentQuery { status: Some(Status::Error), ..ANY },
        DocumentQuery { vendor: Some(Vendor::Baidu), ..ANY },
        DocumentQuery { vendor: Some(Vendor::Ppj), status: Some(Status::Pending), ..ANY },
        DocumentQuery { vendor_id: Some("job-7".into()), ..ANY },
        DocumentQuery { vendor_id: Some("job-7".into()), vendor: Some(Vendor::Ppj), ..ANY },
        DocumentQuery { vendor_id: Some("job-7".into()), status: Some(Status::Pending), ..ANY },
        DocumentQuery { vendor_id: Some("no such".into()), ..ANY },
        DocumentQuery { vendor_id: Some("not\nan id".into()), ..ANY },
    ];
    for query in queries {
        let expected: Vec<_> = made
            .iter()
            .filter(|(_, a)| query.vendor.is_none_or(|vendor| vendor == a.vendor))
            .filter(|(_, a)| query.status.is_none_or(|status| status == a.update.status))
            .filter(|(_, a)| query.vendor_id.as_deref().is_none_or(|name| name == a.update.vendor_id.as_str()))
            .map(|(document, _)| *document)
            .collect();
        for limit in [1, 7, 1_000] {
            let mut query = DocumentQuery { limit, ..query.clone() };
            let mut seen = Vec::new();
            loop {
                let page = store.log.documents(&id("a"), query.clone()).await.unwrap();
                assert!(page.documents.len() <= limit);
                seen.extend(page.documents.iter().map(|document| document.id));
                query.cursor = page.next;
                if page.next.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expected, "{query:?}");
        }
    }
}

pub(crate) async fn event_counts_by_minute_and_status_are_bounded(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    // Three minutes, each with two pending events and a completed one.
    for number in 0..9 {
        let status = if number % 3 == 2 { Status::Completed } else { Status::Pending };
        let mut new_event = unkeyed("a", &format!("job-{number}"), status);
        new_event.now = at(60_000 * (number / 3) + 1_000 * number);
        stored(&store, new_event).await;
    }
    let first = at(0).minute();
    let minute = |n: u64| first.plus(std::time::Duration::from_secs(60 * n));
    let of = |n: u64| {
        let minute_count = |status, count| MinuteCount { minute: minute(n), status, count };
        [minute_count(Status::Pending, 2), minute_count(Status::Completed, 1)]
    };
    let all = store.log.event_counts(&id("a"), first, 100).await.unwrap();
    assert_eq!((all.since, all.minutes), (first, [of(0), of(1), of(2)].concat()));
    assert_eq!(all.head.sequence, store.log.head());
    let late = store.log.event_counts(&id("a"), minute(1), 100).await.unwrap();
    assert_eq!((late.since, late.minutes), (minute(1), [of(1), of(2)].concat()));
    // The bound falls within the first minute, which is then left out: its counts would be wrong.
    let cut = store.log.event_counts(&id("a"), first, 7).await.unwrap();
    assert_eq!((cut.since, cut.minutes), (minute(1), [of(1), of(2)].concat()));
    assert_eq!(store.log.event_counts(&id("b"), first, 100).await.unwrap().minutes, []);
}

pub(crate) async fn stream_from_list_head_misses_nothing(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..300 {
                stored(&store, new_document("a", number)).await;
            }
        })
    };
    for _ in 0..20 {
        let page = store.log.documents(&id("a"), ANY).await.unwrap();
        let listed = page.documents.len();
        assert!(page.documents.iter().all(|document| document.event.sequence <= page.head.sequence));
        let rest = store.log.events_after(&id("a"), page.head.sequence, ALL).await.unwrap();
        let before = store.log.events_after(&id("a"), 0, ALL).await.unwrap();
        let until_head = before.events.iter().filter(|event| event.id.sequence <= page.head.sequence).count();
        assert_eq!(listed, until_head, "one document per event");
        assert!(rest.events.iter().all(|event| event.id.sequence > page.head.sequence));
    }
    writer.await.unwrap();
}

pub(crate) async fn history_lists_document_events_oldest_first(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let mut expected = Vec::new();
    for number in 0..30 {
        expected.push(stored(&store, unkeyed("a", "x", Status::ALL[number % 3])).await);
        stored(&store, unkeyed("a", "y", Status::ALL[number % 3])).await;
    }
    let document = expected[0].document;
    assert_eq!(history(&store, &id("a"), document).await, expected);
    let unknown = "626626a0-749f-11e2-bfd6-000000000000".parse().unwrap();
    assert!(history(&store, &id("a"), unknown).await.is_empty());
    assert!(store.log.document(&id("a"), unknown).await.unwrap().is_none());
}

pub(crate) async fn history_is_limited_to_newest_unpruned_thousand(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let mut all = Vec::new();
    for number in 0..1_010 {
        all.push(stored(&store, unkeyed("a", "x", Status::ALL[number % 3])).await);
    }
    let document = all[0].document;
    assert_eq!(history(&store, &id("a"), document).await, all[10..]);
    store.maintenance.close().await;
    let store = factory.open(Retention { max_events: 5, ..retention() }).await;
    store.maintenance.prune(at(0)).await.unwrap();
    assert_eq!(history(&store, &id("a"), document).await, all[1_005..]);
}

/// 200 kB each: five exceed the bytes of a page, and six are beyond them.
pub(crate) async fn document_list_and_history_are_cut_by_bytes(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let (mut listed, mut events) = (Vec::new(), Vec::new());
    for number in 0..13 {
        listed.push(stored(&store, large(&format!("job-{number}"), Status::Completed, 200_000)).await.document);
        events.push(stored(&store, large("x", Status::ALL[number % 3], 200_000)).await);
    }
    listed.insert(1, events[0].document);
    listed.reverse();
    let (mut seen, mut sizes, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let page = store.log.documents(&id("a"), DocumentQuery { cursor, ..ANY }).await.unwrap();
        sizes.push(page.documents.len());
        seen.extend(page.documents.iter().map(|document| document.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((seen, sizes), (listed, vec![6, 6, 2]));
    let (mut seen, mut sizes, mut cursor) = (Vec::new(), Vec::new(), None);
    loop {
        let page = store.log.history(&id("a"), events[0].document, 1_000, cursor).await.unwrap();
        sizes.push(page.items.len());
        seen.splice(..0, page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((&seen, sizes), (&events, vec![6, 6, 1]));
    let two = store.log.history(&id("a"), events[0].document, 2, None).await.unwrap();
    assert_eq!((two.items.as_slice(), two.next), (&events[11..], Some(events[10].id.sequence)));
    // A cursor is no access to the events of another document.
    let foreign = store.log.history(&id("a"), events[0].document, 2, Some(events[3].id.sequence - 1)).await.unwrap();
    assert_eq!((foreign.items.len(), foreign.next), (0, None));
}

pub(crate) async fn inactive_document_is_forgotten_after_thirty_days(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let inactive = stored(&store, unkeyed("a", "inactive", Status::Pending)).await.document;
    let active = stored(&store, unkeyed("a", "active", Status::Pending)).await.document;
    let mut later = unkeyed("a", "active", Status::Completed);
    later.now = at(20 * DAY);
    stored(&store, later).await;
    // The history is pruned after seven days, the document is not.
    store.maintenance.prune(at(29 * DAY)).await.unwrap();
    let document = store.log.document(&id("a"), inactive).await.unwrap().unwrap();
    assert_eq!((document.status, document.json), (Status::Pending, None));
    store.maintenance.prune(at(31 * DAY)).await.unwrap();
    assert!(store.log.document(&id("a"), inactive).await.unwrap().is_none());
    assert!(store.log.document(&id("a"), active).await.unwrap().is_some());
    assert_ne!(stored(&store, unkeyed("a", "inactive", Status::Pending)).await.document, inactive);
}

pub(crate) async fn uuid_lookup_ignores_case(factory: impl StoreFactory) {
    let (upper, lower) = ("626626A0-749F-11E2-BFD6-000000000000", "626626a0-749f-11e2-bfd6-000000000000");
    let store = store_with(&factory, retention(), &["a"]).await;
    for (vendor, generated) in [(Vendor::Ppj, false), (Vendor::Gini, true)] {
        let mut first = unkeyed("a", upper, Status::Pending);
        first.vendor = vendor;
        let mut second = unkeyed("a", lower, Status::Completed);
        second.vendor = vendor;
        let (first, event) = (stored(&store, first).await, stored(&store, second.clone()).await);
        assert_eq!(event.document, first.document);
        assert_eq!(
            event.document.to_string() != lower,
            generated,
            "the document of the second vendor gets a generated id"
        );
        assert_eq!((json(&first)["vendorId"].as_str(), json(&event)["vendorId"].as_str()), (Some(upper), Some(lower)));
        assert_eq!(duplicate_of(&store, second).await, event.id.sequence);
        for spelling in [upper, lower, "626626a0-749F-11e2-bfd6-000000000000"] {
            let query = DocumentQuery { vendor: Some(vendor), vendor_id: Some(spelling.into()), ..ANY };
            let found = store.log.documents(&id("a"), query).await.unwrap().documents;
            assert_eq!(found.iter().map(|document| document.id).collect::<Vec<_>>(), [event.document], "{spelling}");
            assert_eq!(found[0].vendor_id.as_str(), upper, "the row keeps the first spelling");
        }
        assert_eq!(history(&store, &id("a"), event.document).await, [first, event]);
    }
    // Identifiers other than UUIDs are case-sensitive.
    let (one, other) = (
        stored(&store, unkeyed("a", "Job", Status::Pending)).await,
        stored(&store, unkeyed("a", "job", Status::Pending)).await,
    );
    assert_ne!(one.document, other.document);
}

pub(crate) async fn inactive_documents_are_forgotten_despite_future_time(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let mut ahead = unkeyed("a", "ahead", Status::Pending);
    ahead.now = at(365 * DAY);
    stored(&store, ahead).await;
    let inactive = stored(&store, unkeyed("a", "inactive", Status::Pending)).await.document;
    store.maintenance.prune(at(29 * DAY)).await.unwrap();
    assert!(store.log.document(&id("a"), inactive).await.unwrap().is_some());
    store.maintenance.prune(at(31 * DAY)).await.unwrap();
    assert!(store.log.document(&id("a"), inactive).await.unwrap().is_none());
}
