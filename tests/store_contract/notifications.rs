//! Contract of notifications in the registry, and of the deliveries of a removed one.

use docrelay::domain::{
    Credential, Disposition, Format, NOTIFICATIONS_PER_CLIENT, Notification, NotificationState, RetiredSecret, Secret,
    Status,
};
use docrelay::store::{DeliveryQuery, DeliveryState, Store, StoreError};

use crate::factory::{
    StoreFactory, at, client, id, keyed, new_document, record_attempt, retention, store_with, stored, unkeyed,
};
use crate::outbox::{default_notification, due, due_events, notification_queue, page, settle, store_with_main};
use crate::routing::{origin, registration, route_to_callback};

/// A notification with every optional field set.
pub(crate) fn full_notification(name: &str) -> Notification {
    Notification {
        secrets: vec![Secret::new("notification-secret-1"), Secret::new("notification-secret-2")],
        previous: Some(RetiredSecret { secret: Secret::new("notification-secret-0"), until: at(5_000) }),
        credential: Some(Credential::Header(Secret::new("token of the notification"))),
        state: NotificationState::Unverified,
        is_default: false,
        ..default_notification(name, Format::Standard)
    }
}

fn notifications_of(store: &Store, client: &str) -> Vec<Notification> {
    store.registry.notifications(&id(client)).iter().map(|n| (**n).clone()).collect()
}

pub(crate) async fn notifications_survive_a_reopen(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    for name in ["z", "m", "a"] {
        store.registry.add_notification(&id("a"), full_notification(name)).await.unwrap();
    }
    store.registry.remove_notification(&id("a"), "m").await.unwrap();
    for reopened in [false, true] {
        let store = if reopened {
            store.maintenance.close().await;
            factory.open(retention()).await
        } else {
            store.clone()
        };
        assert_eq!(notifications_of(&store, "a"), [full_notification("z"), full_notification("a")], "oldest first");
        assert!(notifications_of(&store, "b").is_empty() && notifications_of(&store, "unknown").is_empty());
    }
}

pub(crate) async fn notification_count_and_names_are_limited(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    for number in 0..NOTIFICATIONS_PER_CLIENT {
        store.registry.add_notification(&id("a"), full_notification(&format!("n{number}"))).await.unwrap();
    }
    let taken =
        store.registry.add_notification(&id("a"), Notification { id: "x".into(), ..full_notification("n0") }).await;
    assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
    let many = store.registry.add_notification(&id("a"), full_notification("n9")).await;
    assert!(matches!(many, Err(StoreError::TooMany(_))), "{many:?}");
    store.registry.add_notification(&id("b"), full_notification("n0")).await.unwrap();
    store.registry.remove_notification(&id("a"), "n0").await.unwrap();
    store.registry.add_notification(&id("a"), full_notification("n9")).await.unwrap();
    assert_eq!(
        (notifications_of(&store, "a").len(), notifications_of(&store, "b").len()),
        (NOTIFICATIONS_PER_CLIENT, 1)
    );
}

pub(crate) async fn default_notification_is_unique_per_client(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    let defaults = |store: &Store, client: &str| -> Vec<String> {
        notifications_of(store, client).into_iter().filter(|n| n.is_default).map(|n| n.name.to_string()).collect()
    };
    store.registry.add_notification(&id("b"), default_notification("other", Format::Gini)).await.unwrap();
    for name in ["one", "two"] {
        store.registry.add_notification(&id("a"), default_notification(name, Format::Gini)).await.unwrap();
        assert_eq!(defaults(&store, "a"), [name]);
    }
    let before = notifications_of(&store, "a")[0].clone();
    store.registry.update_notification(&id("a"), &before, default_notification("one", Format::Baidu)).await.unwrap();
    store.maintenance.close().await;
    let store = factory.open(retention()).await;
    assert_eq!(defaults(&store, "a"), ["one"]);
    let no_more = Notification { is_default: false, ..default_notification("one", Format::Baidu) };
    store.registry.update_notification(&id("a"), &notifications_of(&store, "a")[0], no_more).await.unwrap();
    assert!(defaults(&store, "a").is_empty());
    assert_eq!(defaults(&store, "b"), ["other"], "other clients are not affected");
}

