//! The hub: which followers each client has, and the newest events of each client, ready to be written.
//! It knows nothing of HTTP connections, tokens or the store; the pump feeds it in log order and followers read from
//! it at their own pace. Whoever has fallen off the ring is told so and reads the log instead.

mod frame;
mod ring;
mod seat;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use tokio::sync::Notify;

use crate::domain::{ClientId, SharedEvent, Timestamp};

pub use frame::{Fields, Filter, Framing, Outgoing, Stretch};
pub use ring::Behind;
pub use seat::{Ending, FollowerInfo, Seat};

use frame::Encoded;
use ring::Ring;
use seat::Occupant;

/// Bounds of the hub.
#[derive(Debug, Clone)]
pub struct Options {
    /// Followers in all.
    pub followers: usize,
    /// Followers of one client.
    pub followers_per_client: usize,
    /// Events that one client's ring holds; a follower further behind reads the log.
    pub ring_events: usize,
    /// Bytes that all rings together may hold; each client's share shrinks as clients become more.
    pub ring_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { followers: 10_000, followers_per_client: 10_000, ring_events: 4096, ring_bytes: 256 << 20 }
    }
}

/// Why a follower was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Too many followers in all.
    #[error("too many followers")]
    Relay,
    /// Too many followers of this client.
    #[error("too many followers of this client")]
    Client,
    /// The relay is stopping.
    #[error("stopping")]
    Stopping,
}

/// A cheap handle to the one hub of a relay.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    /// An entry exists exactly as long as a client has followers: the last one that leaves removes it, under the
    /// same lock under which it counts itself out. A removed client's followers have none.
    channels: DashMap<ClientId, Entry>,
    /// Every follower by its number, for the list of the administrator.
    occupants: DashMap<u64, Arc<Occupant>>,
    seated: AtomicUsize,
    next_number: AtomicU64,
    /// Everything up to this sequence has been offered to the channels that existed at that time.
    published: AtomicU64,
    stopping: AtomicBool,
}

struct Entry {
    channel: Arc<Channel>,
    followers: usize,
}

/// What all followers of one client share.
#[derive(Debug)]
struct Channel {
    ring: Mutex<Ring>,
    /// Wakes everybody when the ring has grown or somebody has to go.
    wake: Arc<Notify>,
    /// Set when the client is no more.
    revoked: AtomicBool,
}

impl Channel {
    fn ring(&self) -> std::sync::MutexGuard<'_, Ring> {
        // A ring is consistent after every push, so a panic elsewhere cannot have left it half-changed.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    /// An empty hub that has published everything up to `head`.
    pub fn new(options: Options, head: u64) -> Self {
        Self {
            inner: Arc::new(Inner {
                options,
                channels: DashMap::new(),
                occupants: DashMap::new(),
                seated: AtomicUsize::new(0),
                next_number: AtomicU64::new(1),
                published: AtomicU64::new(head),
                stopping: AtomicBool::new(false),
            }),
        }
    }

    /// Takes a seat among the client's followers. From this moment on every published event of the client is either
    /// in the ring or makes [`Seat::take`] answer [`Behind`]. The seat is given up when it is dropped.
    pub fn join(&self, client: &ClientId, now: Timestamp) -> Result<Seat, Full> {
        let inner = &self.inner;
        if inner.stopping.load(Ordering::SeqCst) {
            return Err(Full::Stopping);
        }
        if inner.seated.fetch_add(1, Ordering::SeqCst) >= inner.options.followers {
            inner.seated.fetch_sub(1, Ordering::SeqCst);
            return Err(Full::Relay);
        }
        let channel = {
            let mut entry = inner.channels.entry(client.clone()).or_insert_with(|| Entry {
                // The pump raises `published` before it looks for channels. So either it finds this one, or the
                // ring's floor covers what it offered before this one existed.
                channel: Arc::new(Channel {
                    ring: Mutex::new(Ring::new(inner.published.load(Ordering::SeqCst))),
                    wake: Arc::new(Notify::new()),
                    revoked: AtomicBool::new(false),
                }),
                followers: 0,
            });
            if entry.followers >= inner.options.followers_per_client {
                drop(entry);
                inner.seated.fetch_sub(1, Ordering::SeqCst);
                return Err(Full::Client);
            }
            entry.followers += 1;
            entry.channel.clone()
        };
        let number = inner.next_number.fetch_add(1, Ordering::Relaxed);
        let occupant = Arc::new(Occupant::new(number, client.clone(), channel, now));
        inner.occupants.insert(number, occupant.clone());
        let seat = Seat { hub: self.clone(), occupant };
        // `stop` may have run between the first look and here, before this channel could be found.
        if inner.stopping.load(Ordering::SeqCst) { Err(Full::Stopping) } else { Ok(seat) }
    }

