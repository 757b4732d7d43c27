//! The hub by itself: rings, seats and bounds, without connections or a store.

use std::sync::Arc;

use super::{Behind, Fields, Filter, Framing, Full, Hub, Options, Outgoing};
use crate::domain::{ClientId, Epoch, Event, EventId, SharedEvent, Status, Timestamp};

fn client(name: &str) -> ClientId {
    name.parse().expect("a client id")
}

fn event(of: &str, sequence: u64) -> SharedEvent {
    Arc::new(Event {
        id: EventId { epoch: Epoch::new(0xab), sequence },
        client: client(of),
        document: "626626a0-749f-11e2-bfd6-000000000000".parse().expect("a document id"),
        status: if sequence.is_multiple_of(2) { Status::Completed } else { Status::Error },
        json: format!("{{\"n\":{sequence}}}").into(),
    })
}

fn bare() -> Outgoing {
    Outgoing::new(Framing::Bare, Fields::All)
}

fn text(out: Outgoing) -> String {
    let all: Vec<u8> = out.into_stretches().flat_map(|stretch| stretch.bytes).collect();
    String::from_utf8(all).expect("UTF-8")
}

fn now() -> Timestamp {
    Timestamp::from_millis(0)
}

#[test]
fn a_follower_gets_its_clients_events_and_nobody_elses() {
    let hub = Hub::new(Options::default(), 0);
    let seat = hub.join(&client("a"), now()).expect("room");
    hub.publish(&[event("a", 1), event("b", 2), event("a", 3)]);
    let mut out = bare();
    assert_eq!(seat.take(0, None, 1 << 20, &mut out), Ok(3));
    assert_eq!(text(out), "id: ab.1\ndata: {\"n\":1}\n\nid: ab.3\ndata: {\"n\":3}\n\n");
}

#[test]
fn chunks_of_one_batch_leave_in_one_piece() {
    let hub = Hub::new(Options::default(), 0);
    let seat = hub.join(&client("a"), now()).expect("room");
    hub.publish(&[event("a", 1), event("a", 2)]);
    hub.publish(&[event("a", 3)]);
    let mut out = Outgoing::new(Framing::Chunked, Fields::All);
    assert_eq!(seat.take(0, None, 1 << 20, &mut out), Ok(3));
    assert_eq!(out.event_count(), 3);
    let parts: Vec<_> = out.into_stretches().map(|stretch| stretch.bytes).collect();
    assert_eq!(parts.len(), 2, "one stretch for each batch");
    let chunk = |n: u64| format!("18\r\nid: ab.{n}\ndata: {{\"n\":{n}}}\n\n\r\n");
    assert_eq!(parts[0], format!("{}{}", chunk(1), chunk(2)));
    assert_eq!(parts[1], chunk(3));
}

#[test]
fn ginis_two_keys_and_filters_are_made_for_whoever_asks() {
    let hub = Hub::new(Options::default(), 0);
    let seat = hub.join(&client("a"), now()).expect("room");
    hub.publish(&[event("a", 1), event("a", 2)]);
    let filter = Filter { statuses: Some(vec![Status::Error]), ..Filter::default() };
    let mut out = Outgoing::new(Framing::Bare, Fields::Gini);
    // The position moves over what is not wanted.
    assert_eq!(seat.take(0, Some(&filter), 1 << 20, &mut out), Ok(2));
    let expected = "id: ab.1\ndata: {\"documentId\":\"626626a0-749f-11e2-bfd6-000000000000\",\"status\":\"ERROR\"}\n\n";
    assert_eq!(text(out), expected);
}

#[test]
fn whoever_falls_off_the_ring_is_told_so() {
    let hub = Hub::new(Options { ring_events: 2, ..Options::default() }, 0);
    let seat = hub.join(&client("a"), now()).expect("room");
    hub.publish(&[event("a", 1), event("a", 2), event("a", 3)]);
    assert_eq!(seat.take(0, None, 1 << 20, &mut bare()), Err(Behind));
    let mut out = bare();
    assert_eq!(seat.take(1, None, 1 << 20, &mut out), Ok(3));
    assert_eq!(out.event_count(), 2);
}

#[test]
fn what_was_published_before_anybody_listened_is_in_the_log_only() {
    let hub = Hub::new(Options::default(), 0);
    hub.publish(&[event("a", 1)]);
    let seat = hub.join(&client("a"), now()).expect("room");
    assert_eq!(seat.take(0, None, 1 << 20, &mut bare()), Err(Behind));
    assert_eq!(seat.take(1, None, 1 << 20, &mut bare()), Ok(1));
}

