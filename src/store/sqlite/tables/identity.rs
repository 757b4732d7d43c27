//! Identity: the epoch and the node of the log, the counters from which ids are assigned, the numbers and UUIDs of
//! documents, and the digests by which rows are found. Epoch, node and counters are the one row of the `state` table.
//!
//! A UUID that this store assigns is of version 1. Its timestamp holds the row number and its node is the store's, so
//! the document is found by the primary key. A vendor's own UUID is found by the digest of the vendor's identifier,
//! which is that UUID. Documents thus need one randomly keyed index instead of two, and its keys are short.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::columns;
use crate::domain::{DocumentId, Epoch, Timestamp, Vendor, VendorId};

/// A step back of the clock up to here is smoothed.
const MAX_CLOCK_JITTER: Duration = Duration::from_secs(10);

/// 100-nanosecond ticks from 1582-10-15, the epoch of UUIDs, to 2026-01-01, the epoch of row numbers. With the later
/// epoch numbers stay below 2^53 (exact in JavaScript) until the year 2054 and take fewer bytes.
const NUMBER_EPOCH_TICKS: u64 = 0x01b2_1dd2_1381_4000 + 1_767_225_600 * 10_000_000;
const NUMBER_EPOCH_MILLIS: i64 = 1_767_225_600_000;

/// The largest result of [`first_number`]: its UUID fits the 60 bits of a version 1 timestamp, with room to count on.
const MAX_FIRST_NUMBER: i64 = 1 << 59;

/// What the ids of this log are derived from. Constant while the store is open: only the start on a copy changes the
/// epoch.
#[derive(Clone, Copy)]
pub(crate) struct LogIdentity {
    pub(crate) epoch: Epoch,
    pub(crate) document_ids: DocumentIds,
}

/// The last assigned numbers. The writer keeps the committed copy when a transaction fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogCounters {
    /// Sequence of the last event.
    pub(crate) head: i64,
    /// Row number of the last document.
    pub(crate) document: i64,
    /// Time of the last event.
    pub(crate) time: Timestamp,
    /// Id of the last delivery.
    pub(crate) delivery: i64,
}

impl LogCounters {
    /// The time of the next event: `now`, but not a small step behind the last event. A larger step back is taken over;
    /// otherwise a clock that was ahead once would stop the time of events for that long.
    pub(crate) fn event_time(&self, now: Timestamp) -> Timestamp {
        if now.until(self.time) <= MAX_CLOCK_JITTER { now.max(self.time) } else { now }
    }

    pub(crate) fn save(&self, db: &Connection) -> rusqlite::Result<()> {
        db.prepare_cached(
            "UPDATE state SET head = ?1, document = ?2, time = ?3, delivery = ?4, commits = commits + 1",
        )?
        .execute(params![self.head, self.document, self.time.millis(), self.delivery])?;
        Ok(())
    }
}

/// A random epoch of 52 bits, which is exact as a floating-point number.
///
/// # Errors
/// The system's random source failed.
pub(crate) fn random_epoch() -> Result<Epoch, getrandom::Error> {
    let number = getrandom::u64()? & 0xf_ffff_ffff_ffff;
    Ok(Epoch::new(number.max(1)))
}

/// Writes the `state` row of a new database.
pub(crate) fn create(db: &Connection, identity: &LogIdentity) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO state (id, epoch, node, head, document, time, delivery, commits) VALUES (1, ?1, ?2, 0, 0, 0, 0, 0)",
        params![columns::signed(identity.epoch.number()), identity.document_ids.node],
    )?;
    Ok(())
}

pub(crate) fn load(db: &Connection) -> rusqlite::Result<(LogIdentity, LogCounters)> {
    db.query_row("SELECT epoch, node, head, document, time, delivery FROM state", [], |row| {
        let epoch = Epoch::new(columns::unsigned(row.get(0)?));
        let identity = LogIdentity { epoch, document_ids: DocumentIds { node: row.get(1)? } };
        let (time, delivery) = (columns::time(row, 4)?, row.get(5)?);
        Ok((identity, LogCounters { head: row.get(2)?, document: row.get(3)?, time, delivery }))
    })
}

/// Assigns row numbers and UUIDs. Numbers are never used twice within a store, so the clock sequence is constant.
#[derive(Clone, Copy)]
pub(crate) struct DocumentIds {
    /// Random, with the multicast bit that RFC 9562 requires of random nodes. Created with the database.
    pub(crate) node: [u8; 6],
}

impl DocumentIds {
    /// The number of the next document; always larger than the last one.
    pub(crate) fn next_number(last: i64, now: Timestamp) -> i64 {
        first_number(now).max(last.saturating_add(1))
    }

