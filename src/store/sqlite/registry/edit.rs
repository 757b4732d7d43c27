//! Changes of a client's notifications, made by the writer: which of them differ afterwards, their rows in one
//! transaction, then the memory.

use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior, params};

use super::change::Left;
use super::{Audience, Cache, Kept, sealed};
use crate::domain::{ClientId, NOTIFICATIONS_PER_CLIENT, Notification, NotificationState, Timestamp};
use crate::store::sqlite::columns;
use crate::store::sqlite::outbox::Removed;
use crate::store::{Seal, StoreError};

/// What can be changed about them.
pub(in crate::store::sqlite) enum Edit {
    Add(Notification),
    /// The first, if it is still so, becomes the second.
    Update(Notification, Notification),
    /// The state of this one, if it still has the endpoint and the format.
    Mark(Notification, NotificationState),
    /// The one of this name, at this time.
    Remove(String, Timestamp),
}

const UNKNOWN: StoreError = StoreError::NotFound("notification");

impl Edit {
    /// Makes the change.
    pub(super) fn make(
        self,
        db: &mut Connection,
        cache: &Cache,
        seal: &dyn Seal,
        client: &ClientId,
    ) -> Result<Left, StoreError> {
        let audience = cache.audience(client).ok_or(StoreError::NotFound("client"))?;
        let mut kept = audience.notifications.to_vec();
        let removed = self.apply(audience.number, &mut kept)?;
        write(db, seal, &audience, (&mut kept, removed.as_ref())).map_err(|e| columns::unavailable(&e))?;
        if let Some(entry) = cache.write().clients.get_mut(client) {
            entry.notifications = Arc::new(kept);
        }
        Ok(removed.map_or(Left::Nothing, Left::Notification))
    }

    /// The list as it is afterwards; what is new in it has no number yet.
    fn apply(self, client: i64, kept: &mut Vec<Kept>) -> Result<Option<Removed>, StoreError> {
        match self {
            Edit::Add(new) => {
                if kept.iter().any(|k| k.notification.name == new.name || k.notification.id == new.id) {
                    return Err(StoreError::Conflict(format!("the notification {}", new.name)));
                }
                if kept.len() >= NOTIFICATIONS_PER_CLIENT {
                    return Err(StoreError::TooMany("five notifications"));
                }
                yield_to(&new, kept);
                kept.push(Kept { number: 0, notification: Arc::new(new) });
            }
            Edit::Update(before, new) => {
                if *known(kept, &before.id)?.notification != before {
                    return Err(changed(&before));
                }
                yield_to(&new, kept);
                // Deliveries and documents name it by its name: that is not the caller's to change.
                let Notification { id, name, created, .. } = before.clone();
                let new = Notification { id, name, created, ..new };
                known(kept, &before.id)?.notification = Arc::new(new);
            }
            Edit::Mark(before, state) => {
                let place = known(kept, &before.id)?;
                let now = &place.notification;
                if (&now.endpoint, now.format) != (&before.endpoint, before.format) {
                    return Err(changed(&before));
                }
                place.notification = Arc::new(Notification { state, ..(*place.notification).clone() });
            }
            Edit::Remove(name, time) => {
                let place = kept.iter().position(|k| k.notification.name.as_str() == name).ok_or(UNKNOWN)?;
                return Ok(Some(Removed { client, number: kept.remove(place).number, time }));
            }
        }
        Ok(None)
    }
}

fn changed(before: &Notification) -> StoreError {
    StoreError::Conflict(format!("another version of the notification {}", before.name))
}

fn known<'a>(kept: &'a mut [Kept], id: &str) -> Result<&'a mut Kept, StoreError> {
    kept.iter_mut().find(|kept| kept.notification.id == id).ok_or(UNKNOWN)
}

/// The default one before is it no longer when this one is.
fn yield_to(new: &Notification, kept: &mut [Kept]) {
    for before in kept.iter_mut().filter(|before| new.is_default && before.notification.is_default) {
        before.notification = Arc::new(Notification { is_default: false, ..(*before.notification).clone() });
    }
}

/// Writes what differs, all or nothing, and numbers what is new.
fn write(
    db: &mut Connection,
    seal: &dyn Seal,
    audience: &Audience,
    (kept, removed): (&mut [Kept], Option<&Removed>),
) -> rusqlite::Result<()> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let same = |now: &Kept| audience.notifications.iter().any(|k| Arc::ptr_eq(&k.notification, &now.notification));
    for changed in kept.iter_mut().filter(|now| !same(now)) {
        let sealed = sealed::notification(seal, &audience.client, &changed.notification);
        if changed.number > 0 {
            let sql = "UPDATE notification SET definition = ?2 WHERE number = ?1";
            transaction.execute(sql, params![changed.number, sealed])?;
        } else {
            let sql = "INSERT INTO notification (client, id, definition) VALUES (?1, ?2, ?3)";
            transaction.execute(sql, params![audience.number, changed.notification.id, sealed])?;
            changed.number = transaction.last_insert_rowid();
        }
    }
    if let Some(removed) = removed {
        removed.write(&transaction)?;
    }
    transaction.commit()
}
