//! Nodes with clocks of their own, a broker, and messages between them that are late, lost or repeated.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::cluster::coordinator::{ClusterAction, ClusterEvent, Coordinator, RecordOutcome};
use crate::cluster::ownership::Holding;
use crate::cluster::records::RecordValue;
use crate::cluster::{NodeOptions, Timing};
use crate::domain::{Endpoint, OwnershipVersion, QueueKey};

pub(super) const NODES: usize = 4;
pub(super) const QUEUES: usize = 12;
const STEP_MS: u64 = 100;

#[derive(Debug, Clone)]
pub(super) enum Step {
    Start(usize),
    Kill(usize),
    /// Leaves in order.
    Stop(usize),
    Pause(usize),
    Resume(usize),
    /// The broker cannot be reached for this time, in milliseconds.
    Outage(u64),
    /// Milliseconds.
    Wait(u64),
}

pub(super) struct Simulation {
    now_ms: u64,
    start: Instant,
    random: fastrand::Rng,
    /// No message is late or lost.
    pub(super) calm: bool,
    pub(super) broker_is_reachable: bool,
    reachable_at: u64,
    records: BTreeMap<String, (u64, RecordValue)>,
    revision: u64,
    nodes: Vec<Option<Node>>,
    /// By time.
    messages: BTreeMap<u64, Vec<Message>>,
    processes: u64,
    last_fence: u64,
    queues: Vec<QueueKey>,
}

enum Message {
    ToNode { node: usize, process: u64, event: ClusterEvent },
    ToBroker { value: RecordValue, expected: u64, acknowledge: Option<(usize, u64, u64)> },
}

struct Node {
    process: u64,
    coordinator: Coordinator,
    /// The node's clock is this far ahead of the start, and runs at `speed` percent.
    offset: Duration,
    speed: u64,
    is_paused: bool,
    is_stopping: bool,
    has_left: bool,
    holding: Holding,
    version: OwnershipVersion,
    /// What the worker has seen.
    worker: OwnershipVersion,
    lease_end: Option<Instant>,
    fence: Option<u64>,
    /// When the attempts end, by queue.
    attempts: BTreeMap<usize, u64>,
    pending_release: Option<u64>,
}

impl Simulation {
    pub(super) fn new(seed: u64) -> Self {
        let queue = |number: usize| QueueKey {
            client: format!("client-{number}").parse().unwrap(),
            endpoint: Endpoint::Notification("main".parse().unwrap()),
        };
        Self {
            now_ms: 0,
            start: Instant::now(),
            random: fastrand::Rng::with_seed(seed),
            calm: false,
            broker_is_reachable: true,
            reachable_at: 0,
            records: BTreeMap::new(),
            revision: 0,
            nodes: (0..NODES).map(|_| None).collect(),
            messages: BTreeMap::new(),
            processes: 0,
            last_fence: 0,
            queues: (0..QUEUES).map(queue).collect(),
        }
    }

    pub(super) fn step(&mut self, step: &Step) {
        match *step {
            Step::Start(number) if self.nodes[number].is_none() => self.start(number),
            Step::Kill(number) => self.nodes[number] = None,
            Step::Stop(number) => self.change(number, |node| node.is_stopping = true),
            Step::Pause(number) => self.change(number, |node| node.is_paused = true),
            Step::Resume(number) => self.change(number, |node| node.is_paused = false),
            Step::Outage(ms) => self.reachable_at = self.now_ms + ms,
            Step::Wait(ms) => {
                let end = self.now_ms + ms;
                while self.now_ms < end {
                    self.advance();
                }
            }
            Step::Start(_) => {}
        }
    }

    fn change(&mut self, number: usize, change: impl FnOnce(&mut Node)) {
        if let Some(node) = &mut self.nodes[number] {
            change(node);
        }
    }

    /// Ends all faults. Returns the nodes that run.
    pub(super) fn restore(&mut self) -> Vec<usize> {
        self.calm = true;
        self.reachable_at = 0;
        for number in 0..NODES {
            if self.nodes[number].as_ref().is_none_or(|node| node.is_stopping) {
                self.nodes[number] = None;
            }
            self.change(number, |node| node.is_paused = false);
        }
        if self.nodes.iter().all(Option::is_none) {
            self.start(0);
        }
        (0..NODES).filter(|number| self.nodes[*number].is_some()).collect()
    }

    pub(super) fn finish_attempts(&mut self) {
        let now = self.now_ms;
        self.nodes.iter_mut().flatten().for_each(|node| node.attempts.values_mut().for_each(|end| *end = now));
    }

