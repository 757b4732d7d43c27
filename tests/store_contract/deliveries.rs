//! Contract of deliveries as their owner sees them: attempts, lists, manual retries and retention.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use docrelay::domain::{Disposition, Format, Notification, Status, Target};
use docrelay::store::{
    Attempt, Delivery, DeliveryQuery, DeliveryState, NewEvent, RecordEffect, Retention, Store, StoreError,
};
use futures::FutureExt;

use crate::factory::{DAY, StoreFactory, at, id, keyed, new_document, record_attempt, retention, store_with, stored};
use crate::outbox::{attempt, content, default_notification, due, notification_queue, settle, store_with_main};
use crate::routing::{registration, route_to_callback};

async fn numbers(store: &Store, query: DeliveryQuery) -> Vec<u64> {
    let limit = if query.limit == 0 { 1_000 } else { query.limit };
    let found = store.outbox.deliveries(&id("a"), DeliveryQuery { limit, ..query }).await.unwrap();
    found.items.iter().map(|delivery| delivery.id).collect()
}

async fn one(store: &Store, number: u64) -> Delivery {
    store.outbox.delivery(&id("a"), number).await.unwrap().unwrap()
}

pub(crate) async fn delivery_list_is_cut_by_bytes(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let main = notification_queue("a", "main");
    for number in 0..5 {
        stored(&store, new_document("a", number)).await;
        let delivery = due(&store, &main, at(0)).await[0];
        for time in 1..=20 {
            let large = Attempt { response_body: vec![b'x'; 16 << 10].into(), ..attempt(at(time), 500) };
            let disposition = if time == 20 { Disposition::Dead } else { Disposition::Retry(at(0)) };
            record_attempt(&store, &main, delivery, Some(large), disposition, at(time)).await.unwrap();
        }
    }
    let query = DeliveryQuery { limit: 100, ..DeliveryQuery::default() };
    let first = store.outbox.deliveries(&id("a"), query.clone()).await.unwrap();
    let second = store.outbox.deliveries(&id("a"), DeliveryQuery { before: first.next, ..query }).await.unwrap();
    assert_eq!((first.items.len(), second.items.len(), second.next), (4, 1, None));
}

pub(crate) async fn attempts_of_pending_deliveries_are_bounded(factory: impl StoreFactory) {
    const RETRIES: u64 = 1_000;
    let bounds = Retention { max_pending_bytes: 700_000, ..retention() };
    let store = store_with(&factory, bounds, &["a"]).await;
    store.registry.add_notification(&id("a"), default_notification("main", Format::Gini)).await.unwrap();
    let main = notification_queue("a", "main");
    stored(&store, new_document("a", 0)).await;
    let retried = due(&store, &main, at(0)).await[0];
    let fail = async |delivery: u64, time: u64| {
        let large = Attempt { response_body: vec![b'x'; 16 << 10].into(), ..attempt(at(time), 500) };
        let disposition = Disposition::Retry(at(time));
        record_attempt(&store, &main, delivery, Some(large), disposition, at(time)).await.unwrap();
    };
    for time in 1..=RETRIES {
        fail(retried, time).await;
        store.outbox.retry(&id("a"), retried, at(time)).await.unwrap();
    }
    let times: Vec<_> = one(&store, retried).await.attempts.iter().map(|attempt| attempt.time).collect();
    let kept: Vec<_> = [1].into_iter().chain(RETRIES - 18..=RETRIES).map(at).collect();
    assert_eq!(times, kept, "the first and the latest");
    // Two deliveries with 20 attempts of 16 KiB fit into the bound, three do not.
    for number in 1..3 {
        stored(&store, new_document("a", number)).await;
        let delivery = numbers(&store, DeliveryQuery::default()).await[0];
        for time in 1..=20 {
            fail(delivery, time).await;
        }
        store.maintenance.prune(at(RETRIES)).await.unwrap();
        let pending = DeliveryQuery { state: Some(DeliveryState::Pending), ..DeliveryQuery::default() };
        assert_eq!(numbers(&store, pending).await.len(), 2, "{number}");
    }
    assert!(reason(&store, retried).await.starts_with("given up: the client has too many pending deliveries"));
}