#[test]
fn a_turn_ends_when_it_is_large_enough() {
    let hub = Hub::new(Options::default(), 0);
    let seat = hub.join(&client("a"), now()).expect("room");
    hub.publish(&(1..=100).map(|n| event("a", n)).collect::<Vec<_>>());
    let mut out = bare();
    assert_eq!(seat.take(0, None, 50, &mut out), Ok(3), "the event that passes the limit is the last");
    let mut rest = bare();
    assert_eq!(seat.take(3, None, 1 << 20, &mut rest), Ok(100));
    assert_eq!(out.event_count() + rest.event_count(), 100);
}

#[test]
fn the_last_follower_that_leaves_removes_the_entry() {
    let hub = Hub::new(Options { followers: 3, followers_per_client: 2, ..Options::default() }, 0);
    let seats = [hub.join(&client("a"), now()), hub.join(&client("a"), now())];
    assert!(seats.iter().all(Result::is_ok));
    assert_eq!(hub.join(&client("a"), now()).err(), Some(Full::Client));
    let other = hub.join(&client("b"), now());
    assert_eq!(hub.join(&client("c"), now()).err(), Some(Full::Relay));
    assert_eq!((hub.followers(), hub.clients(), hub.list().len()), (3, 2, 3));
    drop((seats, other));
    assert_eq!((hub.followers(), hub.clients(), hub.list().len()), (0, 0, 0));
}

#[test]
fn the_furthest_behind_is_listed_first() {
    let hub = Hub::new(Options::default(), 0);
    let (quick, slow) = (hub.join(&client("a"), now()).expect("room"), hub.join(&client("a"), now()).expect("room"));
    hub.publish(&[event("a", 1), event("a", 7)]);
    quick.reached(7);
    slow.reached(1);
    let lags: Vec<u64> = hub.list().iter().map(|f| f.lag).collect();
    assert_eq!(lags, [6, 0]);
}

#[test]
fn nobody_is_let_in_while_the_relay_stops() {
    let hub = Hub::new(Options::default(), 0);
    let seat = hub.join(&client("a"), now()).expect("room");
    assert_eq!(seat.ending(), None);
    hub.stop();
    assert_eq!(seat.ending(), Some(super::Ending::Stopping));
    assert_eq!(hub.join(&client("a"), now()).err(), Some(Full::Stopping));
    assert_eq!(hub.followers(), 1);
}

#[test]
fn a_client_that_is_made_anew_inherits_neither_streams_nor_their_end() {
    let hub = Hub::new(Options::default(), 0);
    let old = hub.join(&client("a"), now()).expect("room");
    hub.revoke(&client("a"));
    assert_eq!(old.ending(), Some(super::Ending::Revoked));
    let fresh = hub.join(&client("a"), now()).expect("room");
    assert_eq!(fresh.ending(), None);
    hub.publish(&[event("a", 1)]);
    let mut out = bare();
    assert_eq!(old.take(0, None, 1 << 20, &mut out), Ok(0));
    assert!(out.is_empty());
    assert_eq!(fresh.take(0, None, 1 << 20, &mut out), Ok(1));
    // Whoever leaves late counts itself out of its own channel, not of its namesake's.
    drop(old);
    assert_eq!((hub.followers(), hub.clients()), (1, 1));
    drop(fresh);
    assert_eq!((hub.followers(), hub.clients()), (0, 0));
}

#[test]
fn a_stalled_reader_keeps_no_more_than_its_own_share_of_a_large_batch() {
    let hub = Hub::new(Options::default(), 0);
    let seat = hub.join(&client("a"), now()).expect("room");
    let large = |n| {
        let event = Event { json: "x".repeat(40 << 10).into(), ..(*event("a", n)).clone() };
        Arc::new(event)
    };
    hub.publish(&(1..=10).map(large).collect::<Vec<_>>());
    let mut out = Outgoing::new(Framing::Chunked, Fields::All);
    assert_eq!(seat.take(0, None, 1 << 20, &mut out), Ok(10));
    let parts: Vec<usize> = out.into_stretches().map(|stretch| stretch.bytes.len()).collect();
    assert!(parts.len() >= 5 && parts.iter().all(|bytes| *bytes <= 2 * (41 << 10)), "{parts:?}");
}
