//! Changes of a client's notifications, applied by the writer: the changed rows in one transaction, then the memory.

use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::bulk_update::RemovedNotification;
use super::change_error::ChangeError;
use crate::domain::{
    ClientId, ClientLimit, ClientLimits, ClientRef, NOTIFICATIONS_PER_CLIENT, Notification, NotificationName,
    NotificationState, QueueKey, QueueTarget, Timestamp,
};
use crate::store::sqlite::panics::contain;
use crate::store::sqlite::registry_cache::{ClientTargets, RegistryCache};
use crate::store::sqlite::tables::columns;
use crate::store::sqlite::tables::registry::{self, NotificationRow};
use crate::store::sqlite::tables::write_tx::TxError;
use crate::store::{ReceiverChange, Seal, StoreError};

/// A change of one client's notifications. They are sealed by the writer, because a change may affect two of them and
/// must not restore an older version of the other one.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum NotificationEdit {
    Add(Notification),
    /// Compare and swap.
    Update {
        before: Notification,
        after: Notification,
    },
    /// Sets the state, if the endpoint and the format are those of `known`.
    SetState {
        known: Notification,
        state: NotificationState,
    },
    Remove {
        name: String,
        now: Timestamp,
    },
}

/// What else a transaction writes.
pub(super) type BeforeCommit<'a> = &'a dyn Fn(&Connection) -> rusqlite::Result<()>;

const UNKNOWN_NOTIFICATION: StoreError = StoreError::NotFound("notification");

impl NotificationEdit {
    /// Applies the change; returns the notification that it has removed.
    pub(super) fn apply(
        self,
        db: &mut Connection,
        cache: &RegistryCache,
        seal: &dyn Seal,
        client: &ClientRef,
        before_commit: BeforeCommit<'_>,
    ) -> Result<Option<RemovedNotification>, ChangeError> {
        let targets = cache.targets(client).ok_or(StoreError::NotFound("client"))?;
        let mut notifications = targets.notifications.to_vec();
        let removed = self.edit(&targets, &mut notifications)?;
        save(db, seal, &targets, &mut notifications, removed.as_ref(), before_commit).map_err(|error| {
            match error {
                // The id of a removed notification whose deliveries are not dead yet. The same on every node.
                TxError::Sql(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    StoreError::Conflict("a notification of this id".to_owned()).into()
                }
                TxError::Sql(error) => ChangeError::Refused(columns::refused(&error)),
                TxError::Panicked(panicked) => ChangeError::Panicked(panicked),
            }
        })?;
        if let Some(entry) = cache.write().clients.get_mut(&client.id) {
            entry.notifications = Arc::new(notifications);
        }
        Ok(removed)
    }

    pub(super) fn receiver_change(&self, client: &ClientId) -> Option<ReceiverChange> {
        let queue =
            |name: NotificationName| QueueKey { client: client.clone(), target: QueueTarget::Notification(name) };
        match self {
            Self::Add(_) => None,
            Self::Update { before: known, .. } | Self::SetState { known, .. } => {
                Some(ReceiverChange::Changed(queue(known.name.clone())))
            }
            Self::Remove { name, .. } => Some(ReceiverChange::Removed(queue(name.parse().ok()?))),
        }
    }

