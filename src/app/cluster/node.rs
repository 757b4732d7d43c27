//! What a node of a cluster runs besides a relay's own tasks, and what it shows of itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::comparison::{self, NodeDigests};
use super::fault::{FaultSignal, FaultWatch};
use super::snapshot_failures::{Abstention, SnapshotFailures};
use super::{Cluster, secrets, snapshots};
use crate::app::queue_ownership::ClusterOwnership;
use crate::app::tasks::run_named;
use crate::cluster::{ClusterNode, Comparison, LastComparisons, LocalStore};
use crate::delivery::QueueOwnership;
use crate::http::ClusterView;
use crate::store::sqlite::replication::{ApplyProgress, LeadershipHandle, ReplicationTask};
use crate::store::{Maintenance, Store};

/// How long to wait for the broker's state.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a node is not ready that has renewed no lease.
const NO_CONTACT: &str = "the broker has stored no write of this node for 5 s: it has no majority of its servers, is too slow, or \
                          this node has just started";

/// The parts of a node that has not been started.
pub(in crate::app) struct NodeParts {
    pub(super) cluster: Cluster,
    pub(super) store: Store,
    pub(super) node: ClusterNode,
    pub(super) tasks: Vec<(&'static str, ReplicationTask)>,
    pub(super) leadership: LeadershipHandle,
    pub(super) comparison: Comparison,
    pub(super) digests: NodeDigests,
    pub(super) fault: FaultSignal,
    pub(super) failures: SnapshotFailures,
}

impl NodeParts {
    /// Which delivery queues this node attempts.
    pub(in crate::app) fn ownership(&self) -> Arc<dyn QueueOwnership> {
        Arc::new(ClusterOwnership(self.node.queues()))
    }

    /// Tells why this node cannot go on with its database.
    pub(in crate::app) fn fault(&self) -> FaultWatch {
        self.fault.watch()
    }

    /// Reads the state of the cluster for operators.
    pub(in crate::app) fn view(&self) -> ClusterView {
        let (status, journal) = (self.node.status(), self.cluster.journal.clone());
        let (comparisons, fault) = (self.comparison.results(), self.fault.watch());
        let state = move || -> BoxFuture<'static, serde_json::Value> {
            let (status, comparisons, journal) =
                (status.borrow().clone(), comparisons.borrow().clone(), journal.clone());
            Box::pin(async move {
                let broker = match tokio::time::timeout(HEALTH_TIMEOUT, journal.health()).await {
                    Ok(Ok(health)) => serde_json::json!(health),
                    Ok(Err(error)) => serde_json::json!({"error": error.to_string()}),
                    Err(_) => serde_json::json!({"error": "the broker has not answered"}),
                };
                let mut view = serde_json::json!(status);
                view["broker"] = broker;
                add_comparisons(&mut view, &comparisons);
                view
            })
        };
        let contact = self.node.contact();
        ClusterView {
            state: Arc::new(state),
            fault: Arc::new(move || fault.present().map(|fault| fault.to_string())),
            unready: Arc::new(move || (!contact.is_current()).then_some(NO_CONTACT)),
        }
    }

    /// Starts the tasks. The node leaves the cluster when its deliveries end.
    #[expect(clippy::disallowed_methods, reason = "the sets are joined when the relay stops")]
    pub(in crate::app) fn spawn(
        self,
        deliveries: &mut JoinSet<&'static str>,
        rest: &mut JoinSet<&'static str>,
        stop_deliveries: &CancellationToken,
        stop_rest: &CancellationToken,
    ) {
        let Self { cluster, store, node, tasks, leadership: handle, comparison, digests, fault, failures } = self;
        for (name, task) in tasks {
            rest.spawn(run_named(name, fault.clone().run(name, task, stop_rest.clone())));
        }
        let mut leads = node.leadership();
        let (is_leader, stop) = (leads.clone(), stop_rest.clone());
        rest.spawn(run_named("leadership", async move {
            let leading = async {
                loop {
                    let revision = *leads.borrow_and_update();
                    handle.set(revision).await;
                    if leads.changed().await.is_err() {
                        // The coordination has ended: this node stops.
                        return std::future::pending::<()>().await;
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = leading => {}
            }
        }));
        let (sharing, stop) = (cluster.clone(), stop_rest.clone());
        rest.spawn(run_named("key sharing", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = secrets::share(&sharing) => {}
            }
        }));
        let (snapshotting, stop, faults) = (cluster.clone(), stop_rest.clone(), fault.watch());
        rest.spawn(run_named("snapshots", async move {
            let leads = || is_leader.borrow().is_some() && faults.present().is_none();
            tokio::select! {
                () = stop.cancelled() => {}
                () = snapshots::run(&snapshotting, leads, failures) => {}
            }
        }));
        let (signal, stop) = (fault.clone(), stop_rest.clone());
        rest.spawn(run_named("comparison", async move {
            let comparing = async {
                comparison::caught_up(&store).await;
                comparison::run(&cluster, comparison, digests, &signal).await;
                // Its end is no fault of the relay: it stops for another reason.
                std::future::pending::<()>().await
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = comparing => {}
            }
        }));
        let coordination = Box::pin(node.run(stop_deliveries.clone()));
        deliveries.spawn(run_named("cluster", fault.run("cluster", coordination, stop_deliveries.clone())));
    }
}

/// Adds the last comparison to each member.
fn add_comparisons(view: &mut serde_json::Value, comparisons: &LastComparisons) {
    for member in view["members"].as_array_mut().into_iter().flatten() {
        let name = member["name"].as_str().unwrap_or_default();
        let last = comparisons.iter().find(|(node, _)| node.as_str() == name).map(|(_, last)| last);
        member["comparison"] = serde_json::json!(last);
    }
}

/// This node's store, as the coordination sees it.
pub(super) struct NodeStore {
    pub(super) maintenance: Arc<dyn Maintenance>,
    pub(super) progress: ApplyProgress,
    pub(super) format: watch::Sender<u8>,
    pub(super) abstention: Abstention,
}

impl LocalStore for NodeStore {
    fn position(&self) -> u64 {
        self.progress.position()
    }

    fn is_failing(&self) -> bool {
        self.progress.is_failing()
    }

    fn abstains(&self) -> bool {
        self.abstention.lasts(Instant::now())
    }

    fn catch_up(&self) -> BoxFuture<'static, Result<(), String>> {
        let maintenance = self.maintenance.clone();
        Box::pin(async move { maintenance.catch_up().await.map(drop).map_err(|error| error.to_string()) })
    }

    fn use_format(&self, format: u8) {
        self.format.send_replace(format);
    }
}