pub(crate) async fn changed_notification_keeps_name_and_list_position(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    for name in ["one", "two"] {
        store.registry.add_notification(&id("a"), full_notification(name)).await.unwrap();
    }
    let changed =
        Notification { endpoint: "https://new.example.com/".into(), secrets: Vec::new(), ..full_notification("one") };
    let requested = Notification { name: "three".parse().unwrap(), created: at(9), ..changed.clone() };
    store.registry.update_notification(&id("a"), &full_notification("one"), requested).await.unwrap();
    store
        .registry
        .set_notification_state(&id("a"), &full_notification("two"), NotificationState::Disabled)
        .await
        .unwrap();
    let expected = [changed, Notification { state: NotificationState::Disabled, ..full_notification("two") }];
    assert_eq!(notifications_of(&store, "a"), expected);
    store.maintenance.close().await;
    assert_eq!(notifications_of(&factory.open(retention()).await, "a"), expected);
}

/// A change that is based on an outdated read must neither undo a newer change nor apply to another endpoint.
pub(crate) async fn concurrent_notification_change_is_a_conflict(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    store.registry.add_notification(&id("a"), full_notification("one")).await.unwrap();
    let changed = Notification { endpoint: "https://new.example.com/".into(), ..full_notification("one") };
    store.registry.update_notification(&id("a"), &full_notification("one"), changed.clone()).await.unwrap();
    for refused in [
        store.registry.update_notification(&id("a"), &full_notification("one"), full_notification("one")).await,
        store.registry.set_notification_state(&id("a"), &full_notification("one"), NotificationState::Disabled).await,
    ] {
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    }
    assert_eq!(notifications_of(&store, "a")[0], changed);
    // A changed state alone is no conflict.
    store.registry.set_notification_state(&id("a"), &changed, NotificationState::Disabled).await.unwrap();
    store.registry.set_notification_state(&id("a"), &changed, NotificationState::Active).await.unwrap();
}

pub(crate) async fn change_of_unknown_notification_is_refused(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    store.registry.add_notification(&id("b"), full_notification("one")).await.unwrap();
    for (owner, missing) in [("a", "notification"), ("unknown", "client")] {
        let owner = id(owner);
        for refused in [
            store.registry.update_notification(&owner, &full_notification("one"), full_notification("one")).await,
            store.registry.set_notification_state(&owner, &full_notification("one"), NotificationState::Active).await,
            store.registry.remove_notification(&owner, "one").await,
            store.outbox.retry_failed(&owner, &"one".parse().unwrap(), at(0), at(0)).await.map(drop),
        ] {
            assert!(matches!(refused, Err(StoreError::NotFound(what)) if what == missing), "{refused:?}");
        }
    }
    let refused = store.registry.add_notification(&id("unknown"), full_notification("one")).await;
    assert!(matches!(refused, Err(StoreError::NotFound("client"))));
    assert_eq!(notifications_of(&store, "b"), [full_notification("one")]);
}

