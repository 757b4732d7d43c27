//! Events: a status that a vendor reports ([`Update`]), the stored event and its JSON, and its position in the log.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::client::ClientId;
use super::document::{DocumentId, InvalidId, Status, Vendor, VendorId};
use super::time::Timestamp;

/// The status of one document as a vendor reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    pub vendor_id: VendorId,
    pub status: Status,
    /// The title or file name of the document.
    pub title: Option<String>,
    /// The vendor's result object, with the vendor's keys.
    pub result: Option<Map<String, Value>>,
    /// Only with [`Status::Error`].
    pub error: Option<VendorError>,
    /// The time of the change by the vendor's clock.
    pub vendor_time: Option<Timestamp>,
    /// Labels from the message itself (zOffice's cookies).
    pub labels: BTreeMap<String, String>,
    /// The vendor's id of this message, which identifies duplicates for 30 days. Without one, a message with the
    /// present status of the document is a duplicate.
    pub dedup_key: Option<String>,
}

impl Update {
    /// An update with a vendor id and a status only.
    pub fn new(vendor_id: VendorId, status: Status) -> Self {
        Self {
            vendor_id,
            status,
            title: None,
            result: None,
            error: None,
            vendor_time: None,
            labels: BTreeMap::new(),
            dedup_key: None,
        }
    }

    /// Cuts descriptive texts that exceed their bounds; returns how many were cut. They are repeated in later events
    /// and outlive the retained history. Identifiers are never cut: a part of one could be the identifier of something
    /// else.
    pub fn truncate_texts(&mut self) -> u64 {
        let error = self
            .error
            .iter_mut()
            .flat_map(|error| [(&mut error.code, MAX_SHORT_TEXT_BYTES), (&mut error.message, MAX_TEXT_BYTES)]);
        let labels = self.labels.values_mut().map(|value| (value, MAX_SHORT_TEXT_BYTES));
        let texts = self.title.iter_mut().map(|title| (title, MAX_TEXT_BYTES)).chain(error).chain(labels);
        texts.map(|(text, bytes)| u64::from(truncate(text, bytes))).sum()
    }
}

/// Bound on a title and on an error's message.
const MAX_TEXT_BYTES: usize = 1024;
/// Bound on an error's code and on the value of a label that comes from a message.
const MAX_SHORT_TEXT_BYTES: usize = 256;
/// The end of a text that was cut; part of the bound.
const ELLIPSIS: char = '…';

/// Cuts a text at a character boundary, and marks it. Returns whether it was too long.
fn truncate(text: &mut String, max_bytes: usize) -> bool {
    if text.len() <= max_bytes {
        return false;
    }
    text.truncate(text.floor_char_boundary(max_bytes - ELLIPSIS.len_utf8()));
    text.push(ELLIPSIS);
    true
}

/// The vendor's error of a failed conversion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VendorError {
    /// The code as text; empty if there is none.
    pub code: String,
    /// The message; empty if there is none.
    pub message: String,
}

/// One stored event. Its JSON is rendered once, when it is stored, and never again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The position in the log, which is the order of delivery.
    pub id: EventId,
    /// The owner.
    pub client: ClientId,
    pub document: DocumentId,
    pub status: Status,
    /// The `data:` line: one JSON object, `documentId` and `status` first, without a line break.
    pub json: Bytes,
}

/// Events are shared, never copied.
pub type SharedEvent = Arc<Event>;

/// The JSON of an event: the keys of the public contract, in its order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventJson<'a> {
    pub document_id: DocumentId,
    pub status: Status,
    pub vendor: Vendor,
    pub vendor_id: &'a VendorId,
    /// The time at which the relay stored the event.
    pub time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a VendorError>,
    /// The time of the change by the vendor's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_time: Option<Timestamp>,
    /// The labels of the hook and of the message.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: &'a BTreeMap<String, String>,
}

