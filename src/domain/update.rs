//! The parsed content of a vendor's webhook, and the JSON of the event that it becomes.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::document::{DocumentId, Status, Vendor, VendorId};
use super::time::Timestamp;

/// The vendor's error of a failed conversion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VendorError {
    /// The code as text; empty if there is none.
    pub code: String,
    /// The message; empty if there is none.
    pub message: String,
}

/// The status of one document as a vendor reports it.
#[derive(Clone, Debug, PartialEq)]
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
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_keys_of_gini_come_first_and_line_breaks_are_escaped() {
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
}
