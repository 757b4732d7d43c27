//! Contract of routing: the delivery queues of an event.

use docrelay::domain::{
    Callback, Credential, Destinations, Disposition, Format, Notification, NotificationState, QueueKey, Secret, Status,
    Target,
};
use docrelay::store::{DuplicateRule, NewEvent, Store};

use crate::factory::{StoreFactory, at, duplicate_of, id, keyed, retention, store_with, stored, unkeyed};
use crate::outbox::{content, default_notification, due, due_events, notification_queue, page, settle};

pub(crate) fn callback(url: &str, format: Format) -> Callback {
    let credential = Some(Credential::Cookie(Secret::new("token of the callback")));
    Callback { url: url.into(), format, credential }
}

pub(crate) fn route_to_callback(url: &str) -> Destinations {
    Destinations { notification: None, callback: Some(callback(url, Format::Gini)) }
}

fn route_to_notification(name: &str) -> Destinations {
    Destinations { notification: Some(name.parse().unwrap()), callback: None }
}

/// The registration of a document with destinations of its own.
pub(crate) fn registration(vendor_id: &str, destinations: Destinations) -> NewEvent {
    NewEvent {
        duplicate_rule: DuplicateRule::KnownDocument,
        destinations: Some(destinations),
        ..unkeyed("a", vendor_id, Status::Pending)
    }
}

/// The delivery queue of the callbacks to the origin of this URL.
pub(crate) fn origin(client: &str, url: &str) -> QueueKey {
    QueueKey { client: id(client).id, target: Target::of(&callback(url, Format::Gini)).unwrap().queue_target() }
}

async fn store_with_two(factory: &impl StoreFactory) -> Store {
    let store = store_with(factory, retention(), &["a"]).await;
    store.registry.add_notification(&id("a"), default_notification("main", Format::Gini)).await.unwrap();
    let other = Notification { is_default: false, ..default_notification("other", Format::Gini) };
    store.registry.add_notification(&id("a"), other).await.unwrap();
    store
}

pub(crate) async fn event_goes_to_named_else_default_notification(factory: impl StoreFactory) {
    let store = store_with_two(&factory).await;
    let named = stored(&store, registration("x", route_to_notification("other"))).await.id.sequence;
    let unknown = stored(&store, registration("y", route_to_notification("unknown"))).await.id.sequence;
    let plain = stored(&store, unkeyed("a", "z", Status::Completed)).await.id.sequence;
    store.maintenance.close().await;
    let store = factory.open(retention()).await;
    let later = stored(&store, unkeyed("a", "x", Status::Completed)).await.id.sequence;
    assert_eq!(due_events(&store, &notification_queue("a", "main"), at(0)).await, [unknown, plain]);
    let other = notification_queue("a", "other");
    assert_eq!(due_events(&store, &other, at(0)).await, [named]);
    let first = due(&store, &other, at(0)).await[0];
    settle(&store, &other, first, Disposition::Delivered, at(0)).await;
    assert_eq!(due_events(&store, &other, at(0)).await, [later]);
}

pub(crate) async fn callback_gets_document_events_beside_notification(factory: impl StoreFactory) {
    let store = store_with_two(&factory).await;
    let url = "https://app.example.com/hook?x=1";
    let mut expected = vec![stored(&store, registration("x", route_to_callback(url))).await.id.sequence];
    expected.push(stored(&store, unkeyed("a", "x", Status::Completed)).await.id.sequence);
    stored(&store, unkeyed("a", "y", Status::Completed)).await;
    let app = origin("a", url);
    for sequence in expected {
        let found = page(&store, &app, at(0)).await.deliveries;
        assert_eq!(found.len(), 1);
        let content = content(&store, &app, found[0].id).await;
        assert_eq!(content.event.unwrap().id.sequence, sequence);
        assert_eq!(content.callback, Some(callback(url, Format::Gini)));
        settle(&store, &app, found[0].id, Disposition::Delivered, at(0)).await;
    }
    assert_eq!(due(&store, &notification_queue("a", "main"), at(0)).await.len(), 2, "the notification gets them, too");
}

pub(crate) async fn callbacks_to_one_origin_share_a_queue_in_document_order(factory: impl StoreFactory) {
    let store = store_with_two(&factory).await;
    let app = origin("a", "https://app.example.com/");
    let mut first = Vec::new();
    for number in 0..3 {
        let route = route_to_callback(&format!("https://app.example.com/done?job={number}"));
        first.push(stored(&store, registration(&format!("x{number}"), route)).await.id.sequence);
        stored(&store, unkeyed("a", &format!("x{number}"), Status::Completed)).await;
    }
    stored(&store, registration("y", route_to_callback("https://app.example.com:8443/done"))).await;
    assert_eq!(due_events(&store, &app, at(0)).await, first, "the first event of each document");
    let ids = due(&store, &app, at(0)).await;
    settle(&store, &app, ids[1], Disposition::Delivered, at(1)).await;
    assert_eq!(due_events(&store, &app, at(1)).await, [first[0], first[2], first[1] + 1]);
    assert_eq!(due(&store, &origin("a", "https://app.example.com:8443/"), at(0)).await.len(), 1, "another port");
    let url = content(&store, &app, ids[2]).await.callback.unwrap().url;
    assert_eq!(url, "https://app.example.com/done?job=2");
}