    /// The UUID of the document with this number.
    pub(crate) fn uuid(&self, number: i64) -> DocumentId {
        let ticks = NUMBER_EPOCH_TICKS.saturating_add(u64::try_from(number).unwrap_or(0));
        let time = uuid::Timestamp::from_gregorian_time(ticks, self.clock_sequence());
        DocumentId::new(Uuid::new_v1(time, &self.node))
    }

    /// The number in a UUID that looks like one of this store's. A vendor may have forged it: compare with the row.
    pub(crate) fn number(&self, id: DocumentId) -> Option<i64> {
        if id.uuid().get_node_id() != Some(self.node) || id.uuid().get_version_num() != 1 {
            return None;
        }
        let (ticks, _) = id.uuid().get_timestamp()?.to_gregorian();
        i64::try_from(ticks.checked_sub(NUMBER_EPOCH_TICKS)?).ok()
    }

    fn clock_sequence(&self) -> u16 {
        u16::from_be_bytes([self.node[4], self.node[5]]) & 0x3fff
    }
}

/// The smallest number of a document that is created at this time.
pub(crate) fn first_number(now: Timestamp) -> i64 {
    (now.millis() - NUMBER_EPOCH_MILLIS).saturating_mul(10_000).clamp(0, MAX_FIRST_NUMBER)
}

/// The index key of a vendor's identifier; equal for both cases of a UUID. 64 bits can collide, so the row is compared,
/// too.
pub(crate) fn lookup(vendor: Vendor, vendor_id: &VendorId) -> i64 {
    match vendor_id.as_str().parse() {
        Ok(id) => lookup_uuid(id),
        Err(_) => digest_64(&[vendor.as_str().as_bytes(), vendor_id.as_str().as_bytes()]),
    }
}

/// The index key of a document whose UUID is the vendor's own.
pub(crate) fn lookup_uuid(id: DocumentId) -> i64 {
    digest_64(&[id.uuid().as_bytes()])
}

/// The digest of a deduplication key, as its index holds it.
pub(crate) type KeyDigest = [u8; 16];

/// The index key of a deduplication key. It differs between clients, also between successive ones of the same name.
pub(crate) fn duplicate_key(client: i64, vendor: Vendor, key: &str) -> KeyDigest {
    let mut short = [0; 16];
    short.copy_from_slice(&digest(&[&client.to_be_bytes(), vendor.as_str().as_bytes(), key.as_bytes()])[..16]);
    short
}

fn digest_64(parts: &[&[u8]]) -> i64 {
    let mut short = [0; 8];
    short.copy_from_slice(&digest(parts)[..8]);
    i64::from_be_bytes(short)
}

/// SHA-256 over the parts, each preceded by its length, so that different lists of parts never collide by
/// concatenation.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut full = [0; 32];
    full.copy_from_slice(context.finish().as_ref());
    full
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: DocumentIds = DocumentIds { node: [0x03, 1, 2, 3, 4, 5] };

    #[test]
    fn assigned_uuid_is_version_1_and_holds_row_number() {
        let now = Timestamp::parse("2026-11-22T12:43:00.5Z").expect("a time");
        let number = DocumentIds::next_number(0, now);
        let id = IDS.uuid(number);
        assert_eq!(id.uuid().get_version_num(), 1);
        let (seconds, nanos) = id.uuid().get_timestamp().expect("version 1").to_unix();
        assert_eq!((seconds, nanos), (now.millis() as u64 / 1000, 500_000_000));
        assert_eq!(IDS.number(id), Some(number));
        assert_eq!(DocumentIds { node: [1; 6] }.number(id), None);
    }

    #[test]
    fn numbers_grow_with_any_clock() {
        let mut last = 0;
        for ms in [1_800_000_000_000, 1_800_000_000_000, 0, i64::MAX, i64::MAX, 5] {
            let next = DocumentIds::next_number(last, Timestamp::from_millis(ms));
            assert!(next > last);
            assert_eq!(IDS.number(IDS.uuid(next)), Some(next));
            last = next;
        }
    }

    #[test]
    fn lookup_keys_of_different_owners_differ() {
        assert_ne!(duplicate_key(1, Vendor::Ppj, "a"), duplicate_key(2, Vendor::Ppj, "a"));
        assert_ne!(duplicate_key(1, Vendor::Ppj, "a"), duplicate_key(1, Vendor::Gini, "a"));
        let upper: VendorId = "626626A0-749F-11E2-BFD6-000000000000".parse().expect("a valid identifier");
        let lower: VendorId = "626626a0-749f-11e2-bfd6-000000000000".parse().expect("a valid identifier");
        assert_eq!(lookup(Vendor::Ppj, &upper), lookup(Vendor::Gini, &lower));
    }
}
