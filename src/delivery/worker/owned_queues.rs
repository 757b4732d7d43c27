//! What the worker does when the node gains or loses delivery queues.

use std::sync::Arc;

use tokio::sync::watch;

use super::DeliveryWorker;
use crate::delivery::QueueOwnership;
use crate::delivery::scheduler::SchedulerEvent;
use crate::domain::{OwnershipVersion, QueueKey};

/// The port, and what the worker has seen of it.
pub(super) struct OwnershipWatch {
    port: Arc<dyn QueueOwnership>,
    seen: OwnershipVersion,
    /// The generation to release when the lost queues have drained.
    pending_release: Option<u64>,
}

impl OwnershipWatch {
    pub(super) fn new(port: Arc<dyn QueueOwnership>) -> Self {
        Self { port, seen: OwnershipVersion::default(), pending_release: None }
    }

    /// The present state counts as a change.
    pub(super) fn changes(&self) -> watch::Receiver<OwnershipVersion> {
        let mut changes = self.port.changes();
        changes.mark_changed();
        changes
    }

    pub(super) fn release_all(&self) {
        self.port.release(u64::MAX);
    }
}

pub(super) fn owns(ownership: Option<&OwnershipWatch>, queue: &QueueKey) -> bool {
    ownership.is_none_or(|ownership| ownership.port.owns(queue))
}

/// Waits for a change; for ever without a cluster. Cancellation-safe.
pub(super) async fn changed(changes: &mut Option<watch::Receiver<OwnershipVersion>>) -> OwnershipVersion {
    if let Some(changes) = changes
        && changes.changed().await.is_ok()
    {
        return *changes.borrow_and_update();
    }
    std::future::pending().await
}

impl DeliveryWorker {
    pub(super) fn ownership_changed(&mut self, change: OwnershipVersion) {
        let Some(ownership) = &mut self.ownership else { return };
        let seen = std::mem::replace(&mut ownership.seen, change);
        ownership.pending_release = Some(change.generation);
        let port = ownership.port.clone();
        let lost: Vec<QueueKey> = self.scheduler.present_queues().filter(|queue| !port.owns(queue)).cloned().collect();
        for queue in lost {
            self.handle(SchedulerEvent::QueueLost(queue));
        }
        if change.lapses != seen.lapses {
            // Without a lease, another node may attempt the queues already.
            self.scheduler.draining_queues().for_each(|queue| self.handle.in_flight.begin_cancel(queue));
        }
        if change.gains != seen.gains {
            self.handle.store.outbox.rescan();
        }
    }

    /// Reports that the attempts of the lost queues have ended.
    pub(super) fn report_released(&mut self) {
        if let Some(ownership) = &mut self.ownership
            && ownership.pending_release.is_some()
            && self.scheduler.draining_queues().next().is_none()
            && let Some(generation) = ownership.pending_release.take()
        {
            ownership.port.release(generation);
        }
    }
}
