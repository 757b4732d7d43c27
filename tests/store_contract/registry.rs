//! Contract of clients and hooks, and of the removal of a client with all its data.

use std::collections::BTreeMap;
use std::sync::Arc;

use docrelay::domain::{Client, Encoding, Hook, Mapping, NotificationState, Secret, Status, Vendor, Verify};
use docrelay::store::{DeliveryQuery, DocumentQuery, PageLimit, Store, StoreError};

use crate::factory::{StoreFactory, at, client, id, keyed, new_document, retention, sequences, store_with, stored};
use crate::notifications::full_notification;
use crate::rejects::reject;

/// A hook with every optional field set.
pub(crate) fn hook(name: &str) -> Hook {
    Hook {
        id: format!("id-{name}"),
        key: Secret::new(&format!("key-{name}")),
        vendor: Vendor::Generic,
        name: Some("name \"quoted\"".into()),
        labels: BTreeMap::from([("team".into(), "blue".into())]),
        label_cookies: vec!["fileZTaskId".into()],
        verify: Verify::HmacSha256 {
            secret: Secret::new(&format!("hmac-{name}")),
            header: "x-signature".into(),
            prefix: "sha256=".into(),
            encoding: Encoding::Base64,
        },
        mapping: Some(Mapping {
            vendor_id: "/job/id".into(),
            status: "/state".into(),
            statuses: BTreeMap::from([("done".into(), Status::Completed)]),
            title: None,
            result: None,
            error_code: Some("/code".into()),
            error_message: None,
            time: None,
            message_id: None,
        }),
        created: at(0),
    }
}

fn ids(store: &Store, client: &str) -> Vec<String> {
    store.registry.hooks(&id(client)).iter().map(|hook| hook.id.clone()).collect()
}

pub(crate) async fn clients_and_hooks_survive_reopen(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["b", "a"]).await;
    let two_secrets = Verify::Standard { secrets: vec![Secret::new("whsec_1"), Secret::new("whsec_2")] };
    let second = Hook { verify: two_secrets, ..hook("2") };
    for hook in [hook("9"), second.clone(), hook("1")] {
        store.registry.add_hook(&id("a"), hook).await.unwrap();
    }
    store.registry.remove_hook(&id("a"), "id-9").await.unwrap();
    for reopened in [false, true] {
        let store = if reopened {
            store.maintenance.close().await;
            factory.open(retention()).await
        } else {
            store.clone()
        };
        let names: Vec<_> = store.registry.clients().iter().map(|client| client.id.to_string()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(*store.registry.client(&id("a").id).unwrap(), client("a"));
        assert_eq!(ids(&store, "a"), ["id-2", "id-1"], "oldest first");
        assert_eq!(store.registry.hook_by_key("key-2"), Some((id("a"), second.clone().into())));
        assert_eq!(store.registry.hook_by_key("key-9"), None);
        assert_eq!(store.registry.hook_by_key(""), None);
        assert!(ids(&store, "b").is_empty() && ids(&store, "unknown").is_empty());
    }
}

pub(crate) async fn duplicate_names_and_keys_are_refused(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    let taken = store.registry.add_client(Client { secret: Secret::new("other"), ..client("a") }).await;
    assert!(matches!(taken, Err(StoreError::Conflict(_))));
    assert_eq!(*store.registry.client(&id("a").id).unwrap(), client("a"));
    store.registry.add_hook(&id("a"), hook("1")).await.unwrap();
    for (owner, again) in [("a", hook("1")), ("b", hook("1")), ("a", Hook { key: Secret::new("k"), ..hook("1") })] {
        assert!(matches!(store.registry.add_hook(&id(owner), again).await, Err(StoreError::Conflict(_))));
    }
    store.registry.add_hook(&id("b"), Hook { key: Secret::new("k"), ..hook("1") }).await.unwrap();
}

