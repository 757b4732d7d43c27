//! Contract of outcomes that are recorded late or twice: the delivery has changed since the attempt began.

use docrelay::domain::Disposition;
use docrelay::store::{AttemptRecord, DeliveryState, RecordEffect, SchedulePosition};

use crate::factory::{StoreFactory, at, id, new_document, record, stored};
use crate::outbox::{attempt, content, due, notification_queue, page, store_with_main};

pub(crate) async fn failure_of_an_attempt_keeps_a_retry_by_hand_since_its_begin(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let main = notification_queue("a", "main");
    stored(&store, new_document("a", 1)).await;
    let number = due(&store, &main, at(0)).await[0];
    for (begin, disposition) in [(1, Disposition::Retry(at(90_000))), (2, Disposition::Dead)] {
        let failed = record(&store, &main, number, Some(attempt(at(begin), 500)), disposition, at(begin)).await;
        // Twice in the millisecond in which the delivery was queued.
        store.outbox.retry(&id("a"), number, at(0)).await.unwrap();
        assert_eq!(store.outbox.record_attempt(failed).await.unwrap(), RecordEffect::Superseded);
        let kept = page(&store, &main, at(0)).await;
        assert_eq!((kept.deliveries[0].id, kept.deliveries[0].failures, kept.next), (number, 0, None));
    }
    // The endpoint has the event.
    let succeeded = record(&store, &main, number, Some(attempt(at(3), 200)), Disposition::Delivered, at(3)).await;
    store.outbox.retry(&id("a"), number, at(3)).await.unwrap();
    assert_eq!(store.outbox.record_attempt(succeeded).await.unwrap(), RecordEffect::Applied);
    let delivery = store.outbox.delivery(&id("a"), number).await.unwrap().unwrap();
    let attempts = [attempt(at(1), 500), attempt(at(2), 500), attempt(at(3), 200)];
    assert_eq!((delivery.state, &delivery.attempts[..]), (DeliveryState::Delivered, &attempts[..]));
}

pub(crate) async fn attempt_recorded_twice_counts_once(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let main = notification_queue("a", "main");
    stored(&store, new_document("a", 1)).await;
    let number = due(&store, &main, at(0)).await[0];
    let failed = record(&store, &main, number, Some(attempt(at(1), 500)), Disposition::Retry(at(5_000)), at(1)).await;
    assert_eq!(store.outbox.record_attempt(failed.clone()).await.unwrap(), RecordEffect::Applied);
    let later = AttemptRecord { now: at(11_000), ..failed.clone() };
    assert_eq!(store.outbox.record_attempt(later).await.unwrap(), RecordEffect::Superseded);
    assert_eq!(page(&store, &main, at(4_999)).await.next, Some(at(5_000)));
    let retried = content(&store, &main, number).await;
    assert_eq!(retried.schedule, SchedulePosition { failures: 1, queued: at(0) });
    // A success that is recorded again does not settle what was retried by hand since.
    let succeeded =
        record(&store, &main, number, Some(attempt(at(5_000), 200)), Disposition::Delivered, at(5_001)).await;
    assert_eq!(store.outbox.record_attempt(succeeded.clone()).await.unwrap(), RecordEffect::Applied);
    store.outbox.retry(&id("a"), number, at(6_000)).await.unwrap();
    assert_eq!(store.outbox.record_attempt(succeeded).await.unwrap(), RecordEffect::Superseded);
    assert_eq!(due(&store, &main, at(6_000)).await, [number]);
    let delivery = store.outbox.delivery(&id("a"), number).await.unwrap().unwrap();
    assert_eq!(delivery.attempts, [attempt(at(1), 500), attempt(at(5_000), 200)]);
}

pub(crate) async fn failure_of_a_former_owner_keeps_the_due_time_of_the_new_one(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let main = notification_queue("a", "main");
    stored(&store, new_document("a", 1)).await;
    let number = due(&store, &main, at(0)).await[0];
    let retry = |ms| Disposition::Retry(at(ms));
    let former = record(&store, &main, number, Some(attempt(at(1), 500)), retry(5_000), at(1)).await;
    let new = record(&store, &main, number, Some(attempt(at(2), 503)), retry(6_000), at(2)).await;
    assert_eq!(store.outbox.record_attempt(new).await.unwrap(), RecordEffect::Applied);
    assert_eq!(store.outbox.record_attempt(former).await.unwrap(), RecordEffect::Superseded);
    let waiting = page(&store, &main, at(5_999)).await;
    assert_eq!((waiting.deliveries.len(), waiting.next), (0, Some(at(6_000))));
    assert_eq!(content(&store, &main, number).await.schedule.failures, 1, "one step of the schedule");
    let delivery = store.outbox.delivery(&id("a"), number).await.unwrap().unwrap();
    assert_eq!(delivery.attempts, [attempt(at(2), 503), attempt(at(1), 500)], "both were made");
}
