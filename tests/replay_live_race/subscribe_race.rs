//! The hub alone under load: subscribing during a publish. The log is represented by the newest sequence.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use docrelay::domain::{ClientId, ClientRef, Epoch, Event, EventId, SharedEvent, Status, Timestamp};
use docrelay::stream::hub::{Fields, Framing, Hub, HubOptions, WriteBuffer};

use crate::fixture::ids;

fn event(client: &ClientId, sequence: u64) -> SharedEvent {
    Arc::new(Event {
        id: EventId { epoch: Epoch::new(1), sequence },
        client: client.clone(),
        document: "626626a0-749f-11e2-bfd6-000000000000".parse().expect("an id"),
        status: Status::Completed,
        json: "{}".into(),
    })
}

#[test]
fn subscriber_during_publish_gets_all_events_or_lag() {
    const EACH: usize = 4_000;
    let client = ClientRef { id: "acme".parse().expect("a name"), created: Timestamp::from_millis(0) };
    let hub = Hub::new(HubOptions { ring_events: 16, ..HubOptions::default() }, 0);
    let (head, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let (mut live, mut lagged) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let first = head.load(Ordering::SeqCst) + 1;
                let last = first + fastrand::u64(..3);
                // Committed first, then published, in the order of writer and dispatch.
                head.store(last, Ordering::SeqCst);
                hub.publish(&(first..=last).map(|n| event(&client.id, n)).collect::<Vec<_>>());
            }
        });
        let subscribers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let (mut live, mut lagged) = (0, 0);
                    for _ in 0..EACH {
                        let subscription = hub.subscribe(&client, None, Timestamp::from_millis(0)).expect("room");
                        let mut position = head.load(Ordering::SeqCst);
                        for _ in 0..fastrand::usize(1..12) {
                            let mut out = WriteBuffer::new(Framing::Bare, Fields::All);
                            let Ok(reached) = subscription.collect(position, None, 1 << 20, &mut out) else {
                                // The log has every event up to its head.
                                (position, lagged) = (head.load(Ordering::SeqCst), lagged + 1);
                                continue;
                            };
                            assert_eq!(ids(out), (position + 1..=reached).collect::<Vec<_>>());
                            (position, live) = (reached, live + 1);
                        }
                    }
                    (live, lagged)
                })
            })
            .collect();
        for subscriber in subscribers {
            let (ring, log) = subscriber.join().expect("a subscriber");
            (live, lagged) = (live + ring, lagged + log);
        }
        done.store(true, Ordering::SeqCst);
    });
    assert!(live > lagged, "{live} reads of the ring, {lagged} of the log");
    assert_eq!((hub.followers(), hub.clients()), (0, 0));
}
