//! Changes of the registry, applied by the writer: first the tables, then, after the commit, the memory.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::bulk_update::RemovedNotification;
use super::change_error::ChangeError;
use super::notification_edit::{BeforeCommit, NotificationEdit};
use crate::domain::{Client, ClientId, ClientLimits, ClientRef, Hook, Timestamp};
use crate::store::sqlite::panics::contain;
use crate::store::sqlite::registry_cache::{CachedClient, RegistryCache};
use crate::store::sqlite::tables::{columns, registry};
use crate::store::{ReceiverChange, Seal, StoreError};

/// A change of the registry. When the writer applies it, another client may have the id of the client that it is for:
/// then the client is not found.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum RegistryChange {
    AddClient { client: Client, sealed: Vec<u8> },
    UpdateClient { before: Client, after: Client, sealed: Vec<u8> },
    RemoveClient { id: ClientId },
    AddHook { client: ClientRef, hook: Arc<Hook>, sealed: Vec<u8> },
    UpdateHook { client: ClientRef, change: Box<HookUpdate>, sealed: Vec<u8> },
    RemoveHook { client: ClientRef, id: String },
    Notifications { client: ClientRef, change: Box<NotificationEdit> },
    SetLimits { client: ClientRef, change: Box<LimitsUpdate> },
}

/// Compare and swap of a client's limits.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct LimitsUpdate {
    pub(crate) before: ClientLimits,
    pub(crate) after: ClientLimits,
}

/// Compare and swap of a hook. Both versions have the same id and key.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct HookUpdate {
    pub(crate) before: Hook,
    pub(crate) after: Arc<Hook>,
}

/// The client whose rows a change writes.
enum ChangedClient<'a> {
    /// A client to insert, with its sealed secrets.
    New(&'a Client, &'a [u8]),
    /// The number of a stored client.
    Stored(i64),
}

/// Background work that a change leaves.
pub(crate) enum RemainingWork {
    None,
    /// The rows of a removed client, by its number. A later client may have its id.
    EraseClient(i64, ClientRef),
    /// The pending deliveries of a removed notification.
    FailPending(RemovedNotification),
    /// What exceeds the new limits in the history of the client with this number.
    PruneHistory(i64),
}

