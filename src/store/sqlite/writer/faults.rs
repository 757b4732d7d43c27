//! What the writer does when the disk does not: every command is answered, nothing is half stored, and it works again
//! when the fault is gone. The faults are limits of the connection, which only the writer's owner can set.

use futures::FutureExt;
use tokio::sync::oneshot;

use super::{Item, Writer};
use crate::domain::{
    Client, ClientId, Format, Notification, NotificationState, Secret, Status, Timestamp, Update, Vendor,
};
use crate::store::sqlite::registry::{Change, Edit};
use crate::store::sqlite::{Options, SqliteStore, open};
use crate::store::{
    AppendOutcome, Backlog, DuplicateRule, Log, NewEvent, Outbox, RawRequest, Retention, Seal, StoreError,
};

struct Bare;

impl Seal for Bare {
    fn seal(&self, text: &[u8], _: &[u8]) -> Vec<u8> {
        text.to_vec()
    }

    fn open(&self, sealed: &[u8], _: &[u8]) -> Result<Vec<u8>, String> {
        Ok(sealed.to_vec())
    }
}

fn name() -> ClientId {
    "a".parse().expect("good")
}

/// A writer whose thread is not started, with a client; its database goes away with the directory.
fn writer(directory: &tempfile::TempDir) -> (Writer, SqliteStore) {
    let options = Options {
        path: directory.path().join("docrelay.db"),
        retention: Retention {
            max_event_age: std::time::Duration::MAX,
            max_events: 10,
            max_event_bytes: u64::MAX,
            max_reject_age: std::time::Duration::MAX,
            max_rejects: u64::MAX,
            max_reject_bytes: u64::MAX,
            max_delivery_age: std::time::Duration::from_secs(7 * 24 * 3600),
            max_deliveries: 1_000_000,
            max_attempt_bytes: 1 << 30,
        },
        readers: 1,
        seal: std::sync::Arc::new(Bare),
        on_commit: None,
    };
    let (mut writer, _commands, store) = open::prepare(options).expect("a new database");
    let client = Client { id: name(), created: Timestamp::from_millis(0), secret: Secret::new("s"), previous: None };
    let change = Change::AddClient { client, sealed: Vec::new() };
    change.make(&mut writer.db, &writer.shared.cache, &Bare).expect("a new client");
    (writer, store)
}

/// Commits so many appends together; what each was told.
fn append(writer: &mut Writer, numbers: std::ops::Range<usize>) -> Vec<Result<u64, StoreError>> {
    let (mut items, mut answers) = (Vec::new(), Vec::new());
    for number in numbers {
        let vendor_id = format!("job-{number}").parse().expect("good");
        let (reply, answer) = oneshot::channel();
        answers.push(answer);
        let arrival = NewEvent {
            client: name(),
            vendor: Vendor::Ppj,
            update: Update::new(vendor_id, Status::Completed),
            labels: Default::default(),
            raw: Some(RawRequest {
                method: "GET".into(),
                query: None,
                headers: Vec::new(),
                body: vec![1; 3_000].into(),
            }),
            duplicate_rule: DuplicateRule::SameKey(number.to_string()),
            route: None,
            now: Timestamp::from_millis(0),
        };
        items.push(Item::Append(Box::new(arrival), reply));
    }
    writer.commit(items, 0);
    let told = |mut answer: oneshot::Receiver<_>| answer.try_recv().expect("everybody is answered");
    answers
        .into_iter()
        .map(|answer| match told(answer)? {
            AppendOutcome::Stored(event) => Ok(event.id.sequence),
            AppendOutcome::Duplicate { .. } => Ok(0),
        })
        .collect()
}

fn refused(answers: &[Result<u64, StoreError>]) -> bool {
    answers.iter().all(|answer| matches!(answer, Err(StoreError::Unavailable(_))))
}

#[test]
fn a_full_disk_refuses_the_whole_batch_and_wastes_no_position() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut writer, store) = writer(&directory);
    assert_eq!(append(&mut writer, 0..1).last().map(|answer| answer.is_ok()), Some(true));
    let pages: i64 = writer.db.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("a number");
    writer.db.pragma_update(None, "max_page_count", pages + 20).expect("a limit");
    let position = writer.at;
    for _ in 0..3 {
        let answers = append(&mut writer, 1..101);
        assert!(refused(&answers), "{answers:?}");
        assert_eq!((writer.at, store.head()), (position, 1));
    }
    // Smaller ones still fit, until they do not either.
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
    // Pruning works on a full disk and makes room.
    let pruned = writer.jobs.prune(&writer.db, &writer.shared.cache, Timestamp::from_millis(0)).map(drop);
    assert!(pruned.is_ok());
    while !writer.jobs.is_empty() {
        writer.jobs.slice(&mut writer.db, &writer.retention, &writer.shared.stirs, super::prune::work(0, 0));
    }
    assert_eq!(append(&mut writer, full..full + 1).pop().and_then(Result::ok), Some(last + 1));
}

#[test]
fn a_file_that_may_only_be_read_refuses_until_it_may_be_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut writer, store) = writer(&directory);
    writer.db.pragma_update(None, "query_only", true).expect("a setting");
    assert!(refused(&append(&mut writer, 0..5)));
    assert!(writer.failing);
    assert_eq!(store.head(), 0);
    writer.db.pragma_update(None, "query_only", false).expect("a setting");
    let told: Vec<_> = append(&mut writer, 0..5).into_iter().flatten().collect();
    assert_eq!(told, [1, 2, 3, 4, 5]);
    assert!(!writer.failing);
}

#[tokio::test]
async fn what_is_not_stored_goes_nowhere() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut writer, store) = writer(&directory);
    let everything = Notification {
        id: "1".into(),
        name: "main".parse().expect("good"),
        endpoint: "https://example.com/".into(),
        format: Format::Gini,
        is_default: true,
        secrets: Vec::new(),
        previous: None,
        credential: None,
        state: NotificationState::Active,
        created: Timestamp::from_millis(0),
    };
    let change = Change::Notifications { client: name(), edit: Box::new(Edit::Add(everything)) };
    change.make(&mut writer.db, &writer.shared.cache, &Bare).expect("a new notification");
    writer.db.pragma_update(None, "query_only", true).expect("a setting");
    let position = writer.at;
    assert!(refused(&append(&mut writer, 0..5)));
    let nothing = Backlog { pending: 0, oldest_due: None };
    assert_eq!((store.backlog().await.expect("a number"), writer.at), (nothing, position));
    assert!(store.ready().now_or_never().is_none(), "nobody is sent to look for it");
    writer.db.pragma_update(None, "query_only", false).expect("a setting");
    assert!(!refused(&append(&mut writer, 0..5)));
    assert_eq!(store.backlog().await.expect("a number").pending, 5);
    assert_eq!(store.ready().now_or_never().map(|lanes| lanes.len()), Some(1));
}
