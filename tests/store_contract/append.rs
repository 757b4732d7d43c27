//! Contract of appending: the event that a `NewEvent` becomes, and the order of events for every reader.

use docrelay::domain::{DocumentId, EventId, Status, Vendor, VendorError};
use docrelay::store::{AppendOutcome, LogChange, StoreError};
use futures::StreamExt;
use serde_json::json;

use crate::factory::{ALL, DAY, StoreFactory, at, id, json, new_document, raw, retention, store_with, stored, unkeyed};

pub(crate) async fn sequences_increase_and_head_is_the_last(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    let first = store.log.head();
    let mut last = first;
    for number in 0..20 {
        let event = stored(&store, new_document(["a", "b"][number % 2], number)).await;
        assert_eq!(event.id.epoch, store.log.epoch());
        assert!(event.id.sequence > last);
        last = event.id.sequence;
        assert_eq!(store.log.head(), last);
    }
}

pub(crate) async fn event_json_has_documented_keys_in_order(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let mut new_event = unkeyed("a", "8v9iSKnj", Status::Error);
    new_event.update.title = Some("Ü \"x\"".into());
    new_event.update.result = json!({"z": 1, "a": [true, null]}).as_object().cloned();
    new_event.update.error = Some(VendorError { code: "7".into(), message: "broken".into() });
    new_event.update.vendor_time = Some(at(0));
    new_event.labels.insert("team".into(), "blue".into());
    new_event.now = at(1_234);
    let event = stored(&store, new_event).await;
    let text = format!(
        "{{\"documentId\":\"{}\",\"status\":\"ERROR\",\"vendor\":\"ppj\",\"vendorId\":\"8v9iSKnj\",\
         \"time\":\"2026-11-22T12:00:01.234Z\",\"title\":\"Ü \\\"x\\\"\",\"result\":{{\"z\":1,\"a\":[true,null]}},\
         \"error\":{{\"code\":\"7\",\"message\":\"broken\"}},\"vendorTime\":\"2026-11-22T12:00:00.000Z\",\
         \"labels\":{{\"team\":\"blue\"}}}}",
        event.document
    );
    assert_eq!(event.json, text);
    assert_eq!(store.log.events_after(&id("a"), 0, ALL).await.unwrap().events, [event]);
}

pub(crate) async fn vendor_uuid_becomes_document_id_else_version_1(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    let vendor_uuid: DocumentId = "626626a0-749f-11e2-bfd6-000000000000".parse().unwrap();
    let event = stored(&store, unkeyed("a", "626626A0-749F-11E2-BFD6-000000000000", Status::Pending)).await;
    assert_eq!(event.document, vendor_uuid);
    // A document of another client may have the same id: the vendor chose it.
    assert_eq!(stored(&store, unkeyed("b", &vendor_uuid.to_string(), Status::Pending)).await.document, vendor_uuid);
    // A document of another vendor and the same client may not.
    let mut other = unkeyed("a", &vendor_uuid.to_string(), Status::Pending);
    other.vendor = Vendor::Gini;
    let event = stored(&store, other).await;
    assert_ne!(event.document, vendor_uuid);
    assert_eq!(event.document.uuid().get_version_num(), 1);
    for document in [vendor_uuid, event.document] {
        assert_eq!(store.log.document(&id("a"), document).await.unwrap().unwrap().id, document);
    }
    let generated = stored(&store, unkeyed("a", "8v9iSKnj", Status::Pending)).await.document;
    assert_eq!(generated.uuid().get_version_num(), 1);
    let again = stored(&store, unkeyed("a", "8v9iSKnj", Status::Completed)).await.document;
    assert_eq!(again, generated, "generated once for each client, vendor and vendor id");
}

pub(crate) async fn generated_id_is_accepted_as_vendor_uuid(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    let generated = stored(&store, unkeyed("a", "8v9iSKnj", Status::Pending)).await.document;
    // One client's event may be another client's webhook.
    let mut chained = unkeyed("b", &generated.to_string(), Status::Pending);
    chained.vendor = Vendor::Gini;
    assert_eq!(stored(&store, chained.clone()).await.document, generated);
    assert!(store.log.document(&id("b"), generated).await.unwrap().is_some());
    chained.client = id("a");
    let event = stored(&store, chained).await;
    assert_ne!(event.document, generated, "the id belongs to the first document");
    assert!(store.log.document(&id("a"), event.document).await.unwrap().is_some());
}

pub(crate) async fn documents_of_one_millisecond_get_distinct_ids(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let outcomes = futures::future::join_all((0..10_000).map(|n| store.log.append(new_document("a", n)))).await;
    let mut seen: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| match outcome.unwrap() {
            AppendOutcome::Stored(event) => event.document,
            duplicate => panic!("not stored: {duplicate:?}"),
        })
        .collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 10_000);
}

pub(crate) async fn event_time_ignores_small_clock_steps_back(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let mut times = Vec::new();
    for (number, ms) in [5_000, 4_000, 6_000, 0].into_iter().enumerate() {
        let mut new_event = new_document("a", number);
        new_event.now = at(ms);
        times.push(json(&stored(&store, new_event).await)["time"].as_str().unwrap().to_owned());
    }
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(times[3], "2026-11-22T12:00:06.000Z");
}

