//! What of the registry lies in the tables, and how it is sealed there: the secrets of clients, whole hooks, for a
//! hook's address is a secret too, and whole notifications.

use std::sync::Arc;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::{Cache, Entries, Entry, Kept};
use crate::domain::{Client, ClientId, Hook, Notification, Secret, Timestamp};
use crate::store::Seal;

/// Why the registry could not be read.
pub(in crate::store::sqlite) enum LoadError {
    /// SQLite refused.
    Sql(rusqlite::Error),
    /// The sealer refused, or what was sealed is not what we wrote.
    Sealed(String),
}

impl From<rusqlite::Error> for LoadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// The sealed text of a client.
#[derive(Serialize, Deserialize)]
struct Secrets {
    secret: Secret,
    /// The one before, and until when it is taken, in milliseconds since the epoch.
    previous: Option<(Secret, i64)>,
}

/// A client's secrets, sealed for its row.
pub(super) fn client(seal: &dyn Seal, client: &Client) -> Vec<u8> {
    let previous = client.previous.as_ref().map(|(secret, until)| (secret.clone(), until.millis()));
    let text = Secrets { secret: client.secret.clone(), previous };
    // Strings and numbers always have a JSON form; an empty text would not open at the next start.
    seal.seal(&serde_json::to_vec(&text).unwrap_or_default(), client_context(&client.id, client.created).as_bytes())
}

/// A hook, sealed for its row.
pub(super) fn hook(seal: &dyn Seal, owner: &Client, hook: &Hook) -> Vec<u8> {
    let context = hook_context(owner, &hook.id);
    seal.seal(&serde_json::to_vec(hook).unwrap_or_default(), context.as_bytes())
}

/// A notification, sealed for its row.
pub(super) fn notification(seal: &dyn Seal, owner: &Client, notification: &Notification) -> Vec<u8> {
    let context = notification_context(owner, &notification.id);
    seal.seal(&serde_json::to_vec(notification).unwrap_or_default(), context.as_bytes())
}

/// Reads all clients with what is theirs into memory.
pub(in crate::store::sqlite) fn load(db: &Connection, seal: &dyn Seal) -> Result<Cache, LoadError> {
    let mut entries = Entries::default();
    let mut statement = db.prepare("SELECT id, name, created, secrets FROM client WHERE name IS NOT NULL")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (number, created) = (row.get(0)?, Timestamp::from_millis(row.get(2)?));
        let id: ClientId = super::super::columns::word(row, 1)?;
        let context = client_context(&id, created);
        let sealed = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        let text = seal.open(sealed, context.as_bytes()).map_err(LoadError::Sealed)?;
        let secrets: Secrets = serde_json::from_slice(&text).map_err(|_| damaged("client"))?;
        let previous = secrets.previous.map(|(secret, until)| (secret, Timestamp::from_millis(until)));
        let client = Arc::new(Client { id: id.clone(), created, secret: secrets.secret, previous });
        let hooks = load_hooks(db, seal, number, &client)?;
        for hook in &hooks {
            entries.keys.insert(hook.key.expose().to_owned(), (id.clone(), hook.clone()));
        }
        let notifications = Arc::new(load_notifications(db, seal, number, &client)?);
        entries.clients.insert(id, Entry { number, client, hooks, notifications });
    }
    Ok(Cache(entries.into()))
}

fn load_hooks(db: &Connection, seal: &dyn Seal, number: i64, owner: &Client) -> Result<Vec<Arc<Hook>>, LoadError> {
    let mut hooks = Vec::new();
    let mut statement = db.prepare_cached("SELECT id, definition FROM hook WHERE client = ?1 ORDER BY number")?;
    let mut rows = statement.query([number])?;
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let sealed = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let text = seal.open(sealed, hook_context(owner, &id).as_bytes()).map_err(LoadError::Sealed)?;
        let hook: Hook = serde_json::from_slice(&text).map_err(|_| damaged("hook"))?;
        hooks.push(Arc::new(hook));
    }
    Ok(hooks)
}

fn load_notifications(db: &Connection, seal: &dyn Seal, client: i64, owner: &Client) -> Result<Vec<Kept>, LoadError> {
    let mut notifications = Vec::new();
    let mut statement = db.prepare_cached(
        "SELECT number, id, definition FROM notification WHERE client = ?1 AND removed IS NULL ORDER BY number",
    )?;
    let mut rows = statement.query([client])?;
    while let Some(row) = rows.next()? {
        let (number, id): (i64, String) = (row.get(0)?, row.get(1)?);
        let sealed = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        let text = seal.open(sealed, notification_context(owner, &id).as_bytes()).map_err(LoadError::Sealed)?;
        let notification = serde_json::from_slice(&text).map_err(|_| damaged("notification"))?;
        notifications.push(Kept { number, notification: Arc::new(notification) });
    }
    Ok(notifications)
}

/// Parse errors quote what they read, which is secret here: only the kind is told.
fn damaged(what: &str) -> LoadError {
    LoadError::Sealed(format!("a {what} is damaged"))
}

/// With the time, so that a row of a removed client cannot be put in the place of a new one of the same name.
fn client_context(id: &ClientId, created: Timestamp) -> String {
    format!("client/{id}/{}", created.millis())
}

fn hook_context(owner: &Client, hook: &str) -> String {
    format!("hook/{}/{}/{hook}", owner.id, owner.created.millis())
}

fn notification_context(owner: &Client, notification: &str) -> String {
    format!("notification/{}/{}/{notification}", owner.id, owner.created.millis())
}
