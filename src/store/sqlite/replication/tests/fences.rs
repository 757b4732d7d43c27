//! Two nodes that lead at once: the one whose lease has ended, without having noticed it, decides nothing.

use std::time::Duration;

use super::memory_journal::MemoryJournal;
use super::node::{Node, OpenSeal, directories, options, small_bounds};
use crate::domain::{Client, Format, Notification, NotificationState, Secret, Status, Timestamp, Update, Vendor};
use crate::store::sqlite::writer::bulk_update::BulkUpdate;
use crate::store::sqlite::writer::command::codec::Codec;
use crate::store::sqlite::writer::command::entry::EntryBody;
use crate::store::sqlite::writer::command::entry_format::ENTRY_FORMATS;
use crate::store::sqlite::writer::slice::Slice;
use crate::store::{DuplicateRule, NewEvent, Retention};

fn client() -> Client {
    let created = Timestamp::from_millis(1_800_000_000_000);
    Client { id: "a".parse().expect("an id"), created, secret: Secret::new("s"), previous: None }
}

fn notification() -> Notification {
    Notification {
        id: "1".into(),
        name: "main".parse().expect("a name"),
        endpoint: "https://example.com/".into(),
        format: Format::Gini,
        is_default: true,
        secrets: Vec::new(),
        previous: None,
        credential: None,
        state: NotificationState::Active,
        created: client().created,
    }
}

fn event(number: usize) -> NewEvent {
    NewEvent {
        client: client().reference(),
        vendor: Vendor::Ppj,
        update: Update::new(format!("job {number}").parse().expect("an identifier"), Status::Completed),
        labels: Default::default(),
        raw: None,
        duplicate_rule: DuplicateRule::SameKey(number.to_string()),
        destinations: None,
        now: client().created,
    }
}

/// The updates by which leaders have given deliveries up.
fn give_ups(journal: &MemoryJournal) -> usize {
    let codec = Codec { seal: std::sync::Arc::new(OpenSeal), journal: 7, formats: ENTRY_FORMATS };
    let bodies = (1..)
        .zip(journal.payloads())
        .map(|(position, payload)| codec.decode(position, &payload).expect("an entry").entry.body);
    let is_give_up = |body: &EntryBody| matches!(body, EntryBody::Slice(entry) if matches!(entry.slice, Slice::Bulk(BulkUpdate::EnforceLimit(_))));
    bodies.filter(is_give_up).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn former_leader_gives_no_deliveries_up() {
    let (directories, epoch) = directories(2).await;
    let journal = MemoryJournal::new(epoch);
    let loose = Retention { max_pending: 1_000, ..small_bounds() };
    let tight = Retention { max_pending: 1, ..small_bounds() };
    let former = Node::open(options(directories[0].path(), tight), &journal);
    let leader = Node::open(options(directories[1].path(), loose), &journal);
    former.store.registry.add_client(client()).await.expect("added");
    former.store.registry.add_notification(&client().reference(), notification()).await.expect("added");
    leader.leadership.set(Some(2)).await;
    leader.store.maintenance.prune(client().created).await.expect("pruned");
    former.catch_up().await;
    former.leadership.set(Some(1)).await;
    for number in 0..5 {
        former.store.log.append(event(number)).await.expect("stored");
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while give_ups(&journal) == 0 {
        assert!(tokio::time::Instant::now() < deadline, "the former leader proposes nothing");
        tokio::task::yield_now().await;
    }
    leader.catch_up().await;
    assert_eq!(leader.store.outbox.backlog().await.expect("a number").pending, 5);
    // It applies all that it has proposed up to its end.
    former.close().await;
    let former = Node::open(options(directories[0].path(), small_bounds()), &journal);
    assert_eq!(former.digest().await, leader.digest().await);
}
