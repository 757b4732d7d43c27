//! The port of the registry. Values are sealed here, off the writer's thread, apart from notifications.

use std::future::ready;
use std::sync::Arc;

use super::UNKNOWN_CLIENT;
use crate::domain::{Client, ClientId, ClientLimits, ClientRef, Hook, Notification, NotificationState, Timestamp};
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::tables::registry;
use crate::store::sqlite::writer::command::WriterCommand;
use crate::store::sqlite::writer::notification_edit::NotificationEdit;
use crate::store::sqlite::writer::registry_change::{HookUpdate, LimitsUpdate, RegistryChange};
use crate::store::{Registry, StoreError, StoreFuture};

impl Registry for SqliteStore {
    fn clients(&self) -> Vec<Arc<Client>> {
        self.shared.registry.read().clients.values().map(|entry| entry.client.clone()).collect()
    }

    fn client(&self, id: &ClientId) -> Option<Arc<Client>> {
        self.shared.registry.read().clients.get(id).map(|entry| entry.client.clone())
    }

    fn hook_by_key(&self, key: &str) -> Option<(ClientRef, Arc<Hook>)> {
        self.shared.registry.read().hooks_by_key.get(key).cloned()
    }

    fn hooks(&self, client: &ClientRef) -> Vec<Arc<Hook>> {
        self.shared.registry.read().find(client).map(|entry| entry.hooks.clone()).unwrap_or_default()
    }

    fn hook_count(&self) -> usize {
        self.shared.registry.read().hooks_by_key.len()
    }

    fn add_client(&self, client: Client) -> StoreFuture<'_, ()> {
        let sealed = registry::seal_client(&*self.seal, &client);
        self.change(RegistryChange::AddClient { client, sealed })
    }

    fn update_client(&self, before: &Client, after: Client) -> StoreFuture<'_, ()> {
        let after = Client { id: before.id.clone(), created: before.created, ..after };
        let sealed = registry::seal_client(&*self.seal, &after);
        self.change(RegistryChange::UpdateClient { before: before.clone(), after, sealed })
    }

    fn remove_client(&self, id: &ClientId) -> StoreFuture<'_, ()> {
        self.change(RegistryChange::RemoveClient { id: id.clone() })
    }

    fn client_limits(&self, client: &ClientRef) -> ClientLimits {
        self.shared.registry.read().find(client).map(|entry| entry.limits).unwrap_or_default()
    }

    fn set_client_limits(&self, client: &ClientRef, before: ClientLimits, after: ClientLimits) -> StoreFuture<'_, ()> {
        let change = Box::new(LimitsUpdate { before, after });
        self.change(RegistryChange::SetLimits { client: client.clone(), change })
    }

    fn add_hook(&self, client: &ClientRef, hook: Hook) -> StoreFuture<'_, ()> {
        let Some(owner) = self.owner(client) else { return refused(UNKNOWN_CLIENT) };
        let sealed = registry::seal_hook(&*self.seal, &owner, &hook);
        self.change(RegistryChange::AddHook { client: client.clone(), hook: Arc::new(hook), sealed })
    }

    fn update_hook(&self, client: &ClientRef, before: &Hook, after: Hook) -> StoreFuture<'_, ()> {
        let Some(owner) = self.owner(client) else { return refused(UNKNOWN_CLIENT) };
        let Hook { id, key, created, .. } = before.clone();
        let after = Hook { id, key, created, ..after };
        let sealed = registry::seal_hook(&*self.seal, &owner, &after);
        let change = HookUpdate { before: before.clone(), after: Arc::new(after) };
        self.change(RegistryChange::UpdateHook { client: client.clone(), change: Box::new(change), sealed })
    }

    fn remove_hook(&self, client: &ClientRef, id: &str) -> StoreFuture<'_, ()> {
        self.change(RegistryChange::RemoveHook { client: client.clone(), id: id.to_owned() })
    }

    fn notifications(&self, client: &ClientRef) -> Vec<Arc<Notification>> {
        let targets = self.shared.registry.targets(client);
        targets.iter().flat_map(|targets| targets.notifications.iter()).map(|row| row.notification.clone()).collect()
    }

    fn add_notification(&self, client: &ClientRef, notification: Notification) -> StoreFuture<'_, ()> {
        self.change_notifications(client, NotificationEdit::Add(notification))
    }

    fn update_notification(
        &self,
        client: &ClientRef,
        before: &Notification,
        after: Notification,
    ) -> StoreFuture<'_, ()> {
        self.change_notifications(client, NotificationEdit::Update { before: before.clone(), after })
    }

    fn set_notification_state(
        &self,
        client: &ClientRef,
        known: &Notification,
        state: NotificationState,
    ) -> StoreFuture<'_, ()> {
        self.change_notifications(client, NotificationEdit::SetState { known: known.clone(), state })
    }

    fn remove_notification(&self, client: &ClientRef, name: &str) -> StoreFuture<'_, ()> {
        // The port has no time, but the deliveries that die with the notification need one.
        let now = Timestamp::now();
        self.change_notifications(client, NotificationEdit::Remove { name: name.to_owned(), now })
    }
}

fn refused(error: StoreError) -> StoreFuture<'static, ()> {
    Box::pin(ready(Err(error)))
}

impl SqliteStore {
    fn change(&self, change: RegistryChange) -> StoreFuture<'_, ()> {
        Box::pin(self.request(|reply| WriterCommand::ChangeRegistry(Box::new(change), reply)))
    }

    fn change_notifications(&self, client: &ClientRef, change: NotificationEdit) -> StoreFuture<'_, ()> {
        self.change(RegistryChange::Notifications { client: client.clone(), change: Box::new(change) })
    }

    fn owner(&self, client: &ClientRef) -> Option<Arc<Client>> {
        self.shared.registry.read().find(client).map(|entry| entry.client.clone())
    }
}
