//! Nodes with clocks of their own, a broker, and messages between them that are late, lost or repeated.

mod broker;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::cluster::coordinator::{ClusterAction, ClusterEvent, Coordinator, RecordOutcome};
use crate::cluster::ownership::Holding;
use crate::cluster::records::RecordValue;
use crate::cluster::{NodeAddress, NodeFormats, NodeOptions, Timing};
use crate::domain::{OwnershipVersion, QueueKey, QueueTarget};

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
    /// The node cannot apply entries.
    Fail(usize),
    /// It can again.
    Recover(usize),
    /// The node leaves the leadership to another one.
    Abstain(usize),
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
    /// What the program of each node reads; a new value counts from the next start.
    pub(super) formats: [NodeFormats; NODES],
    pub(super) broker_is_reachable: bool,
    reachable_at: u64,
    /// Milliseconds that each message to or from the broker takes in addition.
    pub(super) latency_ms: u64,
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
    /// When its worker last ran.
    worked_at: u64,
    is_failing: bool,
    abstains: bool,
    is_stopping: bool,
    has_left: bool,
    /// The format in which it proposes.
    entry_format: u8,
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
            target: QueueTarget::Notification("main".parse().unwrap()),
        };
        Self {
            now_ms: 0,
            start: Instant::now(),
            random: fastrand::Rng::with_seed(seed),
            calm: false,
            formats: [NodeFormats::default(); NODES],
            broker_is_reachable: true,
            reachable_at: 0,
            latency_ms: 0,
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
            Step::Fail(number) => self.change(number, |node| node.is_failing = true),
            Step::Recover(number) => self.change(number, |node| node.is_failing = false),
            Step::Abstain(number) => self.change(number, |node| node.abstains = true),
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
            self.change(number, |node| {
                (node.is_paused, node.is_failing, node.abstains) = (false, false, false);
            });
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

    /// The format in which a node proposes; `None` if it does not run.
    pub(super) fn entry_format(&self, number: usize) -> Option<u8> {
        self.nodes[number].as_ref().map(|node| node.entry_format)
    }

    pub(super) fn membership(&self) -> u64 {
        self.records.get("membership").map_or(0, |(revision, _)| *revision)
    }

    /// How long ago the broker confirmed a write of a node, by the node's clock.
    pub(super) fn since_confirmed(&self, number: usize) -> Option<Duration> {
        let node = self.nodes[number].as_ref()?;
        Some(node.now(self.start, self.now_ms) - node.coordinator.confirmed_at()?)
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
            address: NodeAddress::default(),
            version: "test".into(),
            formats: self.formats[number],
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
            worked_at: self.now_ms,
            is_failing: false,
            abstains: false,
            is_stopping: false,
            has_left: false,
            entry_format: 0,
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
                let node = self.nodes[number].as_ref();
                let (is_failing, abstains) = node.map_or((false, false), |node| (node.is_failing, node.abstains));
                self.handle(number, ClusterEvent::Tick { position: 0, is_failing, abstains });
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
                ClusterAction::UseFormat(format) => {
                    assert!(format > node.entry_format, "formats grow");
                    node.entry_format = format;
                }
                // As if it was killed.
                ClusterAction::Outdated(_) | ClusterAction::Finished => node.has_left = true,
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
                    // The driver stops waiting after 2 s; the record shows later that it is stored.
                    let is_slow = 2 * self.latency_ms >= 2_000;
                    let is_lost = fault == 0 || !self.broker_is_reachable || self.now_ms < self.reachable_at;
                    let (acknowledge, delay) = match fault {
                        1 => (None, self.random.u64(0..10_000)),
                        _ => ((!is_slow).then_some((number, process, beat)), self.latency_ms + self.random.u64(0..100)),
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
        node.worked_at = self.now_ms;
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

    /// No other node attempts the queue. A halted node whose lease has ended does not count, nor when it has just been
    /// continued: it was as good as dead, and cancels its attempts as soon as its worker runs.
    fn assert_free(&self, queue: usize, starting: usize) {
        for (number, node) in self.nodes.iter().enumerate().filter(|(number, _)| *number != starting) {
            let Some(node) = node else { continue };
            let now = node.now(self.start, self.now_ms);
            let is_running = node.worked_at + STEP_MS >= self.now_ms;
            let counts = is_running || node.lease_end.is_some_and(|end| now < end);
            let is_attempted = node.attempts.get(&queue).is_some_and(|end| *end > self.now_ms);
            assert!(
                !(counts && is_attempted),
                "nodes {starting} and {number} attempt queue {queue} at {}",
                self.now_ms
            );
        }
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
