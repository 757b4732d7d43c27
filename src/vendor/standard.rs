//! The vendor-neutral formats: the envelope of Standard Webhooks, and CloudEvents 1.0. Both tell with a type whose
//! last segment is the state (`document.completed`), or with `data.status` where that segment says nothing.

mod cloudevents;
mod key;
mod signature;

use serde_json::{Map, Value, json};

use super::{
    Dialect, Inbound, Inexpressible, Message, Outbound, Refusal, Reply, Telling, generic, json, post, proof,
    unintelligible,
};
use crate::domain::{Hook, Secret, Status, Timestamp, Update, Vendor, VendorId, Verify};

pub(super) use cloudevents::has_attributes_in_headers;
pub(super) use key::shared as signing_key;
pub(super) use signature::prove;

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

    fn proofs(&self) -> &'static [&'static str] {
        &["standard", "none"]
    }

    fn greet(&self, request: &Inbound<'_>) -> Result<Reply, Refusal> {
        // Without the header it is some other question, such as a browser's, that a hook has no answer to.
        cloudevents::allow(request.headers).ok_or(Refusal::Method(self.methods()))
    }

    fn verify(&self, hook: &Hook, request: &Inbound<'_>, now: Timestamp) -> Result<(), Refusal> {
        let Verify::Standard { secrets } = &hook.verify else { return Err(proof::unfit()) };
        signature::check(secrets, request, now)
    }

    fn parse(&self, _hook: &Hook, request: &Inbound<'_>) -> Result<Message, Refusal> {
        let update = match cloudevents::read(request)? {
            Some(event) => event.update()?,
            None => envelope(request)?,
        };
        Ok(Message::Update(Box::new(update)))
    }

    fn render(
        &self,
        telling: &Telling,
        endpoint: &str,
        verify: &Verify,
        now: Timestamp,
    ) -> Result<Outbound, Inexpressible> {
        write(Mode::Webhook, telling, endpoint, verify, now)
    }
}

/// Writes a telling in one of the neutral formats, signed as Standard Webhooks when `verify` says so.
pub fn write(
    mode: Mode,
    telling: &Telling,
    endpoint: &str,
    verify: &Verify,
    now: Timestamp,
) -> Result<Outbound, Inexpressible> {
    let time = telling.update.vendor_time.unwrap_or(telling.time);
    let kind = match telling.update.status {
        Status::Pending => "document.pending",
        Status::Completed => "document.completed",
        Status::Error => "document.failed",
    };
    let data = generic::told(telling);
    let mut request = match mode {
        Mode::Webhook => {
            post(endpoint, Vec::new(), json::bytes(&json!({ "type": kind, "timestamp": time, "data": data })))
        }
        Mode::Structured => cloudevents::structured(endpoint, kind, telling, time, &data),
        Mode::Binary => cloudevents::binary(endpoint, kind, telling, time, &data),
    };
    match verify {
        Verify::None {} => {}
        Verify::Standard { secrets } if secrets.is_empty() => return Err(Inexpressible::Secret("there is none")),
        Verify::Standard { secrets } => {
            request.headers.extend(signature::prove(secrets, &telling.message_id, &request.body, now)?);
        }
        other => return Err(Inexpressible::Proof { vendor: Vendor::Standard, proof: other.kind() }),
    }
    Ok(request)
}

/// Whether a notification can be signed with this.
pub(super) fn can_sign(secret: &Secret) -> bool {
    key::SigningKey::of(secret).is_some()
}

/// `{"type","timestamp","data"}`.
fn envelope(request: &Inbound<'_>) -> Result<Update, Refusal> {
    let mut body = json::object(request.body)?;
    let kind = json::string(&body, "type")?.to_owned();
    let time = json::time(body.get("timestamp"));
    let Some(Value::Object(data)) = body.shift_remove("data") else {
        return Err(unintelligible("data is not an object"));
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
fn told(kind: &str, subject: Option<&str>, data: Map<String, Value>) -> Result<Update, Refusal> {
    let mut update = Update::new(identifier(&data, subject)?, status(kind, &data)?);
    update.title = json::text(data.get("title"));
    if update.status == Status::Error {
        update.error = json::failure(data.get("error"));
    }
    update.result = json::result(data, "result", &["vendorId", "documentId", "id", "status", "title", "error"]);
    Ok(update)
}

fn identifier(data: &Map<String, Value>, subject: Option<&str>) -> Result<VendorId, Refusal> {
    for key in ["vendorId", "documentId", "id"] {
        match data.get(key) {
            None | Some(Value::Null) => {}
            Some(id) => return json::id(id, &format!("data.{key}")),
        }
    }
    let subject =
        subject.ok_or_else(|| unintelligible("data has no vendorId, documentId or id, and there is no subject"))?;
    json::parse_id(subject, "subject")
}

/// The last segment of the type decides, for the type is what the sender subscribed us to; a trailing version
/// (`….completed.v1`) is passed over. Where it names no state (`document.updated`), `data.status` does.
fn status(kind: &str, data: &Map<String, Value>) -> Result<Status, Refusal> {
    let mut segments = kind.rsplit('.');
    let mut last = segments.next().unwrap_or_default();
    let is_version = |s: &str| s.strip_prefix(['v', 'V']).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    if is_version(last) {
        last = segments.next().unwrap_or_default();
    }
    let told = data.get("status").and_then(Value::as_str);
    word(last).or_else(|| word(told?)).ok_or_else(|| {
        unintelligible(match told {
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
