//! Random sequences of publish, subscribe, collect and unsubscribe against a model of the log and of the rings: a
//! follower collects every event once and in order, or gets [`Lagged`] and reads the log. Rings are small, and their
//! share shrinks and grows with the number of clients.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, proptest};
use proptest::prop_oneof;
use proptest::test_runner::TestCaseError;

use super::super::frame::encode;
use super::super::{Fields, Filter, Framing, Hub, HubOptions, Lagged, MAX_BYTES_PER_RING, Subscription, WriteBuffer};
use super::{client, now, reference, text};
use crate::domain::{DocumentId, Epoch, Event, EventId, SharedEvent, Status};

const CLIENTS: [&str; 3] = ["a", "b", "c"];

/// An event to publish; the numbers are indices.
#[derive(Debug, Clone)]
struct NewEvent {
    client: usize,
    document: usize,
    status: usize,
    json_bytes: usize,
}

#[derive(Debug, Clone)]
enum Step {
    Publish(Vec<NewEvent>),
    /// Subscribes at a position between the beginning (0) and the head (255).
    Subscribe {
        client: usize,
        position: u8,
        filter: Filter,
        chunked: bool,
        gini: bool,
    },
    Collect {
        follower: usize,
        max_bytes: usize,
    },
    Unsubscribe {
        follower: usize,
    },
    EvictOld,
}

fn document(index: usize) -> DocumentId {
    format!("626626a0-749f-11e2-bfd6-00000000000{index}").parse().expect("a document id")
}

fn filter() -> impl Strategy<Value = Filter> {
    let documents = prop::option::of(prop::collection::hash_set((0..3usize).prop_map(document), 0..3));
    let statuses = prop::option::of(prop::collection::vec((0..3usize).prop_map(|n| Status::ALL[n]), 0..3));
    (documents, statuses).prop_map(|(documents, statuses)| Filter { documents, statuses })
}

fn step() -> impl Strategy<Value = Step> {
    let event = (0..3usize, 0..3usize, 0..3usize, 0..200usize);
    let event =
        event.prop_map(|(client, document, status, json_bytes)| NewEvent { client, document, status, json_bytes });
    let subscribe = (0..3usize, any::<u8>(), filter(), any::<bool>(), any::<bool>());
    prop_oneof![
        4 => prop::collection::vec(event, 0..6).prop_map(Step::Publish),
        2 => subscribe.prop_map(|(client, position, filter, chunked, gini)| Step::Subscribe {
            client,
            position,
            filter,
            chunked,
            gini,
        }),
        6 => (any::<usize>(), 1..600usize).prop_map(|(follower, max_bytes)| Step::Collect { follower, max_bytes }),
        1 => any::<usize>().prop_map(|follower| Step::Unsubscribe { follower }),
        1 => Just(Step::EvictOld),
    ]
}

/// What the ring of a client with followers may hold: the events above the floor.
struct RingModel {
    floor: u64,
    /// The newest event when old events were last evicted.
    newest_before: u64,
    followers: usize,
}

struct FollowerModel {
    subscription: Subscription,
    client: usize,
    filter: Filter,
    framing: Framing,
    fields: Fields,
    start: u64,
    position: u64,
    /// Sequences, from the ring and from the log.
    received: Vec<u64>,
}

struct Model {
    hub: Hub,
    options: HubOptions,
    /// All events of all clients.
    log: Vec<SharedEvent>,
    rings: BTreeMap<usize, RingModel>,
    followers: Vec<FollowerModel>,
}

impl Model {
    fn head(&self) -> u64 {
        self.log.last().map_or(0, |event| event.id.sequence)
    }

    /// The sequence of a client's newest event; 0 for none.
    fn newest(&self, client: usize) -> u64 {
        let newest = self.log.iter().rfind(|event| event.client.as_str() == CLIENTS[client]);
        newest.map_or(0, |event| event.id.sequence)
    }

