//! A command that panics each time that it is applied: it is refused, and the nodes go on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::{join, join_all};
use rusqlite::Connection;
use tokio::time::timeout;

use super::items::{client, event};
use super::memory_journal::MemoryJournal;
use super::node::{Node, OpenSeal, directories, options, small_bounds};
use crate::domain::{Callback, Destinations, Format, Notification, NotificationState, Timestamp};
use crate::store::sqlite::SqliteOptions;
use crate::store::{NewEvent, Seal, StoreError};

const LIMIT: Duration = Duration::from_secs(60);

/// Panics when it seals a text that says so: the writer seals callbacks and notifications inside its transactions.
struct PanickingSeal;

impl Seal for PanickingSeal {
    fn seal(&self, text: &[u8], context: &[u8]) -> Vec<u8> {
        OpenSeal.seal(text, context)
    }

    fn seal_with_nonce(&self, text: &[u8], context: &[u8], nonce: [u8; 12]) -> Vec<u8> {
        if text.windows(5).any(|part| part == b"panic") {
            std::panic::resume_unwind(Box::new("in the cipher"));
        }
        OpenSeal.seal_with_nonce(text, context, nonce)
    }

    fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, String> {
        OpenSeal.open(sealed, context)
    }
}

fn panicking(directory: &Path, refused: &Arc<AtomicUsize>) -> SqliteOptions {
    let refused = refused.clone();
    SqliteOptions {
        seal: Arc::new(PanickingSeal),
        on_commit: Some(Arc::new(move |report| {
            refused.fetch_add(report.refused, Ordering::Relaxed);
        })),
        ..options(directory, small_bounds())
    }
}

fn event_for(path: &str, name: &str) -> NewEvent {
    let callback = Callback { url: format!("https://example.com/{path}"), format: Format::Gini, credential: None };
    NewEvent { destinations: Some(Destinations { notification: None, callback: Some(callback) }), ..event(name) }
}

fn notification(path: &str) -> Notification {
    Notification {
        id: path.to_owned(),
        name: path.parse().expect("a name"),
        endpoint: format!("https://example.com/{path}"),
        format: Format::Gini,
        is_default: false,
        secrets: Vec::new(),
        previous: None,
        credential: None,
        state: NotificationState::Active,
        created: client().created,
    }
}

async fn answer<T>(request: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(LIMIT, request).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_senders_do_not_notice_a_command_that_panics() {
    let (directories, epoch) = directories(1).await;
    let journal = MemoryJournal::new(epoch);
    let refused = Arc::new(AtomicUsize::new(0));
    let node = Node::open(panicking(directories[0].path(), &refused), &journal);
    node.store.registry.add_client(client()).await.expect("added");
    let log = &node.store.log;
    let is_done = AtomicBool::new(false);
    let panicking = async {
        for number in 0..5 {
            let refused = answer(log.append(event_for("panic", &format!("panic {number}")))).await;
            assert!(matches!(refused, Err(StoreError::Inapplicable(_))), "{refused:?}");
        }
        is_done.store(true, Ordering::Relaxed);
    };
    let sending = async {
        let mut sent = 0;
        while !is_done.load(Ordering::Relaxed) {
            answer(log.append(event_for("good", &format!("good {sent}")))).await.expect("stored");
            assert!(!node.progress.is_failing());
            sent += 1;
        }
        sent
    };
    let ((), sent) = join(panicking, sending).await;
    assert!(sent > 1, "{sent} events beside those that panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_that_panics_repeatedly_is_refused_and_nodes_go_on() {
    let (directories, epoch) = directories(3).await;
    let journal = MemoryJournal::new(epoch);
    let refused = Arc::new(AtomicUsize::new(0));
    let node = Node::open(panicking(directories[0].path(), &refused), &journal);
    let owner = client().reference();
    node.store.registry.add_client(client()).await.expect("added");
    let paths = ["a", "panic", "b", "panic", "c"];
    let events = paths.iter().enumerate().map(|(number, path)| event_for(path, &number.to_string()));
    let answers = join_all(events.map(|event| answer(node.store.log.append(event))));
    for (path, answer) in paths.iter().zip(answers.await) {
        match answer {
            Ok(_) => assert_ne!(*path, "panic"),
            Err(error) => assert!(*path == "panic" && matches!(error, StoreError::Inapplicable(_)), "{path}: {error}"),
        }
    }
    assert_eq!(node.store.log.head(), 3, "a refused event uses no sequence");
    let add = async |path: &str| answer(node.store.registry.add_notification(&owner, notification(path))).await;
    assert!(matches!(add("panic").await, Err(StoreError::Inapplicable(_))));
    add("good").await.expect("added");
    assert_eq!(refused.load(Ordering::Relaxed), 3, "what was refused is reported");

    let expected = node.digest().await;
    let follower = Node::open(panicking(directories[1].path(), &refused), &journal);
    assert_eq!(follower.digest().await, expected);
    assert_eq!(refused.load(Ordering::Relaxed), 6, "the other node refuses the same");
    // A panic that is not the entry's own, on one node: the comparison of the nodes shows it.
    let different = Node::open(options(directories[2].path(), small_bounds()), &journal);
    assert_ne!(different.digest().await, expected);
}

/// The profile of tests panics at an arithmetic overflow, which a damaged row causes here.
#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slice_that_panics_repeatedly_ends_its_job_and_nodes_go_on() {
    let (directories, epoch) = directories(2).await;
    let damage = |directory: &Path| {
        let trigger = "CREATE TRIGGER damaged AFTER INSERT ON delivery BEGIN
                           UPDATE delivery SET bytes = 9223372036854775807 WHERE id = NEW.id; END;";
        let db = Connection::open(directory.join("docrelay.db")).expect("a database");
        db.execute_batch(trigger).expect("a trigger");
    };
    directories.iter().for_each(|directory| damage(directory.path()));
    let journal = MemoryJournal::new(epoch);
    let refused = Arc::new(AtomicUsize::new(0));
    let node = Node::open(panicking(directories[0].path(), &refused), &journal);
    node.store.registry.add_client(client()).await.expect("added");
    node.store.log.append(event_for("a", "old")).await.expect("stored");
    node.leadership.set(Some(1)).await;
    // The delivery has expired, and giving it up overflows its bytes.
    let now = Timestamp::from_millis(client().created.millis() + 10 * 24 * 3_600_000);
    timeout(LIMIT, node.store.maintenance.prune(now)).await.expect("an end of the pass").ok();
    assert_eq!(refused.load(Ordering::Relaxed), 1);
    assert_eq!(node.store.outbox.backlog().await.expect("a number").pending, 1, "the slice is rolled back");
    answer(node.store.log.append(event_for("b", "next"))).await.expect("stored");
    let other = Node::open(panicking(directories[1].path(), &refused), &journal);
    assert_eq!(other.digest().await, node.digest().await);
}
