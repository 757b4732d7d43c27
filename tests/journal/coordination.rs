//! Three nodes that coordinate over a real broker: one leader, one owner for each queue, also after a node or the
//! broker was lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use docrelay::cluster::{
    ClusterNode, ClusterStatus, LocalStore, NodeAddress, NodeFormats, NodeOptions, OwnedQueues, OwnershipPhase, Timing,
};
use docrelay::domain::{QueueKey, QueueTarget};
use docrelay::journal::Journal;
use docrelay::journal::jetstream::JetStream;
use futures::future::{BoxFuture, FutureExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::brokers::Broker;
use crate::harness::{TIMEOUT, create, nats_server, open, options};

const QUEUES: usize = 30;

/// A store that has always applied the journal's end, and the format in which it proposes.
struct Current(JetStream, watch::Sender<u8>);

impl LocalStore for Current {
    fn position(&self) -> u64 {
        7
    }

    fn is_failing(&self) -> bool {
        false
    }

    fn abstains(&self) -> bool {
        false
    }

    fn catch_up(&self) -> BoxFuture<'static, Result<(), String>> {
        self.0.range().map(|range| range.map(drop).map_err(|error| error.to_string())).boxed()
    }

    fn use_format(&self, format: u8) {
        self.1.send_replace(format);
    }
}

struct Node {
    queues: OwnedQueues,
    leadership: watch::Receiver<Option<u64>>,
    status: watch::Receiver<ClusterStatus>,
    format: watch::Receiver<u8>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    fn start(name: &str, journal: JetStream) -> Self {
        Self::start_with(name, journal, NodeFormats::default())
    }

    fn start_with(name: &str, journal: JetStream, formats: NodeFormats) -> Self {
        let options = NodeOptions {
            id: name.parse().unwrap(),
            address: NodeAddress { listen: format!("{name}.example.com:8080"), ..NodeAddress::default() },
            version: "test".to_owned(),
            formats,
            incarnation: fastrand::u64(..),
            timing: Timing::default(),
        };
        let (proposed, format) = watch::channel(0);
        let node = ClusterNode::new(options, Arc::new(journal.clone()), Arc::new(Current(journal, proposed)));
        let (queues, leadership, status) = (node.queues(), node.leadership(), node.status());
        let stop = CancellationToken::new();
        let running = node.run(stop.clone());
        let (worker, mut changes) = (queues.clone(), queues.changes());
        let tasks = vec![
            tokio::spawn(async move { running.await.unwrap() }),
            // A worker without attempts in flight.
            tokio::spawn(async move {
                while changes.changed().await.is_ok() {
                    let generation = changes.borrow_and_update().generation;
                    worker.release(generation);
                }
            }),
        ];
        Self { queues, leadership, status, format, stop, tasks }
    }

    fn owned(&self) -> usize {
        (0..QUEUES).filter(|number| self.queues.owns(&queue(*number))).count()
    }

    fn fence(&self) -> Option<u64> {
        *self.leadership.borrow()
    }

    /// As if the process was killed.
    fn kill(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn queue(number: usize) -> QueueKey {
    let target = QueueTarget::Notification("main".parse().unwrap());
    QueueKey { client: format!("client-{number}").parse().unwrap(), target }
}

/// Waits for a condition of the nodes, which holds no later than `limit`. At no time does a queue have two owners.
#[track_caller]
fn wait_until(nodes: &[&Node], limit: Duration, condition: impl Fn() -> bool + Send) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let (start, mut ticks) = (Instant::now(), tokio::time::interval(Duration::from_millis(20)));
        while !condition() {
            for number in 0..QUEUES {
                let owners = nodes.iter().filter(|node| node.queues.owns(&queue(number))).count();
                assert!(owners <= 1, "queue {number} has {owners} owners");
            }
            let states: Vec<_> = nodes.iter().map(|node| (node.owned(), node.fence())).collect();
            assert!(start.elapsed() < limit, "{caller}: {states:?}");
            ticks.tick().await;
        }
    }
}

fn is_settled(nodes: &[&Node]) -> bool {
    let owned: usize = nodes.iter().map(|node| node.owned()).sum();
    owned == QUEUES && nodes.iter().filter(|node| node.fence().is_some()).count() == 1
}

