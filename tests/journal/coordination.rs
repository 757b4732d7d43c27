//! Three nodes that coordinate over a real broker: one leader, one owner for each queue, also after a node or the broker
//! was lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use docrelay::cluster::{ClusterNode, ClusterStatus, LocalStore, NodeOptions, OwnedQueues, OwnershipPhase, Timing};
use docrelay::domain::{Endpoint, QueueKey};
use docrelay::journal::Journal;
use docrelay::journal::jetstream::JetStream;
use futures::future::{BoxFuture, FutureExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::brokers::Broker;
use crate::harness::{TIMEOUT, create, nats_server, open, options};

const QUEUES: usize = 30;

/// A store that has always applied the journal's end.
struct Current(JetStream);

impl LocalStore for Current {
    fn position(&self) -> u64 {
        7
    }

    fn catch_up(&self) -> BoxFuture<'static, Result<(), String>> {
        self.0.range().map(|range| range.map(drop).map_err(|error| error.to_string())).boxed()
    }
}

struct Node {
    queues: OwnedQueues,
    leadership: watch::Receiver<Option<u64>>,
    status: watch::Receiver<ClusterStatus>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Node {
    fn start(name: &str, journal: JetStream) -> Self {
        let options = NodeOptions {
            id: name.parse().unwrap(),
            address: format!("{name}.example.com:8080"),
            version: "test".to_owned(),
            incarnation: fastrand::u64(..),
            timing: Timing::default(),
        };
        let node = ClusterNode::new(options, Arc::new(journal.clone()), Arc::new(Current(journal)));
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
        Self { queues, leadership, status, stop, tasks }
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
    let endpoint = Endpoint::Notification("main".parse().unwrap());
    QueueKey { client: format!("client-{number}").parse().unwrap(), endpoint }
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
