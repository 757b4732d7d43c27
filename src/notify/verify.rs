//! Placeholder of the engine's side: the handshake, the test and what is in flight.

use std::time::Duration;

use bytes::Bytes;

use super::{NotificationRefusal, Notify};
use crate::clock::Timestamp;
use crate::event::ClientId;
use crate::notification::{Notification, NotificationName};
use crate::store::Attempt;

impl Notify {
    /// Sends PPJ's challenge; when it comes back, the notification is active and what waits for it is tried.
    #[expect(clippy::unused_async, reason = "a placeholder")]
    pub(super) async fn handshake(
        &self,
        _client: &ClientId,
        _notification: &Notification,
        _now: Timestamp,
    ) -> Result<(), String> {
        Err("not yet".to_owned())
    }

    /// Sends one made-up event to a notification, now, and tells what came of it. Nothing of it is stored.
    #[expect(clippy::unused_async, reason = "a placeholder")]
    pub async fn test(
        &self,
        client: &ClientId,
        name: &NotificationName,
        now: Timestamp,
    ) -> Result<Attempt, NotificationRefusal> {
        self.notification(client, name)?;
        let reason = Some(format!("not yet, of {} at the same time", self.options.concurrency));
        Ok(Attempt { time: now, took: Duration::ZERO, status: None, answer: Bytes::new(), reason })
    }

    /// Breaks off what is on its way to a notification that was removed.
    pub(super) fn forget(&self, _client: &ClientId, _name: &NotificationName) {
        self.metrics.rejects.inc_by(0);
    }
}