async fn start_three(broker: &Broker) -> [Node; 3] {
    let first = create(options(vec![broker.url()], 1)).await;
    let (second, third) = (open(options(vec![broker.url()], 1)).await, open(options(vec![broker.url()], 1)).await);
    [Node::start("n1", first), Node::start("n2", second), Node::start("n3", third)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_node_is_replaced_as_leader_and_owner_after_its_lease() {
    let Some(program) = nats_server() else { return };
    let broker = Broker::single(&program, "");
    let nodes = start_three(&broker).await;
    let all: Vec<&Node> = nodes.iter().collect();
    wait_until(&all, TIMEOUT, || is_settled(&all) && all.iter().all(|node| node.owned() > 0)).await;
    // The status is at most one tick older than what it reports.
    let is_reported = || {
        let status = all[0].status.borrow();
        let alive = status.members.iter().filter(|member| member.is_alive && member.lag == 0).count();
        (alive, status.ownership) == (3, OwnershipPhase::Active)
    };
    wait_until(&all, TIMEOUT, is_reported).await;
    let (leader, rest): (Vec<&Node>, Vec<&Node>) = all.iter().partition(|node| node.fence().is_some());
    let fence = leader[0].fence();
    leader[0].kill();
    let limit = Timing::default().lease + Duration::from_secs(2);
    // The killed node counts as an owner until its lease has ended.
    wait_until(&all, limit, || is_settled(&rest)).await;
    assert!(rest.iter().any(|node| node.fence() > fence), "the fence grows");
    // A node that leaves in order is replaced at once.
    rest[0].stop.cancel();
    wait_until(&rest, Duration::from_secs(3), || is_settled(&rest[1..])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_attempt_nothing_without_broker_and_continue_with_it() {
    let Some(program) = nats_server() else { return };
    let mut broker = Broker::single(&program, "");
    let nodes = start_three(&broker).await;
    let all: Vec<&Node> = nodes.iter().collect();
    wait_until(&all, TIMEOUT, || is_settled(&all)).await;
    let fence = all.iter().filter_map(|node| node.fence()).max();
    broker.kill();
    let lost_at = Instant::now();
    let is_suspended = || all.iter().all(|node| node.owned() == 0 && node.fence().is_none());
    wait_until(&all, Timing::default().lease, is_suspended).await;
    // Nothing is owned until the broker returns, ten seconds after it was lost.
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    while lost_at.elapsed() < Duration::from_secs(10) {
        assert!(is_suspended());
        ticks.tick().await;
    }
    broker.start();
    wait_until(&all, TIMEOUT, || is_settled(&all)).await;
    assert!(all.iter().any(|node| node.fence() > fence), "the fence grows");
}

// Nodes with a later program, which reads format 2; that of the fourth node reads only the first format.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_with_older_program_keeps_its_entry_format_until_it_leaves() {
    let Some(program) = nats_server() else { return };
    let broker = Broker::single(&program, "");
    let first = create(options(vec![broker.url()], 1)).await;
    let old = open(options(vec![broker.url()], 1)).await;
    // As a program writes it that knows no formats.
    let record = |beat: u64| {
        let record = serde_json::json!({
            "incarnation": 7, "beat": beat, "address": "old", "version": "old", "position": 7, "adopted": 0, "drained": true,
        });
        bytes::Bytes::from(record.to_string())
    };
    let (stop, renewing) = (CancellationToken::new(), old.clone());
    let stopped = stop.clone();
    let mut revision = old.put_record("member/old".into(), record(0), Some(0)).await.unwrap();
    let renewals = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Timing::default().renewal);
        for beat in 1.. {
            tokio::select! {
                () = stopped.cancelled() => break,
                _ = ticks.tick() => {}
            }
            revision = renewing.put_record("member/old".into(), record(beat), Some(revision)).await.unwrap();
        }
        revision
    });
    let later = NodeFormats { entry_format: 2, ..NodeFormats::default() };
    let node = Node::start_with("n1", first, later);
    let second = Node::start_with("n2", open(options(vec![broker.url()], 1)).await, later);
    let nodes = [&node, &second];
    // Both are members: a node that has not joined has no format yet.
    let have_joined = || nodes.iter().all(|node| node.owned() > 0 && *node.format.borrow() > 0);
    wait_until(&nodes, TIMEOUT, || is_settled(&nodes) && have_joined()).await;
    // For longer than a lease.
    let settled = Instant::now();
    wait_until(&nodes, TIMEOUT, || {
        assert_eq!(nodes.map(|node| *node.format.borrow()), [1, 1]);
        settled.elapsed() > Timing::default().lease + Timing::default().margin
    })
    .await;
    let status = node.status.borrow().clone();
    let reads: Vec<_> =
        status.members.iter().map(|member| (member.name.as_str(), member.formats.entry_format)).collect();
    assert_eq!((status.entry_format, reads), (1, vec![("n1", 2), ("n2", 2), ("old", 1)]));

    stop.cancel();
    let revision = renewals.await.unwrap();
    old.delete_record("member/old".into(), Some(revision)).await.unwrap();
    wait_until(&nodes, TIMEOUT, || nodes.iter().all(|node| *node.format.borrow() == 2)).await;
    // A node with the old program finds the format in the record, and is not a member at any time.
    let membership = old.record("membership".into()).await.unwrap().unwrap();
    let refused = NodeFormats::default().check(&membership).unwrap_err().to_string();
    assert!(refused.contains("format 2") && refused.contains("upgrade docrelay on this node"), "{refused}");
    let late = Node::start("n3", open(options(vec![broker.url()], 1)).await);
    wait_until(&nodes, TIMEOUT, || late.tasks[0].is_finished()).await;
    assert!(is_settled(&nodes) && late.owned() == 0);
}