    /// Edits the list. A new notification has number 0 until it is saved.
    fn edit(
        self,
        targets: &ClientTargets,
        notifications: &mut Vec<NotificationRow>,
    ) -> Result<Option<RemovedNotification>, StoreError> {
        match self {
            Self::Add(new) => {
                let is_taken =
                    |row: &NotificationRow| row.notification.name == new.name || row.notification.id == new.id;
                if notifications.iter().any(is_taken) {
                    return Err(StoreError::Conflict(format!("the notification {}", new.name)));
                }
                check_room(notifications.len(), &targets.limits)?;
                clear_previous_default(&new, notifications);
                notifications.push(NotificationRow { number: 0, notification: Arc::new(new) });
            }
            Self::Update { before, after } => {
                if *find(notifications, &before.id)?.notification != before {
                    return Err(changed(&before));
                }
                clear_previous_default(&after, notifications);
                // Deliveries and documents refer to the name: it does not change.
                let Notification { id, name, created, .. } = before.clone();
                let after = Notification { id, name, created, ..after };
                find(notifications, &before.id)?.notification = Arc::new(after);
            }
            Self::SetState { known, state } => {
                let row = find(notifications, &known.id)?;
                let present = &row.notification;
                if (&present.endpoint, present.format) != (&known.endpoint, known.format) {
                    return Err(changed(&known));
                }
                row.notification = Arc::new(Notification { state, ..(*row.notification).clone() });
            }
            Self::Remove { name, now } => {
                let position = notifications.iter().position(|row| row.notification.name.as_str() == name);
                let number = notifications.remove(position.ok_or(UNKNOWN_NOTIFICATION)?).number;
                return Ok(Some(RemovedNotification { client: targets.number, number, time: now }));
            }
        }
        Ok(None)
    }
}

/// Fails if a client with this many notifications cannot have another one.
fn check_room(present: usize, limits: &ClientLimits) -> Result<(), StoreError> {
    match limits.notifications {
        Some(limit) if present as u64 >= u64::from(limit.get()) => {
            Err(StoreError::ClientLimit { limit: ClientLimit::Notifications, value: limit.get().into() })
        }
        None if present >= NOTIFICATIONS_PER_CLIENT => Err(StoreError::TooMany("five notifications")),
        _ => Ok(()),
    }
}

fn changed(before: &Notification) -> StoreError {
    StoreError::Conflict(format!("another version of the notification {}", before.name))
}

fn find<'a>(notifications: &'a mut [NotificationRow], id: &str) -> Result<&'a mut NotificationRow, StoreError> {
    notifications.iter_mut().find(|row| row.notification.id == id).ok_or(UNKNOWN_NOTIFICATION)
}

/// Clears `is_default` on the client's previous default notification if `new` is a default one.
fn clear_previous_default(new: &Notification, notifications: &mut [NotificationRow]) {
    for row in notifications.iter_mut().filter(|row| new.is_default && row.notification.is_default) {
        row.notification = Arc::new(Notification { is_default: false, ..(*row.notification).clone() });
    }
}

/// Writes the rows that differ from those in memory, all or nothing, and numbers new ones.
fn save(
    db: &mut Connection,
    seal: &dyn Seal,
    targets: &ClientTargets,
    notifications: &mut [NotificationRow],
    removed: Option<&RemovedNotification>,
    before_commit: BeforeCommit<'_>,
) -> Result<(), TxError> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    contain("a change of notifications", || {
        write(&transaction, seal, targets, notifications, removed).and_then(|()| before_commit(&transaction))
    })??;
    Ok(transaction.commit()?)
}

/// Writes the rows of [`save`].
fn write(
    db: &Connection,
    seal: &dyn Seal,
    targets: &ClientTargets,
    notifications: &mut [NotificationRow],
    removed: Option<&RemovedNotification>,
) -> rusqlite::Result<()> {
    let is_unchanged = |row: &NotificationRow| {
        targets.notifications.iter().any(|old| Arc::ptr_eq(&old.notification, &row.notification))
    };
    for row in notifications.iter_mut().filter(|row| !is_unchanged(row)) {
        let sealed = registry::seal_notification(seal, &targets.client, &row.notification);
        if row.number > 0 {
            let sql = "UPDATE notification SET definition = ?2 WHERE number = ?1";
            db.execute(sql, params![row.number, sealed])?;
        } else {
            let sql = "INSERT INTO notification (client, id, definition) VALUES (?1, ?2, ?3)";
            db.execute(sql, params![targets.number, row.notification.id, sealed])?;
            row.number = db.last_insert_rowid();
        }
    }
    if let Some(removed) = removed {
        removed.mark(db)?;
    }
    Ok(())
}
