//! Queueing: which lanes an event goes to, decided inside the transaction that stores it. A client without notifications
//! and a document without a route cost no statement.

use rusqlite::{Connection, OptionalExtension};

use super::line::Line;
use super::{Track, route};
use crate::domain::{DocumentId, Format, Status, Target};
use crate::store::QueueKey;
use crate::store::sqlite::append::{Coming, Position};
use crate::store::sqlite::documents::Known;
use crate::store::sqlite::registry::Kept;
use crate::store::sqlite::usage::Changes;

/// The event that goes out.
#[derive(Clone, Copy)]
pub(in crate::store::sqlite) struct News {
    pub(in crate::store::sqlite) sequence: i64,
    /// The document's number.
    pub(in crate::store::sqlite) document: i64,
    pub(in crate::store::sqlite) uuid: DocumentId,
    pub(in crate::store::sqlite) status: Status,
}

/// Queues a new event: for the notification that the document names, else for the default one, and for its callback.
pub(in crate::store::sqlite) fn queue(
    db: &Connection,
    at: &mut Position,
    changes: &mut Changes,
    (coming, news, routed): (Coming<'_>, News, bool),
) -> rusqlite::Result<()> {
    let audience = coming.audience;
    if let Some(route) = &coming.arrival.route {
        route::set(db, coming.seal, (audience.number, &audience.client), (news.document, route))?;
    }
    let course = match routed || coming.arrival.route.is_some() {
        true => route::of(db, audience.number, news.document)?,
        false => route::Course::default(),
    };
    let named = course.notification.and_then(|name| audience.named(&name));
    let chosen = named.or_else(|| audience.notifications.iter().find(|kept| kept.notification.is_default));
    for aim in chosen.map(Aim::at).into_iter().chain(course.callback.map(Aim::back)) {
        if aim.format.supports(news.status) {
            aim.join(db, at, changes, (coming, news))?;
        }
    }
    Ok(())
}

/// An arrival that is a repeat brings no event, but it may bring a route: its targets get the document's latest event,
/// if that is retained and has not gone there before.
pub(in crate::store::sqlite) fn reroute(
    db: &Connection,
    at: &mut Position,
    changes: &mut Changes,
    (coming, known): (Coming<'_>, &Known),
) -> rusqlite::Result<()> {
    let Some(route) = &coming.arrival.route else { return Ok(()) };
    let audience = coming.audience;
    route::set(db, coming.seal, (audience.number, &audience.client), (known.number, route))?;
    let retained = db
        .prepare_cached("SELECT 1 FROM event WHERE client = ?1 AND seq = ?2")?
        .query_row([audience.number, known.last_seq], |_| Ok(()))
        .optional()?;
    if retained.is_none() {
        return Ok(());
    }
    let news = News { sequence: known.last_seq, document: known.number, uuid: known.uuid, status: known.status };
    let named = route.notification.as_ref().and_then(|name| audience.named(name));
    let callback = route.callback.as_ref().and_then(|callback| Some((Target::of(callback)?, callback.format)));
    for aim in named.map(Aim::at).into_iter().chain(callback.map(Aim::back)) {
        if aim.format.supports(news.status) && !aim.track(audience.number).holds(db, news)? {
            aim.join(db, at, changes, (coming, news))?;
        }
    }
    Ok(())
}

/// Where one event goes.
struct Aim {
    notification: i64,
    target: Target,
    format: Format,
}

impl Aim {
    fn at(kept: &Kept) -> Self {
        let notification = &kept.notification;
        let target = Target::Notification(notification.name.clone());
        Self { notification: kept.number, target, format: notification.format }
    }

    fn back((target, format): (Target, Format)) -> Self {
        Self { notification: 0, target, format }
    }

    fn track(&self, client: i64) -> Track {
        Track { client, notification: self.notification, target: self.target.key() }
    }

    fn join(
        self,
        db: &Connection,
        at: &mut Position,
        changes: &mut Changes,
        (coming, news): (Coming<'_>, News),
    ) -> rusqlite::Result<()> {
        let track = self.track(coming.audience.number);
        let line = Line { track: &track, document: news.document };
        line.join(db, at, changes, (news.sequence, news.uuid, coming.arrival.now))?;
        changes.stir(QueueKey { client: coming.arrival.client.clone(), target: self.target });
        Ok(())
    }
}

impl Track {
    /// Whether this event has been queued here.
    fn holds(&self, db: &Connection, news: News) -> rusqlite::Result<bool> {
        Line { track: self, document: news.document }.has(db, news.sequence)
    }
}
