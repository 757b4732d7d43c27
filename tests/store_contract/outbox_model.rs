//! Property test of the outbox: random operations on a few documents and queues, compared with a simple model after
//! each one. The model holds every delivery; a document's FIFO is the list of its pending ones in a queue.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use docrelay::domain::{Destinations, Disposition, Format, Notification, Status, Timestamp};
use docrelay::store::{
    AttemptRecord, DeliveryQuery, DeliveryState, NewEvent, RecordEffect, Retention, SchedulePosition, Store, StoreError,
};
use proptest::prelude::{Just, ProptestConfig, Strategy};
use proptest::test_runner::{FileFailurePersistence, TestRunner};
use proptest::{collection, prop_oneof};

use crate::factory::{SqliteFiles, at, id, keyed, retention, store_with, stored};
use crate::outbox::{content, default_notification, notification_queue};
use crate::routing::{origin, route_to_callback};

const DOCUMENTS: usize = 4;
/// Queue 0 gets every document, queue 1 the documents with a callback: the odd ones.
const QUEUES: usize = 2;
const CALLBACK: &str = "https://callback.example.com/hook";
/// Delivered and dead deliveries that pruning leaves.
const MAX_SETTLED: u64 = 4;
const CASES: u32 = 64;
const MAX_OPERATIONS: usize = 60;

#[derive(Debug, Clone)]
enum Operation {
    Enqueue {
        document: usize,
    },
    /// Attempts a due delivery, chosen by an index.
    Begin {
        queue: usize,
        choice: usize,
    },
    /// Ends one of the attempts in flight.
    End {
        choice: usize,
        outcome: Outcome,
    },
    /// Records an attempt of any delivery, such as one that is not the head or is settled.
    Record {
        choice: usize,
        outcome: Outcome,
    },
    Retry {
        choice: usize,
    },
    RetryFailed {
        since_ms: u64,
    },
    MakeDue {
        queue: usize,
    },
    /// Removes the notification and adds one of the same name.
    ReplaceNotification,
    Prune,
    Wait {
        ms: u64,
    },
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Delivered,
    Dead,
    RetryAfter { ms: u64 },
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(Outcome::Delivered), Just(Outcome::Dead), (1..500_u64).prop_map(|ms| Outcome::RetryAfter { ms })]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (0..DOCUMENTS).prop_map(|document| Operation::Enqueue { document }),
        6 => (0..QUEUES, 0..9_usize).prop_map(|(queue, choice)| Operation::Begin { queue, choice }),
        6 => (0..9_usize, outcome()).prop_map(|(choice, outcome)| Operation::End { choice, outcome }),
        2 => (0..99_usize, outcome()).prop_map(|(choice, outcome)| Operation::Record { choice, outcome }),
        2 => (0..99_usize).prop_map(|choice| Operation::Retry { choice }),
        1 => (0..2_000_u64).prop_map(|since_ms| Operation::RetryFailed { since_ms }),
        1 => (0..QUEUES).prop_map(|queue| Operation::MakeDue { queue }),
        1 => Just(Operation::ReplaceNotification),
        1 => Just(Operation::Prune),
        3 => (1..400_u64).prop_map(|ms| Operation::Wait { ms }),
    ]
}

#[derive(Debug, Clone, PartialEq)]
struct ModelDelivery {
    id: u64,
    queue: usize,
    document: usize,
    /// How many notifications of the name came before; a callback has none.
    generation: u32,
    state: DeliveryState,
    due: Option<Timestamp>,
    schedule: SchedulePosition,
    settled: Option<Timestamp>,
}

impl ModelDelivery {
    /// The begin always changes.
    fn restart_schedule(&mut self, now: Timestamp) {
        let queued = now.plus(Duration::from_millis(u64::from(self.schedule.queued == now)));
        self.schedule = SchedulePosition { failures: 0, queued };
    }
}

/// Without pruning.
fn bounds() -> Retention {
    Retention { max_delivery_age: Duration::MAX, ..retention() }
}

struct Model {
    store: Store,
    now: Timestamp,
    generation: u32,
    events: u64,
    deliveries: Vec<ModelDelivery>,
    /// The deliveries being attempted, by queue and id.
    in_flight: BTreeMap<(usize, u64), InFlight>,
}

/// What an attempt has read at its begin.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    generation: u32,
    schedule: SchedulePosition,
}

