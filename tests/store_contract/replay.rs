//! Contract of reading the log: pages, the position that each page reaches, and pruning.

use std::time::Duration;

use docrelay::domain::{DocumentId, Status};
use docrelay::store::{DocumentQuery, DuplicateRule, Log, PageLimit, Retention, Store};
use futures::future::Either;

use crate::factory::{
    ALL, DAY, StoreFactory, at, history, id, keyed, new_document, raw, retention, sequences, store_with, stored,
    unkeyed,
};

fn limit(events: usize, bytes: usize) -> PageLimit {
    PageLimit { events, bytes }
}

/// Reads all pages from the beginning to the first empty one.
async fn pages(log: &dyn Log, limit: PageLimit) -> Vec<u64> {
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let page = log.events_after(&id("a"), after, limit).await.unwrap();
        assert!(page.events.len() <= limit.events);
        seen.extend(page.events.iter().map(|event| event.id.sequence));
        if page.events.is_empty() {
            return seen;
        }
        assert!(page.through >= *seen.last().unwrap());
        after = page.through;
    }
}

// Rule 2: replays are paged and join the live events.
pub(crate) async fn pages_join_without_gap_or_duplicate(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    let mut expected = Vec::new();
    for number in 0..100 {
        expected.push(stored(&store, new_document("a", number)).await.id.sequence);
        stored(&store, new_document("b", number)).await;
    }
    for limit in
        [limit(1, usize::MAX), limit(7, usize::MAX), limit(100, usize::MAX), limit(1_000, 1), limit(1_000, 1_000)]
    {
        assert_eq!(pages(&*store.log, limit).await, expected, "{limit:?}");
    }
}

pub(crate) async fn event_beyond_byte_limit_ends_its_page(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let mut sizes = Vec::new();
    for number in 0..5 {
        sizes.push(stored(&store, new_document("a", number)).await.json.len());
    }
    let page = store.log.events_after(&id("a"), 0, limit(100, sizes[0] + sizes[1])).await.unwrap();
    assert_eq!(page.events.len(), 3);
    assert_eq!(page.through, page.events[2].id.sequence);
    let page = store.log.events_after(&id("a"), 0, limit(0, 0)).await.unwrap();
    assert_eq!(page.events.len(), 1, "a page has at least one event");
}

pub(crate) async fn complete_page_reaches_head_written_by_other_clients(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    let mine = stored(&store, new_document("a", 1)).await.id.sequence;
    let head = stored(&store, new_document("b", 1)).await.id.sequence;
    for after in [0, mine, head] {
        let page = store.log.events_after(&id("a"), after, ALL).await.unwrap();
        assert_eq!(page.through, head);
        assert_eq!(page.events.len(), usize::from(after < mine));
        assert_eq!(page.pruned_through, 0);
    }
    let cut = store.log.events_after(&id("a"), 0, limit(1, usize::MAX)).await.unwrap();
    assert!(cut.through == mine || cut.through == head, "a page reaches at least its last event");
    for ahead in [head + 1, u64::MAX] {
        assert!(store.log.events_after(&id("a"), ahead, ALL).await.unwrap().events.is_empty());
    }
}

/// A client that resumes at once with an id from a response must not be refused as being ahead of the log.
pub(crate) async fn head_is_never_behind_read_results(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let sender = tokio::spawn({
        let store = store.clone();
        async move {
            for number in 0..1_000 {
                stored(&store, new_document("a", number)).await;
            }
        }
    });
    let query = DocumentQuery { limit: 1, ..DocumentQuery::default() };
    while !sender.is_finished() {
        let listed = store.log.documents(&id("a"), query.clone()).await.unwrap();
        assert!(store.log.head() >= listed.head.sequence, "the list");
        let page = store.log.events_after(&id("a"), store.log.head(), ALL).await.unwrap();
        assert!(store.log.head() >= page.through, "the page");
        if let Some(document) = listed.documents.first() {
            let one = store.log.document(&id("a"), document.id).await.unwrap().unwrap();
            assert!(store.log.head() >= one.event.sequence, "the document");
            let last = history(&store, &id("a"), document.id).await.last().unwrap().id;
            assert!(store.log.head() >= last.sequence, "its history");
        }
    }
    sender.await.unwrap();
}

/// Reads all pages of some documents from a position up to the head.
async fn document_pages(log: &dyn Log, documents: &[DocumentId], mut after: u64, limit: PageLimit) -> Vec<u64> {
    let mut seen = Vec::new();
    loop {
        let page = log.document_events_after(&id("a"), documents.to_vec(), after, limit).await.unwrap();
        assert!(page.events.len() <= limit.events && page.events.iter().all(|e| documents.contains(&e.document)));
        assert!(page.through > after || page.through == log.head());
        seen.extend(page.events.iter().map(|event| event.id.sequence));
        after = page.through;
        if after == log.head() {
            return seen;
        }
    }
}

