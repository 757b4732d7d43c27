//! Reading what is due in a lane: in the order of its index, so that the cost depends on the page alone.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::{Track, route};
use crate::clock::Timestamp;
use crate::hook::Client;
use crate::store::sqlite::columns;
use crate::store::sqlite::events::Owner;
use crate::store::{Due, DuePage, Seal};

/// One read.
pub(super) struct Reader {
    pub(super) owner: Owner,
    pub(super) client: Arc<Client>,
    pub(super) seal: Arc<dyn Seal>,
    pub(super) track: Track,
    pub(super) now: Timestamp,
}

impl Reader {
    /// The page. Each group of the index is read up to the first row that is not for this page: that one says when there
    /// is more.
    pub(super) fn page(&self, db: &Connection, limit: usize, except: &[u64]) -> rusqlite::Result<DuePage> {
        let mut page = DuePage { deliveries: Vec::new(), next: None };
        let Track { client, notification, target } = &self.track;
        for tried in [0, 1] {
            let mut statement = db.prepare_cached(
                "SELECT id, due, seq, document, tries FROM delivery INDEXED BY delivery_due
                 WHERE client = ?1 AND notification = ?2 AND target = ?3 AND (tries > 0) = ?4 AND due IS NOT NULL
                 ORDER BY due, id",
            )?;
            let mut rows = statement.query(params![client, notification, target, tried])?;
            while let Some(row) = rows.next()? {
                let (id, due) = (columns::unsigned(row.get(0)?), columns::time(row, 1)?);
                if except.contains(&id) {
                    continue;
                }
                if due > self.now || page.deliveries.len() >= limit {
                    page.next = Some(page.next.map_or(due, |next| next.min(due)));
                    break;
                }
                page.deliveries.push(self.delivery(db, id, (row.get(2)?, row.get(3)?, row.get(4)?))?);
            }
        }
        Ok(page)
    }

    fn delivery(&self, db: &Connection, id: u64, (seq, document, tries): (i64, i64, u32)) -> rusqlite::Result<Due> {
        let callback = match self.track.notification {
            0 => {
                let (client, target) = (self.track.client, self.track.target.as_str());
                route::callback(db, &*self.seal, (client, &self.client), (document, target))?
            }
            _ => None,
        };
        let event = self.owner.one(db, seq)?;
        Ok(Due { id, event, raw: self.owner.raw(db, columns::unsigned(seq))?, callback, tries })
    }
}
