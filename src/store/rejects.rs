//! The port of the rejects: requests that could not be parsed, or whose signature has an unknown form, kept so that
//! their owner can replay them.

use serde::{Deserialize, Serialize};

use super::{ListPage, RawRequest, StoreFuture};
use crate::domain::{ClientRef, Timestamp};

/// A request that was not accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reject {
    /// Unique within the store; grows. 0 until it is stored.
    pub id: u64,
    /// Id of the hook that received the request.
    pub hook: String,
    /// Time of arrival.
    pub time: Timestamp,
    /// Whether the request passed verification. Otherwise its signature has an unknown form, and a replay verifies it.
    pub verified: bool,
    /// Why it was not accepted.
    pub reason: String,
    /// The request, without credentials.
    pub raw: RawRequest,
}

/// The rejects of all clients, bounded by [`Retention`](super::Retention).
pub trait RejectStore: Send + Sync {
    /// Stores a reject and removes the oldest ones beyond the bounds; returns the new id. Durable when it completes.
    /// A verified one is kept even if it alone exceeds the bound on bytes.
    ///
    /// Unverified ones displace only each other, within [`Retention::unverified_rejects`](super::Retention), and make
    /// room for verified ones: anyone who knows a hook's URL can send them.
    ///
    /// # Errors
    /// `TooMany` if there is no room for an unverified reject. `NotFound` for an unknown client; `Unavailable` and
    /// `Stopped` as for [`Log::append`](super::Log::append).
    fn add(&self, client: &ClientRef, reject: Reject) -> StoreFuture<'_, u64>;
    /// Up to `limit` rejects with an id below the cursor `before`, newest first.
    ///
    /// # Errors
    /// `NotFound` for an unknown client; `Unavailable`, `Stopped`.
    fn list(&self, client: &ClientRef, limit: usize, before: Option<u64>) -> StoreFuture<'_, ListPage<Reject>>;
    /// One reject; `None` when the client has no reject of this id.
    ///
    /// # Errors
    /// `NotFound` for an unknown client; `Unavailable`, `Stopped`.
    fn get(&self, client: &ClientRef, id: u64) -> StoreFuture<'_, Option<Reject>>;
    /// Removes a reject, after it was replayed.
    ///
    /// # Errors
    /// `NotFound` for an unknown client or reject; `Unavailable`, `Stopped`.
    fn remove(&self, client: &ClientRef, id: u64) -> StoreFuture<'_, ()>;
}
