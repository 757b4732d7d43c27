//! Seals every secret of a stopped relay's database again, with the present key. It can be interrupted and repeated at
//! any time, because the cipher opens the values of the previous key as well.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior, params};
use serde::Serialize;

use crate::domain::Client;
use crate::store::Seal;
use crate::store::sqlite::tables::columns;
use crate::store::sqlite::tables::destinations::{self, DestinationsKey};
use crate::store::sqlite::tables::registry::{self, ClientRow};
use crate::store::sqlite::{DatabaseLock, OpenDatabase, OpenError, load_registry, open_database};

/// Callbacks of one transaction. There may be one for each document.
const SLICE_ROWS: usize = 1000;

/// Pages of the write-ahead log after which SQLite copies it into the database. No checkpoint thread runs.
const CHECKPOINT_PAGES: i64 = 1000;

/// The number of values that were sealed again.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResealReport {
    /// Clients: their present and previous secrets.
    pub clients: usize,
    /// Hooks.
    pub hooks: usize,
    /// Notifications.
    pub notifications: usize,
    /// Callbacks of documents.
    pub callbacks: usize,
    /// Callbacks that are damaged and were left as they are. Their deliveries have failed before, too.
    pub damaged_callbacks: usize,
}

/// Seals every value of the locked database again and flushes it. When this returns, no value needs an earlier key.
/// Blocks.
///
/// # Errors
/// [`OpenError`], as when the store is opened. A part of the values may have been sealed then.
pub fn reseal(lock: &DatabaseLock, seal: &dyn Seal) -> Result<ResealReport, OpenError> {
    let path = lock.path.as_path();
    let OpenDatabase { mut db, file, .. } = open_database(path, None, false)?;
    let sql = |e: rusqlite::Error| OpenError::sql(path, &e);
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES).map_err(sql)?;
    let clients = load_registry(&db, path, seal)?;
    let mut report = ResealReport::default();
    reseal_registry(&mut db, seal, &clients, &mut report).map_err(sql)?;
    let owners = clients.iter().map(|row| (row.number, row.client.clone())).collect();
    reseal_callbacks(&mut db, seal, &owners, &mut report).map_err(sql)?;
    // Removes the values of the old key from the log. What was committed is durable without it.
    if let Err(error) = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::warn!(%error, "cannot empty the write-ahead log: it holds values of the previous key until it is overwritten");
    }
    db.close().map_err(|(_, error)| sql(error))?;
    drop(file);
    Ok(report)
}

/// The clients with hooks and notifications, all or nothing. They are in memory at every start, so one transaction is
/// small enough.
fn reseal_registry(
    db: &mut Connection,
    seal: &dyn Seal,
    clients: &[ClientRow],
    report: &mut ResealReport,
) -> rusqlite::Result<()> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for ClientRow { number, client, hooks, notifications, .. } in clients {
        let sealed = registry::seal_client(seal, client);
        report.clients += transaction
            .prepare_cached("UPDATE client SET secrets = ?2 WHERE id = ?1")?
            .execute(params![number, sealed])?;
        for hook in hooks {
            let sealed = registry::seal_hook(seal, client, hook);
            report.hooks += transaction
                .prepare_cached("UPDATE hook SET definition = ?3 WHERE client = ?1 AND id = ?2")?
                .execute(params![number, hook.id, sealed])?;
        }
        for row in notifications {
            let sealed = registry::seal_notification(seal, client, &row.notification);
            report.notifications += transaction
                .prepare_cached("UPDATE notification SET definition = ?2 WHERE number = ?1")?
                .execute(params![row.number, sealed])?;
        }
    }
    transaction.commit()
}

/// The callbacks, in slices. Those of removed clients are skipped: they are being erased, and nothing opens them.
fn reseal_callbacks(
    db: &mut Connection,
    seal: &dyn Seal,
    owners: &HashMap<i64, Arc<Client>>,
    report: &mut ResealReport,
) -> rusqlite::Result<()> {
    let mut after = (0, 0);
    loop {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let rows = transaction
            .prepare_cached(
                "SELECT client, document, callback FROM route
                 WHERE (client, document) > (?1, ?2) AND callback IS NOT NULL
                 ORDER BY client, document LIMIT ?3",
            )?
            .query_map(params![after.0, after.1, columns::size(SLICE_ROWS)], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?))
            })?
            .collect::<rusqlite::Result<Vec<(i64, i64, Vec<u8>)>>>()?;
        for (client, document, sealed) in &rows {
            after = (*client, *document);
            let Some(owner) = owners.get(client) else { continue };
            let key = DestinationsKey { client: *client, owner, document: *document };
            match destinations::reseal(seal, key, sealed) {
                Ok(sealed) => {
                    report.callbacks += transaction
                        .prepare_cached("UPDATE route SET callback = ?3 WHERE client = ?1 AND document = ?2")?
                        .execute(params![client, document, sealed])?;
                }
                Err(_) => report.damaged_callbacks += 1,
            }
        }
        transaction.commit()?;
        if rows.len() < SLICE_ROWS {
            return Ok(());
        }
    }
}
