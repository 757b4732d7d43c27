//! From a stored event's JSON back to what was said: the inverse of [`crate::domain::EventJson`], as far as that keeps things.
//! The key by which a repeat is known is not among them, and nobody who is told of an event needs it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::{Status, Timestamp, Update, Vendor, VendorError};
use crate::vendor::OutgoingEvent;

/// An event as it is stored; keys that a later version may add are passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredEvent {
    document_id: String,
    status: Status,
    vendor: Vendor,
    vendor_id: String,
    time: String,
    title: Option<String>,
    result: Option<Map<String, Value>>,
    error: Option<StoredError>,
    vendor_time: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct StoredError {
    code: String,
    message: String,
}

impl OutgoingEvent {
    /// Reads a stored event's JSON; also returns the vendor that it came from. `None` when the JSON is not an event.
    pub fn from_stored(event: &Bytes, message_id: String, notification: String) -> Option<(Vendor, Self)> {
        let stored: StoredEvent = serde_json::from_slice(event).ok()?;
        let vendor_time = match stored.vendor_time {
            Some(text) => Some(Timestamp::parse(&text)?),
            None => None,
        };
        let update = Update {
            title: stored.title,
            result: stored.result,
            error: stored.error.map(|e| VendorError { code: e.code, message: e.message }),
            vendor_time,
            labels: stored.labels,
            ..Update::new(stored.vendor_id.parse().ok()?, stored.status)
        };
        let event = Self {
            message_id,
            update,
            document_id: stored.document_id,
            notification,
            time: Timestamp::parse(&stored.time)?,
            event: Some(event.clone()),
        };
        Some((stored.vendor, event))
    }
}
