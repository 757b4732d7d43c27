//! The rows of the table `route`: the destinations that the application has chosen for the events of a document. The
//! callback is stored sealed; beside it stands what the writer needs of it.

use rusqlite::{Connection, OptionalExtension, params};

use super::columns;
use crate::domain::{Callback, Client, Destinations, Format, NotificationName, Target};
use crate::store::Seal;

/// A document, and the client that its secrets are sealed for.
#[derive(Clone, Copy)]
pub(crate) struct DestinationsKey<'a> {
    /// The client's number.
    pub(crate) client: i64,
    pub(crate) owner: &'a Client,
    /// The document's number.
    pub(crate) document: i64,
}

/// Destinations without the callback's secrets.
#[derive(Default)]
pub(crate) struct StoredDestinations {
    pub(crate) notification: Option<NotificationName>,
    pub(crate) callback: Option<(Target, Format)>,
}

/// A document's destinations; empty ones if none are stored.
pub(crate) fn get(db: &Connection, client: i64, document: i64) -> rusqlite::Result<StoredDestinations> {
    let destinations = db
        .prepare_cached("SELECT notification, target, format FROM route WHERE client = ?1 AND document = ?2")?
        .query_row([client, document], |row| {
            let texts: [Option<String>; 3] = [row.get(0)?, row.get(1)?, row.get(2)?];
            let [name, target, format] = texts.map(Option::unwrap_or_default);
            Ok(StoredDestinations {
                notification: name.parse().ok(),
                callback: Target::from_key(&target).ok().zip(format.parse().ok()),
            })
        })
        .optional()?;
    Ok(destinations.unwrap_or_default())
}

/// Sets the fields that `destinations` has; the others stay as they are. Returns by how much the bytes of the callback
/// grow.
pub(crate) fn set(
    db: &Connection,
    seal: &dyn Seal,
    key: DestinationsKey<'_>,
    destinations: &Destinations,
) -> rusqlite::Result<i64> {
    if *destinations == Destinations::default() {
        return Ok(0);
    }
    let before: Option<i64> = db
        .prepare_cached(
            "SELECT octet_length(coalesce(target, '')) + octet_length(coalesce(callback, '')) FROM route
             WHERE client = ?1 AND document = ?2",
        )?
        .query_row([key.client, key.document], |row| row.get(0))
        .optional()?;
    let callback = destinations.callback.as_ref().map(|callback| {
        // Strings and enums always have a JSON form; an empty text could not be opened and counts as no callback.
        seal.seal(&serde_json::to_vec(callback).unwrap_or_default(), context(key).as_bytes())
    });
    let target = destinations.callback.as_ref().and_then(Target::of).map(|target| target.key());
    let format = destinations.callback.as_ref().map(|callback| callback.format.as_str());
    let values = params![
        key.client,
        key.document,
        destinations.notification.as_ref().map(|n| n.as_str()),
        target,
        format,
        callback
    ];
    let after: i64 = db
        .prepare_cached(
            "INSERT INTO route (client, document, notification, target, format, callback) VALUES (?1,?2,?3,?4,?5,?6)
         ON CONFLICT (client, document) DO UPDATE SET
             notification = coalesce(excluded.notification, notification),
             target = iif(excluded.callback IS NULL, target, excluded.target),
             format = coalesce(excluded.format, format),
             callback = coalesce(excluded.callback, callback)
         RETURNING octet_length(coalesce(target, '')) + octet_length(coalesce(callback, ''))",
        )?
        .query_row(values, |row| row.get(0))?;
    db.prepare_cached("UPDATE document SET routed = 1 WHERE client = ?1 AND id = ?2 AND routed = 0")?
        .execute([key.client, key.document])?;
    Ok(after - before.unwrap_or(0))
}

/// The present callback of a document, if its deliveries go to the queue of this target.
pub(crate) fn callback(
    db: &Connection,
    seal: &dyn Seal,
    key: DestinationsKey<'_>,
    target: &str,
) -> rusqlite::Result<Option<Callback>> {
    let sealed = db
        .prepare_cached("SELECT callback FROM route WHERE client = ?1 AND document = ?2 AND target = ?3")?
        .query_row(params![key.client, key.document, target], |row| columns::blob(row, 0))
        .optional()?;
    let Some(sealed) = sealed else { return Ok(None) };
    let opened = seal.open(&sealed, context(key).as_bytes());
    let callback = opened.and_then(|text| serde_json::from_slice(&text).map_err(|_| "it is damaged".to_owned()));
    // An error would block the whole queue because of one row.
    if let Err(reason) = &callback {
        tracing::error!(client = %key.owner.id, reason, "cannot open a callback: register the document again");
    }
    Ok(callback.ok())
}

/// Why a callback of this client cannot be opened; `None` if all of them can.
pub(crate) fn fault(db: &Connection, seal: &dyn Seal, client: i64, owner: &Client) -> rusqlite::Result<Option<String>> {
    let mut statement =
        db.prepare_cached("SELECT document, callback FROM route WHERE client = ?1 AND callback IS NOT NULL")?;
    let mut rows = statement.query([client])?;
    while let Some(row) = rows.next()? {
        let key = DestinationsKey { client, owner, document: row.get(0)? };
        if let Err(reason) = seal.open(row.get_ref(1)?.as_blob()?, context(key).as_bytes()) {
            return Ok(Some(reason));
        }
    }
    Ok(None)
}

/// A callback, sealed with the present key.
///
/// # Errors
/// That of [`Seal::open`].
pub(crate) fn reseal(seal: &dyn Seal, key: DestinationsKey<'_>, sealed: &[u8]) -> Result<Vec<u8>, String> {
    let context = context(key);
    seal.open(sealed, context.as_bytes()).map(|text| seal.seal(&text, context.as_bytes()))
}

/// With the client's creation time, so that a row of a removed client cannot be opened for a later one of the same
/// name.
fn context(key: DestinationsKey<'_>) -> String {
    format!("route/{}/{}/{}", key.owner.id, key.owner.created.millis(), key.document)
}
