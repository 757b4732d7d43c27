//! Any vendor that posts JSON. The hook's mapping has JSON Pointers to the fields and translates statuses. Signatures
//! are HMAC-SHA256 over the body, in a configurable header.

use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::{
    Dialect, OutgoingEvent, OutgoingRequest, ParsedMessage, RenderError, WebhookError, WebhookRequest, json, malformed,
    post_json, shared_secret, unexpected_verify_type,
};
use crate::domain::{Encoding, Hook, Mapping, Status, Timestamp, Update, Vendor, VendorError, Verify};

const MISSING: &str = "the signature header of this hook is required once, with its prefix";
const UNKNOWN_FORM: &str = "the signature header does not hold this hook's prefix and an HMAC-SHA256 in its encoding";
const MISMATCH: &str = "the signature does not match";

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
            Verify::Authorization { secret } => shared_secret::check_authorization(request.headers, secret),
            Verify::HmacSha256 { secret, header, prefix, encoding } => {
                let secret = shared_secret::secret_bytes(secret)?;
                let sent = shared_secret::signature_header(request.headers, header, MISSING)?;
                let tag = sent.strip_prefix(prefix.as_bytes()).and_then(|t| shared_secret::decode_tag(*encoding, t));
                let sent = tag.ok_or_else(|| shared_secret::unknown_form(sent, UNKNOWN_FORM))?;
                let good = shared_secret::tags_equal(&shared_secret::hmac(secret, &[request.body]), &sent);
                if good { Ok(()) } else { Err(WebhookError::Unauthorized(MISMATCH)) }
            }
            _ => Err(unexpected_verify_type()),
        }
    }

    fn parse(&self, hook: &Hook, request: &WebhookRequest<'_>) -> Result<ParsedMessage, WebhookError> {
        let Some(mapping) = &hook.mapping else {
            return Err(malformed("this hook has no mapping: set one"));
        };
        let body = json::value(request.body)?;
        let status_text = scalar(&body, &mapping.status).ok_or_else(|| missing("status", &mapping.status))?;
        let status = *mapping.statuses.get(&status_text).ok_or_else(|| {
            malformed(format!("status {} is not in the mapping of this hook", json::quote(&status_text)))
        })?;
        let id = body.pointer(&mapping.vendor_id).ok_or_else(|| missing("vendorId", &mapping.vendor_id))?;
        let mut update = Update::new(json::id(id, "vendorId")?, status);
        update.title = at(&body, mapping.title.as_deref()).and_then(|v| json::text(Some(v)));
        update.vendor_time = json::time(at(&body, mapping.time.as_deref()));
        update.dedup_key = json::message_id(at(&body, mapping.message_id.as_deref())).map(|id| format!("message:{id}"));
        if status == Status::Error {
            update.error = error(&body, mapping);
        }
        update.result = match &mapping.result {
            Some(pointer) => body.pointer(pointer).and_then(Value::as_object).cloned(),
            None => body.as_object().cloned(),
        };
        Ok(ParsedMessage::Update(Box::new(update)))
    }

    fn render(
        &self,
        event: &OutgoingEvent,
        endpoint: &str,
        verify: &Verify,
        _now: Timestamp,
    ) -> Result<OutgoingRequest, RenderError> {
        let body = json::bytes(&neutral_body(event));
        let headers = match verify {
            Verify::None {} => Vec::new(),
            Verify::Authorization { secret } => vec![("authorization".to_owned(), secret.expose().to_owned())],
            Verify::HmacSha256 { secret, header, prefix, encoding } => {
                let secret =
                    shared_secret::secret_bytes(secret).map_err(|_| RenderError::InvalidSecret("it is empty"))?;
                let tag = shared_secret::hmac(secret, &[&body]);
                let text = match encoding {
                    Encoding::Hex => shared_secret::hex(&tag),
                    Encoding::Base64 => BASE64.encode(&tag),
                };
                vec![(header.clone(), format!("{prefix}{text}"))]
            }
            other => return Err(RenderError::UnsupportedVerify { vendor: Vendor::Generic, verify_type: other.kind() }),
        };
        Ok(post_json(endpoint, headers, body))
    }
}

/// The update in the vendor-neutral form: the body of this format, and `data` of Standard Webhooks and CloudEvents.
pub(super) fn neutral_body(event: &OutgoingEvent) -> Map<String, Value> {
    let update = &event.update;
    let mut body = Map::new();
    body.insert("vendorId".into(), json!(update.vendor_id));
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
    body
}

fn at<'a>(body: &'a Value, pointer: Option<&str>) -> Option<&'a Value> {
    body.pointer(pointer?)
}

/// A status as text: a string, number or boolean.
fn scalar(body: &Value, pointer: &str) -> Option<String> {
    match body.pointer(pointer)? {
        Value::String(s) => Some(s.clone()),
        scalar @ (Value::Number(_) | Value::Bool(_)) => Some(scalar.to_string()),
        _ => None,
    }
}

fn missing(what: &str, pointer: &str) -> WebhookError {
    malformed(format!("{what}: no string, number or boolean at {}", json::quote(pointer)))
}

fn error(body: &Value, mapping: &Mapping) -> Option<VendorError> {
    let code = json::text(at(body, mapping.error_code.as_deref()));
    let message = json::text(at(body, mapping.error_message.as_deref()));
    if code.is_none() && message.is_none() {
        return None;
    }
    Some(VendorError { code: code.unwrap_or_default(), message: message.unwrap_or_default() })
}

#[cfg(test)]
mod tests;
