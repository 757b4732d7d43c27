//! Contract of due deliveries: their time and order, and the state after an attempt.

use docrelay::domain::{
    Disposition, Format, Notification, NotificationState, QueueKey, QueueTarget, Status, Timestamp,
};
use docrelay::store::{Attempt, Backlog, DeliveryContent, DuePage, RecordEffect, SchedulePosition, Store, StoreError};
use futures::FutureExt;

use crate::factory::{
    StoreFactory, at, id, keyed, new_document, raw, record_attempt, retention, store_with, stored, unkeyed,
};
use crate::routing::{origin, registration, route_to_callback};

/// A default notification.
pub(crate) fn default_notification(name: &str, format: Format) -> Notification {
    Notification {
        id: format!("id of {name}"),
        name: name.parse().unwrap(),
        endpoint: format!("https://{name}.example.com/hook"),
        format,
        is_default: true,
        secrets: Vec::new(),
        previous: None,
        credential: None,
        state: NotificationState::Active,
        created: at(0),
    }
}

/// The delivery queue of a notification.
pub(crate) fn notification_queue(client: &str, name: &str) -> QueueKey {
    QueueKey { client: id(client).id, target: QueueTarget::Notification(name.parse().unwrap()) }
}

/// A store whose client `a` has the default notification `main` in the format `gini`.
pub(crate) async fn store_with_main(factory: &impl StoreFactory) -> Store {
    let store = store_with(factory, retention(), &["a", "b"]).await;
    store.registry.add_notification(&id("a"), default_notification("main", Format::Gini)).await.unwrap();
    store
}

pub(crate) async fn page(store: &Store, queue: &QueueKey, now: Timestamp) -> DuePage {
    store.outbox.due(queue, now, 1_000, Vec::new()).await.unwrap()
}

/// The ids of the due deliveries.
pub(crate) async fn due(store: &Store, queue: &QueueKey, now: Timestamp) -> Vec<u64> {
    page(store, queue, now).await.deliveries.iter().map(|due| due.id).collect()
}

/// What an attempt of a pending delivery needs.
pub(crate) async fn content(store: &Store, queue: &QueueKey, number: u64) -> DeliveryContent {
    store.outbox.content(queue, number).await.unwrap().unwrap()
}

/// The sequences of the events of the due deliveries.
pub(crate) async fn due_events(store: &Store, queue: &QueueKey, now: Timestamp) -> Vec<u64> {
    let mut sequences = Vec::new();
    for number in due(store, queue, now).await {
        sequences.push(content(store, queue, number).await.event.unwrap().id.sequence);
    }
    sequences
}

pub(crate) fn attempt(time: Timestamp, status: u16) -> Attempt {
    let error = (status >= 300).then(|| format!("answered {status}"));
    let duration = std::time::Duration::from_millis(120);
    Attempt { time, duration, status: Some(status), response_body: "thanks".into(), error }
}

pub(crate) async fn settle(store: &Store, queue: &QueueKey, number: u64, disposition: Disposition, now: Timestamp) {
    let status = if disposition == Disposition::Delivered { 200 } else { 503 };
    let effect = record_attempt(store, queue, number, Some(attempt(now, status)), disposition, now).await;
    assert_eq!(effect.unwrap(), RecordEffect::Applied);
}

pub(crate) async fn deliveries_are_stored_with_event_and_survive_reopen(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let mut new_event = keyed("a", "x", Status::Completed, "k");
    new_event.raw = Some(raw("body"));
    let event = stored(&store, new_event.clone()).await;
    store.log.append(new_event.clone()).await.unwrap();
    let (main, other) = (notification_queue("a", "main"), stored(&store, new_document("b", 1)).await);
    let first = due(&store, &main, at(0)).await;
    for reopened in [false, true] {
        let store = if reopened {
            store.maintenance.close().await;
            factory.open(retention()).await
        } else {
            store.clone()
        };
        let page = page(&store, &main, at(0)).await;
        assert_eq!((page.deliveries.len(), page.next), (1, None), "a duplicate is not delivered, nor is {other:?}");
        let due = content(&store, &main, page.deliveries[0].id).await;
        assert_eq!((due.id, &due.event, &due.raw), (first[0], &Some(event.clone()), &new_event.raw));
        assert_eq!((due.schedule, &due.callback), (SchedulePosition { failures: 0, queued: at(0) }, &None));
        let smallest = event.json.len() + "body".len();
        assert!(page.deliveries[0].bytes >= smallest as u64, "{page:?}");
        let backlog = store.outbox.backlog().await.unwrap();
        assert_eq!(backlog, Backlog { pending: 1, oldest_due: Some(at(0)) });
    }
}