    fn run(&mut self, step: Step) -> Result<(), TestCaseError> {
        let count = self.followers.len();
        match step {
            Step::Publish(events) => self.publish(&events),
            Step::Subscribe { client: index, position, filter, chunked, gini } => {
                let position = self.head() * u64::from(position) / u64::from(u8::MAX);
                let subscription = self.hub.subscribe(&reference(CLIENTS[index]), None, now()).expect("room");
                let floor = self.head();
                let new = RingModel { floor, newest_before: floor, followers: 0 };
                self.rings.entry(index).or_insert(new).followers += 1;
                self.followers.push(FollowerModel {
                    subscription,
                    client: index,
                    filter,
                    framing: if chunked { Framing::Chunked } else { Framing::Bare },
                    fields: if gini { Fields::Gini } else { Fields::All },
                    start: position,
                    position,
                    received: Vec::new(),
                });
            }
            Step::Collect { follower, max_bytes } if count > 0 => self.collect(follower % count, max_bytes)?,
            Step::Unsubscribe { follower } if count > 0 => {
                let client = self.followers.swap_remove(follower % count).client;
                let ring = self.rings.get_mut(&client).expect("a client with followers");
                ring.followers -= 1;
                if ring.followers == 0 {
                    self.rings.remove(&client);
                }
            }
            Step::EvictOld => {
                self.hub.evict_old();
                for index in 0..CLIENTS.len() {
                    let newest = self.newest(index);
                    let Some(ring) = self.rings.get_mut(&index) else { continue };
                    ring.floor = ring.floor.max(ring.newest_before);
                    ring.newest_before = ring.newest_before.max(newest);
                }
            }
            Step::Collect { .. } | Step::Unsubscribe { .. } => {}
        }
        prop_assert_eq!((self.hub.followers(), self.hub.clients()), (self.followers.len(), self.rings.len()));
        Ok(())
    }

    /// Appends to the log, publishes, and raises the floors: a ring keeps the newest events that fit into its limits,
    /// and at least one. An event that was evicted does not return when the share grows.
    fn publish(&mut self, events: &[NewEvent]) {
        let first = self.head() + 1;
        let batch: Vec<SharedEvent> = (first..).zip(events).map(|(sequence, new)| build(sequence, new)).collect();
        self.log.extend(batch.iter().cloned());
        self.hub.publish(&batch);
        let share = (self.options.ring_bytes / self.rings.len().max(1)).min(MAX_BYTES_PER_RING);
        for (index, ring) in &mut self.rings {
            let of_client = |event: &&SharedEvent| event.client.as_str() == CLIENTS[*index];
            if !batch.iter().any(|event| of_client(&event)) {
                continue;
            }
            let (mut events, mut bytes) = (0, 0);
            for event in self.log.iter().rev().filter(of_client).take_while(|event| event.id.sequence > ring.floor) {
                (events, bytes) = (events + 1, bytes + encode([event].into_iter())[0].len());
                if events > 1 && (events > self.options.ring_events || bytes > share) {
                    ring.floor = event.id.sequence;
                    break;
                }
            }
        }
        let total: usize = (0..CLIENTS.len()).map(|index| self.ring_bytes(index)).sum();
        if total > self.options.ring_bytes {
            self.shrink();
        }
        assert!(self.hub.ring_bytes() <= self.options.ring_bytes);
    }

    /// The bytes of a client's events above its floor.
    fn ring_bytes(&self, index: usize) -> usize {
        let Some(ring) = self.rings.get(&index) else { return 0 };
        let of_client = self.log.iter().filter(|event| event.client.as_str() == CLIENTS[index]);
        of_client.filter(|event| event.id.sequence > ring.floor).map(|event| encode([event].into_iter())[0].len()).sum()
    }

