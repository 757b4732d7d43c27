//! One follower's subscription: read access to its client's ring, and the reasons for which it has to end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::futures::OwnedNotified;

use super::frame::Filter;
use super::ring::Lagged;
use super::subscribers::{SubscriberRecord, SubscriberTable};
use super::write_buffer::WriteBuffer;
use crate::domain::ClientId;
use crate::metrics::Disconnect;

/// A follower's subscription to the events of its client. Dropping it unsubscribes.
pub struct Subscription {
    table: Arc<SubscriberTable>,
    record: Arc<SubscriberRecord>,
}

impl Subscription {
    /// Takes over a record that was inserted into `table`.
    pub(super) fn new(table: Arc<SubscriberTable>, record: Arc<SubscriberRecord>) -> Self {
        Self { table, record }
    }

    /// The client whose events are followed.
    pub fn client(&self) -> &ClientId {
        &self.record.client
    }

    /// A future that completes when there may be new events or a reason to end. Create it before looking at either: a
    /// change between that look and the first poll is then not missed.
    pub fn changed(&self) -> OwnedNotified {
        self.record.channel.changed.clone().notified_owned()
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