impl Model {
    async fn new(files: &SqliteFiles) -> Self {
        let store = store_with(files, bounds(), &["a"]).await;
        store.registry.add_notification(&id("a"), notification(0)).await.unwrap();
        Self { store, now: at(0), generation: 0, events: 0, deliveries: Vec::new(), in_flight: BTreeMap::new() }
    }

    fn queue(&self, queue: usize) -> docrelay::domain::QueueKey {
        if queue == 0 { notification_queue("a", "main") } else { origin("a", CALLBACK) }
    }

    async fn apply(&mut self, operation: &Operation) {
        match *operation {
            Operation::Enqueue { document } => self.enqueue(document).await,
            Operation::Begin { queue, choice } => self.begin(queue, choice).await,
            Operation::End { choice, outcome } => self.end(choice, outcome).await,
            Operation::Record { choice, outcome } => {
                if !self.deliveries.is_empty() {
                    let ModelDelivery { queue, id, schedule, .. } = self.deliveries[choice % self.deliveries.len()];
                    self.record(queue, id, schedule, outcome).await;
                }
            }
            Operation::Retry { choice } => self.retry(choice).await,
            Operation::RetryFailed { since_ms } => self.retry_failed(at(since_ms)).await,
            Operation::MakeDue { queue } => {
                self.store.outbox.make_due(&self.queue(queue), self.now).await.unwrap();
                let (now, generation) = (self.now, self.generation_of(queue));
                for delivery in self.deliveries.iter_mut().filter(|d| d.queue == queue && d.generation == generation) {
                    delivery.due = delivery.due.map(|due| due.min(now));
                }
            }
            Operation::ReplaceNotification => self.replace_notification().await,
            Operation::Prune => self.prune().await,
            Operation::Wait { ms } => self.now = self.now.plus(Duration::from_millis(ms)),
        }
    }

    fn generation_of(&self, queue: usize) -> u32 {
        if queue == 0 { self.generation } else { 0 }
    }

    /// The due time of a delivery that becomes pending in the FIFO of its document.
    fn due_at_end(&self, queue: usize, document: usize) -> Option<Timestamp> {
        let generation = self.generation_of(queue);
        let waits = self.deliveries.iter().any(|d| {
            (d.queue, d.document, d.generation, d.state) == (queue, document, generation, DeliveryState::Pending)
        });
        (!waits).then_some(self.now)
    }

    async fn enqueue(&mut self, document: usize) {
        self.events += 1;
        let destinations: Option<Destinations> = (document % 2 == 1).then(|| route_to_callback(CALLBACK));
        let event = keyed("a", &format!("job-{document}"), Status::Completed, &self.events.to_string());
        stored(&self.store, NewEvent { destinations, now: self.now, ..event }).await;
        for queue in 0..=document % 2 {
            let due = self.due_at_end(queue, document);
            let generation = self.generation_of(queue);
            // Ids grow and are never used twice.
            let id = self.newest_id(queue).await;
            assert!(self.deliveries.iter().all(|d| d.id < id), "id {id} is not the largest");
            let state = DeliveryState::Pending;
            let schedule = SchedulePosition { failures: 0, queued: self.now };
            let delivery = ModelDelivery { id, queue, document, generation, state, due, schedule, settled: None };
            self.deliveries.push(delivery);
        }
    }

    /// The id of the newest delivery of a queue.
    async fn newest_id(&self, queue: usize) -> u64 {
        let target = self.queue(queue).target;
        self.listed().await.into_iter().filter(|d| d.target.queue_target() == target).map(|d| d.id).max().unwrap()
    }

    async fn listed(&self) -> Vec<docrelay::store::Delivery> {
        let query = DeliveryQuery { limit: 10_000, ..DeliveryQuery::default() };
        self.store.outbox.deliveries(&id("a"), query).await.unwrap().items
    }

