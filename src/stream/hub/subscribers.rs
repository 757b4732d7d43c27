//! The followers of each client and their subscriptions. Followers of one client share a channel: its ring and the
//! signals that wake them. The table enforces the limits; it does not know how events get into a ring.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use tokio::sync::futures::OwnedNotified;

use super::channel::Channel;
use super::ring::{Lagged, RingTotal};
use super::selection::Filter;
use super::wakeups::{Signal, WakeQueue, WakeQueues};
use super::write_buffer::WriteBuffer;
use crate::domain::{ClientId, ClientRef, Reloadable, Timestamp};
use crate::metrics::Disconnect;

/// A follower's subscription to the events of its client. Dropping it unsubscribes.
pub struct Subscription {
    table: Arc<SubscriberTable>,
    record: Arc<SubscriberRecord>,
}

impl Subscription {
    /// Adds a follower of a client to the table.
    ///
    /// # Errors
    ///
    /// [`HubFull`] when a limit is reached or the relay is stopping.
    pub(super) fn new(
        table: &Arc<SubscriberTable>,
        client: &ClientRef,
        limit: Option<NonZeroU32>,
        now: Timestamp,
    ) -> Result<Self, HubFull> {
        let record = table.insert(client, limit, now)?;
        let subscription = Self { table: table.clone(), record };
        // The relay may have begun to stop before this follower's channel could be found.
        if table.is_stopping() { Err(HubFull::Stopping) } else { Ok(subscription) }
    }

    /// The client whose events are followed.
    pub fn client(&self) -> &ClientId {
        &self.record.client
    }

    /// A future that completes when there may be new events or a reason to end. Create it before looking at either: a
    /// change between that look and the first poll is then not missed.
    pub fn changed(&self) -> OwnedNotified {
        self.record.signal().changed()
    }

    /// The number of the thread that has to serve this follower: its [`WakeQueue`] wakes it.
    pub fn thread(&self) -> usize {
        self.record.channel.signals.thread(self.record.number)
    }

    /// The client whose events are followed, even if another one has its id meanwhile.
    pub fn client_ref(&self) -> ClientRef {
        ClientRef { id: self.record.client.clone(), created: self.record.channel.created }
    }

    /// Adds the events after `position` that match the filter to `out`, until `out` holds at least `max_bytes`. Returns
    /// the new position; it moves over events that the filter holds back.
    ///
    /// # Errors
    ///
    /// [`Lagged`] when the ring no longer holds all events after `position`; `out` is unchanged.
    pub fn collect(
        &self,
        position: u64,
        filter: Option<&Filter>,
        max_bytes: usize,
        out: &mut WriteBuffer,
    ) -> Result<u64, Lagged> {
        self.record.channel.ring().collect(position, filter, max_bytes, out)
    }

    /// Why the stream has to end; `None` while it may go on.
    pub fn end_reason(&self) -> Option<Disconnect> {
        if self.record.channel.revoked.load(Ordering::SeqCst) {
            Some(Disconnect::Revoked)
        } else if self.record.disconnected.load(Ordering::SeqCst) {
            Some(Disconnect::Removed)
        } else if self.table.is_stopping() {
            Some(Disconnect::Stopping)
        } else {
            None
        }
    }

    /// Records the follower's position, for the administrator's list.
    pub fn record_position(&self, position: u64) {
        self.record.position.store(position, Ordering::Relaxed);
    }

    /// Records bytes that the socket has accepted, for the administrator's list.
    pub fn record_bytes(&self, bytes: usize) {
        self.record.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.table.remove(&self.record);
    }
}

/// Why a follower was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HubFull {
    #[error("too many followers (max_followers)")]
    Relay,
    #[error("too many followers of this client (max_followers_per_client)")]
    Client,
    #[error("stopping")]
    Stopping,
}

/// A follower as the administrator sees it.
#[derive(Debug, Clone)]
pub struct FollowerInfo {
    /// Unique while the relay runs.
    pub number: u64,
    pub client: ClientId,
    /// When it subscribed.
    pub since: Timestamp,
    /// Distance to the newest event of its client, in sequence numbers of the log.
    pub lag: u64,
    /// Bytes that its socket has accepted.
    pub bytes: u64,
}

