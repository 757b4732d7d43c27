//! CloudEvents 1.0 over HTTP: structured and binary mode, both directions, and the `OPTIONS` handshake of its web
//! hooks. Batches are refused: one answer cannot say that half of them were stored.

use std::fmt::Write as _;

use http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::domain::{Timestamp, Update};
use crate::vendor::{
    HandshakeResponse, OutgoingEvent, OutgoingRequest, WebhookError, WebhookRequest, json, malformed, post_json,
};

/// What the relay calls itself as a source.
const SOURCE: &str = "/docrelay";

/// The attributes that matter here, and the data.
#[derive(Debug)]
pub(super) struct CloudEvent {
    id: String,
    source: String,
    kind: String,
    subject: Option<String>,
    time: Option<Timestamp>,
    data: Map<String, Value>,
}

impl CloudEvent {
    /// What the event says of a document. Source and id together name it, as the specification has it.
    pub(super) fn update(self) -> Result<Update, WebhookError> {
        let mut update = super::told(&self.kind, self.subject.as_deref(), self.data)?;
        update.vendor_time = self.time;
        update.dedup_key = Some(format!("cloudevent:{}:{}:{}", self.source.len(), self.source, self.id));
        Ok(update)
    }
}

/// Reads a CloudEvent; `None` when the request is none at all.
pub(super) fn read(request: &WebhookRequest<'_>) -> Result<Option<CloudEvent>, WebhookError> {
    let media = request.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media.as_str() {
        "application/cloudevents+json" => read_structured(request.body).map(Some),
        other if other.starts_with("application/cloudevents-batch") => {
            Err(malformed("batches of cloudevents are not taken: send them one by one"))
        }
        other if other.starts_with("application/cloudevents") => {
            Err(malformed("only the JSON format of cloudevents is taken: application/cloudevents+json"))
        }
        _ if ["ce-specversion", "ce-type", "ce-source", "ce-id"].iter().any(|n| request.headers.contains_key(*n)) => {
            read_binary(request, &media).map(Some)
        }
        _ => Ok(None),
    }
}

/// Whether the attributes of a message, if it is a CloudEvent, stand in `ce-*` headers: in every media type but those of
/// the structured mode, which have them in the body.
pub(in crate::vendor) fn has_attributes_in_headers(content_type: Option<&str>) -> bool {
    !content_type.is_some_and(|media| media.trim_start().to_ascii_lowercase().starts_with("application/cloudevents"))
}

fn read_structured(body: &[u8]) -> Result<CloudEvent, WebhookError> {
    let mut event = json::object(body)?;
    // The JSON format of cloudevents has a null attribute be an absent one, and some serialisers treat the two members
    // for the data alike: they write both, and leave one of them null.
    let mut member = |name: &str| event.shift_remove(name).filter(|value| !value.is_null());
    let data = match (member("data"), member("data_base64")) {
        (Some(Value::Object(data)), None) => data,
        (None, None) => Map::new(),
        (None, Some(Value::String(text))) => json::from_base64(&text)?,
        (Some(_), Some(_)) => return Err(malformed("data and data_base64 exclude each other")),
        (Some(_), None) => return Err(malformed("data is not a JSON object")),
        (None, Some(_)) => return Err(malformed("data_base64 is not a string")),
    };
    let attribute = |name: &str| match event.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(malformed(format!("{name} is not a string"))),
    };
    assemble(attribute, data)
}

fn read_binary(request: &WebhookRequest<'_>, media: &str) -> Result<CloudEvent, WebhookError> {
    let is_json = media.is_empty() || media == "application/json" || media == "text/json" || media.ends_with("+json");
    let data = match (request.body.is_empty(), is_json) {
        (true, _) => Map::new(),
        (false, true) => json::object(request.body)?,
        (false, false) => return Err(malformed("the data of the cloudevent is not JSON")),
    };
    assemble(|name| header(request.headers, name), data)
}

