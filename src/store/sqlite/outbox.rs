//! The port of the outbox.

use futures::future::BoxFuture;

use super::SqliteStore;
use crate::clock::Timestamp;
use crate::event::ClientId;
use crate::notification::NotificationName;
use crate::store::{Answer, Attempt, Backlog, Delivery, DeliveryQuery, DuePage, Fate, Lane, Outbox, StoreError};

impl Outbox for SqliteStore {
    fn stirred(&self) -> BoxFuture<'_, Vec<Lane>> {
        Box::pin(std::future::pending())
    }

    fn due(&self, _lane: &Lane, _now: Timestamp, _limit: usize, _except: Vec<u64>) -> Answer<'_, DuePage> {
        Box::pin(std::future::ready(Err(StoreError::Stopped)))
    }

    fn settle(&self, _lane: &Lane, _id: u64, _a: Option<Attempt>, _fate: Fate, _now: Timestamp) -> Answer<'_, ()> {
        Box::pin(std::future::ready(Err(StoreError::Stopped)))
    }

    fn deliveries(&self, _client: &ClientId, _query: DeliveryQuery) -> Answer<'_, Vec<Delivery>> {
        Box::pin(std::future::ready(Err(StoreError::Stopped)))
    }

    fn delivery(&self, _client: &ClientId, _id: u64) -> Answer<'_, Option<Delivery>> {
        Box::pin(std::future::ready(Err(StoreError::Stopped)))
    }

    fn retry(&self, _client: &ClientId, _id: u64, _now: Timestamp) -> Answer<'_, ()> {
        Box::pin(std::future::ready(Err(StoreError::Stopped)))
    }

    fn recover(&self, _c: &ClientId, _n: &NotificationName, _since: Timestamp, _now: Timestamp) -> Answer<'_, u64> {
        Box::pin(std::future::ready(Err(StoreError::Stopped)))
    }

    fn hurry(&self, _lane: &Lane, _now: Timestamp) -> Answer<'_, ()> {
        Box::pin(std::future::ready(Err(StoreError::Stopped)))
    }

    fn backlog(&self) -> Answer<'_, Backlog> {
        Box::pin(std::future::ready(Err(StoreError::Stopped)))
    }
}
