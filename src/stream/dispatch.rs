//! The dispatcher: the one way from the log to the hub. A single task keeps the order of the log: publishers that
//! delivered their own events were measured to overtake each other.

use futures::StreamExt;
use futures::stream::BoxStream;

use super::hub::Hub;
use crate::metrics::Metrics;
use crate::store::CommittedBatch;

/// Publishes every committed batch until the log's tail ends. `tail` must have been opened before the first follower
/// subscribes: what was committed before that is in the log only.
pub async fn dispatch(hub: Hub, metrics: Metrics, mut tail: BoxStream<'static, CommittedBatch>) {
    while let Some(batch) = tail.next().await {
        hub.publish(&batch.events);
        if let Some(last) = batch.events.last() {
            metrics.store_head.set(i64::try_from(last.id.sequence).unwrap_or(i64::MAX));
        }
    }
}
