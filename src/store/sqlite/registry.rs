//! The registry: clients and hooks in memory for the look-ups, sealed in the tables for the next start.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::SqliteStore;
use super::writer::Command;
use crate::event::ClientId;
use crate::hook::{Client, Hook};
use crate::notification::{Notification, State};
use crate::store::{Answer, Registry, StoreError};

mod change;
mod sealed;

pub(super) use change::Change;
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

/// A client with its hooks, oldest first.
struct Entry {
    number: i64,
    client: Arc<Client>,
    hooks: Vec<Arc<Hook>>,
}

impl Cache {
    /// The number under which a client's rows stand.
    pub(super) fn number(&self, client: &ClientId) -> Option<i64> {
        self.read().clients.get(client).map(|entry| entry.number)
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

    fn add_client(&self, client: Client) -> Answer<'_, ()> {
        let sealed = sealed::client(&*self.seal, &client);
        self.change(Change::AddClient { client, sealed })
    }

    fn update_client(&self, client: Client) -> Answer<'_, ()> {
        let Some((number, known)) = self.entry(&client.id) else { return Box::pin(std::future::ready(GONE)) };
        // When it was made is not the caller's to change: tokens issued before it belong to somebody else.
        let client = Client { created: known.created, ..client };
        let sealed = sealed::client(&*self.seal, &client);
        self.change(Change::UpdateClient { number, client, sealed })
    }

    fn remove_client(&self, id: &ClientId) -> Answer<'_, ()> {
        self.change(Change::RemoveClient { id: id.clone() })
    }

    fn add_hook(&self, client: &ClientId, hook: Hook) -> Answer<'_, ()> {
        let Some((number, owner)) = self.entry(client) else { return Box::pin(std::future::ready(GONE)) };
        let sealed = sealed::hook(&*self.seal, &owner, &hook);
        self.change(Change::AddHook { number, client: client.clone(), hook: Arc::new(hook), sealed })
    }

    fn update_hook(&self, client: &ClientId, hook: Hook) -> Answer<'_, ()> {
        let Some((number, owner)) = self.entry(client) else { return Box::pin(std::future::ready(GONE)) };
        let Some(known) = self.hooks(client).into_iter().find(|known| known.id == hook.id) else {
            return Box::pin(std::future::ready(Err(StoreError::NotFound("hook"))));
        };
        // Vendors have been given the address: it is not the caller's to change.
        let hook = Hook { key: known.key.clone(), created: known.created, ..hook };
        let sealed = sealed::hook(&*self.seal, &owner, &hook);
        self.change(Change::UpdateHook { number, client: client.clone(), hook: Arc::new(hook), sealed })
    }

    fn remove_hook(&self, client: &ClientId, id: &str) -> Answer<'_, ()> {
        self.change(Change::RemoveHook { client: client.clone(), id: id.to_owned() })
    }

    fn notifications(&self, _client: &ClientId) -> Vec<Arc<Notification>> {
        Vec::new()
    }

    fn add_notification(&self, _client: &ClientId, _notification: Notification) -> Answer<'_, ()> {
        Box::pin(std::future::ready(GONE))
    }

    fn update_notification(&self, _client: &ClientId, _notification: Notification) -> Answer<'_, ()> {
        Box::pin(std::future::ready(GONE))
    }

    fn mark_notification(&self, _client: &ClientId, _id: &str, _state: State) -> Answer<'_, ()> {
        Box::pin(std::future::ready(GONE))
    }

    fn remove_notification(&self, _client: &ClientId, _name: &str) -> Answer<'_, ()> {
        Box::pin(std::future::ready(GONE))
    }
}

const GONE: Result<(), StoreError> = Err(StoreError::NotFound("client"));

impl SqliteStore {
    fn change(&self, change: Change) -> Answer<'_, ()> {
        Box::pin(self.ask(|reply| Command::Change(Box::new(change), reply)))
    }

    fn entry(&self, id: &ClientId) -> Option<(i64, Arc<Client>)> {
        self.shared.cache.read().clients.get(id).map(|entry| (entry.number, entry.client.clone()))
    }
}