    /// All rings together exceed their bound: each is reduced to seven eighths of its share, the newest event included.
    fn shrink(&mut self) {
        let share = self.options.ring_bytes / self.rings.len().max(1);
        let max_bytes = share - share / 8;
        for (index, ring) in &mut self.rings {
            let mut bytes = 0;
            for event in self.log.iter().rev().filter(|event| event.client.as_str() == CLIENTS[*index]) {
                if event.id.sequence <= ring.floor {
                    break;
                }
                bytes += encode([event].into_iter())[0].len();
                if bytes > max_bytes {
                    ring.floor = event.id.sequence;
                    break;
                }
            }
        }
    }

    /// The sequences of a follower's events after `from`, up to and including `through`.
    fn expected(&self, follower: &FollowerModel, from: u64, through: u64) -> Vec<u64> {
        let wanted = |event: &&SharedEvent| {
            event.client.as_str() == CLIENTS[follower.client]
                && (from + 1..=through).contains(&event.id.sequence)
                && follower.filter.matches(event.document, event.status)
        };
        self.log.iter().filter(wanted).map(|event| event.id.sequence).collect()
    }

    /// Collects once; after [`Lagged`] the follower reads the log up to its head.
    fn collect(&mut self, index: usize, max_bytes: usize) -> Result<(), TestCaseError> {
        let head = self.head();
        let follower = &self.followers[index];
        let position = follower.position;
        let floor = self.rings[&follower.client].floor;
        let mut out = WriteBuffer::new(follower.framing, follower.fields);
        let collected = follower.subscription.collect(position, Some(&follower.filter), max_bytes, &mut out);
        prop_assert_eq!(collected.is_err(), position < floor, "position {}, floor {}", position, floor);
        let (reached, sequences) = match collected {
            Ok(reached) => {
                let complete = out.len() < max_bytes;
                let events = out.event_count();
                let sequences = sequences(&text(out));
                prop_assert_eq!(events, sequences.len());
                if complete {
                    // The position moves over events that the filter holds back, too.
                    prop_assert_eq!(reached, position.max(self.newest(follower.client)));
                }
                (reached, sequences)
            }
            Err(Lagged) => {
                prop_assert_eq!(out.is_empty(), true, "a lagging follower gets nothing from the ring");
                (head, self.expected(follower, position, head))
            }
        };
        let follower = &mut self.followers[index];
        follower.position = reached;
        follower.received.extend(sequences);
        let follower = &self.followers[index];
        prop_assert_eq!(&follower.received, &self.expected(follower, follower.start, reached));
        Ok(())
    }
}

fn build(sequence: u64, new: &NewEvent) -> SharedEvent {
    Arc::new(Event {
        id: EventId { epoch: Epoch::new(0xab), sequence },
        client: client(CLIENTS[new.client]),
        document: document(new.document),
        status: Status::ALL[new.status],
        json: format!("\"{}\"", "x".repeat(new.json_bytes)).into(),
    })
}

/// The sequences of the events in the text of a stream, in their order.
fn sequences(text: &str) -> Vec<u64> {
    text.lines().filter_map(|line| line.strip_prefix("id: ab.")).map(|n| n.parse().expect("a sequence")).collect()
}

proptest! {
    #[test]
    fn follower_collects_every_event_once_or_lags(
        ring_events in 1..12usize,
        ring_bytes in 100..6_000usize,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let options = HubOptions { ring_events, ring_bytes, ..HubOptions::default() };
        let hub = Hub::new(options.clone(), 0);
        let mut model = Model { hub, options, log: Vec::new(), rings: BTreeMap::new(), followers: Vec::new() };
        for step in steps {
            model.run(step)?;
        }
        // Every follower reaches the head in the end.
        for index in 0..model.followers.len() {
            for _ in 0..=model.log.len() {
                model.collect(index, 1)?;
            }
            let follower = &model.followers[index];
            prop_assert_eq!(&follower.received, &model.expected(follower, follower.start, model.head()));
        }
        model.followers.clear();
        prop_assert_eq!((model.hub.followers(), model.hub.clients()), (0, 0));
    }
}