pub(crate) async fn change_of_unknown_client_or_hook_is_refused(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    store.registry.add_hook(&id("a"), hook("1")).await.unwrap();
    let unknown = id("unknown");
    for refused in [
        store.registry.update_client(&client("unknown"), client("unknown")).await,
        store.registry.remove_client(&unknown.id).await,
        store.registry.add_hook(&unknown, hook("2")).await,
        store.registry.update_hook(&unknown, &hook("1"), hook("1")).await,
        store.registry.update_hook(&id("b"), &hook("1"), hook("1")).await,
        store.registry.remove_hook(&unknown, "id-1").await,
        store.registry.remove_hook(&id("b"), "id-1").await,
    ] {
        assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
    }
}

pub(crate) async fn changed_hook_keeps_url_and_list_position(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    for name in ["1", "2"] {
        store.registry.add_hook(&id("a"), hook(name)).await.unwrap();
    }
    let changed = Hook { name: Some("changed".to_owned()), ..hook("1") };
    // The caller can change neither the key nor the time of creation.
    let requested = Hook { key: Secret::new("k"), created: at(5), ..changed.clone() };
    store.registry.update_hook(&id("a"), &hook("1"), requested).await.unwrap();
    for reopened in [false, true] {
        let store = if reopened {
            store.maintenance.close().await;
            factory.open(retention()).await
        } else {
            store.clone()
        };
        assert_eq!(ids(&store, "a"), ["id-1", "id-2"]);
        assert_eq!(store.registry.hook_by_key("key-1"), Some((id("a"), changed.clone().into())));
        assert_eq!(store.registry.hook_by_key("k"), None);
    }
}

pub(crate) async fn rotated_client_secret_survives_reopen(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let rotated =
        Client { secret: Secret::new("new"), previous: Some((Secret::new("old"), at(86_400_000))), ..client("a") };
    // The caller cannot change the time of creation.
    store.registry.update_client(&client("a"), Client { created: at(5), ..rotated.clone() }).await.unwrap();
    assert_eq!(*store.registry.client(&id("a").id).unwrap(), rotated);
    store.maintenance.close().await;
    let store = factory.open(retention()).await;
    assert_eq!(*store.registry.client(&id("a").id).unwrap(), rotated);
}

pub(crate) async fn removed_client_disappears_at_once_with_its_data(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    store.registry.add_hook(&id("a"), hook("1")).await.unwrap();
    let event = stored(&store, keyed("a", "x", Status::Completed, "k")).await;
    futures::future::join_all((0..1_500).map(|number| store.log.append(new_document("a", number)))).await;
    let reject_id = store.rejects.add(&id("a"), reject(1)).await.unwrap();
    stored(&store, new_document("b", 1)).await;
    let head = store.log.head();

    // An append behind the removal in the writer's queue must not be stored.
    let (removed, late) =
        tokio::join!(store.registry.remove_client(&id("a").id), store.log.append(new_document("a", 9_999)));
    removed.unwrap();
    assert!(matches!(late, Err(StoreError::NotFound("client"))), "{late:?}");
    assert!(store.registry.client(&id("a").id).is_none());
    assert!(store.registry.hook_by_key("key-1").is_none());
    assert!(matches!(store.log.raw_request(&id("a"), event.id.sequence).await, Err(StoreError::NotFound("client"))));
    assert!(matches!(store.rejects.list(&id("a"), 1, None).await, Err(StoreError::NotFound("client"))));
    assert_eq!(store.log.head(), head);

    // A new client of the same name inherits nothing.
    store.registry.add_client(client("a'")).await.unwrap();
    assert!(sequences(&store, "a'").await.is_empty());
    assert!(ids(&store, "a'").is_empty());
    assert!(store.log.document(&id("a'"), event.document).await.unwrap().is_none());
    assert!(store.rejects.get(&id("a'"), reject_id).await.unwrap().is_none());
    let page = store.log.documents(&id("a'"), DocumentQuery { limit: 10, ..DocumentQuery::default() }).await.unwrap();
    assert!(page.documents.is_empty());
    let again = stored(&store, keyed("a'", "x", Status::Completed, "k")).await;
    assert!(again.id.sequence > head && again.document != event.document);
    store.registry.add_hook(&id("a'"), hook("1")).await.unwrap();
    assert_eq!(sequences(&store, "b").await.len(), 1);
    assert!(store.rejects.add(&id("a'"), reject(2)).await.unwrap() > reject_id, "ids are not reused");
}

