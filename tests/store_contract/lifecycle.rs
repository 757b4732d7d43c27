//! Contract of opening, closing and probing a store.

use docrelay::domain::Disposition;
use docrelay::store::StoreError;
use futures::StreamExt;

use crate::factory::{
    ALL, StoreFactory, id, new_document, raw, record_attempt, retention, store_with, stored, unkeyed,
};
use crate::outbox::notification_queue;
use crate::rejects::reject;

pub(crate) async fn events_and_documents_survive_reopen(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let mut new_event = new_document("a", 1);
    new_event.raw = Some(raw("body"));
    let event = stored(&store, new_event.clone()).await;
    let (epoch, head) = (store.log.epoch(), store.log.head());
    let document = store.log.document(&id("a"), event.document).await.unwrap().unwrap();
    store.maintenance.close().await;

    let store = factory.open(retention()).await;
    assert_eq!((store.log.epoch(), store.log.head()), (epoch, head));
    let page = store.log.events_after(&id("a"), 0, ALL).await.unwrap();
    assert_eq!((page.events, page.through), (vec![event.clone()], head));
    assert_eq!(store.log.raw_request(&id("a"), event.id.sequence).await.unwrap(), new_event.raw);
    let again = store.log.document(&id("a"), event.document).await.unwrap().unwrap();
    assert_eq!(format!("{again:?}"), format!("{document:?}"));
    assert_eq!(stored(&store, new_document("a", 2)).await.id.epoch, epoch);
}

pub(crate) async fn new_stores_get_distinct_epochs((one, other): (impl StoreFactory, impl StoreFactory)) {
    let (one, other) = (one.open(retention()).await, other.open(retention()).await);
    assert_ne!(one.log.epoch(), other.log.epoch());
    assert_eq!((one.log.head(), other.log.head()), (0, 0));
}

pub(crate) async fn closed_store_refuses_calls_and_ends_tails(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let event = stored(&store, new_document("a", 1)).await;
    let tail = store.log.tail();
    let unread = stored(&store, new_document("a", 2)).await;
    tokio::join!(store.maintenance.close(), store.maintenance.close());
    let batches: Vec<_> = tail.collect().await;
    assert_eq!(batches.iter().flat_map(|change| change.events().to_vec()).collect::<Vec<_>>(), [unread]);
    assert_eq!(store.log.tail().count().await, 0);
    let stopped = [
        store.log.append(new_document("a", 3)).await.map(drop),
        store.log.events_after(&id("a"), 0, ALL).await.map(drop),
        store.log.document(&id("a"), event.document).await.map(drop),
        store.maintenance.probe().await,
        store.maintenance.prune(crate::factory::at(0)).await.map(drop),
        store.registry.remove_client(&id("a").id).await,
        store.rejects.add(&id("a"), reject(1)).await.map(drop),
        store.registry.remove_notification(&id("a"), "main").await,
        store.outbox.due(&notification_queue("a", "main"), crate::factory::at(0), 1, Vec::new()).await.map(drop),
        record_attempt(&store, &notification_queue("a", "main"), 1, None, Disposition::Dead, crate::factory::at(0))
            .await
            .map(drop),
        store.outbox.retry(&id("a"), 1, crate::factory::at(0)).await,
        store.outbox.delivery(&id("a"), 1).await.map(drop),
        store.outbox.backlog().await.map(drop),
    ];
    for result in stopped {
        assert!(matches!(result, Err(StoreError::Stopped)), "{result:?}");
    }
    store.maintenance.close().await;
}

pub(crate) async fn pending_appends_are_answered_on_close(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    // More than the writer's queue holds, and a tail that is not read.
    let _unread = store.log.tail();
    let appends = futures::future::join_all((0..5_000).map(|number| store.log.append(new_document("a", number))));
    let closing = async {
        store.log.append(new_document("a", 5_000)).await.unwrap();
        store.maintenance.close().await;
    };
    let (results, ()) = tokio::join!(appends, closing);
    let done = results.iter().filter(|result| result.is_ok()).count();
    assert!(results.iter().all(|result| matches!(result, Ok(_) | Err(StoreError::Stopped))));
    let store = factory.open(retention()).await;
    let kept = store.log.events_after(&id("a"), 0, ALL).await.unwrap().events.len();
    assert_eq!(kept, done + 1, "exactly the acknowledged events are stored");
}

pub(crate) async fn probe_succeeds_and_stores_nothing(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let event = stored(&store, unkeyed("a", "x", docrelay::domain::Status::Pending)).await;
    for _ in 0..3 {
        store.maintenance.probe().await.unwrap();
    }
    assert_eq!(store.log.head(), event.id.sequence);
}