/// One follower, as the hub knows it.
#[derive(Debug)]
struct SubscriberRecord {
    number: u64,
    client: ClientId,
    channel: Arc<Channel>,
    since: Timestamp,
    position: AtomicU64,
    /// Bytes that the socket has accepted.
    bytes: AtomicU64,
    /// Set when the administrator ends the stream.
    disconnected: AtomicBool,
}

impl SubscriberRecord {
    /// The signal that wakes this follower.
    fn signal(&self) -> &Signal {
        self.channel.signals.of(self.number)
    }

    fn info(&self) -> FollowerInfo {
        FollowerInfo {
            number: self.number,
            client: self.client.clone(),
            since: self.since,
            lag: self.lag(),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// The distance to the newest event of this client, not of the log: followers of a quiet client do not lag.
    fn lag(&self) -> u64 {
        let newest = self.channel.newest.load(Ordering::Relaxed);
        newest.saturating_sub(self.position.load(Ordering::Relaxed))
    }
}

/// The channel of one client, and how many followers it has.
struct ClientChannel {
    channel: Arc<Channel>,
    followers: usize,
}

/// How many followers are admitted.
#[derive(Debug, Clone, Copy)]
pub struct FollowerLimits {
    /// Limit of the followers of all clients together.
    pub max_followers: usize,
    pub max_followers_per_client: usize,
}

/// All followers of the relay.
pub(super) struct SubscriberTable {
    limits: Reloadable<FollowerLimits>,
    /// An entry exists exactly as long as a client has followers: the last one removes it under the lock under which it
    /// decrements `followers`. The followers of a removed client have no entry.
    channels: DashMap<ClientId, ClientChannel>,
    by_number: DashMap<u64, Arc<SubscriberRecord>>,
    count: AtomicUsize,
    next_number: AtomicU64,
    /// Everything up to this sequence has been offered to the channels that existed at that time.
    published: AtomicU64,
    ring_total: RingTotal,
    wake_queues: WakeQueues,
    stopping: AtomicBool,
}

impl SubscriberTable {
    /// `threads` is the number of threads that serve followers. With 0, the publisher wakes the followers itself.
    pub(super) fn new(limits: FollowerLimits, published: u64, threads: usize) -> Self {
        Self {
            limits: Reloadable::new(limits),
            channels: DashMap::new(),
            by_number: DashMap::new(),
            count: AtomicUsize::new(0),
            next_number: AtomicU64::new(1),
            published: AtomicU64::new(published),
            ring_total: RingTotal::default(),
            wake_queues: WakeQueues::new(threads),
            stopping: AtomicBool::new(false),
        }
    }

    pub(super) fn set_limits(&self, limits: FollowerLimits) {
        self.limits.replace(limits);
    }

    /// Adds a follower; [`remove`](Self::remove) must be called for it.
    fn insert(
        &self,
        client: &ClientRef,
        limit: Option<NonZeroU32>,
        now: Timestamp,
    ) -> Result<Arc<SubscriberRecord>, HubFull> {
        let own_limit = limit.map(|limit| usize::try_from(limit.get()).unwrap_or(usize::MAX));
        if self.is_stopping() {
            return Err(HubFull::Stopping);
        }
        let FollowerLimits { max_followers, max_followers_per_client } = self.limits.get();
        if self.count.fetch_add(1, Ordering::SeqCst) >= max_followers {
            self.count.fetch_sub(1, Ordering::SeqCst);
            return Err(HubFull::Relay);
        }
        let channel = {
            // `publish` raises `published` before it looks for channels. So either it finds this one, or the floor of
            // the ring covers what was published before this channel existed.
            let floor = || self.published.load(Ordering::SeqCst);
            let signals = || self.wake_queues.signals();
            let channel = || Arc::new(Channel::new(client.created, floor(), self.ring_total.clone(), signals()));
            let new = || ClientChannel { channel: channel(), followers: 0 };
            let mut entry = self.channels.entry(client.id.clone()).or_insert_with(new);
            if entry.channel.created < client.created {
                // The removal of the earlier client is still on its way here.
                std::mem::replace(&mut *entry, new()).channel.revoke();
            }
            if entry.followers >= own_limit.unwrap_or(max_followers_per_client) {
                drop(entry);
                self.count.fetch_sub(1, Ordering::SeqCst);
                return Err(HubFull::Client);
            }
            if entry.channel.created == client.created {
                entry.followers += 1;
                entry.channel.clone()
            } else {
                // This client was removed while its follower was admitted.
                let channel = channel();
                channel.revoke();
                channel
            }
        };
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        channel.signals.of(number).add_follower();
        let record = Arc::new(SubscriberRecord {
            number,
            client: client.id.clone(),
            channel,
            since: now,
            position: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            disconnected: AtomicBool::new(false),
        });
        self.by_number.insert(number, record.clone());
        Ok(record)
    }

    fn remove(&self, record: &SubscriberRecord) {
        record.signal().remove_follower();
        self.by_number.remove(&record.number);
        self.channels.remove_if_mut(&record.client, |_, entry| {
            // A removed client has no entry, or the entry belongs to a later client of the same name.
            if !Arc::ptr_eq(&entry.channel, &record.channel) {
                return false;
            }
            entry.followers -= 1;
            entry.followers == 0
        });
        self.count.fetch_sub(1, Ordering::SeqCst);
    }

    /// Sequence of the last published event.
    pub(super) fn published(&self) -> u64 {
        self.published.load(Ordering::SeqCst)
    }

    /// Must be called before [`channel`](Self::channel) is asked for the channels that receive the events up to
    /// `sequence`.
    pub(super) fn set_published(&self, sequence: u64) {
        self.published.store(sequence, Ordering::SeqCst);
    }

    pub(super) fn channel(&self, client: &ClientId) -> Option<Arc<Channel>> {
        self.channels.get(client).map(|entry| entry.channel.clone())
    }

    /// Has the followers of these channels woken by the threads that serve them.
    pub(super) fn wake_followers(&self, channels: &[Arc<Channel>]) {
        let signals: Vec<_> = channels.iter().map(|channel| &channel.signals).collect();
        self.wake_queues.wake(&signals);
    }

    pub(super) fn wake_queues(&self) -> Vec<WakeQueue> {
        self.wake_queues.all()
    }

    pub(super) fn revoke(&self, client: &ClientRef) {
        if let Some((_, entry)) =
            self.channels.remove_if(&client.id, |_, entry| entry.channel.created <= client.created)
        {
            entry.channel.revoke();
        }
    }

    pub(super) fn disconnect(&self, number: u64) -> bool {
        let Some(record) = self.by_number.get(&number).map(|entry| entry.clone()) else { return false };
        record.disconnected.store(true, Ordering::SeqCst);
        record.signal().wake();
        true
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(super) fn wake(&self) {
        for entry in &self.channels {
            entry.channel.signals.wake();
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub(super) fn followers(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    pub(super) fn clients(&self) -> usize {
        self.channels.len()
    }

    /// The bytes of all rings.
    pub(super) fn ring_bytes(&self) -> usize {
        self.ring_total.bytes()
    }

    /// Evicts the old events of every ring.
    pub(super) fn evict_old(&self) {
        for entry in &self.channels {
            entry.channel.ring().evict_old();
        }
    }

    /// Reduces every ring to `max_bytes`.
    pub(super) fn shrink_rings(&self, max_bytes: usize) {
        for entry in &self.channels {
            entry.channel.ring().shrink(max_bytes);
        }
    }

    /// The largest lag of any follower; 0 without followers.
    pub(super) fn max_lag(&self) -> u64 {
        self.by_number.iter().map(|entry| entry.lag()).max().unwrap_or(0)
    }

    pub(super) fn list(&self) -> Vec<FollowerInfo> {
        self.by_number.iter().map(|entry| entry.info()).collect()
    }
}
