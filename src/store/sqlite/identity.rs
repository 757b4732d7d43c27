//! Which document is meant: digests of what vendors call it, and UUIDs that lead back to its row.
//!
//! A UUID minted here is of version 1. Its timestamp holds the row's number and its node is this store's, so it is
//! found by the primary key; a vendor's own UUID is found by the digest of what the vendor calls the document, which
//! is that UUID. So documents need one randomly keyed index instead of two, and it is a narrow one.

use aws_lc_rs::digest::{Context, SHA256};
use uuid::Uuid;

use crate::domain::{DocumentId, Timestamp, Vendor, VendorId};

/// 100-nanosecond ticks from 1582-10-15, where UUIDs count from, to 2026-01-01, where the rows' numbers do: they stay
/// below 2^53 until the year 2054, which browsers are thankful for, and take fewer bytes.
const BIRTH_TICKS: u64 = 0x01b2_1dd2_1381_4000 + 1_767_225_600 * 10_000_000;
const BIRTH_MILLIS: i64 = 1_767_225_600_000;

/// The last number whose UUID still fits the 60 bits of a version 1 timestamp, with room for counting on from it.
const LATEST: i64 = 1 << 59;

/// Mints UUIDs. Numbers are unique within the store for ever, so the clock sequence need not change.
#[derive(Clone, Copy)]
pub(super) struct Mint {
    /// Random, with the multicast bit that RFC 9562 demands of such nodes. Made with the store.
    pub(super) node: [u8; 6],
}

impl Mint {
    /// The number of the next document; always larger than the last one's.
    pub(super) fn next(last: i64, now: Timestamp) -> i64 {
        first_number(now).max(last.saturating_add(1))
    }

    /// The UUID of the document with this number.
    pub(super) fn uuid(&self, number: i64) -> DocumentId {
        let ticks = BIRTH_TICKS.saturating_add(u64::try_from(number).unwrap_or(0));
        let time = uuid::Timestamp::from_gregorian_time(ticks, self.clock_sequence());
        DocumentId::new(Uuid::new_v1(time, &self.node))
    }

    /// The number in a UUID, when it looks like one of this store's. A vendor may have made it up: ask the row.
    pub(super) fn number(&self, id: DocumentId) -> Option<i64> {
        if id.uuid().get_node_id() != Some(self.node) || id.uuid().get_version_num() != 1 {
            return None;
        }
        let (ticks, _) = id.uuid().get_timestamp()?.to_gregorian();
        i64::try_from(ticks.checked_sub(BIRTH_TICKS)?).ok()
    }

    fn clock_sequence(&self) -> u16 {
        u16::from_be_bytes([self.node[4], self.node[5]]) & 0x3fff
    }
}

/// The least number that a document made at this time can have.
pub(super) fn first_number(now: Timestamp) -> i64 {
    (now.millis() - BIRTH_MILLIS).saturating_mul(10_000).clamp(0, LATEST)
}

/// Under what a vendor's identifier is found. 64 bits are few enough to meet, so the row is compared as well.
pub(super) fn lookup(vendor: Vendor, vendor_id: &VendorId) -> i64 {
    match vendor_id.as_str().parse() {
        Ok(id) => lookup_uuid(id),
        Err(_) => narrow(&[vendor.as_str().as_bytes(), vendor_id.as_str().as_bytes()]),
    }
}

/// Under what a document is found whose UUID is the vendor's own.
pub(super) fn lookup_uuid(id: DocumentId) -> i64 {
    narrow(&[id.uuid().as_bytes()])
}

/// By what a repeat is known; differs between clients, also of the same name.
pub(super) fn repeat_key(client: i64, vendor: Vendor, key: &str) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&digest(&[&client.to_be_bytes(), vendor.as_str().as_bytes(), key.as_bytes()])[..16]);
    short
}

fn narrow(parts: &[&[u8]]) -> i64 {
    let mut short = [0; 8];
    short.copy_from_slice(&digest(parts)[..8]);
    i64::from_be_bytes(short)
}

/// SHA-256 over the parts, each after its length: no two lists of parts read the same.
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

    const MINT: Mint = Mint { node: [0x03, 1, 2, 3, 4, 5] };

    #[test]
    fn a_minted_id_is_version_1_and_leads_back_to_its_row() {
        let now = Timestamp::parse("2026-11-22T12:43:00.5Z").expect("a time");
        let number = Mint::next(0, now);
        let id = MINT.uuid(number);
        assert_eq!(id.uuid().get_version_num(), 1);
        let (seconds, nanos) = id.uuid().get_timestamp().expect("version 1").to_unix();
        assert_eq!((seconds, nanos), (now.millis() as u64 / 1000, 500_000_000));
        assert_eq!(MINT.number(id), Some(number));
        assert_eq!(Mint { node: [1; 6] }.number(id), None);
    }

    #[test]
    fn numbers_grow_when_the_clock_stands_still_or_goes_back_or_runs_wild() {
        let mut last = 0;
        for ms in [1_800_000_000_000, 1_800_000_000_000, 0, i64::MAX, i64::MAX, 5] {
            let next = Mint::next(last, Timestamp::from_millis(ms));
            assert!(next > last);
            assert_eq!(MINT.number(MINT.uuid(next)), Some(next));
            last = next;
        }
    }

    #[test]
    fn keys_do_not_run_into_each_other() {
        assert_ne!(repeat_key(1, Vendor::Ppj, "a"), repeat_key(2, Vendor::Ppj, "a"));
        assert_ne!(repeat_key(1, Vendor::Ppj, "a"), repeat_key(1, Vendor::Gini, "a"));
        let upper: VendorId = "626626A0-749F-11E2-BFD6-000000000000".parse().expect("good");
        let lower: VendorId = "626626a0-749f-11e2-bfd6-000000000000".parse().expect("good");
        assert_eq!(lookup(Vendor::Ppj, &upper), lookup(Vendor::Gini, &lower));
    }
}
