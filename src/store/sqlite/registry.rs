//! The registry: clients, hooks and notifications in memory for the look-ups, sealed in the tables for the next start.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::SqliteStore;
use super::writer::Command;
use crate::domain::{Client, ClientId, Hook, Notification, NotificationName, NotificationState, Target, Timestamp};
use crate::store::{Registry, StoreError, StoreFuture};

mod change;
mod edit;
mod sealed;

pub(super) use change::{Change, Left};
pub(super) use edit::Edit;
pub(super) use sealed::{LoadError, load};

/// The registry in memory. Only the writer changes it, after the commit that made the change durable.
#[derive(Default)]
pub(super) struct Cache(RwLock<Entries>);

/// What the cache holds.
#[derive(Default)]
struct Entries {
    clients: BTreeMap<ClientId, Entry>,
    /// By the last segment of the hook's address.
    keys: HashMap<String, (ClientId, Arc<Hook>)>,
}

/// A client with its hooks and notifications, oldest first.
struct Entry {
    number: i64,
    client: Arc<Client>,
    hooks: Vec<Arc<Hook>>,
    /// Replaced as a whole: the writer takes a copy of the handle for every arrival.
    notifications: Arc<Vec<Kept>>,
}

impl Entry {
    fn new(number: i64, client: Client) -> Self {
        Self { number, client: Arc::new(client), hooks: Vec::new(), notifications: Arc::default() }
    }
}

/// A notification and the number that its deliveries bear.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) number: i64,
    pub(super) notification: Arc<Notification>,
}

/// A client and its notifications: what an arrival is queued for.
#[derive(Clone)]
pub(super) struct Audience {
    /// The client's.
    pub(super) number: i64,
    pub(super) client: Arc<Client>,
    pub(super) notifications: Arc<Vec<Kept>>,
}

impl Audience {
    /// The notification of this name.
    pub(super) fn named(&self, name: &NotificationName) -> Option<&Kept> {
        self.notifications.iter().find(|kept| kept.notification.name == *name)
    }

    /// Whom deliveries with this number go to: see [`crate::store::DueDelivery::receiver`].
    pub(super) fn receiver(&self, number: i64) -> Arc<str> {
        let kept = self.notifications.iter().find(|kept| kept.number == number);
        match kept {
            Some(kept) => kept.notification.id.as_str().into(),
            None => self.client.created.millis().to_string().into(),
        }
    }

    /// The number that deliveries to this target bear: 0 for callbacks, `None` when there is no such notification.
    pub(super) fn number_of(&self, target: &Target) -> Option<i64> {
        match target {
            Target::Notification(name) => self.named(name).map(|kept| kept.number),
            Target::Callback { .. } => Some(0),
        }
    }
}

impl Cache {
    /// The number under which a client's rows stand.
    pub(super) fn number(&self, client: &ClientId) -> Option<i64> {
        self.read().clients.get(client).map(|entry| entry.number)
    }

    /// A client's number and notifications.
    pub(super) fn audience(&self, client: &ClientId) -> Option<Audience> {
        self.read().clients.get(client).map(|entry| Audience {
            number: entry.number,
            client: entry.client.clone(),
            notifications: entry.notifications.clone(),
        })
    }

    /// The numbers of all clients.
    pub(super) fn numbers(&self) -> Vec<i64> {
        self.read().clients.values().map(|entry| entry.number).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry for SqliteStore {
    fn clients(&self) -> Vec<Arc<Client>> {
        self.shared.cache.read().clients.values().map(|entry| entry.client.clone()).collect()
    }

    fn client(&self, id: &ClientId) -> Option<Arc<Client>> {
        self.shared.cache.read().clients.get(id).map(|entry| entry.client.clone())
    }

    fn hook_by_key(&self, key: &str) -> Option<(ClientId, Arc<Hook>)> {
        self.shared.cache.read().keys.get(key).cloned()
    }

    fn hooks(&self, client: &ClientId) -> Vec<Arc<Hook>> {
        self.shared.cache.read().clients.get(client).map(|entry| entry.hooks.clone()).unwrap_or_default()
    }

    fn add_client(&self, client: Client) -> StoreFuture<'_, ()> {
        let sealed = sealed::client(&*self.seal, &client);
        self.change(Change::AddClient { client, sealed })
    }

    fn update_client(&self, client: Client) -> StoreFuture<'_, ()> {
        let Some((number, known)) = self.entry(&client.id) else { return Box::pin(std::future::ready(GONE)) };
        // When it was made is not the caller's to change: tokens issued before it belong to somebody else.
        let client = Client { created: known.created, ..client };
        let sealed = sealed::client(&*self.seal, &client);
        self.change(Change::UpdateClient { number, client, sealed })
    }