    /// Offers newly committed events, in log order. Only the pump calls this.
    pub fn publish(&self, events: &[SharedEvent]) {
        let Some(last) = events.last() else { return };
        let inner = &self.inner;
        inner.published.store(last.id.sequence, Ordering::SeqCst);
        let mut by_client: HashMap<&ClientId, Vec<&SharedEvent>> = HashMap::new();
        for event in events {
            by_client.entry(&event.client).or_default().push(event);
        }
        let clients = inner.channels.len().max(1);
        // However small the share, a ring keeps its newest event; whoever needs more reads the log.
        let share = (inner.options.ring_bytes / clients).min(4 << 20);
        for (client, events) in by_client {
            let Some(channel) = inner.channels.get(client).map(|e| e.channel.clone()) else { continue };
            let frames = Encoded::new(events.into_iter());
            channel.ring().push(frames, inner.options.ring_events, share);
            channel.wake.notify_waiters();
        }
    }

    /// Ends all streams of a client that is no more. Their channel goes at once, not with the last of them: a client
    /// that is made anew under the same name must not inherit it, nor its revocation.
    pub fn revoke(&self, client: &ClientId) {
        if let Some((_, entry)) = self.inner.channels.remove(client) {
            entry.channel.revoked.store(true, Ordering::SeqCst);
            entry.channel.wake.notify_waiters();
        }
    }

    /// Ends one follower's stream; false when there is none of this number.
    pub fn disconnect(&self, number: u64) -> bool {
        let Some(occupant) = self.inner.occupants.get(&number).map(|o| o.clone()) else { return false };
        occupant.dismiss();
        true
    }

    /// Lets nobody in any more and ends every stream.
    pub fn stop(&self) {
        self.inner.stopping.store(true, Ordering::SeqCst);
        for entry in &self.inner.channels {
            entry.channel.wake.notify_waiters();
        }
    }

    /// Whether [`Hub::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.inner.stopping.load(Ordering::SeqCst)
    }

    /// How many followers there are.
    pub fn followers(&self) -> usize {
        self.inner.seated.load(Ordering::SeqCst)
    }

    /// How many clients have followers.
    pub fn clients(&self) -> usize {
        self.inner.channels.len()
    }

    /// Every follower, the furthest behind first.
    pub fn list(&self) -> Vec<FollowerInfo> {
        let mut all: Vec<FollowerInfo> = Vec::new();
        for occupant in &self.inner.occupants {
            all.push(occupant.info());
        }
        all.sort_by_key(|f| (std::cmp::Reverse(f.lag), f.number));
        all
    }

    fn leave(&self, occupant: &Occupant) {
        let inner = &self.inner;
        inner.occupants.remove(&occupant.number);
        inner.channels.remove_if_mut(&occupant.client, |_, entry| {
            // Of a revoked client there is no entry any more, or it is another client's of the same name.
            if !Arc::ptr_eq(&entry.channel, &occupant.channel) {
                return false;
            }
            entry.followers -= 1;
            entry.followers == 0
        });
        inner.seated.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