fn assemble(
    attribute: impl Fn(&str) -> Result<Option<String>, WebhookError>,
    data: Map<String, Value>,
) -> Result<CloudEvent, WebhookError> {
    let required = |name: &str| match attribute(name)? {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(malformed(format!("the cloudevent has no {name}"))),
    };
    if required("specversion")? != "1.0" {
        return Err(malformed("specversion is not 1.0"));
    }
    Ok(CloudEvent {
        id: required("id")?,
        source: required("source")?,
        kind: required("type")?,
        subject: attribute("subject")?,
        time: attribute("time")?.as_deref().and_then(Timestamp::parse),
        data,
    })
}

/// An attribute from its header: at most once, quotes taken off, then percent-decoded, as the HTTP binding has it.
fn header(headers: &HeaderMap, name: &str) -> Result<Option<String>, WebhookError> {
    let mut values = headers.get_all(format!("ce-{name}")).iter();
    let (first, None) = (values.next(), values.next()) else {
        return Err(malformed(format!("ce-{name} occurs more than once")));
    };
    let Some(value) = first else { return Ok(None) };
    let value = value.as_bytes();
    let unquoted = match value {
        [b'"', inner @ .., b'"'] => unescape(inner),
        plain => plain.to_vec(),
    };
    String::from_utf8(percent_decode(&unquoted)).map(Some).map_err(|_| malformed(format!("ce-{name} is not UTF-8")))
}

/// Takes the backslashes out of a quoted string (RFC 9110, 5.6.4).
fn unescape(inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&b) = bytes.next() {
        out.push(if b == b'\\' { *bytes.next().unwrap_or(&b) } else { b });
    }
    out
}

/// One round; a `%` that begins no code stands for itself. (A form's decoder would turn `+` into a space.)
fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let code = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|hex| data_encoding::HEXLOWER_PERMISSIVE.decode(hex).ok());
        match code {
            Some(byte) => {
                out.extend(byte);
                rest = &tail[2..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            // Space, the double quote, the percent sign, and what is not printable ASCII.
            b'"' | b'%' | 0..=b' ' | 0x7F.. => {
                // Writing into a String cannot fail.
                let _infallible = write!(out, "%{b:02X}");
            }
            _ => out.push(char::from(b)),
        }
    }
    out
}

/// Answers the question whether a sender may call: yes, it may, at the rate it asks for. `None` when nobody asks.
pub(super) fn allow(headers: &HeaderMap) -> Option<HandshakeResponse> {
    let origin = headers.get("webhook-request-origin")?.to_str().ok().filter(|o| !o.is_empty())?;
    let rate = headers.get("webhook-request-rate").and_then(|r| r.to_str().ok());
    let rate = rate.filter(|r| r.parse::<u32>().is_ok_and(|n| n > 0)).unwrap_or("*");
    // `WebHook-Request-Callback` is never called: it is an address of a stranger's choice.
    Some(HandshakeResponse {
        headers: vec![("WebHook-Allowed-Origin", origin.to_owned()), ("WebHook-Allowed-Rate", rate.to_owned())],
        body: b"{}".to_vec(),
    })
}

/// The whole event as one JSON object.
pub(super) fn structured(
    endpoint: &str,
    kind: &str,
    outgoing_event: &OutgoingEvent,
    time: Timestamp,
    data: &Map<String, Value>,
) -> OutgoingRequest {
    let event = json!({
        "specversion": "1.0",
        "id": outgoing_event.message_id,
        "source": SOURCE,
        "type": kind,
        "subject": outgoing_event.update.vendor_id,
        "time": time,
        "datacontenttype": "application/json",
        "data": data,
    });
    let mut request = post_json(endpoint, Vec::new(), json::bytes(&event));
    request.headers = vec![("content-type".to_owned(), "application/cloudevents+json".to_owned())];
    request
}

/// The attributes in headers, the data as the body.
pub(super) fn binary(
    endpoint: &str,
    kind: &str,
    outgoing_event: &OutgoingEvent,
    time: Timestamp,
    data: &Map<String, Value>,
) -> OutgoingRequest {
    let attributes = [
        ("specversion", "1.0"),
        ("id", &outgoing_event.message_id),
        ("source", SOURCE),
        ("type", kind),
        ("subject", outgoing_event.update.vendor_id.as_str()),
        ("time", &time.to_string()),
    ];
    let headers = attributes.map(|(name, value)| (format!("ce-{name}"), percent_encode(value)));
    post_json(endpoint, headers.into(), json::bytes(data))
}
