//! The hub: the subscriptions of each client, and the newest events of each client, encoded and ready to be written.
//! The dispatcher publishes committed events in log order; followers collect them at their own pace. The hub knows
//! neither HTTP nor the store: a follower that lags behind the ring gets [`Lagged`] and reads the log.

mod channel;
mod frame;
mod ring;
mod selection;
mod subscribers;
mod wakeups;
mod write_buffer;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::domain::{ClientId, ClientRef, SharedEvent, Timestamp};

pub use frame::Framing;
pub use ring::Lagged;
pub use selection::{Fields, Filter};
pub use subscribers::{FollowerInfo, FollowerLimits, HubFull, Subscription};
pub use wakeups::WakeQueue;
pub use write_buffer::{BufferSegment, WriteBuffer};

use ring::RingLimits;
use subscribers::SubscriberTable;

/// No ring holds more bytes than this, however few clients have followers.
const MAX_BYTES_PER_RING: usize = 4 << 20;

/// Limits of the hub.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// Followers of all clients.
    pub max_followers: usize,
    pub max_followers_per_client: usize,
    /// Events in the ring of one client; a follower further behind reads the log.
    pub ring_events: usize,
    /// Bytes in the rings of all clients. Each client with followers has an equal share; one that has more of it,
    /// because there were fewer clients, is reduced when all rings together exceed this.
    pub ring_bytes: usize,
    /// Threads that serve followers and their [`WakeQueue`]. With 0, publishing wakes the followers itself.
    pub threads: usize,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            max_followers: 10_000,
            max_followers_per_client: 10_000,
            ring_events: 4096,
            ring_bytes: 256 << 20,
            threads: 0,
        }
    }
}

/// A cheap handle to the one hub of a relay.
#[derive(Clone)]
pub struct Hub {
    ring_events: usize,
    ring_bytes: usize,
    subscribers: Arc<SubscriberTable>,
}

impl Hub {
    /// An empty hub. The events up to `head` are in the log only.
    pub fn new(options: HubOptions, head: u64) -> Self {
        let HubOptions { max_followers, max_followers_per_client, ring_events, ring_bytes, threads } = options;
        let limits = FollowerLimits { max_followers, max_followers_per_client };
        let subscribers = Arc::new(SubscriberTable::new(limits, head, threads));
        Self { ring_events, ring_bytes, subscribers }
    }

    /// The queues of the threads that serve followers, in the order of [`Subscription::thread`].
    pub fn wake_queues(&self) -> Vec<WakeQueue> {
        self.subscribers.wake_queues()
    }

    /// Further followers have these limits. No stream ends because of them.
    pub fn set_limits(&self, limits: FollowerLimits) {
        self.subscribers.set_limits(limits);
    }

    /// Subscribes to the events of a client. From now on every published event of the client is either in the ring, or
    /// [`Subscription::collect`] returns [`Lagged`]. `limit` is the client's own limit of followers, `None` for that of
    /// the options.
    ///
    /// # Errors
    ///
    /// [`HubFull`] when a limit is reached or the relay is stopping.
    pub fn subscribe(
        &self,
        client: &ClientRef,
        limit: Option<NonZeroU32>,
        now: Timestamp,
    ) -> Result<Subscription, HubFull> {
        Subscription::new(&self.subscribers, client, limit, now)
    }

    /// Publishes newly committed events in log order. Called by the dispatcher only.
    pub fn publish(&self, events: &[SharedEvent]) {
        // Those up to the head that the hub was made with are in the log only.
        let published = self.subscribers.published();
        let events = &events[events.partition_point(|event| event.id.sequence <= published)..];
        let Some(last) = events.last() else { return };
        self.subscribers.set_published(last.id.sequence);
        let mut by_client: HashMap<&ClientId, Vec<&SharedEvent>> = HashMap::new();
        for event in events {
            by_client.entry(&event.client).or_default().push(event);
        }
        let share = self.ring_bytes / self.subscribers.clients().max(1);
        let bytes = share.min(MAX_BYTES_PER_RING);
        let limits = RingLimits { events: self.ring_events, bytes };
        let mut channels = Vec::new();
        for (client, events) in by_client {
            let Some(channel) = self.subscribers.channel(client) else { continue };
            channel.publish(frame::encode_for_ring(events.into_iter(), bytes), limits);
            channels.push(channel);
        }
        self.subscribers.wake_followers(&channels);
        if self.subscribers.ring_bytes() > self.ring_bytes {
            // An eighth less than the share, so that the next events do not cause this again.
            self.subscribers.shrink_rings(share - share / 8);
        }
    }

    /// Evicts the events that were in the rings at the previous call already. Followers have them long since, and one
    /// that resumes further back reads the log. To be called periodically: otherwise the rings of many clients fill up
    /// slowly.
    pub fn evict_old(&self) {
        self.subscribers.evict_old();
    }

    /// Ends all streams of a removed client. Their channel is removed at once: a later client of the same name inherits
    /// neither the channel nor its revocation. May be called more than once, and late.
    pub fn revoke(&self, client: &ClientRef) {
        self.subscribers.revoke(client);
    }

    /// Ends the stream of one follower; returns whether there is a follower of this number.
    pub fn disconnect(&self, number: u64) -> bool {
        self.subscribers.disconnect(number)
    }

    /// Makes every stream look for a reason to end.
    pub fn wake(&self) {
        self.subscribers.wake();
    }

    /// Ends every stream and admits no further follower.
    pub fn stop(&self) {
        self.subscribers.stop();
    }

    /// Whether [`stop`](Self::stop) was called.
    pub fn is_stopping(&self) -> bool {
        self.subscribers.is_stopping()
    }

    /// Number of followers.
    pub fn followers(&self) -> usize {
        self.subscribers.followers()
    }

    /// Number of clients that have followers.
    pub fn clients(&self) -> usize {
        self.subscribers.clients()
    }

    /// Bytes in the rings of all clients.
    pub fn ring_bytes(&self) -> usize {
        self.subscribers.ring_bytes()
    }

    /// The lag of the slowest follower. Cheaper than [`list`](Self::list): for the metrics.
    pub fn max_lag(&self) -> u64 {
        self.subscribers.max_lag()
    }

    /// All followers, the largest lag first.
    pub fn list(&self) -> Vec<FollowerInfo> {
        let mut followers = self.subscribers.list();
        followers.sort_by_key(|f| (std::cmp::Reverse(f.lag), f.number));
        followers
    }
}

#[cfg(test)]
mod tests;
