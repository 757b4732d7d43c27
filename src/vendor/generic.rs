//! Any vendor that posts JSON: a mapping of JSON Pointers says where things are, and which of its words is which
//! status. Signed, if at all, by HMAC-SHA256 over the body, in a header of the vendor's choice.

use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::{Dialect, Inbound, Inexpressible, Message, Outbound, Refusal, Telling, json, post, proof, unintelligible};
use crate::domain::{Encoding, Hook, Mapping, Status, Timestamp, Update, Vendor, VendorError, Verify};

const WANTED: &str = "the hook's signature header is needed, once, with its prefix";
const WRONG: &str = "the signature does not match";

/// The dialect of everybody else.
pub(super) struct Generic;

impl Dialect for Generic {
    fn methods(&self) -> &'static str {
        "POST"
    }

    fn proofs(&self) -> &'static [&'static str] {
        &["none", "hmac-sha256", "authorization"]
    }

    fn verify(&self, hook: &Hook, request: &Inbound<'_>, _now: Timestamp) -> Result<(), Refusal> {
        match &hook.verify {
            Verify::Authorization { secret } => proof::authorization(request.headers, secret),
            Verify::HmacSha256 { secret, header, prefix, encoding } => {
                let secret = proof::key(secret)?;
                let sent = proof::once(request.headers, header, WANTED)?;
                let sent = sent.strip_prefix(prefix.as_bytes()).ok_or(Refusal::Unproven(WANTED))?;
                let sent = proof::decode(*encoding, sent).ok_or(Refusal::Unproven(WRONG))?;
                let good = proof::same(&proof::hmac(secret, &[request.body]), &sent);
                if good { Ok(()) } else { Err(Refusal::Unproven(WRONG)) }
            }
            _ => Err(proof::unfit()),
        }
    }

    fn parse(&self, hook: &Hook, request: &Inbound<'_>) -> Result<Message, Refusal> {
        let Some(mapping) = &hook.mapping else {
            return Err(unintelligible("this hook has no mapping: make a new one that says where things are"));
        };
        let body = json::value(request.body)?;
        let word = scalar(&body, &mapping.status).ok_or_else(|| missing("status", &mapping.status))?;
        let status = *mapping
            .statuses
            .get(&word)
            .ok_or_else(|| unintelligible(format!("state {} is not among the hook's statuses", json::quote(&word))))?;
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
        Ok(Message::Update(Box::new(update)))
    }

    fn render(
        &self,
        telling: &Telling,
        endpoint: &str,
        verify: &Verify,
        _now: Timestamp,
    ) -> Result<Outbound, Inexpressible> {
        let body = json::bytes(&told(telling));
        let headers = match verify {
            Verify::None {} => Vec::new(),
            Verify::Authorization { secret } => vec![("authorization".to_owned(), secret.expose().to_owned())],
            Verify::HmacSha256 { secret, header, prefix, encoding } => {
                let secret = proof::key(secret).map_err(|_| Inexpressible::Secret("it is empty"))?;
                let tag = proof::hmac(secret, &[&body]);
                let text = match encoding {
                    Encoding::Hex => proof::hex(&tag),
                    Encoding::Base64 => BASE64.encode(&tag),
                };
                vec![(header.clone(), format!("{prefix}{text}"))]
            }
            other => return Err(Inexpressible::Proof { vendor: Vendor::Generic, proof: other.kind() }),
        };
        Ok(post(endpoint, headers, body))
    }
}

/// An update as the vendor-neutral formats write it: their `data`, and this dialect's whole body.
pub(super) fn told(telling: &Telling) -> Map<String, Value> {
    let update = &telling.update;
    let mut told = Map::new();
    told.insert("vendorId".into(), json!(update.vendor_id));
    told.insert("documentId".into(), json!(telling.document_id));
    told.insert("status".into(), json!(update.status));
    if let Some(title) = &update.title {
        told.insert("title".into(), json!(title));
    }
    if let Some(result) = &update.result {
        told.insert("result".into(), json!(result));
    }
    if let Some(error) = &update.error {
        told.insert("error".into(), json!(error));
    }
    told
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

fn missing(what: &str, pointer: &str) -> Refusal {
    unintelligible(format!("{what}: there is no string, number or boolean at {}", json::quote(pointer)))
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