impl RegistryChange {
    /// Applies the change; `before_commit` belongs to its transaction. After a panic in the transaction nothing has
    /// changed.
    pub(super) fn apply(
        mut self,
        db: &mut Connection,
        cache: &RegistryCache,
        seal: &dyn Seal,
        before_commit: BeforeCommit<'_>,
    ) -> Result<RemainingWork, ChangeError> {
        if let Self::Notifications { client, change } = self {
            let removed = change.apply(db, cache, seal, &client, before_commit)?;
            return Ok(removed.map_or(RemainingWork::None, RemainingWork::FailPending));
        }
        if let Self::AddClient { client, sealed } = &mut self {
            let created = unused_time(db, client.created).map_err(|e| columns::unavailable(&e))?;
            if created != client.created {
                client.created = created;
                // The time is part of what is sealed.
                *sealed = contain("the secrets of a client", || registry::seal_client(seal, client))?;
            }
        }
        let client = self.check(cache)?;
        let removed = self.removed_client(cache);
        let transaction =
            db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|e| columns::unavailable(&e))?;
        let write = || self.write(&transaction, client).and_then(|number| before_commit(&transaction).map(|()| number));
        let number = contain("a change of the registry", write)?
            .and_then(|number| transaction.commit().map(|()| number))
            .map_err(|e| columns::refused(&e))?;
        let remaining = match (&self, removed) {
            (_, Some(removed)) => RemainingWork::EraseClient(number, removed),
            (Self::SetLimits { .. }, None) => RemainingWork::PruneHistory(number),
            _ => RemainingWork::None,
        };
        self.update_cache(cache, number);
        Ok(remaining)
    }

    /// The change as the delivery worker has to know it if another node was asked for it; `None` if it concerns no
    /// receiver.
    pub(super) fn receiver_change(&self) -> Option<ReceiverChange> {
        match self {
            Self::RemoveClient { id } => Some(ReceiverChange::ClientRemoved(id.clone())),
            Self::Notifications { client, change } => change.receiver_change(&client.id),
            _ => None,
        }
    }

    /// The client that the change removes.
    fn removed_client(&self, cache: &RegistryCache) -> Option<ClientRef> {
        let Self::RemoveClient { id } = self else { return None };
        cache.read().clients.get(id).map(|entry| entry.client.reference())
    }

    /// The client, if the change can be applied.
    fn check(&self, cache: &RegistryCache) -> Result<ChangedClient<'_>, StoreError> {
        let entries = cache.read();
        let find = |client: &ClientRef| entries.find(client).ok_or(StoreError::NotFound("client"));
        let number = match self {
            Self::AddClient { client, .. } if entries.clients.contains_key(&client.id) => {
                return Err(StoreError::Conflict(format!("the client {}", client.id)));
            }
            Self::AddClient { client, sealed } => return Ok(ChangedClient::New(client, sealed)),
            Self::UpdateClient { before, .. } => {
                let entry = find(&before.reference())?;
                same_version(*entry.client == *before, "client")?;
                entry.number
            }
            Self::RemoveClient { id } => {
                let entry = entries.clients.get(id).ok_or(StoreError::NotFound("client"))?;
                entry.number
            }
            Self::AddHook { client, hook, .. } => {
                let entry = find(client)?;
                let is_taken = entry.hooks.iter().any(|known| known.id == hook.id);
                if is_taken || entries.hooks_by_key.contains_key(hook.key.expose()) {
                    return Err(StoreError::Conflict(format!("the hook {}", hook.id)));
                }
                entry.number
            }
            Self::UpdateHook { client, change, .. } => {
                let entry = find(client)?;
                let known = entry.hooks.iter().find(|known| known.id == change.before.id);
                same_version(**known.ok_or(StoreError::NotFound("hook"))? == change.before, "hook")?;
                entry.number
            }
            Self::RemoveHook { client, id } => with_hook(find(client)?, id)?,
            Self::Notifications { client, .. } => find(client)?.number,
            Self::SetLimits { client, change } => {
                let entry = find(client)?;
                same_version(entry.limits == change.before, "client's limits")?;
                entry.number
            }
        };
        Ok(ChangedClient::Stored(number))
    }

    /// Writes the change; returns the client's number.
    fn write(&self, db: &Connection, client: ChangedClient<'_>) -> rusqlite::Result<i64> {
        let number = match client {
            ChangedClient::New(client, sealed) => return insert_client(db, client, sealed),
            ChangedClient::Stored(number) => number,
        };
        match self {
            Self::UpdateClient { sealed, .. } => {
                db.execute("UPDATE client SET secrets = ?2 WHERE id = ?1", params![number, sealed])?;
            }
            // Without a name, the row makes erasing continue after a restart.
            Self::RemoveClient { .. } => {
                db.execute("UPDATE client SET name = NULL, secrets = x'' WHERE id = ?1", [number])?;
                db.execute("DELETE FROM hook WHERE client = ?1", [number])?;
                db.execute("DELETE FROM notification WHERE client = ?1", [number])?;
            }
            Self::AddHook { hook, sealed, .. } => {
                db.execute(
                    "INSERT INTO hook (client, id, definition) VALUES (?1, ?2, ?3)",
                    params![number, hook.id, sealed],
                )?;
            }
            Self::UpdateHook { change, sealed, .. } => {
                db.execute(
                    "UPDATE hook SET definition = ?3 WHERE client = ?1 AND id = ?2",
                    params![number, change.after.id, sealed],
                )?;
            }
            Self::RemoveHook { id, .. } => {
                db.execute("DELETE FROM hook WHERE client = ?1 AND id = ?2", params![number, id])?;
            }
            Self::SetLimits { change, .. } => registry::write_limits(db, number, &change.after)?,
            Self::AddClient { .. } | Self::Notifications { .. } => {}
        }
        Ok(number)
    }

    fn update_cache(self, cache: &RegistryCache, number: i64) {
        let mut guard = cache.write();
        let entries = &mut *guard;
        match self {
            Self::AddClient { client, .. } => {
                let id = client.id.clone();
                entries.ids.insert(number, id.clone());
                let added = CachedClient {
                    number,
                    client: Arc::new(client),
                    limits: ClientLimits::default(),
                    hooks: Vec::new(),
                    notifications: Arc::default(),
                };
                entries.clients.insert(id, added);
            }
            Self::UpdateClient { after, .. } => {
                if let Some(entry) = entries.clients.get_mut(&after.id) {
                    entry.client = Arc::new(after);
                }
            }
            Self::RemoveClient { id } => {
                entries.ids.remove(&number);
                for hook in entries.clients.remove(&id).into_iter().flat_map(|entry| entry.hooks) {
                    entries.hooks_by_key.remove(hook.key.expose());
                }
            }
            Self::AddHook { client, hook, .. } => {
                if let Some(entry) = entries.clients.get_mut(&client.id) {
                    entry.hooks.push(hook.clone());
                    entries.hooks_by_key.insert(hook.key.expose().to_owned(), (client, hook));
                }
            }
            Self::UpdateHook { client, change, .. } => {
                let hook = change.after;
                let hooks = entries.clients.get_mut(&client.id).map(|entry| &mut entry.hooks);
                if let Some(known) = hooks.and_then(|hooks| hooks.iter_mut().find(|known| known.id == hook.id)) {
                    *known = hook.clone();
                    entries.hooks_by_key.insert(hook.key.expose().to_owned(), (client, hook));
                }
            }
            Self::RemoveHook { client, id } => {
                if let Some(entry) = entries.clients.get_mut(&client.id) {
                    for hook in entry.hooks.extract_if(.., |hook| hook.id == id) {
                        entries.hooks_by_key.remove(hook.key.expose());
                    }
                }
            }
            Self::SetLimits { client, change } => {
                if let Some(entry) = entries.clients.get_mut(&client.id) {
                    entry.limits = change.after;
                }
            }
            Self::Notifications { .. } => {}
        }
    }
}

