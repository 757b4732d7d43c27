//! Every reply is true, whatever the broker answers: `Ok` only for what is applied, and an error only for what never
//! will be.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::time::timeout;

use super::items::{client, event, hook};
use super::memory_journal::{Answer, MemoryJournal};
use super::node::{Node, directories, options, small_bounds};
use super::random_commands::Rng;
use crate::domain::ClientRef;
use crate::store::{AppendOutcome, PageLimit, Retention, Store, StoreError};

const SEEDS: u64 = 3;
const ROUNDS: u64 = 25;

fn large_bounds() -> Retention {
    Retention {
        max_events: 1 << 30,
        max_event_bytes: 1 << 40,
        max_total_bytes: 1 << 40,
        max_event_age: Duration::MAX,
        ..small_bounds()
    }
}

/// Appends an event or adds a hook; returns the name if it was acknowledged.
fn send(store: &Store, name: String, is_event: bool) -> BoxFuture<'_, Option<String>> {
    Box::pin(async move {
        let result = match is_event {
            true => match store.log.append(event(&name)).await {
                Ok(AppendOutcome::Stored(_)) => Ok(()),
                Ok(AppendOutcome::Duplicate { .. }) => panic!("{name} was applied twice"),
                Err(error) => Err(error),
            },
            false => store.registry.add_hook(&client().reference(), hook(&name)).await,
        };
        match result {
            Ok(()) => Some(name),
            Err(StoreError::Unavailable(_)) => None,
            Err(error) => panic!("{name}: {error}"),
        }
    })
}

/// The names of all events and hooks.
async fn names(store: &Store, client: &ClientRef) -> Vec<String> {
    let page = PageLimit { events: 1_000_000, bytes: usize::MAX };
    let events = store.log.events_after(client, 0, page).await.expect("events").events;
    let name_of = |json: &[u8]| {
        let event: serde_json::Value = serde_json::from_slice(json).expect("JSON");
        event["vendorId"].as_str().expect("an identifier").to_owned()
    };
    let hooks = store.registry.hooks(client).into_iter().map(|hook| hook.id.clone());
    events.iter().map(|event| name_of(&event.json)).chain(hooks).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reply_is_true_with_any_answers_of_the_broker() {
    let unclear = [Answer::UnknownStored, Answer::UnknownLost, Answer::UnknownLate, Answer::Unavailable];
    for seed in 0..SEEDS {
        let (directories, epoch) = directories(2).await;
        let journal = MemoryJournal::new(epoch);
        let node = Node::open(options(directories[0].path(), large_bounds()), &journal);
        node.store.registry.add_client(client()).await.expect("added");
        let mut rng = Rng::new(seed);
        let (mut acknowledged, mut refused) = (BTreeSet::new(), 0);
        for round in 0..ROUNDS {
            let answers: Vec<Answer> = (0..rng.below(5)).map(|_| rng.one_of(&unclear)).collect();
            journal.answer_next(answers);
            let commands: Vec<_> = (0..=rng.below(9))
                .map(|number| send(&node.store, format!("{round}-{number}"), rng.below(3) > 0))
                .collect();
            let replies = timeout(Duration::from_secs(60), join_all(commands)).await.expect("a reply for each sender");
            refused += replies.iter().filter(|reply| reply.is_none()).count();
            acknowledged.extend(replies.into_iter().flatten());
        }
        // Answers may be left: the store goes on after each of them.
        for attempt in 0..40 {
            if let Some(name) = send(&node.store, format!("last {attempt}"), true).await {
                acknowledged.insert(name);
            }
        }
        node.catch_up().await;
        let found = names(&node.store, &client().reference()).await;
        println!("seed {seed}: {} acknowledged, {refused} refused", acknowledged.len());
        assert!(refused > 0, "seed {seed}: no answer led to a refusal");
        assert_eq!(found.iter().cloned().collect::<BTreeSet<_>>(), acknowledged, "seed {seed}");
        assert_eq!(found.len(), acknowledged.len(), "seed {seed}: applied twice");
        let other = Node::open(options(directories[1].path(), small_bounds()), &journal);
        assert_eq!(other.digest().await, node.digest().await, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_store_refuses_and_proposes_nothing() {
    let (directories, epoch) = directories(1).await;
    let journal = MemoryJournal::new(epoch);
    let node = Node::open(options(directories[0].path(), small_bounds()), &journal);
    let store = node.store.clone();
    store.registry.add_client(client()).await.expect("added");
    node.close().await;
    let before = journal.payloads().len();
    assert!(matches!(store.log.append(event("late")).await, Err(StoreError::Stopped)));
    assert!(matches!(store.maintenance.probe().await, Err(StoreError::Stopped)));
    assert_eq!(journal.payloads().len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_that_cannot_apply_replies_and_proposes_nothing_until_it_can() {
    let (directories, epoch) = directories(1).await;
    let journal = MemoryJournal::new(epoch);
    let node = Node::open(options(directories[0].path(), large_bounds()), &journal);
    let store = node.store.clone();
    store.registry.add_client(client()).await.expect("added");
    // As with a full disk, the writer cannot commit.
    let other = rusqlite::Connection::open(directories[0].path().join("docrelay.db")).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
    let waited = timeout(Duration::from_secs(30), store.log.append(event("first"))).await.expect("a reply");
    assert!(matches!(waited, Err(StoreError::Unavailable(_))), "{waited:?}");
    let proposed = journal.payloads().len();
    let refused = timeout(Duration::from_secs(1), store.log.append(event("second"))).await.expect("a reply at once");
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let probed = timeout(Duration::from_secs(1), store.maintenance.probe()).await.expect("a reply at once");
    assert!(matches!(probed, Err(StoreError::Unavailable(_))), "{probed:?}");
    assert_eq!(journal.payloads().len(), proposed, "nothing is proposed that this node could not acknowledge");
    other.execute_batch("ROLLBACK").expect("the lock is released");
    let catching_up = async {
        while store.maintenance.catch_up().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), catching_up).await.expect("the node catches up");
    assert_eq!(names(&store, &client().reference()).await, ["first"], "what is in the journal is applied");
    let repeated = store.log.append(event("first")).await.expect("accepted");
    assert!(matches!(repeated, AppendOutcome::Duplicate { .. }), "{repeated:?}");
    store.log.append(event("second")).await.expect("accepted");
}
