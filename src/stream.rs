//! Streams: from the committed log to the followers. The dispatcher publishes committed events to the hub; a follower
//! reads the log after its start position, then the hub. Knows the ports of the store, neither HTTP nor SQL.

pub mod control;
mod follower;
pub mod hub;
mod position;
mod streams;

use futures::StreamExt;
use futures::stream::BoxStream;

use hub::Hub;

use crate::metrics::Metrics;
use crate::store::LogChange;

pub use follower::{FollowRequest, Follower, StreamAction};
pub use position::StartPosition;
pub use streams::{StreamOptions, Streams};

/// The dispatcher: publishes committed events to the hub, and ends the streams of removed clients, until the log's tail
/// ends. `tail` must have been opened before the first follower subscribes: what was committed before that is in the
/// log only. A single task keeps the order of the log: publishers that delivered their own events were measured to
/// overtake each other.
pub async fn dispatch(hub: Hub, metrics: Metrics, mut tail: BoxStream<'static, LogChange>) {
    while let Some(change) = tail.next().await {
        match change {
            LogChange::Events(events) => {
                hub.publish(&events);
                if let Some(last) = events.last() {
                    metrics.store_head.set(i64::try_from(last.id.sequence).unwrap_or(i64::MAX));
                }
            }
            LogChange::ClientRemoved(client) => hub.revoke(&client),
        }
    }
}