    fn remove_client(&self, id: &ClientId) -> StoreFuture<'_, ()> {
        self.change(Change::RemoveClient { id: id.clone() })
    }

    fn add_hook(&self, client: &ClientId, hook: Hook) -> StoreFuture<'_, ()> {
        let Some((number, owner)) = self.entry(client) else { return Box::pin(std::future::ready(GONE)) };
        let sealed = sealed::hook(&*self.seal, &owner, &hook);
        self.change(Change::AddHook { number, client: client.clone(), hook: Arc::new(hook), sealed })
    }

    fn update_hook(&self, client: &ClientId, hook: Hook) -> StoreFuture<'_, ()> {
        let Some((number, owner)) = self.entry(client) else { return Box::pin(std::future::ready(GONE)) };
        let Some(known) = self.hooks(client).into_iter().find(|known| known.id == hook.id) else {
            return Box::pin(std::future::ready(Err(StoreError::NotFound("hook"))));
        };
        // Vendors have been given the address: it is not the caller's to change.
        let hook = Hook { key: known.key.clone(), created: known.created, ..hook };
        let sealed = sealed::hook(&*self.seal, &owner, &hook);
        self.change(Change::UpdateHook { number, client: client.clone(), hook: Arc::new(hook), sealed })
    }

    fn remove_hook(&self, client: &ClientId, id: &str) -> StoreFuture<'_, ()> {
        self.change(Change::RemoveHook { client: client.clone(), id: id.to_owned() })
    }

    fn notifications(&self, client: &ClientId) -> Vec<Arc<Notification>> {
        let audience = self.shared.cache.audience(client);
        audience.iter().flat_map(|a| a.notifications.iter()).map(|kept| kept.notification.clone()).collect()
    }

    fn add_notification(&self, client: &ClientId, notification: Notification) -> StoreFuture<'_, ()> {
        self.edit(client, Edit::Add(notification))
    }

    fn update_notification(
        &self,
        client: &ClientId,
        before: &Notification,
        after: Notification,
    ) -> StoreFuture<'_, ()> {
        self.edit(client, Edit::Update(before.clone(), after))
    }

    fn set_notification_state(
        &self,
        client: &ClientId,
        known: &Notification,
        state: NotificationState,
    ) -> StoreFuture<'_, ()> {
        self.edit(client, Edit::Mark(known.clone(), state))
    }

    fn remove_notification(&self, client: &ClientId, name: &str) -> StoreFuture<'_, ()> {
        // The port brings no time, and what dies of this must say when: it ages from then on.
        self.edit(client, Edit::Remove(name.to_owned(), Timestamp::now()))
    }
}

const GONE: Result<(), StoreError> = Err(StoreError::NotFound("client"));

impl SqliteStore {
    fn change(&self, change: Change) -> StoreFuture<'_, ()> {
        Box::pin(self.ask(|reply| Command::Change(Box::new(change), reply)))
    }

    fn edit(&self, client: &ClientId, edit: Edit) -> StoreFuture<'_, ()> {
        self.change(Change::Notifications { client: client.clone(), edit: Box::new(edit) })
    }

    fn entry(&self, id: &ClientId) -> Option<(i64, Arc<Client>)> {
        self.shared.cache.read().clients.get(id).map(|entry| (entry.number, entry.client.clone()))
    }
}