pub(crate) async fn attempts_keep_order_and_truncate_responses(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let main = notification_queue("a", "main");
    let event = stored(&store, new_document("a", 1)).await;
    let number = due(&store, &main, at(0)).await[0];
    let long = Attempt { response_body: vec![b'x'; 20 << 10].into(), error: None, ..attempt(at(1), 500) };
    let no_response = Attempt { status: None, response_body: Bytes::new(), ..attempt(at(2), 599) };
    for attempt in [long.clone(), no_response.clone()] {
        record_attempt(&store, &main, number, Some(attempt), Disposition::Retry(at(3)), at(3)).await.unwrap();
    }
    record_attempt(&store, &main, number, None, Disposition::Dead, at(4)).await.unwrap();
    store.maintenance.close().await;
    let store = factory.open(retention()).await;
    let delivery = one(&store, number).await;
    let cut = Attempt { response_body: long.response_body.slice(..16 << 10), ..long };
    assert_eq!(delivery.attempts, [cut, no_response]);
    assert_eq!(
        (delivery.event, delivery.document, &delivery.target.queue_target()),
        (event.id, event.document, &main.target)
    );
    assert_eq!((delivery.state, delivery.created, delivery.due), (DeliveryState::Dead, at(0), None));
    assert!(store.outbox.delivery(&id("b"), number).await.unwrap().is_none(), "another client cannot read it");
    assert!(store.outbox.delivery(&id("a"), u64::MAX).await.unwrap().is_none());
}

pub(crate) async fn deliveries_are_filtered_and_listed_newest_first(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let other = Notification { is_default: true, ..default_notification("other", Format::Gini) };
    for number in 0..6 {
        stored(&store, new_document("a", number)).await;
    }
    store.registry.add_notification(&id("a"), other).await.unwrap();
    for number in 6..9 {
        stored(&store, new_document("a", number)).await;
    }
    stored(&store, registration("x", route_to_callback("https://app.example.com/"))).await;
    let main = due(&store, &notification_queue("a", "main"), at(0)).await;
    settle(&store, &notification_queue("a", "main"), main[0], Disposition::Delivered, at(1)).await;
    settle(&store, &notification_queue("a", "main"), main[1], Disposition::Dead, at(1)).await;
    let all = numbers(&store, DeliveryQuery::default()).await;
    assert_eq!(all.len(), 11);
    assert!(all.is_sorted_by(|a, b| a > b));
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = numbers(&store, DeliveryQuery { before, limit: 3, ..DeliveryQuery::default() }).await;
        let Some(last) = page.last() else { break };
        before = Some(*last);
        seen.extend(page);
    }
    assert_eq!(seen, all);
    for (state, expected) in [(DeliveryState::Pending, 9), (DeliveryState::Delivered, 1), (DeliveryState::Dead, 1)] {
        let found = numbers(&store, DeliveryQuery { state: Some(state), ..DeliveryQuery::default() }).await;
        assert_eq!(found.len(), expected, "{state:?}");
        for number in found {
            assert_eq!(one(&store, number).await.state, state);
        }
    }
    let notification = Some("main".parse().unwrap());
    let found = numbers(&store, DeliveryQuery { notification, ..DeliveryQuery::default() }).await;
    assert_eq!(found, main.into_iter().rev().collect::<Vec<_>>());
    assert!(matches!(one(&store, all[0]).await.target, Target::Callback { .. }));
    let query = DeliveryQuery { notification: Some("unknown".parse().unwrap()), ..DeliveryQuery::default() };
    assert!(numbers(&store, query).await.is_empty());
}

