//! Connects the comparison of the nodes' databases with this node's store, and ends the node when its database is
//! wrong.

use futures::future::BoxFuture;
use tokio::sync::watch;

use super::fault::{FaultSignal, NodeFault};
use super::rebuild::RebuildMarker;
use super::{CATCH_UP_INTERVAL, Cluster};
use crate::cluster::{ComparedStore, Comparison, Divergence, LocalDigest};
use crate::metrics::Counter;
use crate::store::Store;
use crate::store::sqlite::comparison::{ComparisonHandle, StateDigest};

/// The store as the comparison sees it.
pub(super) struct NodeDigests {
    handle: ComparisonHandle,
    digests: watch::Receiver<Option<StateDigest>>,
    computed: Counter,
}

impl NodeDigests {
    pub(super) fn new(handle: ComparisonHandle, computed: Counter) -> Self {
        Self { digests: handle.digests(), handle, computed }
    }
}

impl ComparedStore for NodeDigests {
    fn next_digest(&mut self) -> BoxFuture<'_, LocalDigest> {
        Box::pin(async move {
            while self.digests.changed().await.is_ok() {
                let latest = self.digests.borrow_and_update().clone();
                if let Some(StateDigest { position, schema, digest, is_proposer }) = latest {
                    self.computed.inc();
                    return LocalDigest { position, schema, digest, is_proposer };
                }
            }
            // The store is closed.
            std::future::pending().await
        })
    }

    fn propose(&self, fence: u64) {
        self.handle.propose(fence);
    }
}

/// Waits until this node has caught up with the journal.
pub(super) async fn caught_up(store: &Store) {
    while store.maintenance.catch_up().await.is_err() {
        tokio::time::sleep(CATCH_UP_INTERVAL).await;
    }
}

/// Takes part in comparisons until this node's database is wrong. To be called when the node has caught up.
pub(super) async fn run(cluster: &Cluster, comparison: Comparison, digests: NodeDigests, fault: &FaultSignal) {
    digests.handle.enable();
    // Without the journal there is nothing to compare: the coordination ends the node.
    let Ok(divergence) = comparison.run(digests).await else { return };
    let Divergence { position, digest, expected, nodes } = &divergence;
    let nodes: Vec<&str> = nodes.iter().map(|node| node.as_str()).collect();
    tracing::error!(
        position,
        digest = digest.as_deref().unwrap_or("damaged"),
        expected,
        nodes = nodes.join(" "),
        "database of this node differs from the other nodes': replacing it by a snapshot"
    );
    if let Err(error) = RebuildMarker::write(cluster, &divergence) {
        tracing::error!(error = format!("{error:#}"), "cannot mark the database as wrong: it will be found again");
    }
    fault.raise(NodeFault::Differs(divergence));
}