pub(crate) async fn events_of_one_document_are_delivered_in_order(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let main = notification_queue("a", "main");
    let mut expected = Vec::new();
    for (number, status) in [Status::Pending, Status::Completed, Status::Error].into_iter().enumerate() {
        expected.push(stored(&store, keyed("a", "x", status, &number.to_string())).await.id.sequence);
    }
    let other = stored(&store, new_document("a", 1)).await.id.sequence;
    assert_eq!(due_events(&store, &main, at(0)).await, [expected[0], other], "another document is not held back");
    let ids = due(&store, &main, at(0)).await;
    settle(&store, &main, ids[1], Disposition::Delivered, at(1)).await;
    // A retry of the first delivery holds back the others.
    settle(&store, &main, ids[0], Disposition::Retry(at(5_000)), at(1)).await;
    let waiting = page(&store, &main, at(4_999)).await;
    assert_eq!((waiting.deliveries.len(), waiting.next), (0, Some(at(5_000))));
    assert_eq!(due(&store, &main, at(5_000)).await, [ids[0]]);
    settle(&store, &main, ids[0], Disposition::Delivered, at(5_001)).await;
    assert_eq!(due_events(&store, &main, at(5_001)).await, [expected[1]], "the next is due after a success");
    let second = due(&store, &main, at(5_001)).await[0];
    settle(&store, &main, second, Disposition::Dead, at(5_002)).await;
    assert_eq!(due_events(&store, &main, at(5_002)).await, [expected[2]], "the next is due after a final failure");
    assert_eq!(store.outbox.backlog().await.unwrap(), Backlog { pending: 1, oldest_due: Some(at(5_002)) });
}

pub(crate) async fn first_attempts_precede_retries_each_by_due_time(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let main = notification_queue("a", "main");
    for number in 0..4 {
        stored(&store, docrelay::store::NewEvent { now: at(100 - 10 * number as u64), ..new_document("a", number) })
            .await;
    }
    let ids = due(&store, &main, at(1_000)).await;
    assert!(ids.is_sorted_by(|a, b| a > b), "the newest is due first: {ids:?}");
    settle(&store, &main, ids[0], Disposition::Retry(at(50)), at(40)).await;
    settle(&store, &main, ids[1], Disposition::Retry(at(45)), at(40)).await;
    let again = page(&store, &main, at(1_000)).await;
    let order: Vec<_> = again.deliveries.iter().map(|due| (due.id, due.failures)).collect();
    assert_eq!(order, [(ids[2], 0), (ids[3], 0), (ids[1], 1), (ids[0], 1)]);
}

pub(crate) async fn first_attempt_does_not_wait_for_a_clock_that_is_ahead(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let main = notification_queue("a", "main");
    // The node that has accepted the event is five minutes ahead of the one that attempts its delivery.
    stored(&store, docrelay::store::NewEvent { now: at(300_000), ..new_document("a", 0) }).await;
    let first = page(&store, &main, at(0)).await;
    assert_eq!((first.deliveries.len(), first.next), (1, None));
    settle(&store, &main, first.deliveries[0].id, Disposition::Retry(at(400_000)), at(1)).await;
    let retry = page(&store, &main, at(2)).await;
    assert_eq!((retry.deliveries.len(), retry.next), (0, Some(at(400_000))));
}

pub(crate) async fn due_page_reports_next_due_time(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let main = notification_queue("a", "main");
    assert_eq!(page(&store, &main, at(0)).await.next, None);
    for number in 0..4 {
        stored(&store, new_document("a", number)).await;
    }
    let ids = due(&store, &main, at(0)).await;
    let cut = store.outbox.due(&main, at(10), 2, Vec::new()).await.unwrap();
    assert_eq!((cut.deliveries.len(), cut.next), (2, Some(at(0))), "a page that is cut reports a time in the past");
    let except = store.outbox.due(&main, at(10), 2, ids[..2].to_vec()).await.unwrap();
    let found: Vec<_> = except.deliveries.iter().map(|due| due.id).collect();
    assert_eq!((found, except.next), (ids[2..].to_vec(), None), "excluded deliveries do not count");
    settle(&store, &main, ids[0], Disposition::Retry(at(9_000)), at(10)).await;
    settle(&store, &main, ids[1], Disposition::Retry(at(7_000)), at(10)).await;
    let later = store.outbox.due(&main, at(10), 9, vec![ids[1]]).await.unwrap();
    assert_eq!((later.deliveries.len(), later.next), (2, Some(at(9_000))));
    assert_eq!(page(&store, &main, at(10)).await.next, Some(at(7_000)));
    let none = store.outbox.due(&main, at(10), 0, Vec::new()).await.unwrap();
    assert_eq!((none.deliveries.len(), none.next), (0, Some(at(0))));
}

