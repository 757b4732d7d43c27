//! The vendor-neutral formats: the envelope of Standard Webhooks, and CloudEvents 1.0. Both tell with a type whose
//! last segment is the state (`document.completed`), or with `data.status` where that segment says nothing.

mod cloudevents;
mod key;
mod signature;

use serde_json::{Map, Value, json};

use super::{
    Dialect, HandshakeResponse, OutgoingEvent, OutgoingRequest, ParsedMessage, RenderError, WebhookError,
    WebhookRequest, generic, json, malformed, post_json, verification,
};
use crate::domain::{Hook, Secret, Status, Timestamp, Update, Vendor, VendorId, Verify};

pub(super) use cloudevents::has_attributes_in_headers;
pub(super) use key::shared as signing_key;
pub(super) use signature::sign_headers;

/// How an update is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The envelope of Standard Webhooks.
    #[default]
    Webhook,
    /// A CloudEvent as one JSON object.
    Structured,
    /// A CloudEvent in headers, with its data as the body.
    Binary,
}

/// The dialect of Standard Webhooks and CloudEvents.
pub(super) struct Standard;

impl Dialect for Standard {
    fn methods(&self) -> &'static str {
        "POST, OPTIONS"
    }

    fn verify_types(&self) -> &'static [&'static str] {
        &["standard", "none"]
    }

    fn handshake(&self, request: &WebhookRequest<'_>) -> Result<HandshakeResponse, WebhookError> {
        // Without the header it is some other question, such as a browser's, that a hook has no answer to.
        cloudevents::allow(request.headers).ok_or(WebhookError::MethodNotAllowed(self.methods()))
    }

    fn verify(&self, hook: &Hook, request: &WebhookRequest<'_>, now: Timestamp) -> Result<(), WebhookError> {
        let Verify::Standard { secrets } = &hook.verify else { return Err(verification::unexpected_verify_type()) };
        signature::check(secrets, request, now)
    }

    fn parse(&self, _hook: &Hook, request: &WebhookRequest<'_>) -> Result<ParsedMessage, WebhookError> {
        let update = match cloudevents::read(request)? {
            Some(event) => event.update()?,
            None => envelope(request)?,
        };
        Ok(ParsedMessage::Update(Box::new(update)))
    }

    fn render(
        &self,
        outgoing_event: &OutgoingEvent,
        endpoint: &str,
        verify: &Verify,
        now: Timestamp,
    ) -> Result<OutgoingRequest, RenderError> {
        write(Mode::Webhook, outgoing_event, endpoint, verify, now)
    }
}

/// Writes a outgoing_event in one of the neutral formats, signed as Standard Webhooks when `verify` says so.
pub fn write(
    mode: Mode,
    outgoing_event: &OutgoingEvent,
    endpoint: &str,
    verify: &Verify,
    now: Timestamp,
) -> Result<OutgoingRequest, RenderError> {
    let time = outgoing_event.update.vendor_time.unwrap_or(outgoing_event.time);
    let kind = match outgoing_event.update.status {
        Status::Pending => "document.pending",
        Status::Completed => "document.completed",
        Status::Error => "document.failed",
    };
    let data = generic::neutral_body(outgoing_event);
    let mut request = match mode {
        Mode::Webhook => {
            post_json(endpoint, Vec::new(), json::bytes(&json!({ "type": kind, "timestamp": time, "data": data })))
        }
        Mode::Structured => cloudevents::structured(endpoint, kind, outgoing_event, time, &data),
        Mode::Binary => cloudevents::binary(endpoint, kind, outgoing_event, time, &data),
    };
    match verify {
        Verify::None {} => {}
        Verify::Standard { secrets } if secrets.is_empty() => return Err(RenderError::InvalidSecret("there is none")),
        Verify::Standard { secrets } => {
            request.headers.extend(signature::sign_headers(secrets, &outgoing_event.message_id, &request.body, now)?);
        }
        other => return Err(RenderError::UnsupportedVerify { vendor: Vendor::Standard, verify_type: other.kind() }),
    }
    Ok(request)
}

/// Whether a notification can be signed with this.
pub(super) fn can_sign(secret: &Secret) -> bool {
    key::SigningKey::of(secret).is_some()
}

/// `{"type","timestamp","data"}`.
fn envelope(request: &WebhookRequest<'_>) -> Result<Update, WebhookError> {
    let mut body = json::object(request.body)?;
    let kind = json::string(&body, "type")?.to_owned();
    let time = json::time(body.get("timestamp"));
    let Some(Value::Object(data)) = body.shift_remove("data") else {
        return Err(malformed("data is not an object"));
    };
    let mut update = told(&kind, None, data)?;
    update.vendor_time = time;
    // A blank one names no message: all that come with it would be taken for one.
    let id = request.headers.get("webhook-id").and_then(|id| id.to_str().ok()).filter(|id| !id.trim().is_empty());
    update.dedup_key = id.map(|id| format!("webhook:{id}"));
    Ok(update)
}

/// What type and data say together. The identifier is `vendorId`, `documentId` or `id` of the data, in this order, or
/// else the subject of a CloudEvent.
fn told(kind: &str, subject: Option<&str>, data: Map<String, Value>) -> Result<Update, WebhookError> {
    let mut update = Update::new(identifier(&data, subject)?, status(kind, &data)?);
    update.title = json::text(data.get("title"));
    if update.status == Status::Error {
        update.error = json::failure(data.get("error"));
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

/// The last segment of the type decides, for the type is what the sender subscribed us to; a trailing version
/// (`….completed.v1`) is passed over. Where it names no state (`document.updated`), `data.status` does.
fn status(kind: &str, data: &Map<String, Value>) -> Result<Status, WebhookError> {
    let mut segments = kind.rsplit('.');
    let mut last = segments.next().unwrap_or_default();
    let is_version = |s: &str| s.strip_prefix(['v', 'V']).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    if is_version(last) {
        last = segments.next().unwrap_or_default();
    }
    let told = data.get("status").and_then(Value::as_str);
    word(last).or_else(|| word(told?)).ok_or_else(|| {
        malformed(match told {
            Some(told) => format!("neither type {} nor status {} names a state", json::quote(kind), json::quote(told)),
            None => format!("type {} names no state, and data has no status", json::quote(kind)),
        })
    })
}

/// The words senders use, in any case.
fn word(text: &str) -> Option<Status> {
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
