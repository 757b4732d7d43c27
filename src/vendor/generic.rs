//! Any vendor that posts JSON: a mapping of JSON Pointers says where things are, and which of its words is which
//! status. Signed, if at all, by HMAC-SHA256 over the body, in a header of the vendor's choice.

use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::{
    Dialect, OutgoingEvent, OutgoingRequest, ParsedMessage, RenderError, WebhookError, WebhookRequest, json, malformed,
    post_json, verification,
};
use crate::domain::{Encoding, Hook, Mapping, Status, Timestamp, Update, Vendor, VendorError, Verify};

const WANTED: &str = "the hook's signature header is needed, once, with its prefix";
const WRONG: &str = "the signature does not match";

/// The dialect of everybody else.
pub(super) struct Generic;

impl Dialect for Generic {
    fn methods(&self) -> &'static str {
        "POST"
    }

    fn verify_types(&self) -> &'static [&'static str] {
        &["none", "hmac-sha256", "authorization"]
    }

    fn verify(&self, hook: &Hook, request: &WebhookRequest<'_>, _now: Timestamp) -> Result<(), WebhookError> {
        match &hook.verify {
            Verify::Authorization { secret } => verification::authorization(request.headers, secret),
            Verify::HmacSha256 { secret, header, prefix, encoding } => {
                let secret = verification::secret_bytes(secret)?;
                let sent = verification::single_header(request.headers, header, WANTED)?;
                let sent = sent.strip_prefix(prefix.as_bytes()).ok_or(WebhookError::Unauthorized(WANTED))?;
                let sent = verification::decode_tag(*encoding, sent).ok_or(WebhookError::Unauthorized(WRONG))?;
                let good = verification::tags_equal(&verification::hmac(secret, &[request.body]), &sent);
                if good { Ok(()) } else { Err(WebhookError::Unauthorized(WRONG)) }
            }
            _ => Err(verification::unexpected_verify_type()),
        }
    }

    fn parse(&self, hook: &Hook, request: &WebhookRequest<'_>) -> Result<ParsedMessage, WebhookError> {
        let Some(mapping) = &hook.mapping else {
            return Err(malformed("this hook has no mapping: make a new one that says where things are"));
        };
        let body = json::value(request.body)?;
        let word = scalar(&body, &mapping.status).ok_or_else(|| missing("status", &mapping.status))?;
        let status = *mapping
            .statuses
            .get(&word)
            .ok_or_else(|| malformed(format!("state {} is not among the hook's statuses", json::quote(&word))))?;
        let id = body.pointer(&mapping.vendor_id).ok_or_else(|| missing("vendorId", &mapping.vendor_id))?;
        let mut update = Update::new(json::id(id, "vendorId")?, status);
        update.title = at(&body, mapping.title.as_deref()).and_then(|v| json::text(Some(v)));
        update.vendor_time = json::time(at(&body, mapping.time.as_deref()));
        update.dedup_key = json::key(at(&body, mapping.message_id.as_deref())).map(|id| format!("message:{id}"));
        if status == Status::Error {
            update.error = failure(&body, mapping);
        }
        update.result = match &mapping.result {
            Some(pointer) => body.pointer(pointer).and_then(Value::as_object).cloned(),
            None => body.as_object().cloned(),
        };
        Ok(ParsedMessage::Update(Box::new(update)))
    }

    fn render(
        &self,
        outgoing_event: &OutgoingEvent,
        endpoint: &str,
        verify: &Verify,
        _now: Timestamp,
    ) -> Result<OutgoingRequest, RenderError> {
        let body = json::bytes(&neutral_body(outgoing_event));
        let headers = match verify {
            Verify::None {} => Vec::new(),
            Verify::Authorization { secret } => vec![("authorization".to_owned(), secret.expose().to_owned())],
            Verify::HmacSha256 { secret, header, prefix, encoding } => {
                let secret =
                    verification::secret_bytes(secret).map_err(|_| RenderError::InvalidSecret("it is empty"))?;
                let tag = verification::hmac(secret, &[&body]);
                let text = match encoding {
                    Encoding::Hex => verification::hex(&tag),
                    Encoding::Base64 => BASE64.encode(&tag),
                };
                vec![(header.clone(), format!("{prefix}{text}"))]
            }
            other => return Err(RenderError::UnsupportedVerify { vendor: Vendor::Generic, verify_type: other.kind() }),
        };
        Ok(post_json(endpoint, headers, body))
    }
}

/// An update as the vendor-neutral formats write it: their `data`, and this dialect's whole body.
pub(super) fn neutral_body(outgoing_event: &OutgoingEvent) -> Map<String, Value> {
    let update = &outgoing_event.update;
    let mut body = Map::new();
    body.insert("vendorId".into(), json!(update.vendor_id));
    body.insert("documentId".into(), json!(outgoing_event.document_id));
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
    body
}

fn at<'a>(body: &'a Value, pointer: Option<&str>) -> Option<&'a Value> {
    body.pointer(pointer?)
}

/// What can be a state: a string, a number or a boolean, by its text.
fn scalar(body: &Value, pointer: &str) -> Option<String> {
    match body.pointer(pointer)? {
        Value::String(s) => Some(s.clone()),
        scalar @ (Value::Number(_) | Value::Bool(_)) => Some(scalar.to_string()),
        _ => None,
    }
}

fn missing(what: &str, pointer: &str) -> WebhookError {
    malformed(format!("{what}: there is no string, number or boolean at {}", json::quote(pointer)))
}

fn failure(body: &Value, mapping: &Mapping) -> Option<VendorError> {
    let code = json::text(at(body, mapping.error_code.as_deref()));
    let message = json::text(at(body, mapping.error_message.as_deref()));
    if code.is_none() && message.is_none() {
        return None;
    }
    Some(VendorError { code: code.unwrap_or_default(), message: message.unwrap_or_default() })
}

#[cfg(test)]
mod tests;
