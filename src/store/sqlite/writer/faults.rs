//! Tests of the writer's own connection: its settings, and a failing disk, where every command gets a reply, a batch is
//! stored as a whole or not at all, and the writer works again after the fault. The faults are limits of the
//! connection, which only the writer's owner can set.

mod panics;

use futures::FutureExt;
use tokio::sync::oneshot;

use super::Writer;
use super::bulk_update::{BulkUpdate, QueueSweep};
use super::command::{BatchCommand, BatchItem, CommandReply};
use super::notification_edit::NotificationEdit;
use super::registry_change::RegistryChange;
use crate::domain::{
    Client, ClientRef, Format, Notification, NotificationState, Secret, Status, Timestamp, Update, Vendor,
};
use crate::store::sqlite::{DatabaseLock, Prepared, SqliteOptions, SqliteStore, prepare};
use crate::store::{
    AppendOutcome, Backlog, DuplicateRule, Log, NewEvent, Outbox, RawRequest, Retention, Seal, StoreError,
};

/// Seals nothing, and panics at a text that says so.
struct PlainText;

impl Seal for PlainText {
    fn seal(&self, text: &[u8], _: &[u8]) -> Vec<u8> {
        assert!(!text.windows(5).any(|part| part == b"panic"), "a text that panics");
        text.to_vec()
    }

    fn seal_with_nonce(&self, text: &[u8], context: &[u8], _: [u8; 12]) -> Vec<u8> {
        self.seal(text, context)
    }

    fn open(&self, sealed: &[u8], _: &[u8]) -> Result<Vec<u8>, String> {
        Ok(sealed.to_vec())
    }
}

pub(super) fn client_ref() -> ClientRef {
    ClientRef { id: "a".parse().expect("a valid value"), created: Timestamp::from_millis(0) }
}

/// A writer without its thread, and a client in its database.
pub(super) fn writer(directory: &tempfile::TempDir) -> (Writer, SqliteStore) {
    let options = SqliteOptions {
        path: directory.path().join("docrelay.db"),
        retention: Retention {
            max_event_age: std::time::Duration::MAX,
            max_events: 10,
            max_event_bytes: u64::MAX,
            max_total_bytes: u64::MAX,
            max_duplicate_keys: 1 << 40,
            max_reject_age: std::time::Duration::MAX,
            max_rejects: u64::MAX,
            max_reject_bytes: u64::MAX,
            max_pending_age: std::time::Duration::from_secs(4 * 24 * 3600),
            max_pending: 1_000_000,
            max_pending_bytes: 1 << 40,
            max_delivery_age: std::time::Duration::from_secs(7 * 24 * 3600),
            max_deliveries: 1_000_000,
            max_attempt_bytes: 1 << 30,
        },
        readers: 1,
        seal: std::sync::Arc::new(PlainText),
        may_leave_cluster: false,
        on_commit: None,
        on_thread_end: None,
        on_given_up: None,
    };
    let lock = DatabaseLock::acquire(&options.path).expect("an unused database");
    let Prepared { mut writer, store, .. } = prepare(lock, options, None).expect("a new database");
    let client =
        Client { id: client_ref().id, created: client_ref().created, secret: Secret::new("s"), previous: None };
    let change = RegistryChange::AddClient { client, sealed: Vec::new() };
    change.apply(&mut writer.db, &writer.shared.registry, &PlainText, &|_| Ok(())).expect("a new client");
    (writer, store)
}

fn add_notification(writer: &mut Writer) {
    let notification = Notification {
        id: "1".into(),
        name: "main".parse().expect("a valid value"),
        endpoint: "https://example.com/".into(),
        format: Format::Gini,
        is_default: true,
        secrets: Vec::new(),
        previous: None,
        credential: None,
        state: NotificationState::Active,
        created: Timestamp::from_millis(0),
    };
    let change = NotificationEdit::Add(notification);
    let change = RegistryChange::Notifications { client: client_ref(), change: Box::new(change) };
    change.apply(&mut writer.db, &writer.shared.registry, &PlainText, &|_| Ok(())).expect("a new notification");
}

fn new_event(number: usize) -> NewEvent {
    let vendor_id = format!("job-{number}").parse().expect("a valid value");
    NewEvent {
        client: client_ref(),
        vendor: Vendor::Ppj,
        update: Update::new(vendor_id, Status::Completed),
        labels: Default::default(),
        raw: Some(RawRequest { method: "GET".into(), query: None, headers: Vec::new(), body: vec![1; 3_000].into() }),
        duplicate_rule: DuplicateRule::SameKey(number.to_string()),
        destinations: None,
        now: Timestamp::from_millis(0),
    }
}

/// Commits the appends of these documents in one batch; returns the sequences.
fn append(writer: &mut Writer, numbers: std::ops::Range<usize>) -> Vec<Result<u64, StoreError>> {
    append_all(writer, numbers.map(new_event))
}

fn append_all(writer: &mut Writer, events: impl Iterator<Item = NewEvent>) -> Vec<Result<u64, StoreError>> {
    let (mut items, mut results) = (Vec::new(), Vec::new());
    for event in events {
        let (reply, result) = oneshot::channel();
        results.push(result);
        items.push(BatchItem { command: BatchCommand::Append(Box::new(event)), reply: CommandReply::Appended(reply) });
    }
    writer.commit(items, 0);
    let replied = |mut result: oneshot::Receiver<_>| result.try_recv().expect("a reply");
    results
        .into_iter()
        .map(|result| match replied(result)? {
            AppendOutcome::Stored(event) => Ok(event.id.sequence),
            AppendOutcome::Duplicate { .. } => Ok(0),
        })
        .collect()
}