/// What belongs to a removed client must not reach the next client of its id: neither by a call that began before, nor
/// by a hook that was looked up before.
pub(crate) async fn call_of_removed_client_does_not_reach_successor(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let (before, now) = (id("a"), at(1));
    store.registry.add_hook(&before, hook("1")).await.unwrap();
    let (by_key, _) = store.registry.hook_by_key("key-1").unwrap();
    assert_eq!(by_key, before);
    let old = full_notification("old");
    store.registry.add_notification(&before, old.clone()).await.unwrap();
    store.registry.remove_client(&before.id).await.unwrap();
    let successor = Client { created: at(1), ..client("a") };
    store.registry.add_client(successor.clone()).await.unwrap();
    let after = successor.reference();
    store.registry.add_hook(&after, hook("1")).await.unwrap();
    store.registry.add_notification(&after, old.clone()).await.unwrap();
    let head = store.log.head();

    let name = &old.name;
    let limit = PageLimit { events: 1, bytes: 1 };
    for refused in [
        store.log.append(new_document("a", 1)).await.map(drop),
        store.rejects.add(&before, reject(1)).await.map(drop),
        store.rejects.list(&before, 1, None).await.map(drop),
        store.registry.update_client(&client("a"), client("a")).await,
        store.registry.add_hook(&before, hook("2")).await,
        store.registry.update_hook(&before, &hook("1"), hook("1")).await,
        store.registry.remove_hook(&before, "id-1").await,
        store.registry.add_notification(&before, full_notification("new")).await,
        store.registry.update_notification(&before, &old, old.clone()).await,
        store.registry.set_notification_state(&before, &old, NotificationState::Disabled).await,
        store.registry.remove_notification(&before, name.as_str()).await,
        store.outbox.retry(&before, 1, now).await,
        store.outbox.retry_failed(&before, name, at(0), now).await.map(drop),
        store.outbox.deliveries(&before, DeliveryQuery { limit: 1, ..DeliveryQuery::default() }).await.map(drop),
        store.log.events_after(&before, 0, limit).await.map(drop),
        store.log.documents(&before, DocumentQuery { limit: 1, ..DocumentQuery::default() }).await.map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::NotFound("client"))), "{refused:?}");
    }
    assert!(store.registry.hooks(&before).is_empty() && store.registry.notifications(&before).is_empty());
    assert_eq!(*store.registry.client(&after.id).unwrap(), successor);
    assert_eq!(store.registry.hooks(&after).len(), 1);
    assert_eq!(store.registry.notifications(&after), [Arc::new(old)]);
    assert_eq!(store.log.head(), head);
}

pub(crate) async fn concurrent_client_or_hook_change_is_a_conflict(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let (registry, owner) = (&store.registry, id("a"));
    registry.add_hook(&owner, hook("1")).await.unwrap();
    let named = |name: &str| Hook { name: Some(name.to_owned()), ..hook("1") };
    registry.update_hook(&owner, &hook("1"), named("first")).await.unwrap();
    let late = registry.update_hook(&owner, &hook("1"), named("second")).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))), "{late:?}");
    assert_eq!(registry.hooks(&owner), [Arc::new(named("first"))]);
    let rotated = |secret: &str| Client { secret: Secret::new(secret), ..client("a") };
    registry.update_client(&client("a"), rotated("first")).await.unwrap();
    let late = registry.update_client(&client("a"), rotated("second")).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))), "{late:?}");
    assert_eq!(*registry.client(&owner.id).unwrap(), rotated("first"));
}
