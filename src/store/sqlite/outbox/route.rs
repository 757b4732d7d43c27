//! The route of a document: what its owner said about where its events go. The callback lies sealed in its row; beside
//! it stands what the writer needs of it.

use rusqlite::{Connection, OptionalExtension, params};

use crate::domain::{Callback, Client, Format, NotificationName, Route, Target};
use crate::store::Seal;
use crate::store::sqlite::columns;

/// What the writer knows of a route.
#[derive(Default)]
pub(super) struct Course {
    pub(super) notification: Option<NotificationName>,
    pub(super) callback: Option<(Target, Format)>,
}

/// A document's route; an empty one when there is none.
pub(super) fn of(db: &Connection, client: i64, document: i64) -> rusqlite::Result<Course> {
    let course = db
        .prepare_cached("SELECT notification, target, format FROM route WHERE client = ?1 AND document = ?2")?
        .query_row([client, document], |row| {
            let words: [Option<String>; 3] = [row.get(0)?, row.get(1)?, row.get(2)?];
            let [name, target, format] = words.map(Option::unwrap_or_default);
            Ok(Course {
                notification: name.parse().ok(),
                callback: Target::from_key(&target).ok().zip(format.parse().ok()),
            })
        })
        .optional()?;
    Ok(course.unwrap_or_default())
}

/// Sets what the route says; what it leaves open stays as it was.
pub(super) fn set(
    db: &Connection,
    seal: &dyn Seal,
    (client, owner): (i64, &Client),
    (document, route): (i64, &Route),
) -> rusqlite::Result<()> {
    if *route == Route::default() {
        return Ok(());
    }
    let callback = route.callback.as_ref().map(|callback| {
        // Strings and words always have a JSON form; an empty text would not open, and counts as none.
        seal.seal(&serde_json::to_vec(callback).unwrap_or_default(), context(owner, document).as_bytes())
    });
    let target = route.callback.as_ref().and_then(Target::of).map(|target| target.key());
    let format = route.callback.as_ref().map(|callback| callback.format.as_str());
    db.prepare_cached(
        "INSERT INTO route (client, document, notification, target, format, callback) VALUES (?1,?2,?3,?4,?5,?6)
         ON CONFLICT (client, document) DO UPDATE SET
             notification = coalesce(excluded.notification, notification),
             target = iif(excluded.callback IS NULL, target, excluded.target),
             format = coalesce(excluded.format, format),
             callback = coalesce(excluded.callback, callback)",
    )?
    .execute(params![
        client,
        document,
        route.notification.as_ref().map(|n| n.as_str()),
        target,
        format,
        callback
    ])?;
    db.prepare_cached("UPDATE document SET routed = 1 WHERE client = ?1 AND id = ?2 AND routed = 0")?
        .execute([client, document])?;
    Ok(())
}

/// The callback of a document as it is now, in the lane of this target.
pub(super) fn callback(
    db: &Connection,
    seal: &dyn Seal,
    (client, owner): (i64, &Client),
    (document, target): (i64, &str),
) -> rusqlite::Result<Option<Callback>> {
    let sealed = db
        .prepare_cached("SELECT callback FROM route WHERE client = ?1 AND document = ?2 AND target = ?3")?
        .query_row(params![client, document, target], |row| columns::blob(row, 0))
        .optional()?;
    let Some(sealed) = sealed else { return Ok(None) };
    let opened = seal.open(&sealed, context(owner, document).as_bytes());
    let read = opened.and_then(|text| serde_json::from_slice(&text).map_err(|_| "it is damaged".to_owned()));
    // An error here would hold up the whole lane for one row.
    if let Err(reason) = &read {
        tracing::error!(client = %owner.id, reason, "a callback cannot be opened: register the document again");
    }
    Ok(read.ok())
}

/// With the time, so that no row of a removed client opens as one of a new one of the same name.
fn context(owner: &Client, document: i64) -> String {
    format!("route/{}/{}/{document}", owner.id, owner.created.millis())
}
