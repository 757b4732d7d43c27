//! Every reply is true, whatever the broker answers: `Ok` only for what is applied, and an error only for what never will be.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::time::timeout;

use super::memory_journal::{Answer, MemoryJournal};
use super::node::{Node, directories, options, small_bounds};
use super::random_commands::Rng;
use crate::domain::{Client, ClientRef, Hook, Secret, Status, Timestamp, Update, Vendor, Verify};
use crate::store::{AppendOutcome, DuplicateRule, NewEvent, PageLimit, Retention, Store, StoreError};

const SEEDS: u64 = 3;
const ROUNDS: u64 = 25;

fn client() -> Client {
    let created = Timestamp::from_millis(1_800_000_000_000);
    Client { id: "a".parse().expect("an id"), created, secret: Secret::new("s"), previous: None }
}

fn large_bounds() -> Retention {
    Retention {
        max_events: 1 << 30,
        max_event_bytes: 1 << 40,
        max_total_bytes: 1 << 40,
        max_event_age: Duration::MAX,
        ..small_bounds()
    }
}

fn event(name: &str) -> NewEvent {
    NewEvent {
        client: client().reference(),
        vendor: Vendor::Ppj,
        update: Update::new(name.parse().expect("an identifier"), Status::Completed),
        labels: Default::default(),
        raw: None,
        duplicate_rule: DuplicateRule::SameKey(name.to_owned()),
        destinations: None,
        now: client().created,
    }
}

fn hook(name: &str) -> Hook {
    Hook {
        id: name.to_owned(),
        key: Secret::new(name),
        vendor: Vendor::Ppj,
        name: None,
        labels: Default::default(),
        label_cookies: Vec::new(),
        verify: Verify::None {},
        mapping: None,
        created: client().created,
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