/// The first millisecond from `created` on that no removed client has: its name is not known any more. A client of the
/// same name and time would get its requests and tokens. The clock does not prevent that: a step back can repeat a
/// time. Depends on the database only, so it is the same on all nodes of a cluster.
fn unused_time(db: &Connection, mut created: Timestamp) -> rusqlite::Result<Timestamp> {
    let mut taken = db.prepare_cached("SELECT 1 FROM client WHERE name IS NULL AND created = ?1")?;
    while taken.exists([created.millis()])? {
        let next = created.plus(Duration::from_millis(1));
        // There is a latest time.
        if next == created {
            break;
        }
        created = next;
    }
    Ok(created)
}

/// Inserts a client; returns its number.
fn insert_client(db: &Connection, client: &Client, sealed: &[u8]) -> rusqlite::Result<i64> {
    db.execute(
        "INSERT INTO client (name, created, secrets) VALUES (?1, ?2, ?3)",
        params![client.id.as_str(), client.created.millis(), sealed],
    )?;
    let number = db.last_insert_rowid();
    db.execute("INSERT INTO usage (client) VALUES (?1)", [number])?;
    Ok(number)
}

/// Fails unless the stored version is the one that the change was made from.
fn same_version(is_same: bool, what: &str) -> Result<(), StoreError> {
    if is_same { Ok(()) } else { Err(StoreError::Conflict(format!("another version of the {what}"))) }
}

/// The client's number, if it has this hook.
fn with_hook(entry: &CachedClient, hook: &str) -> Result<i64, StoreError> {
    let is_known = entry.hooks.iter().any(|known| known.id == hook);
    if is_known { Ok(entry.number) } else { Err(StoreError::NotFound("hook")) }
}