impl EventJson<'_> {
    /// The `data:` line. JSON escapes every control character, so it cannot hold a line break.
    pub fn encode(&self) -> Bytes {
        // Serialising maps and strings into memory cannot fail; a test would notice an empty object.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// The epoch of a log. Event ids of another epoch are positions in another log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    /// Lower-case hexadecimal, at most 16 characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// `<epoch>.<sequence>`: the position of an event in the log of one store. At most 37 characters of `[a-z0-9.]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventId {
    pub epoch: Epoch,
    /// Grows by at least one with every event of the log and is never reused.
    pub sequence: u64,
}

impl FromStr for EventId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bad = InvalidId("an event id has the form <epoch>.<sequence>");
        let (epoch, sequence) = text.split_once('.').ok_or_else(|| bad.clone())?;
        let number = u64::from_str_radix(epoch, 16).map_err(|_| bad.clone())?;
        let id = Self { epoch: Epoch(number), sequence: sequence.parse().map_err(|_| bad.clone())? };
        // Only the canonical form: "+1", "01" and upper case were never issued.
        if id.to_string() == text { Ok(id) } else { Err(bad) }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.sequence)
    }
}

impl Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gini_keys_come_first_and_line_breaks_are_escaped() {
        let vendor_id: VendorId = "8v9iSKnj".parse().expect("good");
        let draft = EventJson {
            document_id: "626626a0-749f-11e2-bfd6-000000000000".parse().expect("good"),
            status: Status::Completed,
            vendor: Vendor::Ppj,
            vendor_id: &vendor_id,
            time: Timestamp::from_millis(0),
            title: Some("a\r\nid: 1\u{0}\u{2028}"),
            result: None,
            error: None,
            vendor_time: None,
            labels: &BTreeMap::new(),
        };
        assert_eq!(
            draft.encode(),
            "{\"documentId\":\"626626a0-749f-11e2-bfd6-000000000000\",\"status\":\"COMPLETED\",\"vendor\":\"ppj\",\
             \"vendorId\":\"8v9iSKnj\",\"time\":\"1970-01-01T00:00:00.000Z\",\"title\":\"a\\r\\nid: 1\\u0000\u{2028}\"}"
        );
    }

    #[test]
    fn long_texts_are_cut_at_character_boundaries_and_marked() {
        for (text, cut) in [
            ("abcdefgh".to_owned(), "abcdefgh"),
            ("abcdefghi".to_owned(), "abcde…"),
            ("ééééé".to_owned(), "éé…"),
            ("aéééé".to_owned(), "aéé…"),
            ("😀😀😀".to_owned(), "😀…"),
        ] {
            let mut short = text.clone();
            assert_eq!((truncate(&mut short, 8), short.as_str()), (text.len() > 8, cut));
        }
        let mut update = Update::new("a".parse().expect("good"), Status::Error);
        update.title = Some("t".repeat(1025));
        update.error = Some(VendorError { code: "c".repeat(257), message: "m".repeat(1024) });
        update.labels = [("a".to_owned(), "l".repeat(300)), ("b".to_owned(), "l".repeat(256))].into();
        assert_eq!((update.truncate_texts(), update.truncate_texts()), (3, 0));
    }

    // Rule 10: no value forges a field of the stream.
    #[test]
    fn event_id_is_canonical_and_has_no_line_break() {
        let id = EventId { epoch: Epoch(0x1_9ab3), sequence: 42 };
        assert_eq!(id.to_string(), "19ab3.42");
        assert_eq!("19ab3.42".parse(), Ok(id));
        for bad in ["", ".", "1.", ".1", "1.+1", "1.01", "1A.1", "1.1\n", "1.1 ", "1.-1", "1.18446744073709551616"] {
            assert!(bad.parse::<EventId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn longest_event_id_fits_into_64_characters() {
        let id = EventId { epoch: Epoch(u64::MAX), sequence: u64::MAX };
        assert!(id.to_string().len() <= 64);
    }
}
