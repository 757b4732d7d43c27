//! The rows of clients, hooks and notifications. Sealed are the secrets of clients, whole hooks, because the address of
//! a hook is a secret, too, and whole notifications. The limits of clients are plain columns.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::columns;
use crate::domain::{Client, ClientId, ClientLimits, Hook, Notification, Secret, Timestamp};
use crate::store::Seal;

/// Why the registry could not be loaded.
pub(crate) enum LoadError {
    Sql(rusqlite::Error),
    /// A sealed value could not be opened or parsed; the reason holds no secret.
    Sealed(String),
}

impl From<rusqlite::Error> for LoadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// A client with its hooks and notifications, oldest first.
pub(crate) struct ClientRow {
    pub(crate) number: i64,
    pub(crate) client: Arc<Client>,
    pub(crate) limits: ClientLimits,
    pub(crate) hooks: Vec<Arc<Hook>>,
    pub(crate) notifications: Vec<NotificationRow>,
}

/// A notification and the number that its deliveries have.
#[derive(Clone)]
pub(crate) struct NotificationRow {
    pub(crate) number: i64,
    pub(crate) notification: Arc<Notification>,
}

/// The sealed value of a client's row.
#[derive(Serialize, Deserialize)]
struct SealedClient {
    secret: Secret,
    /// The previous secret and the end of its validity, in milliseconds since the Unix epoch.
    previous: Option<(Secret, i64)>,
}

/// The secrets of a client for its row.
pub(crate) fn seal_client(seal: &dyn Seal, client: &Client) -> Vec<u8> {
    let previous = client.previous.as_ref().map(|(secret, until)| (secret.clone(), until.millis()));
    let text = SealedClient { secret: client.secret.clone(), previous };
    // Strings and numbers always have a JSON form; an empty text would not open at the next start.
    seal.seal(&serde_json::to_vec(&text).unwrap_or_default(), client_context(&client.id, client.created).as_bytes())
}

/// A hook for its row.
pub(crate) fn seal_hook(seal: &dyn Seal, owner: &Client, hook: &Hook) -> Vec<u8> {
    let context = hook_context(owner, &hook.id);
    seal.seal(&serde_json::to_vec(hook).unwrap_or_default(), context.as_bytes())
}

/// A notification for its row.
pub(crate) fn seal_notification(seal: &dyn Seal, owner: &Client, notification: &Notification) -> Vec<u8> {
    let context = notification_context(owner, &notification.id);
    seal.seal(&serde_json::to_vec(notification).unwrap_or_default(), context.as_bytes())
}

/// All clients that are not removed.
pub(crate) fn load(db: &Connection, seal: &dyn Seal) -> Result<Vec<ClientRow>, LoadError> {
    let mut clients = Vec::new();
    let mut statement = db.prepare(
        "SELECT id, name, created, secrets, max_event_rate, max_followers, max_notifications, max_bytes
         FROM client LEFT JOIN usage ON client.id = usage.client WHERE name IS NOT NULL",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (number, created) = (row.get(0)?, Timestamp::from_millis(row.get(2)?));
        let id: ClientId = columns::parsed(row, 1)?;
        let context = client_context(&id, created);
        let sealed = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        let text = seal.open(sealed, context.as_bytes()).map_err(LoadError::Sealed)?;
        let secrets: SealedClient = serde_json::from_slice(&text).map_err(|_| damaged("client"))?;
        let previous = secrets.previous.map(|(secret, until)| (secret, Timestamp::from_millis(until)));
        let client = Arc::new(Client { id, created, secret: secrets.secret, previous });
        let limits = read_limits(row, 4)?;
        let hooks = load_hooks(db, seal, number, &client)?;
        let notifications = load_notifications(db, seal, number, &client)?;
        clients.push(ClientRow { number, client, limits, hooks, notifications });
    }
    Ok(clients)
}

/// The columns `max_event_rate, max_followers, max_notifications, max_bytes`, beginning with column `first`.
fn read_limits(row: &Row<'_>, first: usize) -> rusqlite::Result<ClientLimits> {
    let small = |column: usize| row.get::<_, Option<u32>>(first + column).map(|found| found.and_then(NonZeroU32::new));
    let bytes: Option<i64> = row.get(first + 3)?;
    Ok(ClientLimits {
        events_per_second: small(0)?,
        followers: small(1)?,
        notifications: small(2)?,
        stored_bytes: bytes.and_then(|bytes| NonZeroU64::new(columns::unsigned(bytes))),
    })
}

/// Stores the limits of the client with this number.
pub(crate) fn write_limits(db: &Connection, client: i64, limits: &ClientLimits) -> rusqlite::Result<()> {
    let ClientLimits { events_per_second, followers, stored_bytes, notifications } = limits;
    let small = |limit: &Option<NonZeroU32>| limit.map(NonZeroU32::get);
    db.execute(
        "UPDATE client SET max_event_rate = ?2, max_followers = ?3, max_notifications = ?4 WHERE id = ?1",
        params![client, small(events_per_second), small(followers), small(notifications)],
    )?;
    let bytes = stored_bytes.map(|bytes| columns::signed(bytes.get()));
    db.execute("UPDATE usage SET max_bytes = ?2 WHERE client = ?1", params![client, bytes])?;
    Ok(())
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

fn load_notifications(
    db: &Connection,
    seal: &dyn Seal,
    client: i64,
    owner: &Client,
) -> Result<Vec<NotificationRow>, LoadError> {
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
        notifications.push(NotificationRow { number, notification: Arc::new(notification) });
    }
    Ok(notifications)
}

/// Without the parse error, which would quote the secret text.
fn damaged(what: &str) -> LoadError {
    LoadError::Sealed(format!("a {what} is damaged"))
}

/// With the creation time, so that a row of a removed client cannot be opened for a later one of the same name.
fn client_context(id: &ClientId, created: Timestamp) -> String {
    format!("client/{id}/{}", created.millis())
}

fn hook_context(owner: &Client, hook: &str) -> String {
    format!("hook/{}/{}/{hook}", owner.id, owner.created.millis())
}

fn notification_context(owner: &Client, notification: &str) -> String {
    format!("notification/{}/{}/{notification}", owner.id, owner.created.millis())
}
