//! Changes of the registry, made by the writer: first the tables, then, when that is durable, the memory.

use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior, params};

use super::edit::Edit;
use super::{Cache, Entry};
use crate::domain::{Client, ClientId, Hook};
use crate::store::sqlite::columns;
use crate::store::sqlite::outbox::Removed;
use crate::store::{Seal, StoreError};

/// What can be changed. `number` is the client that the sealed text was made for: the name may belong to another one
/// by the time the writer comes to it.
pub(in crate::store::sqlite) enum Change {
    AddClient {
        client: Client,
        sealed: Vec<u8>,
    },
    UpdateClient {
        number: i64,
        client: Client,
        sealed: Vec<u8>,
    },
    RemoveClient {
        id: ClientId,
    },
    AddHook {
        number: i64,
        client: ClientId,
        hook: Arc<Hook>,
        sealed: Vec<u8>,
    },
    UpdateHook {
        number: i64,
        client: ClientId,
        hook: Arc<Hook>,
        sealed: Vec<u8>,
    },
    RemoveHook {
        client: ClientId,
        id: String,
    },
    /// Sealed by the writer: one change may touch two of them, and a mark must not bring back what was there before.
    Notifications {
        client: ClientId,
        edit: Box<Edit>,
    },
}

/// What a change leaves behind, to be done with slice by slice.
pub(in crate::store::sqlite) enum Left {
    Nothing,
    /// The rows of this client.
    Client(i64),
    /// Deliveries that are pending for a notification that is gone.
    Notification(Removed),
}

impl Change {
    /// Makes the change.
    pub(in crate::store::sqlite) fn make(
        self,
        db: &mut Connection,
        cache: &Cache,
        seal: &dyn Seal,
    ) -> Result<Left, StoreError> {
        if let Change::Notifications { client, edit } = self {
            return edit.make(db, cache, seal, &client);
        }
        let number = self.check(cache)?;
        let transaction =
            db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|e| columns::unavailable(&e))?;
        let number = self
            .write(&transaction, number)
            .and_then(|number| transaction.commit().map(|()| number))
            .map_err(|e| columns::unavailable(&e))?;
        let left = match self {
            Change::RemoveClient { .. } => Left::Client(number),
            _ => Left::Nothing,
        };
        self.remember(cache, number);
        Ok(left)
    }

    /// Whether it can be made; the client's number when there is one.
    fn check(&self, cache: &Cache) -> Result<i64, StoreError> {
        let entries = cache.read();
        let find = |id: &ClientId| entries.clients.get(id).ok_or(StoreError::NotFound("client"));
        match self {
            Change::AddClient { client, .. } if entries.clients.contains_key(&client.id) => {
                Err(StoreError::Conflict(format!("the client {}", client.id)))
            }
            Change::AddClient { .. } => Ok(0),
            Change::UpdateClient { number, client, .. } => same(find(&client.id)?, *number),
            Change::RemoveClient { id } => Ok(find(id)?.number),
            Change::AddHook { number, client, hook, .. } => {
                let entry = find(client)?;
                let taken = entry.hooks.iter().any(|known| known.id == hook.id);
                if taken || entries.keys.contains_key(hook.key.expose()) {
                    return Err(StoreError::Conflict(format!("the hook {}", hook.id)));
                }
                same(entry, *number)
            }
            Change::UpdateHook { number, client, hook, .. } => {
                let entry = find(client)?;
                same(entry, *number).and_then(|_| has(entry, &hook.id))
            }
            Change::RemoveHook { client, id } => has(find(client)?, id),
            Change::Notifications { client, .. } => Ok(find(client)?.number),
        }
    }

    fn write(&self, db: &Connection, number: i64) -> rusqlite::Result<i64> {
        match self {
            Change::AddClient { client, sealed } => {
                db.execute(
                    "INSERT INTO client (name, created, secrets) VALUES (?1, ?2, ?3)",
                    params![client.id.as_str(), client.created.millis(), sealed],
                )?;
                let number = db.last_insert_rowid();
                db.execute("INSERT INTO usage (client) VALUES (?1)", [number])?;
                return Ok(number);
            }
            Change::UpdateClient { sealed, .. } => {
                db.execute("UPDATE client SET secrets = ?2 WHERE id = ?1", params![number, sealed])?;
            }
            // The row without a name is what the erasing goes on from after a restart.
            Change::RemoveClient { .. } => {
                db.execute("UPDATE client SET name = NULL, secrets = x'' WHERE id = ?1", [number])?;
                db.execute("DELETE FROM hook WHERE client = ?1", [number])?;
                db.execute("DELETE FROM notification WHERE client = ?1", [number])?;
            }
            Change::AddHook { hook, sealed, .. } => {
                db.execute(
                    "INSERT INTO hook (client, id, definition) VALUES (?1, ?2, ?3)",
                    params![number, hook.id, sealed],
                )?;
            }
            Change::UpdateHook { hook, sealed, .. } => {
                db.execute(
                    "UPDATE hook SET definition = ?3 WHERE client = ?1 AND id = ?2",
                    params![number, hook.id, sealed],
                )?;
            }
            Change::RemoveHook { id, .. } => {
                db.execute("DELETE FROM hook WHERE client = ?1 AND id = ?2", params![number, id])?;
            }
            Change::Notifications { .. } => {}
        }
        Ok(number)
    }

    fn remember(self, cache: &Cache, number: i64) {
        let mut guard = cache.write();
        let entries = &mut *guard;
        match self {
            Change::AddClient { client, .. } => {
                let id = client.id.clone();
                entries.clients.insert(id, Entry::new(number, client));
            }
            Change::UpdateClient { client, .. } => {
                if let Some(entry) = entries.clients.get_mut(&client.id) {
                    entry.client = Arc::new(client);
                }
            }
            Change::RemoveClient { id } => {
                for hook in entries.clients.remove(&id).into_iter().flat_map(|entry| entry.hooks) {
                    entries.keys.remove(hook.key.expose());
                }
            }
            Change::AddHook { client, hook, .. } => {
                if let Some(entry) = entries.clients.get_mut(&client) {
                    entry.hooks.push(hook.clone());
                    entries.keys.insert(hook.key.expose().to_owned(), (client, hook));
                }
            }
            Change::UpdateHook { client, hook, .. } => {
                let hooks = entries.clients.get_mut(&client).map(|entry| &mut entry.hooks);
                if let Some(place) = hooks.and_then(|hooks| hooks.iter_mut().find(|known| known.id == hook.id)) {
                    *place = hook.clone();
                    entries.keys.insert(hook.key.expose().to_owned(), (client, hook));
                }
            }
            Change::RemoveHook { client, id } => {
                if let Some(entry) = entries.clients.get_mut(&client) {
                    for hook in entry.hooks.extract_if(.., |hook| hook.id == id) {
                        entries.keys.remove(hook.key.expose());
                    }
                }
            }
            Change::Notifications { .. } => {}
        }
    }
}

/// The client's number, when it has this hook.
fn has(entry: &Entry, hook: &str) -> Result<i64, StoreError> {
    let known = entry.hooks.iter().any(|known| known.id == hook);
    if known { Ok(entry.number) } else { Err(StoreError::NotFound("hook")) }
}

/// The client that the sealed text was made for, still.
fn same(entry: &Entry, number: i64) -> Result<i64, StoreError> {
    if entry.number == number { Ok(number) } else { Err(StoreError::NotFound("client")) }
}