    pub(super) fn owned(&self, number: usize) -> usize {
        let Some(node) = &self.nodes[number] else { return 0 };
        self.queues.iter().filter(|queue| node.owns(queue, node.now(self.start, self.now_ms))).count()
    }

    pub(super) fn leader(&self) -> Option<usize> {
        (0..NODES).find(|number| self.nodes[*number].as_ref().is_some_and(|node| node.fence.is_some()))
    }

    pub(super) fn membership(&self) -> u64 {
        self.records.get("membership").map_or(0, |(revision, _)| *revision)
    }

    /// Every queue has exactly one owner, and all owners are among these nodes.
    #[track_caller]
    pub(super) fn assert_settled(&self, running: &[usize]) {
        let owned: usize = running.iter().map(|number| self.owned(*number)).sum();
        let states: Vec<_> = running.iter().map(|number| &self.nodes[*number].as_ref().unwrap().coordinator).collect();
        assert_eq!(owned, QUEUES, "{states:#?}\n{:#?}", self.records);
    }

    fn start(&mut self, number: usize) {
        self.processes += 1;
        let id = format!("n{number}").parse().unwrap();
        let options = NodeOptions {
            id,
            address: format!("{number}"),
            version: "test".into(),
            incarnation: self.random.u64(..),
            timing: Timing::default(),
        };
        let node = Node {
            process: self.processes,
            holding: Holding { node: options.id.clone(), memberships: Vec::new() },
            coordinator: Coordinator::new(options),
            // The clocks are up to an hour apart, and their speeds differ by up to 6 percent.
            offset: Duration::from_millis(self.random.u64(0..3_600_000)),
            speed: self.random.u64(97..=103),
            is_paused: false,
            is_stopping: false,
            has_left: false,
            version: OwnershipVersion::default(),
            worker: OwnershipVersion::default(),
            lease_end: None,
            fence: None,
            attempts: BTreeMap::new(),
            pending_release: None,
        };
        self.nodes[number] = Some(node);
        let records: Vec<_> = self.records.values().cloned().collect();
        for (revision, value) in records {
            self.notify(number, value, revision);
        }
    }

    fn advance(&mut self) {
        self.now_ms += STEP_MS;
        let later = self.messages.split_off(&(self.now_ms + 1));
        let due = std::mem::replace(&mut self.messages, later);
        for message in due.into_values().flatten() {
            match message {
                Message::ToBroker { value, expected, acknowledge } => self.store(value, expected, acknowledge),
                // A halted process receives its messages when it continues.
                Message::ToNode { node, process, event } => match &self.nodes[node] {
                    Some(present) if present.process == process && present.is_paused => {
                        self.send(200, Message::ToNode { node, process, event });
                    }
                    Some(present) if present.process == process => self.handle(node, event),
                    _ => {}
                },
            }
        }
        for number in 0..NODES {
            if self.nodes[number].as_ref().is_some_and(|node| !node.is_paused && !node.has_left) {
                if self.nodes[number].as_ref().is_some_and(|node| node.is_stopping) {
                    self.handle(number, ClusterEvent::Stop);
                }
                self.handle(number, ClusterEvent::Tick { position: 0 });
                self.work(number);
            }
            if self.nodes[number].as_ref().is_some_and(|node| node.has_left) {
                self.nodes[number] = None;
            }
        }
    }

    fn handle(&mut self, number: usize, event: ClusterEvent) {
        let Some(node) = &mut self.nodes[number] else { return };
        let process = node.process;
        let now = node.now(self.start, self.now_ms);
        for action in node.coordinator.handle(event, now) {
            match action {
                ClusterAction::Extend { lease_end } => node.lease_end = lease_end,
                ClusterAction::Own { holding, version } => (node.holding, node.version) = (holding, version),
                ClusterAction::Lead(fence) => {
                    node.fence = fence;
                    if let Some(fence) = fence {
                        assert!(fence > self.last_fence, "fences grow");
                        self.last_fence = fence;
                    }
                }
                ClusterAction::Finished => node.has_left = true,
                ClusterAction::CatchUp { generation } => {
                    let is_complete = self.calm || self.random.u8(..4) > 0;
                    let event = ClusterEvent::CaughtUp { generation, is_complete };
                    let at = self.now_ms + self.random.u64(0..500);
                    self.messages.entry(at).or_default().push(Message::ToNode { node: number, process, event });
                }
                ClusterAction::Write { value, expected, beat } => {
                    let fault = if self.calm { 9 } else { self.random.u8(..30) };
                    let (key, outcome) = (value.key(), RecordOutcome::Unknown);
                    let unknown =
                        Message::ToNode { node: number, process, event: ClusterEvent::Written { key, beat, outcome } };
                    let is_lost = fault == 0 || !self.broker_is_reachable || self.now_ms < self.reachable_at;
                    let (acknowledge, delay) = match fault {
                        1 => (None, self.random.u64(0..10_000)),
                        _ => (Some((number, process, beat)), self.random.u64(0..100)),
                    };
                    if is_lost || acknowledge.is_none() {
                        self.messages.entry(self.now_ms + 2_000).or_default().push(unknown);
                    }
                    if !is_lost {
                        let message = Message::ToBroker { value, expected, acknowledge };
                        self.messages.entry(self.now_ms + delay).or_default().push(message);
                    }
                }
            }
        }
    }

