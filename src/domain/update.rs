//! What a vendor said about one document, in our words, and how that becomes an event's JSON.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{DocumentId, Status, Vendor, VendorId};
use crate::domain::Timestamp;

/// Why a conversion failed, in the vendor's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The vendor's code, as text; empty when it gave none.
    pub code: String,
    /// The vendor's explanation; empty when it gave none.
    pub message: String,
}

/// One statement of a vendor about one document.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The vendor's own identifier.
    pub vendor_id: VendorId,
    /// What became of the document.
    pub status: Status,
    /// The document's title or file name, when the vendor gave one.
    pub title: Option<String>,
    /// What the vendor says about the outcome, with its own keys.
    pub result: Option<Map<String, Value>>,
    /// Why it failed; only with [`Status::Error`].
    pub error: Option<Failure>,
    /// When it happened, by the vendor's clock.
    pub vendor_time: Option<Timestamp>,
    /// Labels taken from the message itself (zOffice's cookies).
    pub labels: BTreeMap<String, String>,
    /// The vendor's own key of this message, by which a repeat is known for 30 days. Without one, a repeat is a
    /// message that says what the document's state already is.
    pub dedup_key: Option<String>,
}

impl Update {
    /// The barest update: an identifier and a status.
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
}

/// The JSON of an event before it has a position: the contract's keys, in the contract's order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Draft<'a> {
    /// The document.
    pub document_id: DocumentId,
    /// Its new status.
    pub status: Status,
    /// Who says so.
    pub vendor: Vendor,
    /// The vendor's own identifier.
    pub vendor_id: &'a VendorId,
    /// When the relay stored it.
    pub time: Timestamp,
    /// The document's title, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a str>,
    /// The vendor's own result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<&'a Map<String, Value>>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a Failure>,
    /// When it happened, by the vendor's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_time: Option<Timestamp>,
    /// The hook's labels and the message's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: &'a BTreeMap<String, String>,
}

impl Draft<'_> {
    /// The `data:` line. JSON escapes every control character, so it cannot hold a line break.
    pub fn encode(&self) -> Bytes {
        // Serialising plain maps and strings into memory cannot fail; an empty object would be caught by every test.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_keys_of_gini_come_first_and_line_breaks_are_escaped() {
        let vendor_id: VendorId = "8v9iSKnj".parse().expect("good");
        let draft = Draft {
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
}
