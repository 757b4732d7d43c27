//! The vendor-neutral formats: Standard Webhooks and CloudEvents 1.0. The status is the last segment of the type
//! (`document.completed`), or `data.status` if that segment is not a status.

mod cloudevents;
mod signature;

use serde_json::{Map, Value, json};

use super::{
    Dialect, HandshakeResponse, OutgoingEvent, OutgoingRequest, ParsedMessage, RenderError, WebhookError,
    WebhookRequest, generic, json, malformed, post_json, unexpected_verify_type,
};
use crate::domain::{Hook, Secret, Status, Timestamp, Update, Vendor, VendorId, Verify};

pub(super) use cloudevents::is_binary as is_binary_cloudevent;
pub(super) use signature::{shared_key, sign_headers};

/// The encoding of an outgoing event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Standard Webhooks.
    #[default]
    Webhook,
    /// CloudEvents, structured mode: one JSON object.
    Structured,
    /// CloudEvents, binary mode: attributes in headers, data as body.
    Binary,
}

pub(super) struct Standard;

impl Dialect for Standard {
    fn methods(&self) -> &'static str {
        "POST, OPTIONS"
    }

    fn verify_types(&self) -> &'static [&'static str] {
        &["standard", "none"]
    }

    fn handshake(&self, request: &WebhookRequest<'_>) -> Result<HandshakeResponse, WebhookError> {
        // Other OPTIONS requests, such as a browser's preflight, are not supported.
        cloudevents::handshake(request.headers).ok_or(WebhookError::MethodNotAllowed(self.methods()))
    }

    fn verify(&self, hook: &Hook, request: &WebhookRequest<'_>, now: Timestamp) -> Result<(), WebhookError> {
        let Verify::Standard { secrets } = &hook.verify else { return Err(unexpected_verify_type()) };
        signature::verify(secrets, request, now)
    }

    fn parse(&self, _hook: &Hook, request: &WebhookRequest<'_>) -> Result<ParsedMessage, WebhookError> {
        let update = match cloudevents::parse(request)? {
            Some(event) => event.into_update()?,
            None => envelope(request)?,
        };
        Ok(ParsedMessage::Update(Box::new(update)))
    }

    fn render(
        &self,
        event: &OutgoingEvent,
        endpoint: &str,
        verify: &Verify,
        now: Timestamp,
    ) -> Result<OutgoingRequest, RenderError> {
        render(Mode::Webhook, event, endpoint, verify, now)
    }
}

/// Renders an event, signed as Standard Webhooks if `verify` has secrets.
///
/// # Errors
/// [`RenderError`]: another kind of verification, or an invalid secret.
pub fn render(
    mode: Mode,
    event: &OutgoingEvent,
    endpoint: &str,
    verify: &Verify,
    now: Timestamp,
) -> Result<OutgoingRequest, RenderError> {
    let time = event.update.vendor_time.unwrap_or(event.time);
    let kind = match event.update.status {
        Status::Pending => "document.pending",
        Status::Completed => "document.completed",
        Status::Error => "document.failed",
    };
    let data = generic::neutral_body(event);
    let mut request = match mode {
        Mode::Webhook => {
            post_json(endpoint, Vec::new(), json::bytes(&json!({ "type": kind, "timestamp": time, "data": data })))
        }
        Mode::Structured => cloudevents::structured(endpoint, kind, event, time, &data),
        Mode::Binary => cloudevents::binary(endpoint, kind, event, time, &data),
    };
    match verify {
        Verify::None {} => {}
        Verify::Standard { secrets } if secrets.is_empty() => {
            return Err(RenderError::InvalidSecret("the list is empty"));
        }
        Verify::Standard { secrets } => {
            request.headers.extend(signature::sign_headers(secrets, &event.message_id, &request.body, now)?);
        }
        other => return Err(RenderError::UnsupportedVerify { vendor: Vendor::Standard, verify_type: other.kind() }),
    }
    Ok(request)
}

/// Whether the secret is a key that can sign notifications.
pub(super) fn can_sign(secret: &Secret) -> bool {
    signature::SigningKey::of(secret).is_some()
}

/// Parses the envelope of Standard Webhooks: `{"type","timestamp","data"}`.
fn envelope(request: &WebhookRequest<'_>) -> Result<Update, WebhookError> {
    let mut body = json::object(request.body)?;
    let kind = json::string(&body, "type")?.to_owned();
    let time = json::time(body.get("timestamp"));
    let Some(Value::Object(data)) = body.shift_remove("data") else {
        return Err(malformed("data is not an object"));
    };
    let mut update = update(&kind, None, data)?;
    update.vendor_time = time;
    // A blank id does not identify a message: all messages with it would be duplicates of one.
    let id = signature::message_id(request.headers).filter(|id| !id.trim().is_empty());
    update.dedup_key = id.map(|id| format!("webhook:{id}"));
    Ok(update)
}

/// The update of a type and its data. The identifier is `vendorId`, `documentId` or `id` of the data, in this order, or
/// the subject of a CloudEvent.
fn update(kind: &str, subject: Option<&str>, data: Map<String, Value>) -> Result<Update, WebhookError> {
    let mut update = Update::new(identifier(&data, subject)?, status(kind, &data)?);
    update.title = json::text(data.get("title"));
    if update.status == Status::Error {
        update.error = json::error(data.get("error"));
    }
    update.result = json::result(data, "result", &["vendorId", "documentId", "id", "status", "title", "error"]);
    Ok(update)
}

fn identifier(data: &Map<String, Value>, subject: Option<&str>) -> Result<VendorId, WebhookError> {
    for key in ["vendorId", "documentId", "id"] {
        match data.get(key) {
            None | Some(Value::Null) => {}
            Some(id) => return json::id(id, &format!("data.{key}")),
        }
    }
    let subject =
        subject.ok_or_else(|| malformed("data has no vendorId, documentId or id, and there is no subject"))?;
    json::parse_id(subject, "subject")
}

/// The status named by the last segment of the type, before a version such as `.v1`. If that is not a status
/// (`document.updated`), `data.status` is used.
fn status(kind: &str, data: &Map<String, Value>) -> Result<Status, WebhookError> {
    let mut segments = kind.rsplit('.');
    let mut last = segments.next().unwrap_or_default();
    let is_version = |s: &str| s.strip_prefix(['v', 'V']).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    if is_version(last) {
        last = segments.next().unwrap_or_default();
    }
    let data_status = data.get("status").and_then(Value::as_str);
    status_word(last).or_else(|| status_word(data_status?)).ok_or_else(|| {
        malformed(match data_status {
            Some(text) => format!("neither type {} nor status {} is a status", json::quote(kind), json::quote(text)),
            None => format!("type {} is not a status, and data has no status", json::quote(kind)),
        })
    })
}

/// Known spellings of a status, in any case.
fn status_word(text: &str) -> Option<Status> {
    match text.to_ascii_lowercase().as_str() {
        "completed" | "complete" | "succeeded" | "success" | "finished" | "published" | "done" => {
            Some(Status::Completed)
        }
        "failed" | "fail" | "failure" | "error" | "errored" => Some(Status::Error),
        "pending" | "created" | "submitted" | "queued" | "started" | "processing" => Some(Status::Pending),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