pub(crate) async fn title_is_kept_in_later_events(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let first = stored(&store, unkeyed("a", "x", Status::Pending)).await;
    assert!(json(&first).get("title").is_none());
    let mut titled = unkeyed("a", "x", Status::Error);
    titled.update.title = Some("later".into());
    assert_eq!(json(&stored(&store, titled).await)["title"], "later");
    assert_eq!(json(&stored(&store, unkeyed("a", "x", Status::Completed)).await)["title"], "later");
    let document = store.log.document(&id("a"), first.document).await.unwrap().unwrap();
    assert_eq!(document.title.as_deref(), Some("later"));
}

pub(crate) async fn tail_and_log_agree_under_concurrent_senders(factory: impl StoreFactory) {
    const SENDERS: usize = 8;
    const EACH: usize = 250;
    let store = store_with(&factory, retention(), &["a"]).await;
    let mut tail = store.log.tail();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                for number in 0..EACH {
                    let mut new_event = new_document("a", sender * EACH + number);
                    new_event.raw = Some(raw("x"));
                    mine.push(stored(&store, new_event).await.id);
                }
                assert!(mine.is_sorted_by_key(|id| id.sequence), "events of one sender keep their order");
            })
        })
        .collect();
    let mut seen: Vec<EventId> = Vec::new();
    while seen.len() < SENDERS * EACH {
        seen.extend(tail.next().await.unwrap().events().iter().map(|event| event.id));
    }
    for sender in senders {
        sender.await.unwrap();
    }
    let read = store.log.events_after(&id("a"), 0, ALL).await.unwrap().events;
    assert_eq!(seen, read.iter().map(|event| event.id).collect::<Vec<_>>());
    assert!(seen.is_sorted_by(|a, b| a.sequence < b.sequence));
}

pub(crate) async fn every_tail_gets_all_events_after_one_drops(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let (left, slow, quick) = (store.log.tail(), store.log.tail(), store.log.tail());
    drop(left);
    let mut expected = Vec::new();
    // Fewer batches than a tail can hold: more would wait for the slow tail.
    for number in 0..30 {
        expected.push(stored(&store, new_document("a", number)).await.id.sequence);
    }
    store.maintenance.close().await;
    for tail in [quick, slow] {
        let batches: Vec<_> = tail.collect().await;
        let seen: Vec<_> = batches.iter().flat_map(LogChange::events).map(|event| event.id.sequence).collect();
        assert_eq!(seen, expected);
    }
}

pub(crate) async fn unread_tail_blocks_senders_and_skips_nothing(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let mut tail = store.log.tail();
    let sender = {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..600 {
                stored(&store, new_document("a", number)).await;
            }
        })
    };
    let mut last = store.log.head();
    let mut seen = 0;
    while seen < 600 {
        for event in tail.next().await.unwrap().events() {
            assert!(event.id.sequence > last);
            last = event.id.sequence;
            seen += 1;
        }
    }
    sender.await.unwrap();
}

pub(crate) async fn append_for_unknown_client_is_refused(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let head = store.log.head();
    let refused = store.log.append(new_document("unknown", 1)).await;
    assert!(matches!(refused, Err(StoreError::NotFound("client"))), "{refused:?}");
    assert_eq!(store.log.head(), head);
    let refused = store.log.events_after(&id("unknown"), 0, ALL).await;
    assert!(matches!(refused, Err(StoreError::NotFound("client"))));
}

pub(crate) async fn hostile_text_is_stored_unchanged(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let hostile = ["'; DROP TABLE event; --", "\u{0}\u{1}\r\n\ndata: x\u{2028}", &"\u{1F600}".repeat(10_000), "\"\\"];
    for (number, text) in hostile.into_iter().enumerate() {
        let mut new_event = unkeyed("a", "x'\"\\%_\u{fffd}", Status::ALL[number % 3]);
        new_event.update.title = Some(text.into());
        new_event.labels.insert(text.into(), text.into());
        new_event.raw = Some(raw(text));
        let event = stored(&store, new_event.clone()).await;
        assert!(!event.json.iter().any(|byte| byte.is_ascii_control()));
        let body = json(&event);
        assert_eq!(body["title"], text);
        assert_eq!(body["labels"][text], text);
        assert_eq!(store.log.raw_request(&id("a"), event.id.sequence).await.unwrap(), new_event.raw);
        let document = store.log.document(&id("a"), event.document).await.unwrap().unwrap();
        assert_eq!(document.title.as_deref(), Some(text));
        assert_eq!(document.vendor_id, new_event.update.vendor_id);
    }
}

pub(crate) async fn event_time_follows_clock_set_back_far(factory: impl StoreFactory) {
    let mut store = store_with(&factory, retention(), &["a"]).await;
    let (mut times, mut documents, mut last) = (Vec::new(), Vec::new(), 0);
    for (number, ms) in [365 * DAY, 5_000, 15_000, 5_000, 4_999].into_iter().enumerate() {
        let mut new_event = new_document("a", number);
        new_event.now = at(ms);
        let event = stored(&store, new_event).await;
        assert!(event.id.sequence > last, "the order does not depend on the clock");
        last = event.id.sequence;
        times.push(json(&event)["time"].as_str().unwrap().to_owned());
        documents.push(event.document);
        // The time that a reopened store reads is treated like the one in memory.
        store.maintenance.close().await;
        store = factory.open(retention()).await;
    }
    let expected = [365 * DAY, 5_000, 15_000, 15_000, 4_999].map(|ms| at(ms).to_string());
    assert_eq!(times, expected, "a step back of up to ten seconds is jitter, more is a clock that was set");
    documents.sort_unstable();
    documents.dedup();
    assert_eq!(documents.len(), 5, "generated ids are distinct, whatever the time");
}
