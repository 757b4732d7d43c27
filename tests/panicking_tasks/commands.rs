//! Commands of the writer that panic: each is refused alone, and its client can repeat it.

use std::sync::Arc;

use docrelay::domain::{Callback, ClientRef, Destinations, Format, Notification};
use docrelay::store::{AppendOutcome, NewEvent, Store, StoreError};
use futures::StreamExt;
use futures::future::join_all;

use crate::faults::{Disturbance, Faults, FaultySeal, MARK};
use crate::{SERIAL, acme, add_client, client, new_event, open_store_with};

const EVENTS: usize = 60;

/// A store whose commands panic for clients of this mark, once the switch is set.
async fn open(directory: &tempfile::TempDir) -> (Store, Arc<Faults>, ClientRef) {
    let faults = Arc::<Faults>::default();
    let store = open_store_with(directory.path().join("docrelay.db"), Arc::new(FaultySeal(faults.clone())));
    let disturbing = client(MARK);
    add_client(&store, &acme()).await;
    add_client(&store, &disturbing).await;
    faults.set(Some(Disturbance::Commands));
    (store, faults, disturbing)
}

pub(crate) fn with_callback(event: NewEvent) -> NewEvent {
    let url = format!("https://{MARK}.example.com/done");
    let callback = Some(Callback { url, format: Format::Gini, credential: None });
    NewEvent { destinations: Some(Destinations { notification: None, callback }), ..event }
}

fn sequence(stored: &Result<AppendOutcome, StoreError>) -> Option<u64> {
    match stored {
        Ok(AppendOutcome::Stored(event)) => Some(event.id.sequence),
        Ok(AppendOutcome::Duplicate { .. }) => None,
        Err(error) => {
            assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panicking_append_is_refused_alone_and_can_be_repeated() {
    let _serial = SERIAL.lock().await;
    let directory = tempfile::tempdir().expect("a directory");
    let (store, faults, disturbing) = open(&directory).await;
    let mut tail = store.log.tail();
    let panics = |number: &usize| number % 7 == 3;
    let events = (0..EVENTS).map(|number| match panics(&number) {
        true => with_callback(new_event(disturbing.clone(), number)),
        false => new_event(acme(), number),
    });
    let stored = join_all(events.map(|event| store.log.append(event))).await;
    for (number, stored) in stored.iter().enumerate() {
        assert_eq!(sequence(stored).is_none(), panics(&number), "{number}: {stored:?}");
    }
    let count = stored.iter().filter_map(sequence).count() as u64;
    assert_eq!(store.log.head(), count, "no sequence is wasted");
    let mut sequences: Vec<u64> = stored.iter().filter_map(sequence).collect();
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=count).collect::<Vec<_>>());
    assert_eq!(faults.panics(), (0..EVENTS).filter(panics).count());
    faults.set(None);
    for number in (0..EVENTS).filter(panics) {
        let repeated = store.log.append(with_callback(new_event(disturbing.clone(), number))).await;
        assert!(sequence(&repeated).is_some(), "{repeated:?}");
    }
    let head = store.log.head();
    assert_eq!(head, EVENTS as u64);
    let mut followed = Vec::new();
    while followed.last() != Some(&head) {
        let change = tail.next().await.expect("a change");
        followed.extend(change.events().iter().map(|event| event.id.sequence));
    }
    assert_eq!(followed, (1..=head).collect::<Vec<_>>(), "followers get each event once");
    store.maintenance.close().await;
}

#[tokio::test]
async fn panicking_registry_change_changes_nothing_and_can_be_repeated() {
    let _serial = SERIAL.lock().await;
    let directory = tempfile::tempdir().expect("a directory");
    let (store, faults, disturbing) = open(&directory).await;
    let known = store.registry.notifications(&disturbing).remove(0);
    let changed = Notification { endpoint: format!("https://{MARK}.example.com/new"), ..(*known).clone() };
    for is_panicking in [true, false] {
        faults.set(is_panicking.then_some(Disturbance::Commands));
        let result = store.registry.update_notification(&disturbing, &known, changed.clone()).await;
        assert_eq!(result.is_err(), is_panicking, "{result:?}");
        let present = store.registry.notifications(&disturbing).remove(0);
        assert_eq!(present.endpoint == known.endpoint, is_panicking, "{present:?}");
    }
    store.maintenance.close().await;
}