pub(crate) async fn page_of_two_has_a_first_attempt_and_a_retry(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let main = notification_queue("a", "main");
    for number in 0..40 {
        stored(&store, new_document("a", number)).await;
    }
    let ids = due(&store, &main, at(0)).await;
    for number in &ids[..20] {
        settle(&store, &main, *number, Disposition::Retry(at(50)), at(10)).await;
    }
    let kinds = async |limit| {
        let page = store.outbox.due(&main, at(60), limit, Vec::new()).await.unwrap();
        assert_eq!(page.next, Some(at(0)), "cut");
        let retries = page.deliveries.iter().filter(|due| due.failures > 0).count();
        (page.deliveries.len() - retries, retries)
    };
    assert_eq!([kinds(1).await, kinds(2).await, kinds(16).await], [(1, 0), (1, 1), (14, 2)]);
    // Retries take what first attempts leave.
    let page = store.outbox.due(&main, at(60), 30, ids[25..].to_vec()).await.unwrap();
    assert_eq!((page.deliveries.len(), page.next), (25, None));
}

pub(crate) async fn queues_are_reported_when_their_deliveries_become_due(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let (main, app) = (notification_queue("a", "main"), origin("a", "https://app.example.com/"));
    stored(&store, new_document("a", 1)).await;
    stored(&store, registration("x", route_to_callback("https://app.example.com/1"))).await;
    for (queue, ms) in [(&main, 5_000), (&app, 7_000)] {
        for number in due(&store, queue, at(0)).await {
            settle(&store, queue, number, Disposition::Retry(at(ms)), at(1)).await;
        }
    }
    while store.outbox.ready().now_or_never().is_some() {}
    while tokio::time::timeout(std::time::Duration::from_millis(200), store.outbox.ready()).await.is_ok() {}
    assert_eq!(store.outbox.wake_due(at(1), at(4_999)).await.unwrap(), Some(at(5_000)));
    assert!(store.outbox.ready().now_or_never().is_none(), "nothing is due");
    assert_eq!(store.outbox.wake_due(at(4_999), at(5_000)).await.unwrap(), Some(at(7_000)));
    assert_eq!(store.outbox.ready().await.unwrap(), [main]);
    assert_eq!(store.outbox.wake_due(at(5_000), at(9_000)).await.unwrap(), None);
    assert_eq!(store.outbox.ready().await.unwrap(), [app]);
    assert_eq!(store.outbox.wake_due(at(9_000), at(20_000)).await.unwrap(), None);
    assert!(store.outbox.ready().now_or_never().is_none(), "reported once");
}

pub(crate) async fn all_queues_are_reported_after_opening_and_rescan(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let url = |number: usize| format!("https://h{number}.example.com/");
    let registrations = (0..600).map(|number| registration(&format!("x{number}"), route_to_callback(&url(number))));
    futures::future::join_all(registrations.map(|event| store.log.append(event))).await;
    store.maintenance.close().await;
    let store = factory.open(retention()).await;
    for round in 0..2 {
        let mut found = std::collections::BTreeSet::new();
        while found.len() < 601 {
            let queues = store.outbox.ready().await.unwrap();
            assert!(queues.len() <= 256, "page by page");
            for queue in queues {
                assert!(found.insert(queue), "reported once in round {round}");
            }
        }
        store.outbox.rescan();
    }
}

pub(crate) async fn delivery_queues_are_isolated(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    store.registry.add_notification(&id("b"), default_notification("main", Format::Gini)).await.unwrap();
    let (a, b) = (notification_queue("a", "main"), notification_queue("b", "main"));
    futures::future::join_all((0..300).map(|number| store.log.append(new_document("a", number)))).await;
    assert_eq!((due(&store, &b, at(0)).await.len(), page(&store, &b, at(0)).await.next), (0, None));
    let own = stored(&store, new_document("b", 1)).await.id.sequence;
    assert_eq!(due_events(&store, &b, at(0)).await, [own]);
    let foreign = due(&store, &a, at(0)).await[0];
    for (queue, number) in [(&b, foreign), (&notification_queue("a", "other"), foreign), (&a, u64::MAX)] {
        let refused = record_attempt(&store, queue, number, None, Disposition::Delivered, at(0)).await;
        assert!(matches!(refused, Err(StoreError::NotFound("delivery"))), "{refused:?}");
    }
    let unknown = notification_queue("unknown", "main");
    assert!(matches!(store.outbox.due(&unknown, at(0), 1, Vec::new()).await, Err(StoreError::NotFound("client"))));
    assert_eq!(store.outbox.backlog().await.unwrap().pending, 301);
}

