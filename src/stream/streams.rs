//! Opens streams: subscribes to the hub first, and then begins a follower at its start position.

use std::sync::Arc;
use std::time::Duration;

use super::follower::{FollowRequest, Follower, FollowerContext};
use super::hub::{Hub, HubFull};
use super::position::StartPosition;
use crate::domain::{EventId, Reloadable};
use crate::metrics::Metrics;
use crate::store::{PageLimit, Store, StoreError};

/// Options of the event streams.
#[derive(Debug, Clone)]
pub struct StreamOptions {
    /// A stream that has written nothing for this long gets an empty line.
    pub idle_interval: Duration,
    /// Limit of one page of the log. This, times the store's readers, bounds the memory of replays.
    pub page: PageLimit,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self { idle_interval: Duration::from_secs(15), page: PageLimit { events: 512, bytes: 256 << 10 } }
    }
}

/// Opens streams over one log and one hub. Cheap to clone.
#[derive(Clone)]
pub struct Streams {
    hub: Hub,
    context: Arc<FollowerContext>,
}

impl Streams {
    pub fn new(store: Store, hub: Hub, options: StreamOptions, metrics: Metrics) -> Self {
        let StreamOptions { idle_interval, page } = options;
        let idle_interval = Reloadable::new(idle_interval);
        Self { hub, context: Arc::new(FollowerContext { store, page, idle_interval, metrics }) }
    }

    /// Replaces the interval of all streams. One that is idle uses it after its next empty line.
    pub fn set_idle_interval(&self, interval: Duration) {
        self.context.idle_interval.replace(interval);
    }

    /// The position after all events that are stored.
    pub fn head(&self) -> EventId {
        let log = &self.context.store.log;
        EventId { epoch: log.epoch(), sequence: log.head() }
    }

    /// Waits until the log has reached a start position that another node of the cluster has given out. Returns at once
    /// without a cluster.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when this node cannot know whether the position exists: a stream from it would begin with a
    /// `reset`.
    pub async fn reach(&self, start: StartPosition) -> Result<(), StoreError> {
        let Store { log, maintenance, .. } = &self.context.store;
        if start.is_ahead(log.epoch(), log.head()) {
            maintenance.catch_up().await?;
        }
        Ok(())
    }

    /// Opens a stream. From the moment this returns, the follower misses no event of its client.
    ///
    /// # Errors
    ///
    /// [`HubFull`] when a limit is reached or the relay is stopping.
    pub fn follow(&self, request: FollowRequest) -> Result<Follower, HubFull> {
        let registry = &self.context.store.registry;
        let limit = registry.client_limits(&request.client).followers;
        let subscription = self.hub.subscribe(&request.client, limit, request.now)?;
        // It may have been removed since its token was checked, before the hub knew this follower.
        if registry.client(&request.client.id).is_none_or(|client| client.reference() != request.client) {
            self.hub.revoke(&request.client);
        }
        Ok(Follower::new(self.context.clone(), subscription, request))
    }
}
