//! Contract of rejects: stored completely, listed newest first, limited.

use std::time::Duration;

use docrelay::store::{Reject, Retention, StoreError};

use crate::factory::{DAY, StoreFactory, at, id, raw, retention, store_with};

pub(crate) fn reject(number: u64) -> Reject {
    Reject {
        id: 0,
        hook: "id-1".into(),
        time: at(number),
        verified: true,
        reason: "not JSON: \"'\u{0}".into(),
        raw: raw(&format!("{number} {}", "x".repeat(990))),
    }
}

pub(crate) async fn reject_is_stored_completely_and_survives_reopen(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    let number = store.rejects.add(&id("a"), reject(1)).await.unwrap();
    let expected = Reject { id: number, ..reject(1) };
    assert_eq!(store.rejects.get(&id("a"), number).await.unwrap(), Some(expected.clone()));
    assert_eq!(store.rejects.get(&id("b"), number).await.unwrap(), None);
    store.maintenance.close().await;
    let store = factory.open(retention()).await;
    assert_eq!(store.rejects.list(&id("a"), 10, None).await.unwrap().items, [expected]);
    assert!(store.rejects.list(&id("b"), 10, None).await.unwrap().items.is_empty());
}

pub(crate) async fn rejects_are_paged_newest_first(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    let mut expected = Vec::new();
    for number in 0..10 {
        expected.push(store.rejects.add(&id("a"), reject(number)).await.unwrap());
        store.rejects.add(&id("b"), reject(number)).await.unwrap();
    }
    assert!(expected.is_sorted_by(|a, b| a < b));
    expected.reverse();
    let (mut before, mut seen) = (None, Vec::new());
    loop {
        let page = store.rejects.list(&id("a"), 3, before).await.unwrap();
        seen.extend(page.items.iter().map(|reject| reject.id));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, expected);
}

pub(crate) async fn reject_list_is_cut_by_bytes(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let mut expected = Vec::new();
    for number in 0..8 {
        let reject = Reject { raw: raw(&"x".repeat(200_000)), ..reject(number) };
        expected.insert(0, store.rejects.add(&id("a"), reject).await.unwrap());
    }
    let first = store.rejects.list(&id("a"), 50, None).await.unwrap();
    let second = store.rejects.list(&id("a"), 50, first.next).await.unwrap();
    let ids: Vec<u64> = first.items.iter().chain(&second.items).map(|reject| reject.id).collect();
    assert_eq!((first.items.len(), second.items.len(), second.next, ids), (6, 2, None, expected));
}

pub(crate) async fn oldest_rejects_are_pruned_by_count_bytes_and_age(factory: impl StoreFactory) {
    let bounds = Retention {
        max_rejects: 5,
        max_reject_bytes: 3_500,
        max_reject_age: Duration::from_secs(86_400),
        ..retention()
    };
    let store = store_with(&factory, Retention { max_reject_bytes: 1 << 20, ..bounds.clone() }, &["a", "b"]).await;
    let other = store.rejects.add(&id("b"), reject(0)).await.unwrap();
    let mut stored_ids = Vec::new();
    for number in 0..8 {
        stored_ids.push(store.rejects.add(&id("a"), reject(number)).await.unwrap());
    }
    let ids = async |store: &docrelay::store::Store, client| -> Vec<u64> {
        store.rejects.list(&id(client), 100, None).await.unwrap().items.iter().rev().map(|reject| reject.id).collect()
    };
    assert_eq!(ids(&store, "a").await, stored_ids[3..], "by count");
    store.maintenance.close().await;
    let store = factory.open(bounds).await;
    stored_ids.push(store.rejects.add(&id("a"), reject(8)).await.unwrap());
    assert_eq!(ids(&store, "a").await, stored_ids[6..], "by bytes");
    stored_ids.push(store.rejects.add(&id("a"), reject(DAY + 7)).await.unwrap());
    assert_eq!(ids(&store, "a").await, stored_ids[7..], "by age");
    let large = Reject { raw: raw(&"x".repeat(5_000)), ..reject(DAY + 8) };
    let large = store.rejects.add(&id("a"), large).await.unwrap();
    assert_eq!(ids(&store, "a").await, [large], "the newest is kept, whatever its size");
    assert_eq!(ids(&store, "b").await, [other], "limits apply to each client separately");
    store.maintenance.prune(at(3 * DAY)).await.unwrap();
    assert!(
        ids(&store, "a").await.is_empty() && ids(&store, "b").await.is_empty(),
        "a prune removes the newest by age, too"
    );
}

pub(crate) async fn unverified_rejects_displace_only_each_other(factory: impl StoreFactory) {
    let bounds = Retention { max_rejects: 10, max_reject_bytes: 20_000, ..retention() };
    let store = store_with(&factory, bounds.clone(), &["a", "b"]).await;
    let unverified = |number: u64| Reject { verified: false, ..reject(number) };
    let times = async |store: &docrelay::store::Store| -> Vec<(bool, u64)> {
        let all = store.rejects.list(&id("a"), 100, None).await.unwrap();
        all.items.iter().rev().map(|r| (r.verified, u64::try_from(r.time.millis() - at(0).millis()).unwrap())).collect()
    };
    let at_time = |number: u64| u64::try_from(at(number).millis() - at(0).millis()).unwrap();
    let number = store.rejects.add(&id("a"), unverified(0)).await.unwrap();
    let expected = Reject { id: number, ..unverified(0) };
    assert_eq!(store.rejects.get(&id("a"), number).await.unwrap(), Some(expected));
    for n in 1..4 {
        store.rejects.add(&id("a"), unverified(n)).await.unwrap();
    }
    assert_eq!(times(&store).await, [(false, at_time(2)), (false, at_time(3))], "by number");
    let large = Reject { raw: raw(&"x".repeat(3_000)), ..unverified(4) };
    store.rejects.add(&id("a"), large).await.unwrap();
    assert_eq!(times(&store).await, [(false, at_time(4))], "by bytes");
    let too_large = Reject { raw: raw(&"x".repeat(5_000)), ..unverified(5) };
    let refused = store.rejects.add(&id("a"), too_large).await;
    assert!(matches!(refused, Err(StoreError::TooMany(_))), "{refused:?}");
    assert_eq!(times(&store).await.len(), 1, "a refused one displaces nothing");
    for n in 10..20 {
        store.rejects.add(&id("a"), reject(n)).await.unwrap();
    }
    let verified: Vec<_> = (10..20).map(|n| (true, at_time(n))).collect();
    assert_eq!(times(&store).await, verified, "unverified ones make room for verified ones");
    let refused = store.rejects.add(&id("a"), unverified(20)).await;
    assert!(matches!(refused, Err(StoreError::TooMany(_))), "{refused:?}");
    store.maintenance.close().await;
    let store = factory.open(bounds).await;
    assert_eq!(times(&store).await, verified);
}

pub(crate) async fn reject_is_removed_by_its_client_only(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    let number = store.rejects.add(&id("a"), reject(1)).await.unwrap();
    for (client, reject) in [("b", number), ("a", number + 1), ("unknown", number)] {
        let refused = store.rejects.remove(&id(client), reject).await;
        assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
    }
    store.rejects.remove(&id("a"), number).await.unwrap();
    assert_eq!(store.rejects.get(&id("a"), number).await.unwrap(), None);
    assert!(matches!(store.rejects.add(&id("unknown"), reject(1)).await, Err(StoreError::NotFound("client"))));
}