pub(crate) async fn document_pages_hold_events_of_these_documents_only(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    let mut all = Vec::new();
    let foreign = stored(&store, new_document("b", 1_000)).await.document;
    for number in 0..150 {
        all.push(stored(&store, unkeyed("a", &format!("job-{}", number % 7), Status::ALL[number / 7 % 3])).await);
        stored(&store, new_document("b", number)).await;
    }
    let unknown = "626626a0-749f-11e2-bfd6-000000000000".parse().unwrap();
    let check = async |store: &Store, pruned_through: u64| {
        for named in [vec![], vec![0], vec![3, 5], vec![0, 1, 2, 3, 4, 5, 6]] {
            let mut documents: Vec<DocumentId> = named.iter().map(|number| all[*number].document).collect();
            documents.extend([foreign, unknown]);
            for after in [0, all[60].id.sequence, all[148].id.sequence, store.log.head()] {
                let expected: Vec<u64> = all
                    .iter()
                    .filter(|event| documents.contains(&event.document))
                    .map(|event| event.id.sequence)
                    .filter(|sequence| *sequence > after.max(pruned_through))
                    .collect();
                for limit in [limit(1, usize::MAX), limit(7, usize::MAX), limit(1_000, 1), ALL] {
                    let seen = document_pages(&*store.log, &documents, after, limit).await;
                    assert_eq!(seen, expected, "{named:?} after {after}, {limit:?}");
                }
            }
        }
    };
    check(&store, 0).await;
    store.maintenance.close().await;
    let store = factory.open(Retention { max_events: 100, ..retention() }).await;
    store.maintenance.prune(at(0)).await.unwrap();
    let pruned_through = all[49].id.sequence;
    let page = store.log.document_events_after(&id("a"), vec![all[0].document], 0, ALL).await.unwrap();
    assert_eq!(page.pruned_through, pruned_through);
    check(&store, pruned_through).await;
}

/// More events than links are followed: the log is scanned instead.
pub(crate) async fn document_with_very_many_events_is_paged_completely(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let senders: Vec<_> = (0..50)
        .map(|sender| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut many = Vec::new();
                for number in 0..250 {
                    let key = format!("{sender}-{number}");
                    many.push(stored(&store, keyed("a", "many", Status::Completed, &key)).await);
                    stored(&store, keyed("a", &key, Status::Completed, &format!("other {key}"))).await;
                }
                many
            })
        })
        .collect();
    let mut many = Vec::new();
    for sender in senders {
        many.extend(sender.await.unwrap());
    }
    let documents = [many[0].document];
    let mut expected: Vec<u64> = many.iter().map(|event| event.id.sequence).collect();
    expected.sort_unstable();
    assert_eq!(document_pages(&*store.log, &documents, 0, limit(512, usize::MAX)).await, expected);
}

pub(crate) async fn complete_page_skips_no_concurrent_event(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..500 {
                stored(&store, new_document("a", number)).await;
            }
        })
    };
    let (mut after, mut seen) = (0, Vec::new());
    while seen.len() < 500 {
        let page = store.log.events_after(&id("a"), after, ALL).await.unwrap();
        seen.extend(page.events.iter().map(|event| event.id.sequence));
        after = page.through;
    }
    writer.await.unwrap();
    assert_eq!(seen, sequences(&store, "a").await, "events committed meanwhile are in a later page");
}

pub(crate) async fn oldest_events_are_pruned_by_count_bytes_and_age(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    let mut all = Vec::new();
    for number in 0..10 {
        let mut new_event = new_document("a", number);
        new_event.raw = Some(raw(&"x".repeat(10_000)));
        new_event.now = at(number as u64 * DAY);
        all.push(stored(&store, new_event).await.id.sequence);
    }
    let mut other = new_document("b", 1);
    other.now = at(9 * DAY);
    stored(&store, other).await;
    store.maintenance.close().await;
    let bounds = [
        (Retention { max_event_age: Duration::from_secs(86_400 * 7), ..retention() }, 3),
        (Retention { max_events: 6, ..retention() }, 1),
        (Retention { max_event_bytes: 50_000, ..retention() }, 2),
    ];
    let (now, mut gone) = (at(9 * DAY + DAY / 2), 0);
    for (bounds, more) in bounds {
        let store = factory.open(bounds).await;
        assert_eq!(store.maintenance.prune(now).await.unwrap().events, more);
        gone += more as usize;
        let page = store.log.events_after(&id("a"), 0, ALL).await.unwrap();
        assert_eq!(page.events.iter().map(|event| event.id.sequence).collect::<Vec<_>>(), all[gone..]);
        assert_eq!(page.pruned_through, all[gone - 1]);
        assert!(store.log.raw_request(&id("a"), page.pruned_through).await.unwrap().is_none());
        assert!(store.log.raw_request(&id("a"), all[gone]).await.unwrap().is_some());
        assert_eq!(store.maintenance.prune(now).await.unwrap().events, 0, "nothing more");
        let page = store.log.events_after(&id("b"), 0, ALL).await.unwrap();
        assert_eq!((page.events.len(), page.pruned_through), (1, 0), "limits apply to each client separately");
        store.maintenance.close().await;
    }
}

