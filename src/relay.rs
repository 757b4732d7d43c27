//! The use cases: accept what a vendor says, follow a client's stream, pump the log into the hub, look at documents.
//! Knows the ports of the store and the hub; knows neither HTTP nor SQL.

mod accept;
mod follow;
mod hooks;
mod pump;

use std::time::Duration;

use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::store::{PageLimit, Store};

pub use accept::{Registration, RejectFailure};
pub use follow::{FollowRequest, Follower, Turn, busy, opening, refused};
pub use hooks::{HookRefusal, add_hook, change_hook};
pub use pump::pump;

/// What the use cases need to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// After so long without a byte, a stream gets an empty line.
    pub idle_interval: Duration,
    /// How much of the log one step of a replay reads. This, times the store's readers, bounds the memory of replays.
    pub page: PageLimit,
}

impl Default for Options {
    fn default() -> Self {
        Self { idle_interval: Duration::from_secs(15), page: PageLimit { events: 512, bytes: 256 << 10 } }
    }
}

/// A cheap handle to the use cases over one store and one hub.
#[derive(Clone)]
pub struct Relay {
    /// The store's ports, for what needs no use case around it.
    pub store: Store,
    /// The followers.
    pub hub: Hub,
    options: Options,
    metrics: Metrics,
}

impl Relay {
    /// Puts the parts together.
    pub fn new(store: Store, hub: Hub, options: Options, metrics: Metrics) -> Self {
        Self { store, hub, options, metrics }
    }
}
