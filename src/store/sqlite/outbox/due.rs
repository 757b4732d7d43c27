//! Reading what is due in a lane: in the order of its index, so that the cost depends on the page alone.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::{Track, route};
use crate::domain::{Client, Timestamp};
use crate::store::sqlite::columns;
use crate::store::sqlite::events::Owner;
use crate::store::{DueDelivery, DuePage, Seal};

/// Bytes of events and requests on a page; the delivery that passes it is the last.
const PAGE_BYTES: usize = 1 << 20;

/// No wait is longer: a day, a fifth more.
const BEYOND: Duration = Duration::from_secs(29 * 3600);

/// One read.
pub(super) struct Reader {
    pub(super) owner: Owner,
    pub(super) client: Arc<Client>,
    pub(super) seal: Arc<dyn Seal>,
    pub(super) track: Track,
    /// Whom it is read for.
    pub(super) receiver: Arc<str>,
    pub(super) now: Timestamp,
}

impl Reader {
    /// The page. Each group of the index is read up to the first row that is not for this page: that one says when there
    /// is more.
    pub(super) fn page(&self, db: &Connection, limit: usize, except: &[u64]) -> rusqlite::Result<DuePage> {
        let mut page = DuePage { deliveries: Vec::new(), next: None };
        let mut bytes = 0;
        // However many wait for their first attempt, an eighth is for those that wait for another.
        for (tried, limit) in [(0, limit - limit / 8), (1, limit)] {
            for from in [Timestamp::from_millis(0), self.now.plus(BEYOND)] {
                self.group(db, (tried, from), (limit, except), (&mut page, &mut bytes))?;
            }
        }
        Ok(page)
    }

    /// One stretch of the index: those never tried or the others, from a time on.
    fn group(
        &self,
        db: &Connection,
        (tried, from): (i64, Timestamp),
        (limit, except): (usize, &[u64]),
        (page, bytes): (&mut DuePage, &mut usize),
    ) -> rusqlite::Result<()> {
        let Track { client, notification, target } = &self.track;
        let astray = from > self.now;
        let mut statement = db.prepare_cached(
            "SELECT id, due, seq, document, tries FROM delivery INDEXED BY delivery_due
             WHERE client = ?1 AND notification = ?2 AND target = ?3 AND (tries > 0) = ?4 AND due IS NOT NULL AND due >= ?5
             ORDER BY due, id",
        )?;
        let mut rows = statement.query(params![client, notification, target, tried, from.millis()])?;
        while let Some(row) = rows.next()? {
            let (id, due) = (columns::unsigned(row.get(0)?), columns::time(row, 1)?);
            if except.contains(&id) {
                continue;
            }
            let full = page.deliveries.len() >= limit || *bytes > PAGE_BYTES;
            if due > self.now && !astray || full {
                let again = if astray { self.now } else { due };
                page.next = Some(page.next.map_or(again, |next| next.min(again)));
                break;
            }
            let delivery = self.delivery(db, id, (row.get(2)?, row.get(3)?, row.get(4)?))?;
            *bytes += delivery.raw.as_ref().map_or(0, |raw| raw.body.len());
            *bytes += delivery.event.as_ref().map_or(0, |event| event.json.len());
            page.deliveries.push(delivery);
        }
        Ok(())
    }

    fn delivery(
        &self,
        db: &Connection,
        id: u64,
        (seq, document, tries): (i64, i64, u32),
    ) -> rusqlite::Result<DueDelivery> {
        let callback = match self.track.notification {
            0 => {
                let (client, target) = (self.track.client, self.track.target.as_str());
                route::callback(db, &*self.seal, (client, &self.client), (document, target))?
            }
            _ => None,
        };
        let event = self.owner.one(db, seq)?;
        Ok(DueDelivery {
            id,
            event,
            raw: self.owner.raw(db, columns::unsigned(seq))?,
            callback,
            receiver: self.receiver.clone(),
            failures: tries,
        })
    }
}
