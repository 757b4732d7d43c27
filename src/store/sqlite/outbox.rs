//! The port of the outbox: each method becomes a command of the writer or a read on one of the readers.

pub(super) mod backlog;
mod chores;
mod due;
mod line;
mod list;
mod queue;
mod route;
mod settle;
mod stirs;

use futures::future::{BoxFuture, ready};

use super::events::Owner;
use super::registry::Audience;
use super::writer::{Command, Item};
use super::{SqliteStore, documents};
use crate::domain::{ClientId, DocumentId, NotificationName, Target, Timestamp};
use crate::store::{
    AttemptRecord, Backlog, Delivery, DeliveryQuery, DuePage, Outbox, QueueKey, StoreError, StoreFuture,
};

pub(super) use chores::{Chore, Removed};
pub(super) use line::bound;
pub(super) use queue::{News, queue, reroute};
pub(super) use settle::{revive, settle};
pub(super) use stirs::Stirs;

/// A lane as its rows name it. The number tells a notification from an earlier one of the same name.
#[derive(Clone)]
struct Track {
    client: i64,
    /// 0 for callbacks.
    notification: i64,
    /// [`Target::key`].
    target: String,
}

impl Outbox for SqliteStore {
    fn ready(&self) -> BoxFuture<'_, Vec<QueueKey>> {
        Box::pin(self.shared.stirs.next())
    }

    fn due(&self, lane: &QueueKey, now: Timestamp, limit: usize, except: Vec<u64>) -> StoreFuture<'_, DuePage> {
        let found = self.track(lane);
        Box::pin(async move {
            let (audience, track) = found?;
            let Some(track) = track else {
                // Nothing is due for what is removed, whatever of it is still pending. Read all the same, so that a
                // closed store says that it is.
                return self.readers.clone().read(|_| Ok(DuePage { deliveries: Vec::new(), next: None })).await;
            };
            let owner = Owner { epoch: self.shared.epoch, client: audience.client.id.clone(), number: audience.number };
            let receiver = audience.receiver(track.notification);
            let reader = due::Reader { owner, client: audience.client, seal: self.seal.clone(), track, receiver, now };
            let page = self.readers.clone().read(move |db| reader.page(db, limit, &except)).await?;
            let shown = page.deliveries.iter().flat_map(|due| &due.event).map(|event| event.id.sequence).max();
            Ok(self.shown(shown.unwrap_or(0), page))
        })
    }

    fn record_attempt(&self, record: AttemptRecord) -> StoreFuture<'_, ()> {
        Box::pin(self.ask(move |reply| Command::Item(Item::Settle(Box::new(record), reply))))
    }

    fn deliveries(&self, client: &ClientId, query: DeliveryQuery) -> StoreFuture<'_, Vec<Delivery>> {
        let (epoch, number) = (self.shared.epoch, self.number(client));
        Box::pin(async move {
            let number = number?;
            let found = self.readers.clone().read(move |db| list::page(db, epoch, number, &query)).await?;
            Ok(self.shown(found.iter().map(|delivery| delivery.event.sequence).max().unwrap_or(0), found))
        })
    }

    fn deliveries_of(
        &self,
        client: &ClientId,
        document: DocumentId,
        query: DeliveryQuery,
    ) -> StoreFuture<'_, Vec<Delivery>> {
        let (epoch, mint, number) = (self.shared.epoch, self.shared.mint, self.number(client));
        Box::pin(async move {
            let number = number?;
            let readers = self.readers.clone();
            let found = readers
                .read(move |db| match documents::by_uuid(db, mint, number, document)? {
                    Some(known) => list::of_document(db, epoch, number, known.number, &query),
                    None => Ok(Vec::new()),
                })
                .await?;
            Ok(self.shown(found.iter().map(|delivery| delivery.event.sequence).max().unwrap_or(0), found))
        })
    }

    fn delivery(&self, client: &ClientId, id: u64) -> StoreFuture<'_, Option<Delivery>> {
        let (epoch, number) = (self.shared.epoch, self.number(client));
        Box::pin(async move {
            let number = number?;
            let found = self.readers.clone().read(move |db| list::one(db, epoch, number, id)).await?;
            Ok(self.shown(found.as_ref().map_or(0, |delivery| delivery.event.sequence), found))
        })
    }

    fn retry(&self, client: &ClientId, id: u64, now: Timestamp) -> StoreFuture<'_, ()> {
        let client = client.clone();
        Box::pin(self.ask(move |reply| Command::Item(Item::Revive(client, id, now, reply))))
    }

    fn retry_failed(
        &self,
        client: &ClientId,
        name: &NotificationName,
        since: Timestamp,
        now: Timestamp,
    ) -> StoreFuture<'_, u64> {
        let lane = QueueKey { client: client.clone(), target: Target::Notification(name.clone()) };
        let found = self.track(&lane).and_then(|(_, track)| track.ok_or(StoreError::NotFound("notification")));
        match found {
            Ok(track) => {
                Box::pin(self.ask(move |reply| Command::Chore(Chore::recover((lane, track), (since, now), reply))))
            }
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn make_due(&self, lane: &QueueKey, now: Timestamp) -> StoreFuture<'_, ()> {
        match self.track(lane) {
            Ok((_, Some(track))) => {
                let lane = lane.clone();
                Box::pin(self.ask(move |reply| Command::Chore(Chore::hurry((lane, track), now, reply))))
            }
            Ok((_, None)) => Box::pin(ready(Ok(()))),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn backlog(&self) -> StoreFuture<'_, Backlog> {
        Box::pin(self.readers.clone().read(|db| backlog::read(db)))
    }
}

impl SqliteStore {
    /// A lane's client, and its rows; `None` when there is no such notification.
    fn track(&self, lane: &QueueKey) -> Result<(Audience, Option<Track>), StoreError> {
        let audience = self.shared.cache.audience(&lane.client).ok_or(StoreError::NotFound("client"))?;
        let track = audience.number_of(&lane.target).map(|notification| Track {
            client: audience.number,
            notification,
            target: lane.target.key(),
        });
        Ok((audience, track))
    }
}
