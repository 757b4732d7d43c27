//! The registry in memory. Only the writer changes it, after the commit that made the change durable.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::tables::document_fifo::QueueRow;
use super::tables::registry::{ClientRow, NotificationRow};
use crate::domain::{Client, ClientId, ClientLimits, ClientRef, Hook, NotificationName, QueueKey, QueueTarget};

/// All clients with their hooks and notifications.
#[derive(Default)]
pub(super) struct RegistryCache(RwLock<CachedRegistry>);

#[derive(Default)]
pub(super) struct CachedRegistry {
    pub(super) clients: BTreeMap<ClientId, CachedClient>,
    /// The client of each number.
    pub(super) ids: HashMap<i64, ClientId>,
    /// By the key in the hook's address.
    pub(super) hooks_by_key: HashMap<String, (ClientRef, Arc<Hook>)>,
}

pub(super) struct CachedClient {
    pub(super) number: i64,
    pub(super) client: Arc<Client>,
    pub(super) limits: ClientLimits,
    /// Oldest first.
    pub(super) hooks: Vec<Arc<Hook>>,
    /// Oldest first. Replaced as a whole: the writer clones the `Arc` for every event.
    pub(super) notifications: Arc<Vec<NotificationRow>>,
}

/// A client and its notifications: the possible targets of its deliveries.
#[derive(Clone)]
pub(super) struct ClientTargets {
    /// The client's number.
    pub(super) number: i64,
    pub(super) client: Arc<Client>,
    pub(super) limits: ClientLimits,
    pub(super) notifications: Arc<Vec<NotificationRow>>,
}

impl ClientTargets {
    pub(super) fn notification(&self, name: &NotificationName) -> Option<&NotificationRow> {
        self.notifications.iter().find(|row| row.notification.name == *name)
    }

    pub(super) fn default_notification(&self) -> Option<&NotificationRow> {
        self.notifications.iter().find(|row| row.notification.is_default)
    }

    /// The receiver of the deliveries with this notification number: see [`crate::store::DeliveryContent::receiver`].
    pub(super) fn receiver(&self, number: i64) -> Arc<str> {
        match self.notifications.iter().find(|row| row.number == number) {
            Some(row) => row.notification.id.as_str().into(),
            None => self.client.created.millis().to_string().into(),
        }
    }

    /// The notification number of deliveries to this target: 0 for callbacks, `None` for an unknown notification.
    pub(super) fn notification_number(&self, target: &QueueTarget) -> Option<i64> {
        match target {
            QueueTarget::Notification(name) => self.notification(name).map(|row| row.number),
            QueueTarget::Origin(_) => Some(0),
        }
    }

    /// The rows of a queue; `None` for an unknown notification.
    pub(super) fn queue_row(&self, target: &QueueTarget) -> Option<QueueRow> {
        let notification = self.notification_number(target)?;
        Some(QueueRow { client: self.number, notification, queue: target.key() })
    }

    /// The queue of these rows; `None` for a removed notification.
    pub(super) fn queue_key(&self, row: &QueueRow) -> Option<QueueKey> {
        let target = QueueTarget::from_key(&row.queue).ok()?;
        let is_present = self.notification_number(&target) == Some(row.notification);
        is_present.then(|| QueueKey { client: self.client.id.clone(), target })
    }
}

impl CachedRegistry {
    /// The client, unless it was removed; another client may have its id now.
    pub(super) fn find(&self, client: &ClientRef) -> Option<&CachedClient> {
        self.clients.get(&client.id).filter(|entry| entry.client.created == client.created)
    }
}

impl CachedClient {
    fn targets(&self) -> ClientTargets {
        ClientTargets {
            number: self.number,
            client: self.client.clone(),
            limits: self.limits,
            notifications: self.notifications.clone(),
        }
    }
}

impl RegistryCache {
    pub(super) fn new(rows: Vec<ClientRow>) -> Self {
        let mut registry = CachedRegistry::default();
        for ClientRow { number, client, limits, hooks, notifications } in rows {
            for hook in &hooks {
                registry.hooks_by_key.insert(hook.key.expose().to_owned(), (client.reference(), hook.clone()));
            }
            let notifications = Arc::new(notifications);
            registry.ids.insert(number, client.id.clone());
            let id = client.id.clone();
            registry.clients.insert(id, CachedClient { number, client, limits, hooks, notifications });
        }
        Self(RwLock::new(registry))
    }

    /// The client's number, which its rows have.
    pub(super) fn number(&self, client: &ClientRef) -> Option<i64> {
        self.read().find(client).map(|entry| entry.number)
    }

    pub(super) fn targets(&self, client: &ClientRef) -> Option<ClientTargets> {
        self.read().find(client).map(CachedClient::targets)
    }

    /// The targets of the client that has this id at present. For queues, whose deliveries have numbers of their own.
    pub(super) fn present_targets(&self, client: &ClientId) -> Option<ClientTargets> {
        self.read().clients.get(client).map(CachedClient::targets)
    }

    /// The client with this number; `None` when it was removed.
    pub(super) fn targets_of_number(&self, number: i64) -> Option<ClientTargets> {
        let registry = self.read();
        registry.clients.get(registry.ids.get(&number)?).map(CachedClient::targets)
    }

    /// The numbers of all clients.
    pub(super) fn numbers(&self) -> Vec<i64> {
        self.read().clients.values().map(|entry| entry.number).collect()
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, CachedRegistry> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, CachedRegistry> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