pub(crate) async fn finished_delivery_cannot_be_recorded_again(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let main = notification_queue("a", "main");
    stored(&store, new_document("a", 1)).await;
    let number = due(&store, &main, at(0)).await[0];
    settle(&store, &main, number, Disposition::Delivered, at(1)).await;
    for disposition in [Disposition::Delivered, Disposition::Dead, Disposition::Retry(at(2))] {
        let refused = record_attempt(&store, &main, number, Some(attempt(at(2), 200)), disposition, at(2)).await;
        assert!(matches!(refused, Err(StoreError::NotFound("delivery"))), "{refused:?}");
    }
    let delivery = store.outbox.delivery(&id("a"), number).await.unwrap().unwrap();
    assert_eq!(delivery.attempts, [attempt(at(1), 200)]);
    assert_eq!(store.outbox.backlog().await.unwrap(), Backlog { pending: 0, oldest_due: None });
}

pub(crate) async fn making_queue_due_keeps_document_order(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let main = notification_queue("a", "main");
    // Events of one document are delivered one after the other.
    let name = |number| format!("x{}", number % 1_100);
    let new_events = (0..1_200).map(|number| keyed("a", &name(number), Status::Completed, &number.to_string()));
    futures::future::join_all(new_events.map(|new_event| store.log.append(new_event))).await;
    let ids: Vec<_> = due_all(&store, &main).await;
    assert_eq!(ids.len(), 1_100);
    let retries =
        ids.iter().map(|number| record_attempt(&store, &main, *number, None, Disposition::Retry(at(60_000)), at(1)));
    futures::future::join_all(retries)
        .await
        .into_iter()
        .for_each(|settled| assert_eq!(settled.unwrap(), RecordEffect::Applied));
    assert!(due_all(&store, &main).await.is_empty());
    store.outbox.make_due(&main, at(10)).await.unwrap();
    // Pruning runs after the last slice.
    store.maintenance.prune(at(10)).await.unwrap();
    let mut due_now = due_all(&store, &main).await;
    due_now.sort_unstable();
    assert_eq!(due_now, ids);
    assert!(store.outbox.ready().now_or_never().is_some());
    assert!(matches!(
        store.outbox.make_due(&notification_queue("unknown", "main"), at(0)).await,
        Err(StoreError::NotFound("client"))
    ));
}

async fn due_all(store: &Store, queue: &QueueKey) -> Vec<u64> {
    let page = store.outbox.due(queue, at(10), 10_000, Vec::new()).await.unwrap();
    page.deliveries.iter().map(|due| due.id).collect()
}

pub(crate) async fn ready_queues_are_reported_once_without_loss(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let main = notification_queue("a", "main");
    // The scan that follows opening would otherwise end at any time.
    stored(&store, new_document("a", 0)).await;
    assert_eq!(store.outbox.ready().await.unwrap(), std::slice::from_ref(&main), "changed");
    assert_eq!(store.outbox.ready().await.unwrap(), std::slice::from_ref(&main), "found by the scan");
    let first = due(&store, &main, at(0)).await[0];
    settle(&store, &main, first, Disposition::Delivered, at(0)).await;
    assert!(store.outbox.ready().now_or_never().is_none());
    // A waiting call that is dropped loses nothing.
    let mut waiting = store.outbox.ready();
    assert!((&mut waiting).now_or_never().is_none());
    stored(&store, new_document("a", 1)).await;
    drop(waiting);
    stored(&store, new_document("b", 1)).await;
    stored(&store, unkeyed("a", "x", Status::Pending)).await;
    stored(&store, unkeyed("a", "x", Status::Completed)).await;
    assert_eq!(store.outbox.ready().await.unwrap(), std::slice::from_ref(&main), "reported once for several changes");
    assert!(store.outbox.ready().now_or_never().is_none());
    let ids = due(&store, &main, at(0)).await;
    settle(&store, &main, ids[0], Disposition::Dead, at(0)).await;
    assert!(store.outbox.ready().now_or_never().is_none(), "no delivery was held back");
    settle(&store, &main, ids[1], Disposition::Delivered, at(0)).await;
    assert_eq!(store.outbox.ready().await.unwrap(), std::slice::from_ref(&main), "the next delivery is due");
    store.outbox.retry(&id("a"), ids[0], at(0)).await.unwrap();
    assert_eq!(store.outbox.ready().await.unwrap(), std::slice::from_ref(&main), "a manual retry");
    store.maintenance.close().await;
    let store = factory.open(retention()).await;
    assert_eq!(store.outbox.ready().await.unwrap(), [main], "all queues after opening");
    let (ready, _) = tokio::join!(store.outbox.ready(), stored(&store, new_document("a", 2)));
    assert_eq!(ready.unwrap().len(), 1, "a waiting call is woken");
}
