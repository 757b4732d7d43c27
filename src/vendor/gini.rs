//! Gini: `documentId` and `status`, the shape of the relay's own events. So a relay can feed a relay, and the keys of
//! an event are known here; all others travel in `result`.

use serde_json::{Map, Value, json};

use super::{Dialect, Inbound, Inexpressible, Message, Outbound, Refusal, Telling, json, post, proof, unintelligible};
use crate::domain::{Hook, Status, Timestamp, Update, Vendor, Verify};

/// The dialect of Gini.
pub(super) struct Gini;

impl Dialect for Gini {
    fn methods(&self) -> &'static str {
        "POST"
    }

    fn proofs(&self) -> &'static [&'static str] {
        &["none", "authorization"]
    }

    fn verify(&self, hook: &Hook, request: &Inbound<'_>, _now: Timestamp) -> Result<(), Refusal> {
        match &hook.verify {
            Verify::Authorization { secret } => proof::authorization(request.headers, secret),
            _ => Err(proof::unfit()),
        }
    }

    fn parse(&self, _hook: &Hook, request: &Inbound<'_>) -> Result<Message, Refusal> {
        let body = json::object(request.body)?;
        let word = json::string(&body, "status")?;
        let status = word.parse().map_err(|e| unintelligible(format!("status {} {e}", json::quote(word))))?;
        let mut update = Update::new(json::vendor_id(&body, "documentId")?, status);
        update.title = json::text(body.get("title"));
        if status == Status::Error {
            update.error = json::failure(body.get("error"));
        }
        update.vendor_time = json::time(body.get("vendorTime"));
        update.result = json::result(body, "result", &["documentId", "status", "title", "error", "vendorTime"]);
        Ok(Message::Update(Box::new(update)))
    }

    fn render(
        &self,
        telling: &Telling,
        endpoint: &str,
        verify: &Verify,
        _now: Timestamp,
    ) -> Result<Outbound, Inexpressible> {
        let headers = match verify {
            Verify::None {} => Vec::new(),
            Verify::Authorization { secret } => vec![("authorization".to_owned(), secret.expose().to_owned())],
            other => return Err(Inexpressible::Proof { vendor: Vendor::Gini, proof: other.kind() }),
        };
        let body = match &telling.event {
            Some(event) => event.to_vec(),
            None => json::bytes(&event(telling)),
        };
        Ok(post(endpoint, headers, body))
    }
}

/// What Gini itself would say, where no event of the relay exists.
fn event(telling: &Telling) -> Map<String, Value> {
    let update = &telling.update;
    let mut event = Map::new();
    event.insert("documentId".into(), json!(telling.document_id));
    event.insert("status".into(), json!(update.status));
    if let Some(title) = &update.title {
        event.insert("title".into(), json!(title));
    }
    if let Some(result) = &update.result {
        event.insert("result".into(), json!(result));
    }
    if let Some(error) = &update.error {
        event.insert("error".into(), json!(error));
    }
    if let Some(time) = update.vendor_time {
        event.insert("vendorTime".into(), json!(time));
    }
    event
}

#[cfg(test)]
mod tests;