    /// The worker of a node: cancels, releases and starts attempts.
    fn work(&mut self, number: usize) {
        let Some(node) = &mut self.nodes[number] else { return };
        let now = node.now(self.start, self.now_ms);
        node.attempts.retain(|_, end| *end > self.now_ms);
        if node.version != node.worker {
            if node.version.lapses != node.worker.lapses {
                node.attempts.clear();
            }
            node.worker = node.version;
            node.pending_release = Some(node.version.generation);
        }
        let is_released = node.attempts.keys().all(|queue| node.holding.contains(&self.queues[*queue]));
        let released = if is_released { node.pending_release.take() } else { None };
        let owned: Vec<usize> = (0..QUEUES)
            .filter(|queue| node.owns(&self.queues[*queue], now) && !node.attempts.contains_key(queue))
            .collect();
        for queue in owned {
            self.assert_free(queue, number);
            let duration = if self.random.u8(..20) == 0 { 8_000 } else { self.random.u64(100..2_000) };
            let end = self.now_ms + duration;
            self.change(number, |node| {
                node.attempts.insert(queue, end);
            });
        }
        if let Some(generation) = released {
            self.handle(number, ClusterEvent::Released { generation });
        }
    }

    /// No other node attempts the queue. A halted node whose lease has ended does not count: it is as good as dead.
    fn assert_free(&self, queue: usize, starting: usize) {
        for (number, node) in self.nodes.iter().enumerate().filter(|(number, _)| *number != starting) {
            let Some(node) = node else { continue };
            let now = node.now(self.start, self.now_ms);
            let counts = !node.is_paused || node.lease_end.is_some_and(|end| now < end);
            let is_attempted = node.attempts.get(&queue).is_some_and(|end| *end > self.now_ms);
            assert!(
                !(counts && is_attempted),
                "nodes {starting} and {number} attempt queue {queue} at {}",
                self.now_ms
            );
        }
    }

    fn store(&mut self, value: RecordValue, expected: u64, acknowledge: Option<(usize, u64, u64)>) {
        let key = value.key();
        let present = self.records.get(&key);
        let is_expected = match present {
            Some((revision, stored)) => *revision == expected || (expected == 0 && stored.to_bytes().is_none()),
            None => expected == 0,
        };
        let outcome = if is_expected {
            self.revision += 1;
            self.records.insert(key.clone(), (self.revision, value.clone()));
            for number in 0..NODES {
                self.notify(number, value.clone(), self.revision);
            }
            RecordOutcome::Stored(self.revision)
        } else {
            RecordOutcome::Conflict
        };
        if let Some((node, process, beat)) = acknowledge {
            let event = ClusterEvent::Written { key, beat, outcome };
            let delay = self.random.u64(0..100);
            self.send(delay, Message::ToNode { node, process, event });
        }
    }

    /// Reports a record to a node, perhaps late, perhaps twice.
    fn notify(&mut self, number: usize, value: RecordValue, revision: u64) {
        let Some(process) = self.nodes[number].as_ref().map(|node| node.process) else { return };
        let (copies, limit) = match self.random.u8(..40) {
            _ if self.calm => (1, 100),
            0 => (1, 10_000),
            1..4 => (2, 2_000),
            _ => (1, 200),
        };
        for _ in 0..copies {
            let delay = self.random.u64(0..limit);
            let event = ClusterEvent::Observed { value: value.clone(), revision };
            self.send(delay, Message::ToNode { node: number, process, event });
        }
    }

    fn send(&mut self, delay_ms: u64, message: Message) {
        self.messages.entry(self.now_ms + delay_ms).or_default().push(message);
    }
}

impl Node {
    fn now(&self, start: Instant, now_ms: u64) -> Instant {
        start + self.offset + Duration::from_millis(now_ms * self.speed / 100)
    }

    fn owns(&self, queue: &QueueKey, now: Instant) -> bool {
        self.lease_end.is_some_and(|end| now < end) && self.holding.contains(queue)
    }
}