pub(crate) async fn late_route_gets_latest_event_once(factory: impl StoreFactory) {
    let store = store_with_two(&factory).await;
    stored(&store, unkeyed("a", "x", Status::Pending)).await;
    let latest = stored(&store, unkeyed("a", "x", Status::Completed)).await.id.sequence;
    let app = origin("a", "https://app.example.com/1");
    for round in 0..3 {
        assert_eq!(
            duplicate_of(&store, registration("x", route_to_callback("https://app.example.com/1"))).await,
            latest
        );
        assert_eq!(duplicate_of(&store, registration("x", route_to_notification("other"))).await, latest);
        assert_eq!(
            duplicate_of(&store, registration("x", route_to_notification("main"))).await,
            latest,
            "it was queued there before"
        );
        match round {
            0 => assert_eq!(due_events(&store, &app, at(0)).await, [latest]),
            1 => settle(&store, &app, due(&store, &app, at(0)).await[0], Disposition::Delivered, at(0)).await,
            _ => assert!(due(&store, &app, at(0)).await.is_empty()),
        }
        assert_eq!(due_events(&store, &notification_queue("a", "other"), at(0)).await, [latest]);
    }
    assert_eq!(
        due(&store, &notification_queue("a", "main"), at(0)).await.len(),
        1,
        "its first event; the latest waits behind it"
    );
    // Each destination is kept until it is set again: the callback still applies.
    let latest = stored(&store, keyed("a", "x", Status::Error, "k")).await.id.sequence;
    assert_eq!(due_events(&store, &app, at(0)).await, [latest]);
    store.maintenance.close().await;
    let store = factory.open(retention()).await;
    assert_eq!(due_events(&store, &app, at(0)).await, [latest]);
}

pub(crate) async fn delivery_uses_current_callback(factory: impl StoreFactory) {
    let store = store_with_two(&factory).await;
    stored(&store, registration("x", route_to_callback("https://app.example.com/old"))).await;
    duplicate_of(&store, registration("x", route_to_callback("https://app.example.com/new"))).await;
    // Another URL means another target; deliveries to the old one have no callback any more.
    let app = origin("a", "https://app.example.com/");
    let found = due(&store, &app, at(0)).await;
    assert_eq!(found.len(), 2);
    assert_eq!(content(&store, &app, found[0]).await.callback, None);
    let current = Some(callback("https://app.example.com/new", Format::Gini));
    assert_eq!(content(&store, &app, found[1]).await.callback, current);
    // The same URL with another token means the same target.
    let mut other = callback("https://app.example.com/new", Format::Gini);
    other.credential = None;
    duplicate_of(&store, registration("x", Destinations { notification: None, callback: Some(other.clone()) })).await;
    assert_eq!(due(&store, &app, at(0)).await, found);
    assert_eq!(content(&store, &app, found[1]).await.callback, Some(other));
}

pub(crate) async fn status_without_representation_in_format_is_not_queued(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    for (number, format) in Format::ALL.into_iter().enumerate() {
        let name = format.as_str();
        store.registry.add_notification(&id("a"), default_notification(name, format)).await.unwrap();
        let document = format!("x{number}");
        let pending = stored(&store, unkeyed("a", &document, Status::Pending)).await.id.sequence;
        let last = stored(&store, unkeyed("a", &document, Status::Error)).await.id.sequence;
        let first = if format.supports(Status::Pending) { pending } else { last };
        assert_eq!(due_events(&store, &notification_queue("a", name), at(0)).await, [first], "{name}");
        let url = format!("https://{name}.example.com/x");
        let destinations = Destinations { notification: None, callback: Some(callback(&url, format)) };
        stored(&store, registration(&format!("y{number}"), destinations)).await;
        let queue = origin("a", &url);
        assert_eq!(due(&store, &queue, at(0)).await.len(), usize::from(format.supports(Status::Pending)), "{name}");
    }
}

pub(crate) async fn events_are_queued_in_every_notification_state(factory: impl StoreFactory) {
    let store = store_with_two(&factory).await;
    for (number, state) in
        [NotificationState::Unverified, NotificationState::Disabled, NotificationState::Active].into_iter().enumerate()
    {
        store
            .registry
            .set_notification_state(&id("a"), &default_notification("main", Format::Gini), state)
            .await
            .unwrap();
        stored(&store, unkeyed("a", &format!("x{number}"), Status::Completed)).await;
        assert_eq!(due(&store, &notification_queue("a", "main"), at(0)).await.len(), number + 1);
    }
}
