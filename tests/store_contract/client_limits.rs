//! Contract of the limits of single clients.

use std::num::{NonZeroU32, NonZeroU64};

use docrelay::domain::{Client, ClientLimit, ClientLimits, Status};
use docrelay::store::{Retention, StoreError};

use crate::factory::{StoreFactory, at, client, id, large, new_document, retention, sequences, store_with, stored};
use crate::notifications::full_notification;

fn limits() -> ClientLimits {
    ClientLimits {
        events_per_second: NonZeroU32::new(u32::MAX),
        followers: NonZeroU32::new(7),
        stored_bytes: NonZeroU64::new(i64::MAX as u64),
        notifications: NonZeroU32::new(9),
    }
}

pub(crate) async fn limits_of_a_client_survive_reopen_and_secret_rotation(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    let defaults = ClientLimits::default();
    assert_eq!(store.registry.client_limits(&id("a")), defaults);
    store.registry.set_client_limits(&id("a"), defaults, limits()).await.unwrap();
    let rotated = Client { previous: None, ..client("a") };
    store.registry.update_client(&client("a"), rotated).await.unwrap();
    for reopened in [false, true] {
        let store = if reopened {
            store.maintenance.close().await;
            factory.open(retention()).await
        } else {
            store.clone()
        };
        assert_eq!(store.registry.client_limits(&id("a")), limits());
        assert_eq!(store.registry.client_limits(&id("b")), defaults);
    }
}

pub(crate) async fn concurrent_change_of_limits_is_a_conflict(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let (registry, defaults) = (&store.registry, ClientLimits::default());
    let followers = |limit| ClientLimits { followers: NonZeroU32::new(limit), ..defaults };
    registry.set_client_limits(&id("a"), defaults, followers(1)).await.unwrap();
    let late = registry.set_client_limits(&id("a"), defaults, followers(2)).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))), "{late:?}");
    assert_eq!(registry.client_limits(&id("a")), followers(1));
    let unknown = registry.set_client_limits(&id("unknown"), defaults, followers(2)).await;
    assert!(matches!(unknown, Err(StoreError::NotFound("client"))), "{unknown:?}");
}

pub(crate) async fn successor_of_a_client_does_not_inherit_limits(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let (registry, defaults) = (&store.registry, ClientLimits::default());
    registry.set_client_limits(&id("a"), defaults, limits()).await.unwrap();
    registry.remove_client(&id("a").id).await.unwrap();
    let successor = Client { created: at(1), ..client("a") };
    registry.add_client(successor.clone()).await.unwrap();
    assert_eq!(registry.client_limits(&id("a")), defaults);
    assert_eq!(registry.client_limits(&successor.reference()), defaults);
    let held = registry.set_client_limits(&id("a"), defaults, limits()).await;
    assert!(matches!(held, Err(StoreError::NotFound("client"))), "{held:?}");
}

pub(crate) async fn own_limit_of_notifications_replaces_the_common_one(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let (registry, defaults) = (&store.registry, ClientLimits::default());
    let of = |limit| ClientLimits { notifications: NonZeroU32::new(limit), ..defaults };
    registry.set_client_limits(&id("a"), defaults, of(7)).await.unwrap();
    for number in 0..7 {
        registry.add_notification(&id("a"), full_notification(&format!("n{number}"))).await.unwrap();
    }
    let refused = StoreError::ClientLimit { limit: ClientLimit::Notifications, value: 7 };
    let full = registry.add_notification(&id("a"), full_notification("more")).await;
    assert_eq!(full.unwrap_err().to_string(), refused.to_string());
    registry.set_client_limits(&id("a"), of(7), of(1)).await.unwrap();
    assert_eq!(registry.notifications(&id("a")).len(), 7, "a lower limit removes nothing");
    registry.set_client_limits(&id("a"), of(1), of(8)).await.unwrap();
    registry.add_notification(&id("a"), full_notification("more")).await.unwrap();
}

/// Lower and higher than the common bound, at once and for later events.
pub(crate) async fn own_limit_of_stored_bytes_replaces_the_common_one(factory: impl StoreFactory) {
    let bounds = Retention { max_event_bytes: 50_000, ..retention() };
    let store = store_with(&factory, bounds, &["a", "b"]).await;
    let (registry, defaults) = (&store.registry, ClientLimits::default());
    let of = |limit| ClientLimits { stored_bytes: NonZeroU64::new(limit), ..defaults };
    registry.set_client_limits(&id("a"), defaults, of(200_000)).await.unwrap();
    for number in 0..15 {
        stored(&store, large(&format!("job {number}"), Status::Completed, 10_000)).await;
        stored(&store, new_document("b", number)).await;
    }
    store.maintenance.prune(at(0)).await.unwrap();
    assert_eq!(sequences(&store, "a").await.len(), 15);
    registry.set_client_limits(&id("a"), of(200_000), of(25_000)).await.unwrap();
    // Waits for the background work.
    store.maintenance.prune(at(0)).await.unwrap();
    assert_eq!(sequences(&store, "a").await.len(), 2);
    stored(&store, large("one more", Status::Completed, 10_000)).await;
    store.maintenance.prune(at(0)).await.unwrap();
    assert_eq!(sequences(&store, "a").await.len(), 2);
    assert_eq!(sequences(&store, "b").await.len(), 15);
}
