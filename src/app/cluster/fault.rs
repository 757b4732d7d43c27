//! Why a node cannot go on with the database that it has, and how its tasks say so. The relay then stops in order; what
//! follows is decided in `app`.

use std::fmt;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cluster::Divergence;
use crate::journal::JournalError;
use crate::store::sqlite::replication::ReplicationTask;

/// Why a node cannot go on. The text is one sentence for operators.
#[derive(Debug, Clone)]
pub(in crate::app) enum NodeFault {
    /// The database is wrong.
    Differs(Divergence),
    /// The journal begins at this position, behind what this node has applied.
    Trimmed(u64),
    /// The journal does not exist any more, or does not hold what this node has applied.
    Replaced,
}

impl fmt::Display for NodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs(Divergence { position, .. }) => {
                write!(
                    f,
                    "the database of this node differs from the other nodes' at position {position}: it is being replaced by \
                     a snapshot"
                )
            }
            Self::Trimmed(first) => write!(
                f,
                "this node was away for too long, the journal begins at position {first}: its database is being replaced by a \
                 snapshot"
            ),
            Self::Replaced => f.write_str(
                "the cluster's journal was deleted or re-created, or has lost its last entries, while this node was running: \
                 restore the data of the NATS servers, or found the cluster again as docs/CLUSTER.md says",
            ),
        }
    }
}

/// The first fault of a node. All clones are the same.
#[derive(Clone)]
pub(super) struct FaultSignal(watch::Sender<Option<NodeFault>>);

/// Waits for the fault of a node.
#[derive(Clone)]
pub(in crate::app) struct FaultWatch(watch::Receiver<Option<NodeFault>>);

impl FaultSignal {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    pub(super) fn raise(&self, fault: NodeFault) {
        self.0.send_if_modified(|present| {
            let is_first = present.is_none();
            if is_first {
                *present = Some(fault);
            }
            is_first
        });
    }

    pub(super) fn watch(&self) -> FaultWatch {
        FaultWatch(self.0.subscribe())
    }

    /// Runs a task, and reports the error with which it has ended. After a fault it lasts until `stop`: the relay stops
    /// because of the fault, not because of the task.
    pub(super) async fn run(self, name: &'static str, task: ReplicationTask, stop: CancellationToken) {
        let fault = match task.await {
            Ok(()) => return,
            Err(JournalError::Trimmed(first)) => NodeFault::Trimmed(first),
            Err(JournalError::Replaced) => NodeFault::Replaced,
            Err(error) => return tracing::error!(%error, task = name, "node must stop"),
        };
        self.raise(fault);
        stop.cancelled().await;
    }
}

impl FaultWatch {
    /// The fault, if there is one already.
    pub(super) fn present(&self) -> Option<NodeFault> {
        self.0.borrow().clone()
    }

    /// Waits for the fault; for ever if the node has ended without one.
    pub(in crate::app) async fn next(&mut self) -> NodeFault {
        match self.0.wait_for(Option::is_some).await.map(|fault| fault.clone()) {
            Ok(Some(fault)) => fault,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn task_that_meets_a_fault_lasts_until_the_stop() {
        let (signal, stop) = (FaultSignal::new(), CancellationToken::new());
        let mut watch = signal.watch();
        let task: ReplicationTask = Box::pin(async { Err(JournalError::Trimmed(7)) });
        let mut running = std::pin::pin!(signal.clone().run("entries", task, stop.clone()));
        tokio::select! {
            biased;
            () = &mut running => panic!("the end of the task would stop the relay for another reason"),
            fault = watch.next() => assert!(matches!(fault, NodeFault::Trimmed(7))),
        }
        signal.raise(NodeFault::Replaced);
        assert!(matches!(watch.present(), Some(NodeFault::Trimmed(7))), "the first one counts");
        stop.cancel();
        running.await;
    }
}
