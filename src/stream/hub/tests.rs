//! The hub on its own: rings, subscriptions and limits, without connections or a store.

mod positions;

use std::sync::Arc;

use super::{BufferSegment, Fields, Filter, Framing, Hub, HubFull, HubOptions, Lagged, Subscription, WriteBuffer};
use crate::domain::{ClientId, ClientRef, Epoch, Event, EventId, SharedEvent, Status, Timestamp};
use crate::metrics::Disconnect;

fn client(name: &str) -> ClientId {
    name.parse().expect("a client id")
}

/// The first client of this name.
fn reference(name: &str) -> ClientRef {
    ClientRef { id: client(name), created: now() }
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

fn bare() -> WriteBuffer {
    WriteBuffer::new(Framing::Bare, Fields::All)
}

fn text(out: WriteBuffer) -> String {
    let bytes = out.into_segments().iter().flat_map(BufferSegment::as_slice).copied().collect();
    String::from_utf8(bytes).expect("UTF-8")
}

fn now() -> Timestamp {
    Timestamp::from_millis(0)
}

fn subscribe(hub: &Hub, name: &str) -> Subscription {
    hub.subscribe(&reference(name), None, now()).expect("room")
}

#[test]
fn subscription_receives_events_of_its_client_only() {
    let hub = Hub::new(HubOptions::default(), 0);
    let subscription = subscribe(&hub, "a");
    hub.publish(&[event("a", 1), event("b", 2), event("a", 3)]);
    let mut out = bare();
    assert_eq!(subscription.collect(0, None, 1 << 20, &mut out), Ok(3));
    assert_eq!(text(out), "id: ab.1\ndata: {\"n\":1}\n\nid: ab.3\ndata: {\"n\":3}\n\n");
}

#[test]
fn adjacent_frames_of_one_batch_merge_into_one_segment() {
    let hub = Hub::new(HubOptions::default(), 0);
    let subscription = subscribe(&hub, "a");
    hub.publish(&[event("a", 1), event("a", 2)]);
    hub.publish(&[event("a", 3)]);
    let mut out = WriteBuffer::new(Framing::Chunked, Fields::All);
    assert_eq!(subscription.collect(0, None, 1 << 20, &mut out), Ok(3));
    assert_eq!(out.event_count(), 3);
    let segments = out.into_segments();
    assert_eq!(segments.len(), 2, "one segment per batch");
    let chunk = |n: u64| format!("18\r\nid: ab.{n}\ndata: {{\"n\":{n}}}\n\n\r\n");
    assert_eq!(segments[0].as_slice(), format!("{}{}", chunk(1), chunk(2)).as_bytes());
    assert_eq!(segments[1].as_slice(), chunk(3).as_bytes());
    assert_eq!(segments.iter().map(|s| (s.events, s.last_sequence)).collect::<Vec<_>>(), [(2, Some(2)), (1, Some(3))]);
}

#[test]
fn control_text_and_last_chunk_follow_the_framing() {
    for (framing, expected) in [(Framing::Chunked, "1\r\n\n\r\n0\r\n\r\n"), (Framing::Bare, "\n")] {
        let mut out = WriteBuffer::new(framing, Fields::All);
        out.push_control("");
        assert!(out.is_empty(), "an empty chunk would end the response");
        out.push_control("\n");
        out.push_last_chunk();
        assert_eq!((out.len(), out.event_count()), (expected.len(), 0));
        assert_eq!(text(out), expected);
    }
}

#[test]
fn gini_fields_and_filter_apply_per_subscription() {
    let hub = Hub::new(HubOptions::default(), 0);
    let subscription = subscribe(&hub, "a");
    hub.publish(&[event("a", 1), event("a", 2)]);
    let filter = Filter { statuses: Some(vec![Status::Error]), ..Filter::default() };
    let mut out = WriteBuffer::new(Framing::Bare, Fields::Gini);
    // The position moves over events that the filter holds back.
    assert_eq!(subscription.collect(0, Some(&filter), 1 << 20, &mut out), Ok(2));
    let expected = "id: ab.1\ndata: {\"documentId\":\"626626a0-749f-11e2-bfd6-000000000000\",\"status\":\"ERROR\"}\n\n";
    assert_eq!(text(out), expected);
}

// Rule 8: no queue grows for a slow follower.
#[test]
fn subscription_behind_the_ring_gets_lagged() {
    let hub = Hub::new(HubOptions { ring_events: 2, ..HubOptions::default() }, 0);
    let subscription = subscribe(&hub, "a");
    hub.publish(&[event("a", 1), event("a", 2), event("a", 3)]);
    assert_eq!(subscription.collect(0, None, 1 << 20, &mut bare()), Err(Lagged));
    let mut out = bare();
    assert_eq!(subscription.collect(1, None, 1 << 20, &mut out), Ok(3));
    assert_eq!(out.event_count(), 2);
}

#[test]
fn events_published_before_subscribing_are_in_the_log_only() {
    let hub = Hub::new(HubOptions::default(), 0);
    hub.publish(&[event("a", 1)]);
    let subscription = subscribe(&hub, "a");
    assert_eq!(subscription.collect(0, None, 1 << 20, &mut bare()), Err(Lagged));
    assert_eq!(subscription.collect(1, None, 1 << 20, &mut bare()), Ok(1));
}

#[test]
fn collect_stops_at_its_byte_limit() {
    let hub = Hub::new(HubOptions::default(), 0);
    let subscription = subscribe(&hub, "a");
    hub.publish(&(1..=100).map(|n| event("a", n)).collect::<Vec<_>>());
    let mut out = bare();
    assert_eq!(subscription.collect(0, None, 50, &mut out), Ok(3), "the event that reaches the limit is the last");
    let mut rest = bare();
    assert_eq!(subscription.collect(3, None, 1 << 20, &mut rest), Ok(100));
    assert_eq!(out.event_count() + rest.event_count(), 100);
}

#[test]
fn own_limit_of_a_client_replaces_the_common_one() {
    let hub = Hub::new(HubOptions { max_followers: 5, max_followers_per_client: 2, ..HubOptions::default() }, 0);
    let try_subscribe = |limit: u32| hub.subscribe(&reference("a"), std::num::NonZeroU32::new(limit), now());
    let three: Vec<_> = (0..3).map(|_| try_subscribe(3).expect("room")).collect();
    assert_eq!(try_subscribe(3).err(), Some(HubFull::Client));
    assert_eq!(try_subscribe(1).err(), Some(HubFull::Client), "a lower limit ends no stream");
    let fourth = try_subscribe(4).expect("a higher limit counts at once");
    let fifth = try_subscribe(100).expect("room");
    assert_eq!(try_subscribe(100).err(), Some(HubFull::Relay), "the limit of all followers stays");
    drop((three, fourth, fifth));
    assert_eq!(hub.clients(), 0);
}

// Rule 12: the hub forgets clients without followers.
#[test]
fn last_unsubscribe_removes_the_entry_of_the_client() {
    let hub = Hub::new(HubOptions { max_followers: 3, max_followers_per_client: 2, ..HubOptions::default() }, 0);
    let of_one_client = [subscribe(&hub, "a"), subscribe(&hub, "a")];
    assert_eq!(hub.subscribe(&reference("a"), None, now()).err(), Some(HubFull::Client));
    let other = subscribe(&hub, "b");
    assert_eq!(hub.subscribe(&reference("c"), None, now()).err(), Some(HubFull::Relay));
    assert_eq!((hub.followers(), hub.clients(), hub.list().len()), (3, 2, 3));
    drop((of_one_client, other));
    assert_eq!((hub.followers(), hub.clients(), hub.list().len()), (0, 0, 0));
}

#[test]
fn largest_lag_is_listed_first() {
    let hub = Hub::new(HubOptions::default(), 0);
    let (fast, slow) = (subscribe(&hub, "a"), subscribe(&hub, "a"));
    hub.publish(&[event("a", 1), event("a", 7)]);
    fast.record_position(7);
    slow.record_position(1);
    let lags: Vec<u64> = hub.list().iter().map(|f| f.lag).collect();
    assert_eq!(lags, [6, 0]);
}

/// A scrape of `/metrics` must not wait for, or slow down, the rings: the lag of 10 000 followers needs none of them.
#[test]
fn largest_lag_is_known_without_any_ring_lock() {
    let hub = Hub::new(HubOptions::default(), 0);
    let followers = [subscribe(&hub, "a"), subscribe(&hub, "a"), subscribe(&hub, "b")];
    hub.publish(&[event("a", 1), event("b", 2), event("a", 7)]);
    for (follower, position) in followers.iter().zip([7, 3, 1]) {
        follower.record_position(position);
    }
    let rings = [hub.subscribers.channel(&client("a")), hub.subscribers.channel(&client("b"))].map(Option::unwrap);
    let _locked = rings.each_ref().map(|channel| channel.ring());
    assert_eq!(hub.max_lag(), 4);
}

/// Clients that were alone had large shares. Symptom: 10 000 clients that went quiet kept gigabytes.
#[test]
fn rings_of_quiet_clients_shrink_when_clients_become_many() {
    const RING_BYTES: usize = 1 << 20;
    let hub = Hub::new(HubOptions { ring_bytes: RING_BYTES, ..HubOptions::default() }, 0);
    let large = |of: &str, sequence, bytes: usize| {
        let event = Event { json: "x".repeat(bytes).into(), ..(*event(of, sequence)).clone() };
        Arc::new(event)
    };
    let mut followers = Vec::new();
    let mut sequence = 0;
    for number in 0..200 {
        let name = format!("client-{number}");
        followers.push(subscribe(&hub, &name));
        let batch: Vec<SharedEvent> = (1..=30).map(|n| large(&name, sequence + n, 1_000)).collect();
        sequence += 30;
        hub.publish(&batch);
        assert!(hub.ring_bytes() <= RING_BYTES, "{} bytes with {number} clients", hub.ring_bytes());
    }
    assert!(hub.ring_bytes() > RING_BYTES / 2, "the rings use their share: {}", hub.ring_bytes());
    // A position is in the ring or lags, and nothing is skipped.
    for (number, follower) in followers.iter().enumerate() {
        let last = (number as u64 + 1) * 30;
        let mut out = bare();
        match follower.collect(last - 2, None, 1 << 20, &mut out) {
            Ok(reached) => assert_eq!((reached, out.event_count()), (last, 2)),
            Err(Lagged) => assert!(out.is_empty()),
        }
    }
    // The newest events of many clients may be larger than the bound, too.
    for number in 0..200 {
        sequence += 1;
        hub.publish(&[large(&format!("client-{number}"), sequence, 20_000)]);
        assert!(hub.ring_bytes() <= RING_BYTES, "{} bytes", hub.ring_bytes());
    }
    drop(followers);
    assert_eq!(hub.ring_bytes(), 0);
}

/// Symptom: with a thousand clients the memory grew for ten minutes and more, although every follower had every event.
#[test]
fn events_leave_the_rings_after_two_calls() {
    let hub = Hub::new(HubOptions::default(), 0);
    let (busy, quiet) = (subscribe(&hub, "a"), subscribe(&hub, "b"));
    hub.publish(&[event("a", 1), event("b", 2)]);
    hub.evict_old();
    hub.publish(&[event("a", 3)]);
    let mut out = bare();
    assert_eq!(busy.collect(0, None, 1 << 20, &mut out), Ok(3));
    assert_eq!(out.event_count(), 2, "one interval has not passed");
    hub.evict_old();
    assert_eq!(busy.collect(0, None, 1 << 20, &mut bare()), Err(Lagged));
    assert_eq!(busy.collect(1, None, 1 << 20, &mut bare()), Ok(3));
    assert_eq!(quiet.collect(1, None, 1 << 20, &mut bare()), Err(Lagged));
    assert_eq!(quiet.collect(2, None, 1 << 20, &mut bare()), Ok(2), "a follower that has everything does not lag");
    hub.evict_old();
    assert_eq!(hub.ring_bytes(), 0);
}

#[test]
fn shrunk_ring_does_not_share_memory_with_evicted_events() {
    let hub = Hub::new(HubOptions { ring_bytes: 1_000, ..HubOptions::default() }, 0);
    let subscription = subscribe(&hub, "a");
    let batch: Vec<SharedEvent> = (1..=10).map(|n| event("a", n)).collect();
    hub.publish(&batch);
    let block = |out: WriteBuffer| out.into_segments()[0].block_bytes();
    let mut all = bare();
    assert_eq!(subscription.collect(0, None, 1 << 20, &mut all), Ok(10));
    let whole = block(all);
    hub.subscribers.shrink_rings(whole / 2);
    assert_eq!(subscription.collect(0, None, 1 << 20, &mut bare()), Err(Lagged));
    let mut rest = bare();
    assert_eq!(subscription.collect(7, None, 1 << 20, &mut rest), Ok(10));
    let mut again = bare();
    assert_eq!(subscription.collect(7, None, 1 << 20, &mut again), Ok(10));
    assert!(text(rest).starts_with("id: ab.8\ndata: {\"n\":8}\n\nid: ab.9\n"));
    assert!(block(again) <= whole / 2);
}

#[test]
fn stopping_hub_ends_streams_and_admits_no_follower() {
    let hub = Hub::new(HubOptions::default(), 0);
    let subscription = subscribe(&hub, "a");
    assert_eq!(subscription.end_reason(), None);
    hub.stop();
    assert_eq!(subscription.end_reason(), Some(Disconnect::Stopping));
    assert_eq!(hub.subscribe(&reference("a"), None, now()).err(), Some(HubFull::Stopping));
    assert_eq!(hub.followers(), 1);
}

#[test]
fn recreated_client_inherits_neither_ring_nor_revocation() {
    let hub = Hub::new(HubOptions::default(), 0);
    let old = subscribe(&hub, "a");
    hub.revoke(&reference("a"));
    assert_eq!(old.end_reason(), Some(Disconnect::Revoked));
    let new = subscribe(&hub, "a");
    assert_eq!(new.end_reason(), None);
    hub.publish(&[event("a", 1)]);
    let mut out = bare();
    assert_eq!(old.collect(0, None, 1 << 20, &mut out), Ok(0));
    assert!(out.is_empty());
    assert_eq!(new.collect(0, None, 1 << 20, &mut out), Ok(1));
    // A late unsubscribe counts for its own channel, not for the one of the new client.
    drop(old);
    assert_eq!((hub.followers(), hub.clients()), (1, 1));
    drop(new);
    assert_eq!((hub.followers(), hub.clients()), (0, 0));
}

#[test]
fn removal_that_arrives_late_ends_no_stream_of_the_successor() {
    let hub = Hub::new(HubOptions::default(), 0);
    let removed = subscribe(&hub, "a");
    let successor = ClientRef { created: Timestamp::from_millis(1), ..reference("a") };
    let new = hub.subscribe(&successor, None, now()).expect("room");
    assert_eq!(removed.end_reason(), Some(Disconnect::Revoked), "its client has a successor");
    hub.revoke(&reference("a"));
    assert_eq!(new.end_reason(), None);
    // Its token was checked before its client was removed.
    let late = subscribe(&hub, "a");
    assert_eq!(late.end_reason(), Some(Disconnect::Revoked));
    hub.publish(&[event("a", 1)]);
    let mut out = bare();
    for subscription in [&removed, &late] {
        subscription.collect(0, None, 1 << 20, &mut out).expect("nothing is missed");
        assert!(out.is_empty(), "an event of the successor");
    }
    assert_eq!(new.collect(0, None, 1 << 20, &mut out), Ok(1));
    drop((removed, late));
    assert_eq!((hub.followers(), hub.clients()), (1, 1));
}

#[test]
fn large_batch_is_split_into_blocks_of_limited_size() {
    let hub = Hub::new(HubOptions::default(), 0);
    let subscription = subscribe(&hub, "a");
    let large = |n| {
        let event = Event { json: "x".repeat(40 << 10).into(), ..(*event("a", n)).clone() };
        Arc::new(event)
    };
    hub.publish(&(1..=10).map(large).collect::<Vec<_>>());
    let mut out = WriteBuffer::new(Framing::Chunked, Fields::All);
    assert_eq!(subscription.collect(0, None, 1 << 20, &mut out), Ok(10));
    let bytes: Vec<usize> = out.into_segments().iter().map(|segment| segment.as_slice().len()).collect();
    assert!(bytes.len() >= 5 && bytes.iter().all(|bytes| *bytes <= 2 * (41 << 10)), "{bytes:?}");
}