pub(crate) async fn sequences_are_not_reused_after_full_prune(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    for number in 0..1_200 {
        store.log.append(new_document("a", number)).await.unwrap();
    }
    let (epoch, head) = (store.log.epoch(), store.log.head());
    assert_eq!(store.maintenance.prune(at(365 * DAY)).await.unwrap().events, 1_200);
    assert_eq!(sequences(&store, "a").await, [0; 0]);
    let page = store.log.events_after(&id("a"), 0, ALL).await.unwrap();
    assert_eq!((page.through, page.pruned_through), (head, head));
    store.maintenance.close().await;
    let store = factory.open(retention()).await;
    assert_eq!((store.log.epoch(), store.log.head()), (epoch, head));
    assert!(stored(&store, new_document("a", 1)).await.id.sequence > head);
}

pub(crate) async fn append_succeeds_during_prune(factory: impl StoreFactory) {
    let store = store_with(&factory, Retention { max_events: 10, ..retention() }, &["a"]).await;
    futures::future::join_all((0..3_000).map(|number| store.log.append(new_document("a", number)))).await;
    let (pruned, event) = tokio::join!(store.maintenance.prune(at(0)), stored(&store, new_document("a", 3_000)));
    assert!(pruned.unwrap().events >= 2_990);
    let left = sequences(&store, "a").await;
    assert_eq!(left.last(), Some(&event.id.sequence));
    assert!(left.len() <= 11);
}

// Rule 31: reads are filtered by client.
pub(crate) async fn raw_request_is_returned_unchanged_to_its_client_only(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    let mut new_event = new_document("a", 1);
    new_event.raw = Some(raw("\u{0}\r\nbody"));
    let sequence = stored(&store, new_event.clone()).await.id.sequence;
    assert_eq!(store.log.raw_request(&id("a"), sequence).await.unwrap(), new_event.raw);
    assert_eq!(store.log.raw_request(&id("b"), sequence).await.unwrap(), None);
    assert_eq!(store.log.raw_request(&id("a"), sequence + 1).await.unwrap(), None);
    let without = stored(&store, new_document("a", 2)).await.id.sequence;
    assert_eq!(store.log.raw_request(&id("a"), without).await.unwrap(), None);
}

pub(crate) async fn events_with_future_time_are_pruned_with_their_successors(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a", "b"]).await;
    let append = |number: usize, ms: u64| {
        let mut new_event = new_document("a", number);
        new_event.now = at(ms);
        store.log.append(new_event)
    };
    // More than one slice of pruning.
    futures::future::join_all((0..1_300).map(|number| append(number, 365 * DAY))).await;
    // Events of other clients lie between.
    stored(&store, new_document("b", 1)).await;
    for (number, day) in [(1_300, 1), (1_301, 2), (1_302, 9)] {
        append(number, day * DAY).await.unwrap();
    }
    assert_eq!(
        store.maintenance.prune(at(8 * DAY)).await.unwrap().events,
        1,
        "the event of the other client; the successors of the rest are too young"
    );
    assert_eq!(store.maintenance.prune(at(9 * DAY - 1)).await.unwrap().events, 1_301);
    assert_eq!(store.maintenance.prune(at(9 * DAY + 1)).await.unwrap().events, 1);
    assert_eq!(sequences(&store, "a").await.len(), 1);
}

pub(crate) async fn slow_clock_prunes_no_newer_events(factory: impl StoreFactory) {
    let store = store_with(&factory, retention(), &["a"]).await;
    let behind = at(0).minus(Duration::from_millis(3_650 * DAY));
    for (number, now) in [at(0), behind, at(1_000)].into_iter().enumerate() {
        let mut new_event = new_document("a", number);
        new_event.now = now;
        stored(&store, new_event).await;
        assert_eq!(store.maintenance.prune(now).await.unwrap().events, 0);
    }
    assert_eq!(store.maintenance.prune(at(7 * DAY)).await.unwrap().events, 0);
    assert_eq!(
        store.maintenance.prune(at(7 * DAY + 1)).await.unwrap().events,
        2,
        "the first, and the second once it is the oldest"
    );
}

pub(crate) async fn prune_completes_under_constant_load(factory: impl StoreFactory) {
    let store = store_with(&factory, Retention { max_events: 10, ..retention() }, &["a"]).await;
    let wave = |wave: usize| {
        let append = |number| {
            let mut new_event = new_document("a", wave * 1_000 + number);
            new_event.duplicate_rule = DuplicateRule::SameKey(format!("{wave} {number}"));
            store.log.append(new_event)
        };
        futures::future::join_all((0..1_000).map(append).collect::<Vec<_>>())
    };
    for number in 0..10 {
        wave(number).await;
    }
    // Twice as many events as there are to prune, unless pruning ends first.
    let mut pruning = store.maintenance.prune(at(0));
    for number in 10..30 {
        let mut arriving = wave(number);
        if let Either::Left((pruned, _)) = futures::future::select(&mut pruning, &mut arriving).await {
            assert!(pruned.unwrap().events >= 9_990);
            return;
        }
    }
    panic!("pruning is slower than appending");
}
