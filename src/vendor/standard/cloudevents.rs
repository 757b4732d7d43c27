//! CloudEvents 1.0 over HTTP in both directions: structured and binary mode, and the `OPTIONS` handshake. Batches are
//! rejected, because one response cannot report that only part of a batch was stored.

use http::HeaderMap;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::domain::{Timestamp, Update};
use crate::vendor::{
    HandshakeResponse, OutgoingEvent, OutgoingRequest, WebhookError, WebhookRequest, json, malformed, post_json,
};

/// The `source` of events rendered by the relay.
const SOURCE: &str = "/docrelay";

/// Characters that the HTTP binding percent-encodes in attribute headers.
const NOT_ALLOWED_IN_HEADER: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// The parsed attributes and the data.
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
    /// Converts to an update. Source and id identify the event, as specified.
    pub(super) fn into_update(self) -> Result<Update, WebhookError> {
        let mut update = super::update(&self.kind, self.subject.as_deref(), self.data)?;
        update.vendor_time = self.time;
        update.dedup_key = Some(format!("cloudevent:{}:{}:{}", self.source.len(), self.source, self.id));
        Ok(update)
    }
}

/// Parses a CloudEvent; `None` if the request is not one.
pub(super) fn parse(request: &WebhookRequest<'_>) -> Result<Option<CloudEvent>, WebhookError> {
    let media = request.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media.as_str() {
        "application/cloudevents+json" => parse_structured(request.body).map(Some),
        other if other.starts_with("application/cloudevents-batch") => {
            Err(malformed("batches of CloudEvents are not supported: send one event per request"))
        }
        other if other.starts_with("application/cloudevents") => {
            Err(malformed("only the JSON format of CloudEvents is supported: application/cloudevents+json"))
        }
        other if is_binary(Some(other), |name| request.headers.contains_key(name)) => {
            parse_binary(request, &media).map(Some)
        }
        _ => Ok(None),
    }
}

/// Whether a request is a CloudEvent in binary mode: its attributes are in `ce-*` headers.
pub(in crate::vendor) fn is_binary(content_type: Option<&str>, has_header: impl Fn(&str) -> bool) -> bool {
    let media = content_type.unwrap_or_default().trim_start().to_ascii_lowercase();
    let required = ["ce-specversion", "ce-type", "ce-source", "ce-id"];
    !media.starts_with("application/cloudevents") && required.into_iter().any(has_header)
}

fn parse_structured(body: &[u8]) -> Result<CloudEvent, WebhookError> {
    let mut event = json::object(body)?;
    // In the JSON format a null attribute is absent. Some serialisers write both data members, one of them null.
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

fn parse_binary(request: &WebhookRequest<'_>, media: &str) -> Result<CloudEvent, WebhookError> {
    let is_json = media.is_empty() || media == "application/json" || media == "text/json" || media.ends_with("+json");
    let data = match (request.body.is_empty(), is_json) {
        (true, _) => Map::new(),
        (false, true) => json::object(request.body)?,
        (false, false) => return Err(malformed("the data of the CloudEvent is not JSON")),
    };
    assemble(|name| header(request.headers, name), data)
}

fn assemble(
    attribute: impl Fn(&str) -> Result<Option<String>, WebhookError>,
    data: Map<String, Value>,
) -> Result<CloudEvent, WebhookError> {
    let required = |name: &str| match attribute(name)? {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(malformed(format!("the CloudEvent has no {name}"))),
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

/// An attribute from its header, unquoted and then percent-decoded (HTTP binding, 3.1.3.2). A `%` that begins no code
/// is kept.
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
    String::from_utf8(percent_decode(&unquoted).collect())
        .map(Some)
        .map_err(|_| malformed(format!("ce-{name} is not UTF-8")))
}

/// Removes the backslashes of a quoted string (RFC 9110, 5.6.4).
fn unescape(inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&b) = bytes.next() {
        out.push(if b == b'\\' { *bytes.next().unwrap_or(&b) } else { b });
    }
    out
}

/// Grants the handshake of CloudEvents webhooks at the requested rate. `None` if the request is not a handshake.
pub(super) fn handshake(headers: &HeaderMap) -> Option<HandshakeResponse> {
    let origin = headers.get("webhook-request-origin")?.to_str().ok().filter(|o| !o.is_empty())?;
    let rate = headers.get("webhook-request-rate").and_then(|r| r.to_str().ok());
    let rate = rate.filter(|r| r.parse::<u32>().is_ok_and(|n| n > 0)).unwrap_or("*");
    // `WebHook-Request-Callback` is ignored: the URL comes from an unverified sender.
    Some(HandshakeResponse {
        headers: vec![("WebHook-Allowed-Origin", origin.to_owned()), ("WebHook-Allowed-Rate", rate.to_owned())],
        body: b"{}".to_vec(),
    })
}

/// Renders in structured mode.
pub(super) fn structured(
    endpoint: &str,
    kind: &str,
    event: &OutgoingEvent,
    time: Timestamp,
    data: &Map<String, Value>,
) -> OutgoingRequest {
    let event = json!({
        "specversion": "1.0",
        "id": event.message_id,
        "source": SOURCE,
        "type": kind,
        "subject": event.update.vendor_id,
        "time": time,
        "datacontenttype": "application/json",
        "data": data,
    });
    let mut request = post_json(endpoint, Vec::new(), json::bytes(&event));
    request.headers = vec![("content-type".to_owned(), "application/cloudevents+json".to_owned())];
    request
}

/// Renders in binary mode.
pub(super) fn binary(
    endpoint: &str,
    kind: &str,
    event: &OutgoingEvent,
    time: Timestamp,
    data: &Map<String, Value>,
) -> OutgoingRequest {
    let attributes = [
        ("specversion", "1.0"),
        ("id", &event.message_id),
        ("source", SOURCE),
        ("type", kind),
        ("subject", event.update.vendor_id.as_str()),
        ("time", &time.to_string()),
    ];
    let headers = attributes
        .map(|(name, value)| (format!("ce-{name}"), utf8_percent_encode(value, NOT_ALLOWED_IN_HEADER).to_string()));
    post_json(endpoint, headers.into(), json::bytes(data))
}
