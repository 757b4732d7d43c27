//! Panics in the writer's transactions: a command is refused alone, a slice ends its job, and the writer works on.

use tokio::sync::oneshot;

use super::{PlainText, add_notification, append, append_all, client_ref, new_event, writer};
use crate::domain::{Callback, Destinations, Format, Timestamp};
use crate::store::sqlite::writer::Writer;
use crate::store::sqlite::writer::change_error::ChangeError;
use crate::store::sqlite::writer::notification_edit::NotificationEdit;
use crate::store::sqlite::writer::registry_change::RegistryChange;
use crate::store::{Log, NewEvent, Outbox, StoreError};

/// An event whose callback makes the cipher panic, after rows were written.
fn panicking_event(number: usize) -> NewEvent {
    let callback = Callback { url: "https://example.com/panic".into(), format: Format::Gini, credential: None };
    let destinations = Destinations { notification: None, callback: Some(callback) };
    NewEvent { destinations: Some(destinations), ..new_event(number) }
}

fn rows(writer: &Writer, table: &str) -> i64 {
    writer.db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a number")
}

// Rule 26: a panic releases its permit.
#[test]
fn panicking_command_is_refused_and_the_rest_of_its_batch_is_stored() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut writer, store) = writer(&directory);
    for (round, panicking) in [&[4_usize][..], &[0], &[9], &[0, 1, 5, 9], &[]].into_iter().enumerate() {
        let before = store.head();
        let first = round * 10;
        let event = |number: usize| match panicking.contains(&(number - first)) {
            true => panicking_event(number),
            false => new_event(number),
        };
        let results = append_all(&mut writer, (first..first + 10).map(event));
        let mut next = before;
        for (number, result) in results.iter().enumerate() {
            if panicking.contains(&number) {
                assert!(matches!(result, Err(StoreError::Unavailable(_))), "round {round}, {number}: {result:?}");
            } else {
                next += 1;
                assert_eq!(result.as_ref().ok(), Some(&next), "round {round}, {number}");
            }
        }
        assert_eq!((store.head(), writer.is_failing), (next, false));
        assert!(writer.db.is_autocommit(), "no transaction is open");
        // Those that were refused have left nothing: the event is no duplicate.
        let repeated = append_all(&mut writer, panicking.iter().map(|number| new_event(first + number)));
        assert_eq!(repeated.into_iter().flatten().collect::<Vec<_>>(), (next + 1..=before + 10).collect::<Vec<_>>());
    }
    assert_eq!((rows(&writer, "document"), rows(&writer, "route")), (50, 0));
}

#[test]
fn batch_of_panicking_commands_alone_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut writer, store) = writer(&directory);
    let results = append_all(&mut writer, (0..5).map(panicking_event));
    assert!(results.iter().all(|result| matches!(result, Err(StoreError::Unavailable(_)))), "{results:?}");
    assert_eq!((store.head(), rows(&writer, "document")), (0, 0));
}

/// The profile of tests panics at an arithmetic overflow, which a damaged row causes here.
#[cfg(debug_assertions)]
#[tokio::test]
async fn panicking_slice_ends_its_job_and_a_later_pass_completes_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut writer, store) = writer(&directory);
    add_notification(&mut writer);
    assert!(append(&mut writer, 0..3).iter().all(Result::is_ok));
    let damage = |writer: &Writer, bytes: i64| {
        writer.db.execute("UPDATE delivery SET bytes = ?1 WHERE id = 2", [bytes]).expect("an update");
    };
    damage(&writer, i64::MAX);
    let (reply, mut removed) = oneshot::channel();
    let edit = NotificationEdit::Remove { name: "main".to_owned(), now: Timestamp::from_millis(5) };
    let change = RegistryChange::Notifications { client: client_ref(), change: Box::new(edit) };
    writer.change_registry(change, reply);
    while !writer.jobs.is_empty() {
        writer.round(Vec::new(), 0, 0);
    }
    assert!(matches!(removed.try_recv(), Ok(Ok(()))), "the notification is removed in any case");
    assert_eq!(store.backlog().await.expect("a number").pending, 3, "the slice is rolled back");
    assert!(append(&mut writer, 3..4).iter().all(Result::is_ok));
    damage(&writer, 0);
    let (reply, mut pruned) = oneshot::channel();
    writer.jobs.prune(&writer.db, Timestamp::from_millis(0), reply);
    while !writer.jobs.is_empty() {
        writer.round(Vec::new(), 0, 0);
    }
    assert!(pruned.try_recv().expect("a reply").is_ok());
    assert_eq!(store.backlog().await.expect("a number").pending, 0);
}

#[test]
fn panicking_change_of_notifications_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut writer, _store) = writer(&directory);
    add_notification(&mut writer);
    let targets = |writer: &Writer| writer.shared.registry.targets(&client_ref()).expect("the client").notifications;
    let before = targets(&writer)[0].notification.clone();
    let mut after = (*before).clone();
    after.endpoint = "https://example.com/panic".into();
    let edit = NotificationEdit::Update { before: (*before).clone(), after };
    let change = RegistryChange::Notifications { client: client_ref(), change: Box::new(edit) };
    let result = change.apply(&mut writer.db, &writer.shared.registry, &PlainText, &|_| Ok(()));
    assert!(matches!(result, Err(ChangeError::Panicked(_))));
    assert_eq!(targets(&writer)[0].notification.endpoint, before.endpoint);
    assert!(writer.db.is_autocommit(), "no transaction is open");
}
