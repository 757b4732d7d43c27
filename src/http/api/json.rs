//! JSON of stored values that more than one route returns.

use std::collections::BTreeMap;

use bytes::Bytes;
use data_encoding::BASE64;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::{DocumentId, EventId, SharedEvent, Status, Timestamp, Vendor, VendorId};
use crate::store::{Document, RawRequest};

/// A vendor's request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct RawRequestJson<'a> {
    method: &'a str,
    query: Option<&'a str>,
    headers: BTreeMap<&'a str, String>,
    /// The body, when it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    /// The body in base64, when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

impl<'a> RawRequestJson<'a> {
    pub(in crate::http) fn new(raw: &'a RawRequest) -> Self {
        let mut headers: BTreeMap<&str, String> = BTreeMap::new();
        for (name, value) in &raw.headers {
            headers
                .entry(name)
                .and_modify(|joined| {
                    joined.push_str(", ");
                    joined.push_str(value);
                })
                .or_insert_with(|| value.clone());
        }
        let body = std::str::from_utf8(&raw.body).ok();
        Self {
            method: &raw.method,
            query: raw.query.as_deref(),
            headers,
            body,
            body_base64: body.is_none().then(|| BASE64.encode(&raw.body)),
        }
    }
}

/// An event as it is streamed, with its id.
pub(in crate::http) fn event(event: &SharedEvent) -> Box<RawValue> {
    with_id(&event.json, event.id)
}

/// A document: its last event, or a summary if the history has dropped that.
pub(in crate::http) fn document(document: &Document) -> Box<RawValue> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct DocumentJson<'a> {
        document_id: DocumentId,
        status: Status,
        vendor: Vendor,
        vendor_id: &'a VendorId,
        time: Timestamp,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
    }
    if let Some(json) = &document.json {
        return with_id(json, document.event);
    }
    let known = DocumentJson {
        document_id: document.id,
        status: document.status,
        vendor: document.vendor,
        vendor_id: &document.vendor_id,
        time: document.updated,
        title: document.title.as_deref(),
    };
    with_id(&serde_json::to_vec(&known).unwrap_or_default().into(), document.event)
}

/// Inserts a key before the last `}`, without parsing the rest.
fn with_id(json: &Bytes, id: EventId) -> Box<RawValue> {
    let object = json.strip_suffix(b"}").unwrap_or(b"{\"documentId\":null");
    let text = format!("{},\"eventId\":\"{id}\"}}", String::from_utf8_lossy(object));
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
