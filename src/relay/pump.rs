//! The one way from the log to the hub. A single pump keeps the order of the log: publishers that delivered their own
//! events were seen to overtake each other.

use futures::StreamExt;
use futures::stream::BoxStream;

use super::Relay;
use crate::store::Batch;

/// Carries every committed batch into the hub, until the log's tail ends. `tail` must have been taken before the
/// first follower joins: what is committed earlier is only in the log.
pub async fn pump(relay: Relay, mut tail: BoxStream<'static, Batch>) {
    while let Some(batch) = tail.next().await {
        relay.hub.publish(&batch.events);
        if let Some(last) = batch.events.last() {
            relay.metrics.store_head.set(i64::try_from(last.id.sequence).unwrap_or(i64::MAX));
        }
    }
}
