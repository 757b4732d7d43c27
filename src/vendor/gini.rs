//! Gini: `documentId` and `status`. The relay's own events have the same shape, so that one relay can call another:
//! their other keys are parsed too, and unknown keys become part of `result`.

use serde_json::{Map, Value, json};

use super::{
    Dialect, OutgoingEvent, OutgoingRequest, ParsedMessage, RenderError, WebhookError, WebhookRequest, json, malformed,
    post_json, shared_secret, unexpected_verify_type,
};
use crate::domain::{Hook, Status, Timestamp, Update, Vendor, Verify};

pub(super) struct Gini;

impl Dialect for Gini {
    fn methods(&self) -> &'static str {
        "POST"
    }

    fn verify_types(&self) -> &'static [&'static str] {
        &["none", "authorization"]
    }

    fn verify(&self, hook: &Hook, request: &WebhookRequest<'_>, _now: Timestamp) -> Result<(), WebhookError> {
        match &hook.verify {
            Verify::Authorization { secret } => shared_secret::check_authorization(request.headers, secret),
            _ => Err(unexpected_verify_type()),
        }
    }

    fn parse(&self, _hook: &Hook, request: &WebhookRequest<'_>) -> Result<ParsedMessage, WebhookError> {
        let body = json::object(request.body)?;
        let word = json::string(&body, "status")?;
        let status = word.parse().map_err(|e| malformed(format!("status {} {e}", json::quote(word))))?;
        let mut update = Update::new(json::vendor_id(&body, "documentId")?, status);
        update.title = json::text(body.get("title"));
        if status == Status::Error {
            update.error = json::error(body.get("error"));
        }
        update.vendor_time = json::time(body.get("vendorTime"));
        update.result = json::result(body, "result", &["documentId", "status", "title", "error", "vendorTime"]);
        Ok(ParsedMessage::Update(Box::new(update)))
    }

    fn render(
        &self,
        event: &OutgoingEvent,
        endpoint: &str,
        verify: &Verify,
        _now: Timestamp,
    ) -> Result<OutgoingRequest, RenderError> {
        let headers = match verify {
            Verify::None {} => Vec::new(),
            Verify::Authorization { secret } => vec![("authorization".to_owned(), secret.expose().to_owned())],
            other => return Err(RenderError::UnsupportedVerify { vendor: Vendor::Gini, verify_type: other.kind() }),
        };
        let body = match &event.event {
            Some(stored) => stored.to_vec(),
            None => json::bytes(&event_json(event)),
        };
        Ok(post_json(endpoint, headers, body))
    }
}

/// The body if the event is not a stored one.
fn event_json(event: &OutgoingEvent) -> Map<String, Value> {
    let update = &event.update;
    let mut body = Map::new();
    body.insert("documentId".into(), json!(event.document_id));
    body.insert("status".into(), json!(update.status));
    if let Some(title) = &update.title {
        body.insert("title".into(), json!(title));
    }
    if let Some(result) = &update.result {
        body.insert("result".into(), json!(result));
    }
    if let Some(error) = &update.error {
        body.insert("error".into(), json!(error));
    }
    if let Some(time) = update.vendor_time {
        body.insert("vendorTime".into(), json!(time));
    }
    body
}

#[cfg(test)]
mod tests;