pub(crate) async fn removed_notification_fails_pending_and_successor_inherits_nothing(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let main = notification_queue("a", "main");
    let new_events =
        (0..1_200).map(|number| keyed("a", &format!("x{}", number % 1_100), Status::Completed, &number.to_string()));
    futures::future::join_all(new_events.map(|new_event| store.log.append(new_event))).await;
    let first = due(&store, &main, at(0)).await;
    settle(&store, &main, first[0], Disposition::Delivered, at(1)).await;
    settle(&store, &main, first[1], Disposition::Retry(at(2)), at(1)).await;
    let again = Notification { id: "another id".into(), ..default_notification("main", Format::Gini) };
    let (removed, added) = tokio::join!(
        store.registry.remove_notification(&id("a"), "main"),
        store.registry.add_notification(&id("a"), again)
    );
    added.unwrap();
    assert!(due(&store, &main, at(9_000)).await.is_empty(), "not due as soon as it is removed");
    let late = record_attempt(&store, &main, first[1], None, Disposition::Delivered, at(3)).await;
    assert!(matches!(late, Err(StoreError::NotFound("delivery"))), "{late:?}");
    removed.unwrap();
    // Pruning runs after the removal.
    store.maintenance.prune(at(3)).await.unwrap();
    let query = DeliveryQuery { state: Some(DeliveryState::Dead), limit: 2_000, ..DeliveryQuery::default() };
    let dead = store.outbox.deliveries(&id("a"), query.clone()).await.unwrap().items;
    assert_eq!(dead.len(), 1_199);
    for dead in dead {
        let last = dead.attempts.last().unwrap();
        assert_eq!((last.status, last.duration.as_millis()), (None, 0));
        assert_eq!(last.error.as_deref(), Some("the notification was deleted"));
    }
    assert_eq!(store.outbox.backlog().await.unwrap().pending, 0);
    let own = stored(&store, new_document("a", 9_999)).await.id.sequence;
    let page = page(&store, &main, at(9_000)).await;
    assert_eq!(page.deliveries.len(), 1);
    assert_eq!(due_events(&store, &main, at(9_000)).await, [own]);
    assert_eq!(store.outbox.retry_failed(&id("a"), &"main".parse().unwrap(), at(0), at(9)).await.unwrap(), 0);
    store.outbox.retry(&id("a"), first[1], at(9)).await.unwrap();
    assert_eq!(due(&store, &main, at(9_000)).await.len(), 2, "a manual retry goes to the successor");
    store.registry.remove_notification(&id("a"), "main").await.unwrap();
    let refused = store.outbox.retry(&id("a"), first[1], at(9)).await;
    assert!(matches!(refused, Err(StoreError::NotFound("notification"))), "{refused:?}");
}

pub(crate) async fn removed_client_leaves_no_delivery(factory: impl StoreFactory) {
    let store = store_with_main(&factory).await;
    let (main, app) = (notification_queue("a", "main"), origin("a", "https://app.example.com/"));
    futures::future::join_all((0..700).map(|number| store.log.append(new_document("a", number)))).await;
    stored(&store, registration("x", route_to_callback("https://app.example.com/"))).await;
    let number = due(&store, &main, at(0)).await[0];
    let (removed, late) = tokio::join!(
        store.registry.remove_client(&id("a").id),
        record_attempt(&store, &main, number, None, Disposition::Delivered, at(0))
    );
    removed.unwrap();
    assert!(matches!(late, Err(StoreError::NotFound("client"))), "{late:?}");
    for queue in [&main, &app] {
        let refused = store.outbox.due(queue, at(0), 9, Vec::new()).await.map(|page| page.deliveries.len());
        assert!(matches!(refused, Err(StoreError::NotFound("client"))), "{refused:?}");
    }
    assert_eq!(store.outbox.backlog().await.unwrap().pending, 0);
    store.registry.add_client(client("a'")).await.unwrap();
    assert!(notifications_of(&store, "a'").is_empty());
    assert!(due(&store, &main, at(0)).await.is_empty());
    store.registry.add_notification(&id("a'"), default_notification("main", Format::Gini)).await.unwrap();
    stored(&store, unkeyed("a'", "x", Status::Completed)).await;
    assert_eq!((due(&store, &main, at(0)).await.len(), due(&store, &app, at(0)).await.len()), (1, 0));
    store.maintenance.prune(at(0)).await.unwrap();
    let all =
        store.outbox.deliveries(&id("a'"), DeliveryQuery { limit: 9, ..DeliveryQuery::default() }).await.unwrap().items;
    assert_eq!(all.len(), 1);
    assert!(store.outbox.delivery(&id("a'"), number).await.unwrap().is_none());
}
