//! PPJ: a GET query or a form, in the five editions of its documentation, and the handshake that precedes it.
//! Edition 0 says `type=validation`; A signs the handshake in the query; B signs every call in headers; C posts a form;
//! D leaves the signature out.

mod params;
mod signature;
pub(super) mod write;

use serde_json::json;

use self::params::Params;
use super::{
    Dialect, HandshakeResponse, OutgoingEvent, OutgoingRequest, ParsedMessage, RenderError, WebhookError,
    WebhookRequest, json, malformed, verification,
};
use crate::domain::{Hook, Status, Timestamp, Update, Vendor, VendorError, Verify};

/// The dialect of PPJ.
pub(super) struct Ppj;

impl Dialect for Ppj {
    fn methods(&self) -> &'static str {
        "GET, POST"
    }

    fn verify_types(&self) -> &'static [&'static str] {
        &["none", "ppj"]
    }

    fn verify(&self, hook: &Hook, request: &WebhookRequest<'_>, now: Timestamp) -> Result<(), WebhookError> {
        let Verify::Ppj { secret } = &hook.verify else { return Err(verification::unexpected_verify_type()) };
        signature::check(verification::secret_bytes(secret)?, request, &Params::of(request), now)
    }

    fn parse(&self, _hook: &Hook, request: &WebhookRequest<'_>) -> Result<ParsedMessage, WebhookError> {
        let params = Params::of(request);
        let status = match params.required("type")? {
            "verify" | "validation" => return handshake(&params),
            // Both spellings are on the wire, and editions of one message must be one.
            "complete" | "completed" => Status::Completed,
            "error" => Status::Error,
            other => return Err(malformed(format!("type {} is unknown", json::quote(other)))),
        };
        let code = code(&params)?;
        let mut update = Update::new(json::parse_id(params.required("token")?, "token")?, status);
        if status == Status::Error {
            update.error = Some(VendorError {
                code: code.map(|c| c.to_string()).unwrap_or_default(),
                message: meaning(code).to_owned(),
            });
        }
        let word = if status == Status::Error { "error" } else { "complete" };
        update.dedup_key = Some(format!("{word}:{}:{}", code.unwrap_or(0), json::spelling(&update.vendor_id)));
        Ok(ParsedMessage::Update(Box::new(update)))
    }

    fn render(
        &self,
        outgoing_event: &OutgoingEvent,
        endpoint: &str,
        verify: &Verify,
        now: Timestamp,
    ) -> Result<OutgoingRequest, RenderError> {
        match verify {
            Verify::None {} => write::notify(write::Edition::A, outgoing_event, endpoint, None, now),
            Verify::Ppj { secret } => write::notify(write::Edition::B, outgoing_event, endpoint, Some(secret), now),
            other => Err(RenderError::UnsupportedVerify { vendor: Vendor::Ppj, verify_type: other.kind() }),
        }
    }
}

/// PPJ wants its nonce back, as real JSON: the single quotes of its documentation are typography.
fn handshake(params: &Params) -> Result<ParsedMessage, WebhookError> {
    let nonce = params.required("nonce")?;
    if nonce.is_empty() || nonce.len() > 256 || nonce.chars().any(char::is_control) {
        return Err(malformed("nonce is not 1 to 256 bytes without control characters"));
    }
    Ok(ParsedMessage::Handshake(HandshakeResponse {
        headers: Vec::new(),
        body: json::bytes(&json!({ "nonce": nonce })),
    }))
}

fn code(params: &Params) -> Result<Option<i64>, WebhookError> {
    match params.optional("code")? {
        None | Some("") => Ok(None),
        Some(text) => {
            text.parse().map(Some).map_err(|_| malformed(format!("code {} is not a number", json::quote(text))))
        }
    }
}

/// What PPJ's documentation says the code stands for.
fn meaning(code: Option<i64>) -> &'static str {
    match code {
        Some(1) => "server internal error",
        Some(2) => "source file error",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