pub(crate) async fn manual_retry_restarts_schedule_in_document_order(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let main = notification_queue("a", "main");
    for (number, status) in [Status::Pending, Status::Completed, Status::Error].into_iter().enumerate() {
        stored(&store, keyed("a", "x", status, &number.to_string())).await;
    }
    let mut ids = numbers(&store, DeliveryQuery::default()).await;
    ids.reverse();
    // Pending with a later due time: due now, with a new retry schedule.
    settle(&store, &main, ids[0], Disposition::Retry(at(9_000)), at(1)).await;
    store.outbox.retry(&id("a"), ids[0], at(2)).await.unwrap();
    let found = store.outbox.due(&main, at(2), 9, Vec::new()).await.unwrap().deliveries;
    assert_eq!(found.iter().map(|due| (due.id, due.failures)).collect::<Vec<_>>(), [(ids[0], 0)]);
    // Waiting for an earlier delivery of its document: still waiting.
    store.outbox.retry(&id("a"), ids[2], at(2)).await.unwrap();
    assert_eq!(due(&store, &main, at(2)).await, [ids[0]]);
    // Dead while a later delivery of its document is due: it goes next, before those that wait.
    settle(&store, &main, ids[0], Disposition::Dead, at(3)).await;
    assert_eq!(due(&store, &main, at(3)).await, [ids[1]]);
    store.outbox.retry(&id("a"), ids[0], at(4)).await.unwrap();
    assert_eq!(due(&store, &main, at(4)).await, [ids[1]]);
    settle(&store, &main, ids[1], Disposition::Delivered, at(5)).await;
    assert_eq!(due(&store, &main, at(5)).await, [ids[0]]);
    settle(&store, &main, ids[0], Disposition::Delivered, at(6)).await;
    assert_eq!(due(&store, &main, at(6)).await, [ids[2]]);
    settle(&store, &main, ids[2], Disposition::Delivered, at(7)).await;
    // Delivered: sent again.
    store.outbox.retry(&id("a"), ids[1], at(8)).await.unwrap();
    assert_eq!(due(&store, &main, at(8)).await, [ids[1]]);
    assert_eq!(one(&store, ids[1]).await.attempts.len(), 1, "earlier attempts are kept");
    for (client, number) in [("b", ids[0]), ("a", u64::MAX)] {
        let refused = store.outbox.retry(&id(client), number, at(9)).await;
        assert!(matches!(refused, Err(StoreError::NotFound("delivery"))), "{refused:?}");
    }
    assert_eq!(store.outbox.backlog().await.unwrap().pending, 1);
}

pub(crate) async fn retry_failed_requeues_deliveries_failed_since(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let (main, name) = (notification_queue("a", "main"), "main".parse().unwrap());
    let new_events =
        (0..1_300).map(|number| keyed("a", &format!("x{}", number % 650), Status::Completed, &number.to_string()));
    futures::future::join_all(new_events.map(|new_event| store.log.append(new_event))).await;
    // The first delivery of each document dies at 10, the second at 20, except one that is delivered.
    for time in [10, 20] {
        let ids = due(&store, &main, at(time)).await;
        assert_eq!(ids.len(), 650);
        let settled = ids.iter().map(|number| {
            let disposition = if time == 20 && *number == ids[0] { Disposition::Delivered } else { Disposition::Dead };
            record_attempt(&store, &main, *number, Some(attempt(at(time), 500)), disposition, at(time))
        });
        futures::future::join_all(settled)
            .await
            .into_iter()
            .for_each(|settled| assert_eq!(settled.unwrap(), RecordEffect::Applied));
    }
    assert_eq!(store.outbox.retry_failed(&id("a"), &name, at(21), at(30)).await.unwrap(), 0);
    assert_eq!(store.outbox.retry_failed(&id("a"), &name, at(20), at(30)).await.unwrap(), 649);
    assert_eq!(due(&store, &main, at(30)).await.len(), 649);
    assert_eq!(store.outbox.retry_failed(&id("a"), &name, at(0), at(40)).await.unwrap(), 650);
    assert_eq!(due(&store, &main, at(40)).await.len(), 650, "one delivery of each document");
    // Both deliveries of a document are requeued at once: the older one is first.
    for number in due(&store, &main, at(40)).await {
        record_attempt(&store, &main, number, None, Disposition::Dead, at(50)).await.unwrap();
    }
    let rest = due(&store, &main, at(50)).await;
    assert_eq!(rest.len(), 649);
    for number in rest {
        record_attempt(&store, &main, number, None, Disposition::Dead, at(50)).await.unwrap();
    }
    assert_eq!(store.outbox.retry_failed(&id("a"), &name, at(50), at(60)).await.unwrap(), 1_299);
    let found = due(&store, &main, at(60)).await;
    let query = DeliveryQuery { state: Some(DeliveryState::Pending), limit: 2_000, ..DeliveryQuery::default() };
    // The list is newest first, so the last entry of a document is its first delivery.
    let pending = store.outbox.deliveries(&id("a"), query).await.unwrap();
    let first: BTreeMap<_, _> = pending.items.iter().map(|delivery| (delivery.document.uuid(), delivery.id)).collect();
    let (mut found, mut first): (Vec<_>, Vec<_>) = (found, first.into_values().collect());
    found.sort_unstable();
    first.sort_unstable();
    assert_eq!(found, first);
    assert_eq!(store.outbox.backlog().await.unwrap().pending, 1_299);
}