    async fn begin(&mut self, queue: usize, choice: usize) {
        let except: Vec<u64> = self.in_flight.keys().filter(|(q, _)| *q == queue).map(|(_, id)| *id).collect();
        let page = self.store.outbox.due(&self.queue(queue), self.now, 1_000, except.clone()).await.unwrap();
        let generation = self.generation_of(queue);
        let waiting = |d: &&ModelDelivery| d.queue == queue && d.generation == generation && !except.contains(&d.id);
        let mut expected: Vec<_> = self.deliveries.iter().filter(waiting).filter_map(|d| Some((d.due?, d))).collect();
        let next = expected.iter().filter(|(due, _)| *due > self.now).map(|(due, _)| *due).min();
        expected.retain(|(due, _)| *due <= self.now);
        expected.sort_by_key(|(due, d)| (d.schedule.failures > 0, *due, d.id));
        let expected: Vec<_> = expected.iter().map(|(_, d)| (d.id, d.schedule.failures)).collect();
        let found: Vec<_> = page.deliveries.iter().map(|due| (due.id, due.failures)).collect();
        assert_eq!((&found, page.next), (&expected, next));
        // At most one delivery of a document, also together with those in flight. An attempt of a notification that was
        // replaced meanwhile is not one of this queue, although its delivery may have been queued again.
        let known = |id: u64| self.deliveries.iter().find(|d| d.id == id);
        let in_flight = except.into_iter().filter(|id| self.in_flight[&(queue, *id)].generation == generation);
        let attempted: Vec<_> = found.iter().map(|(id, _)| *id).chain(in_flight).filter_map(known).collect();
        let pending = attempted.iter().filter(|d| d.state == DeliveryState::Pending && d.generation == generation);
        let documents: Vec<_> = pending.map(|d| d.document).collect();
        assert_eq!(documents.len(), documents.iter().collect::<BTreeSet<_>>().len(), "two of one document");
        if !found.is_empty() {
            let id = found[choice % found.len()].0;
            let schedule = content(&self.store, &self.queue(queue), id).await.schedule;
            assert_eq!(known(id).map(|d| d.schedule), Some(schedule));
            self.in_flight.insert((queue, id), InFlight { generation, schedule });
        }
    }

    async fn end(&mut self, choice: usize, outcome: Outcome) {
        let chosen = self.in_flight.iter().nth(choice % self.in_flight.len().max(1));
        let Some((&(queue, id), &InFlight { schedule, .. })) = chosen else { return };
        self.record(queue, id, schedule, outcome).await;
    }

    async fn record(&mut self, queue: usize, id: u64, schedule: SchedulePosition, outcome: Outcome) {
        self.in_flight.remove(&(queue, id));
        let disposition = match outcome {
            Outcome::Delivered => Disposition::Delivered,
            Outcome::Dead => Disposition::Dead,
            Outcome::RetryAfter { ms } => Disposition::Retry(self.now.plus(Duration::from_millis(ms))),
        };
        let (target, now) = (self.queue(queue), self.now);
        let record = AttemptRecord { queue: target, delivery: id, schedule, attempt: None, disposition, now };
        let result = self.store.outbox.record_attempt(record).await;
        let generation = self.generation_of(queue);
        let Some(delivery) = self
            .deliveries
            .iter_mut()
            .find(|d| d.id == id && d.generation == generation && d.state == DeliveryState::Pending)
        else {
            assert!(matches!(result, Err(StoreError::NotFound("delivery"))), "{result:?}");
            return;
        };
        if schedule != delivery.schedule && disposition != Disposition::Delivered {
            assert_eq!(result.unwrap(), RecordEffect::Superseded);
            return;
        }
        assert_eq!(result.unwrap(), RecordEffect::Applied);
        let was_head = delivery.due.is_some();
        match disposition {
            Disposition::Retry(next) => {
                delivery.schedule.failures += 1;
                delivery.due = delivery.due.map(|_| next);
                return;
            }
            Disposition::Delivered => delivery.state = DeliveryState::Delivered,
            Disposition::Dead => delivery.state = DeliveryState::Dead,
        }
        (delivery.due, delivery.settled) = (None, Some(now));
        let document = delivery.document;
        let next = self
            .deliveries
            .iter_mut()
            .filter(|d| {
                (d.queue, d.document, d.generation, d.state) == (queue, document, generation, DeliveryState::Pending)
            })
            .min_by_key(|d| d.id);
        if let (true, Some(next)) = (was_head, next) {
            next.due = Some(now);
        }
    }

    async fn retry(&mut self, choice: usize) {
        if self.deliveries.is_empty() {
            return;
        }
        let position = choice % self.deliveries.len();
        let ModelDelivery { id: number, state, due, .. } = self.deliveries[position];
        self.store.outbox.retry(&id("a"), number, self.now).await.unwrap();
        if state == DeliveryState::Pending {
            self.deliveries[position].due = due.map(|_| self.now);
            self.deliveries[position].restart_schedule(self.now);
        } else {
            self.requeue(position);
        }
    }