fn refused(results: &[Result<u64, StoreError>]) -> bool {
    results.iter().all(|result| matches!(result, Err(StoreError::Unavailable(_))))
}

// Rule 13: 200 means durable.
#[test]
fn writer_connection_flushes_the_log_with_each_commit() {
    let directory = tempfile::tempdir().expect("a directory");
    let (writer, _store) = writer(&directory);
    let number = |name| writer.db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).expect("a number");
    // 2 is FULL.
    assert_eq!(number("synchronous"), 2);
    // A write through a memory map would not be flushed.
    assert_eq!(number("mmap_size"), 0);
    let mode: String = writer.db.pragma_query_value(None, "journal_mode", |row| row.get(0)).expect("a text");
    assert_eq!(mode, "wal");
}

#[test]
fn full_disk_refuses_whole_batch_and_wastes_no_sequence() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut writer, store) = writer(&directory);
    assert_eq!(append(&mut writer, 0..1).last().map(|result| result.is_ok()), Some(true));
    let pages: i64 = writer.db.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("a number");
    writer.db.pragma_update(None, "max_page_count", pages + 20).expect("a limit");
    let position = writer.counters;
    for _ in 0..3 {
        let results = append(&mut writer, 1..101);
        assert!(refused(&results), "{results:?}");
        assert_eq!((writer.counters, store.head()), (position, 1));
    }
    // Smaller batches still fit, until the disk is completely full.
    let mut last = 1;
    let full = (1..100).find(|number| match append(&mut writer, *number..number + 1).pop() {
        Some(Ok(sequence)) => {
            assert_eq!(sequence, last + 1);
            last = sequence;
            false
        }
        _ => true,
    });
    let full = full.expect("it fills up");
    // Pruning works on a full disk and frees space.
    let (reply, mut pruned) = oneshot::channel();
    writer.jobs.prune(&writer.db, Timestamp::from_millis(0), reply);
    while !writer.jobs.is_empty() {
        writer.background(super::SliceBudget::after_batch(0, 0));
    }
    assert!(pruned.try_recv().expect("a reply").is_ok());
    assert_eq!(append(&mut writer, full..full + 1).pop().and_then(Result::ok), Some(last + 1));
}

#[test]
fn read_only_file_refuses_until_writable() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut writer, store) = writer(&directory);
    writer.db.pragma_update(None, "query_only", true).expect("a setting");
    assert!(refused(&append(&mut writer, 0..5)));
    assert!(writer.is_failing);
    assert_eq!(store.head(), 0);
    writer.db.pragma_update(None, "query_only", false).expect("a setting");
    let sequences: Vec<_> = append(&mut writer, 0..5).into_iter().flatten().collect();
    assert_eq!(sequences, [1, 2, 3, 4, 5]);
    assert!(!writer.is_failing);
}

#[tokio::test]
async fn failed_batch_queues_no_delivery() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut writer, store) = writer(&directory);
    add_notification(&mut writer);
    writer.db.pragma_update(None, "query_only", true).expect("a setting");
    let position = writer.counters;
    assert!(refused(&append(&mut writer, 0..5)));
    let nothing = Backlog { pending: 0, oldest_due: None };
    assert_eq!((store.backlog().await.expect("a number"), writer.counters), (nothing, position));
    assert!(store.ready().now_or_never().is_none(), "no queue is ready");
    writer.db.pragma_update(None, "query_only", false).expect("a setting");
    assert!(!refused(&append(&mut writer, 0..5)));
    assert_eq!(store.backlog().await.expect("a number").pending, 5);
    assert_eq!(store.ready().now_or_never().map(|queues| queues.map_or(0, |queues| queues.len())), Some(1));
}

#[tokio::test]
async fn removal_and_change_of_a_notification_are_answered_after_one_slice() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut writer, store) = writer(&directory);
    add_notification(&mut writer);
    assert!(!refused(&append(&mut writer, 0..1_200)));
    let pending = async || store.backlog().await.expect("a number").pending;
    let queue = |writer: &Writer| {
        let targets = writer.shared.registry.targets(&client_ref()).expect("the client");
        let target = crate::domain::QueueTarget::Notification("main".parse().expect("a valid value"));
        let row = targets.queue_row(&target).expect("the notification");
        let key = targets.queue_key(&row).expect("the notification");
        QueueSweep { key, row, now: Timestamp::from_millis(0) }
    };
    let (reply, mut changed) = oneshot::channel();
    writer.jobs.update(BulkUpdate::MakeDue(queue(&writer)), CommandReply::Done(reply));
    writer.round(Vec::new(), 0, 0);
    assert!(matches!(changed.try_recv(), Ok(Ok(()))));
    let (reply, mut removed) = oneshot::channel();
    let edit = NotificationEdit::Remove { name: "main".to_owned(), now: Timestamp::from_millis(5) };
    let change = RegistryChange::Notifications { client: client_ref(), change: Box::new(edit) };
    writer.change_registry(change, reply);
    while removed.try_recv().is_err() {
        writer.round(Vec::new(), 0, 0);
    }
    assert_eq!(pending().await, 700, "one slice of 500");
    while !writer.jobs.is_empty() {
        writer.round(Vec::new(), 0, 0);
    }
    assert_eq!(pending().await, 0);
}
