//! Streams: from the committed log to the followers. The dispatcher carries committed events into the hub, and a
//! follower reads the log after its position, then the hub. Knows the ports of the store; knows neither HTTP nor SQL.

mod dispatch;
mod follower;
pub mod hub;

use std::time::Duration;

use crate::metrics::Metrics;
use crate::store::{PageLimit, Store};

use hub::Hub;

pub use dispatch::dispatch;
pub use follower::{FollowRequest, Follower, Turn, busy, opening, refused};

/// Options of the event streams.
#[derive(Debug, Clone)]
pub struct Options {
    /// A stream that has written nothing for this long gets an empty line.
    pub idle_interval: Duration,
    /// Bounds of one page of the log during a replay. This, times the store's readers, bounds the memory of replays.
    pub page: PageLimit,
}

impl Default for Options {
    fn default() -> Self {
        Self { idle_interval: Duration::from_secs(15), page: PageLimit { events: 512, bytes: 256 << 10 } }
    }
}

/// The use case of following: opens streams over one log and one hub. Cheap to clone.
#[derive(Clone)]
pub struct Streams {
    store: Store,
    hub: Hub,
    options: Options,
    metrics: Metrics,
}

impl Streams {
    /// Opens streams over this store and hub.
    pub fn new(store: Store, hub: Hub, options: Options, metrics: Metrics) -> Self {
        Self { store, hub, options, metrics }
    }
}