    fn requeue(&mut self, position: usize) {
        let ModelDelivery { queue, document, .. } = self.deliveries[position];
        let (due, generation) = (self.due_at_end(queue, document), self.generation_of(queue));
        let delivery = &mut self.deliveries[position];
        (delivery.state, delivery.generation) = (DeliveryState::Pending, generation);
        (delivery.due, delivery.settled) = (due, None);
        delivery.restart_schedule(self.now);
    }

    async fn retry_failed(&mut self, since: Timestamp) {
        let name = "main".parse().unwrap();
        let retried = self.store.outbox.retry_failed(&id("a"), &name, since, self.now).await.unwrap();
        let dead = |d: &ModelDelivery| {
            (d.queue, d.generation, d.state) == (0, self.generation, DeliveryState::Dead) && d.settled >= Some(since)
        };
        let positions: Vec<usize> = (0..self.deliveries.len()).filter(|p| dead(&self.deliveries[*p])).collect();
        assert_eq!(retried, positions.len() as u64);
        for position in positions {
            self.requeue(position);
        }
    }

    async fn replace_notification(&mut self) {
        self.store.registry.remove_notification(&id("a"), "main").await.unwrap();
        let pending = |d: &&mut ModelDelivery| d.queue == 0 && d.state == DeliveryState::Pending;
        for delivery in self.deliveries.iter_mut().filter(pending) {
            (delivery.state, delivery.due, delivery.settled) = (DeliveryState::Dead, None, Some(self.now));
        }
        self.generation += 1;
        self.store.registry.add_notification(&id("a"), notification(self.generation)).await.unwrap();
    }

    /// Removes delivered and dead deliveries only, down to the bound.
    async fn prune(&mut self) {
        // Otherwise they would be removed after every batch, at a moment that the model does not know.
        let tight = Retention { max_deliveries: MAX_SETTLED, ..bounds() };
        self.store.maintenance.set_retention(tight).await.unwrap();
        self.store.maintenance.prune(self.now).await.unwrap();
        self.store.maintenance.set_retention(bounds()).await.unwrap();
        let kept: BTreeSet<u64> = self.listed().await.iter().map(|d| d.id).collect();
        let settled = self.deliveries.iter().filter(|d| d.state != DeliveryState::Pending).count() as u64;
        self.deliveries.retain(|d| d.state == DeliveryState::Pending || kept.contains(&d.id));
        let left = self.deliveries.iter().filter(|d| d.state != DeliveryState::Pending).count() as u64;
        assert_eq!(left, settled.min(MAX_SETTLED));
    }

    /// Nothing is lost, every state is as in the model, and of each FIFO only the head has a due time.
    async fn check(&self) {
        let mut listed: Vec<_> = self.listed().await.iter().map(|d| (d.id, d.state, d.due)).collect();
        listed.reverse();
        let expected: Vec<_> = self.deliveries.iter().map(|d| (d.id, d.state, d.due)).collect();
        assert_eq!(listed, expected);
        let pending: Vec<_> = self.deliveries.iter().filter(|d| d.state == DeliveryState::Pending).collect();
        for delivery in &pending {
            let fifo = pending.iter().filter(|d| (d.queue, d.document) == (delivery.queue, delivery.document));
            assert_eq!(fifo.filter(|d| d.due.is_some()).count(), 1, "heads of {delivery:?}");
        }
        let backlog = self.store.outbox.backlog().await.unwrap();
        let oldest_due = pending.iter().filter_map(|d| d.due).min();
        assert_eq!((backlog.pending, backlog.oldest_due), (pending.len() as u64, oldest_due));
    }
}

fn notification(generation: u32) -> Notification {
    Notification { id: format!("notification {generation}"), ..default_notification("main", Format::Gini) }
}

#[test]
fn outbox_behaves_as_its_model() {
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let operations = collection::vec(operation(), 1..MAX_OPERATIONS);
    let result = TestRunner::new(config).run(&operations, |operations| {
        runtime.block_on(async {
            let files = SqliteFiles::new();
            let mut model = Model::new(&files).await;
            for operation in &operations {
                model.apply(operation).await;
                model.check().await;
            }
            model.store.maintenance.close().await;
        });
        Ok(())
    });
    result.unwrap();
}