pub(crate) async fn finished_deliveries_are_pruned_by_age_count_and_bytes(factory: impl StoreFactory) {
    let bounds = Retention { max_delivery_age: Duration::from_secs(86_400), max_deliveries: 6, ..retention() };
    let store = store_with(&factory, bounds.clone(), &["a", "b"]).await;
    store.registry.add_notification(&id("a"), default_notification("main", Format::Gini)).await.unwrap();
    let main = notification_queue("a", "main");
    for number in 0..12 {
        stored(&store, new_document("a", number)).await;
    }
    let ids = due(&store, &main, at(0)).await;
    // The newest delivery is finished first and pruned first; two stay pending.
    for (time, number) in ids[2..].iter().rev().enumerate() {
        let attempt = Attempt { response_body: vec![0; 1_000].into(), error: None, ..attempt(at(0), 200) };
        record_attempt(&store, &main, *number, Some(attempt), Disposition::Delivered, at(time as u64 * 100))
            .await
            .unwrap();
    }
    let settled = DeliveryQuery { state: Some(DeliveryState::Delivered), ..DeliveryQuery::default() };
    store.maintenance.prune(at(1_000)).await.unwrap();
    let newest = |upto: usize| ids[2..upto].iter().rev().copied().collect::<Vec<_>>();
    assert_eq!(numbers(&store, settled.clone()).await, newest(8), "by count");
    store.maintenance.close().await;
    let store = factory.open(Retention { max_attempt_bytes: 3_500, ..bounds }).await;
    store.maintenance.prune(at(1_000)).await.unwrap();
    assert_eq!(numbers(&store, settled.clone()).await, newest(5), "by bytes of their attempts");
    assert!(store.outbox.delivery(&id("a"), ids[11]).await.unwrap().is_none());
    store.maintenance.prune(at(DAY + 850)).await.unwrap();
    assert_eq!(numbers(&store, settled.clone()).await, newest(3), "by age");
    store.maintenance.prune(at(6 * DAY)).await.unwrap();
    assert_eq!(numbers(&store, DeliveryQuery::default()).await, [ids[1], ids[0]], "pending deliveries are not pruned");
    assert_eq!(store.outbox.backlog().await.unwrap().pending, 2);
}

pub(crate) async fn delivery_outlives_its_pruned_event(factory: impl StoreFactory) {
    let store = store_with(&factory, Retention { max_events: 1, ..retention() }, &["a"]).await;
    store.registry.add_notification(&id("a"), default_notification("main", Format::Gini)).await.unwrap();
    let main = notification_queue("a", "main");
    let first = stored(&store, new_document("a", 1)).await;
    stored(&store, new_document("a", 2)).await;
    store.maintenance.prune(at(0)).await.unwrap();
    let found = store.outbox.due(&main, at(0), 9, Vec::new()).await.unwrap().deliveries;
    let due = content(&store, &main, found[0].id).await;
    assert_eq!((found.len(), due.event, due.raw), (2, None, None));
    let delivery = one(&store, found[0].id).await;
    assert_eq!((delivery.event, delivery.document), (first.id, first.document));
    settle(&store, &main, found[0].id, Disposition::Dead, at(0)).await;
}

/// The reason of the last attempt of a dead delivery.
async fn reason(store: &Store, number: u64) -> String {
    let delivery = one(store, number).await;
    assert_eq!((delivery.state, delivery.due), (DeliveryState::Dead, None));
    delivery.attempts.last().unwrap().error.clone().unwrap()
}

pub(crate) async fn delivery_is_given_up_at_the_end_of_its_schedule(factory: impl StoreFactory) {
    const MINUTE: u64 = 60_000;
    let bounds = Retention { max_pending_age: Duration::from_secs(3_600), ..retention() };
    let store = store_with(&factory, bounds, &["a"]).await;
    store.registry.add_notification(&id("a"), default_notification("main", Format::Gini)).await.unwrap();
    let main = notification_queue("a", "main");
    for (document, minute) in [("y", 0), ("x", 1), ("x", 50)] {
        let event = keyed("a", document, Status::Completed, &minute.to_string());
        stored(&store, NewEvent { now: at(minute * MINUTE), ..event }).await;
    }
    let mut ids = numbers(&store, DeliveryQuery::default()).await;
    ids.reverse();
    settle(&store, &main, ids[0], Disposition::Retry(at(9_000 * MINUTE)), at(1)).await;
    store.outbox.retry(&id("a"), ids[0], at(30 * MINUTE)).await.unwrap();
    store.maintenance.prune(at(60 * MINUTE)).await.unwrap();
    assert_eq!(store.outbox.backlog().await.unwrap().pending, 3);
    while store.outbox.ready().now_or_never().is_some() {}
    store.maintenance.prune(at(62 * MINUTE)).await.unwrap();
    assert_eq!(reason(&store, ids[1]).await, "given up: the retry schedule has ended");
    assert_eq!(due(&store, &main, at(62 * MINUTE)).await, [ids[0], ids[2]], "a manual retry starts a new schedule");
    assert_eq!(store.outbox.ready().await.unwrap(), std::slice::from_ref(&main), "the next of the document is due");
    store.maintenance.prune(at(91 * MINUTE)).await.unwrap();
    assert_eq!(reason(&store, ids[0]).await, "given up: the retry schedule has ended");
    assert_eq!(due(&store, &main, at(91 * MINUTE)).await, [ids[2]]);
    let late = record_attempt(&store, &main, ids[0], None, Disposition::Delivered, at(0)).await;
    assert!(matches!(late, Err(StoreError::NotFound("delivery"))), "an attempt in flight records nothing: {late:?}");
    store.maintenance.prune(at(111 * MINUTE)).await.unwrap();
    assert_eq!(reason(&store, ids[2]).await, "given up: the retry schedule has ended");
    assert_eq!(store.outbox.backlog().await.unwrap().pending, 0);
}

pub(crate) async fn oldest_pending_deliveries_are_given_up_beyond_the_limits(factory: impl StoreFactory) {
    let bounds = Retention { max_pending: 1_000, ..retention() };
    let store = store_with(&factory, bounds.clone(), &["a", "b"]).await;
    for client in ["a", "b"] {
        store.registry.add_notification(&id(client), default_notification("main", Format::Gini)).await.unwrap();
    }
    let destinations = route_to_callback("https://app.example.com/");
    stored(&store, registration("oldest", destinations)).await;
    stored(&store, new_document("b", 0)).await;
    // Two deliveries of each document.
    let event = |number: usize| keyed("a", &format!("x{}", number / 2), Status::Completed, &number.to_string());
    futures::future::join_all((0..3_000).map(|number| store.log.append(event(number)))).await;
    // Pruning runs after the limits were enforced.
    store.maintenance.prune(at(1)).await.unwrap();
    assert_eq!(store.outbox.backlog().await.unwrap().pending, 1_001, "of each client");
    let query = |state| DeliveryQuery { state: Some(state), limit: 10_000, ..DeliveryQuery::default() };
    let (pending, dead) = (query(DeliveryState::Pending), query(DeliveryState::Dead));
    let (pending, dead) = (numbers(&store, pending).await, numbers(&store, dead).await);
    assert_eq!((pending.len(), dead.len()), (1_000, 2_002));
    assert!(pending.last() > dead.first(), "the oldest, whatever their receiver");
    assert!(reason(&store, dead[0]).await.starts_with("given up: the client has too many pending deliveries"));
    let query = query(DeliveryState::Pending);
    let listed = store.outbox.deliveries(&id("a"), query.clone()).await.unwrap();
    let documents: std::collections::BTreeSet<_> =
        listed.items.iter().map(|delivery| delivery.document.uuid()).collect();
    let heads = due(&store, &notification_queue("a", "main"), at(1)).await.len();
    assert_eq!(heads, documents.len(), "one of each document is due");
    store.maintenance.close().await;
    // By bytes: each event has about 200.
    let store = factory.open(Retention { max_pending_bytes: 20_000, ..bounds }).await;
    stored(&store, new_document("a", 9_999)).await;
    store.maintenance.prune(at(1)).await.unwrap();
    let left = numbers(&store, query).await;
    assert!((10..200).contains(&left.len()), "{}", left.len());
    let bytes = store.outbox.due(&notification_queue("a", "main"), at(1), 9_999, Vec::new()).await.unwrap();
    assert!(bytes.deliveries.iter().map(|due| due.bytes).sum::<u64>() <= 20_000);
}
