//! PPJ: notifications as a GET query or a form, and a handshake before the first one, in five editions of the format.
//! Edition 0 has `type=validation`; A signs the handshake in the query; B signs every request in headers; C posts a
//! form; D has no signature.

mod signature;

use std::fmt;

use bytes::Bytes;
use http::Method;
use serde_json::json;
use url::Url;

use self::signature::{Expected, Params};
use super::{
    Dialect, HandshakeResponse, OutgoingEvent, OutgoingRequest, ParsedMessage, RenderError, WebhookError,
    WebhookRequest, json, malformed, shared_secret, unexpected_verify_type,
};
use crate::domain::{Hook, PpjEdition, Secret, Status, Timestamp, Update, Vendor, VendorError, Verify};

pub(super) struct Ppj;

impl Dialect for Ppj {
    fn methods(&self) -> &'static str {
        "GET, POST"
    }

    fn verify_types(&self) -> &'static [&'static str] {
        &["none", "ppj"]
    }

    fn verify(&self, hook: &Hook, request: &WebhookRequest<'_>, now: Timestamp) -> Result<(), WebhookError> {
        let Verify::Ppj { secret, edition } = &hook.verify else { return Err(unexpected_verify_type()) };
        let expected = Expected { secret: shared_secret::secret_bytes(secret)?, edition: *edition };
        signature::verify(&expected, request, &Params::of(request), now)
    }

    fn parse(&self, _hook: &Hook, request: &WebhookRequest<'_>) -> Result<ParsedMessage, WebhookError> {
        let params = Params::of(request);
        let status = match params.required("type")? {
            "verify" | "validation" => return handshake_response(&params),
            // Both spellings occur on the wire; editions of one message must have the same deduplication key.
            "complete" | "completed" => Status::Completed,
            "error" => Status::Error,
            other => return Err(malformed(format!("type {} is unknown", json::quote(other)))),
        };
        let code = error_code(&params)?;
        let mut update = Update::new(json::parse_id(params.required("token")?, "token")?, status);
        if status == Status::Error {
            update.error = Some(VendorError {
                code: code.map(|c| c.to_string()).unwrap_or_default(),
                message: error_message(code).to_owned(),
            });
        }
        let kind = if status == Status::Error { "error" } else { "complete" };
        update.dedup_key = Some(format!("{kind}:{}:{}", code.unwrap_or(0), json::normalized(&update.vendor_id)));
        Ok(ParsedMessage::Update(Box::new(update)))
    }

    fn render(
        &self,
        event: &OutgoingEvent,
        endpoint: &str,
        verify: &Verify,
        now: Timestamp,
    ) -> Result<OutgoingRequest, RenderError> {
        match verify {
            Verify::None {} => notify(Edition::A, event, endpoint, None, now),
            Verify::Ppj { edition: Some(PpjEdition::A), .. } => notify(Edition::A, event, endpoint, None, now),
            Verify::Ppj { secret, .. } => notify(Edition::B, event, endpoint, Some(secret), now),
            other => Err(RenderError::UnsupportedVerify { vendor: Vendor::Ppj, verify_type: other.kind() }),
        }
    }
}

/// Returns the nonce as JSON; the single quotes in PPJ's documentation are typographic.
fn handshake_response(params: &Params) -> Result<ParsedMessage, WebhookError> {
    let nonce = params.required("nonce")?;
    if nonce.is_empty() || nonce.len() > 256 || nonce.chars().any(char::is_control) {
        return Err(malformed("nonce is not 1 to 256 bytes without control characters"));
    }
    Ok(ParsedMessage::Handshake(HandshakeResponse {
        headers: Vec::new(),
        body: json::bytes(&json!({ "nonce": nonce })),
    }))
}

fn error_code(params: &Params) -> Result<Option<i64>, WebhookError> {
    match params.optional("code")? {
        None | Some("") => Ok(None),
        Some(text) => {
            text.parse().map(Some).map_err(|_| malformed(format!("code {} is not a number", json::quote(text))))
        }
    }
}

/// The meaning of a code in PPJ's documentation.
fn error_message(code: Option<i64>) -> &'static str {
    match code {
        Some(1) => "server internal error",
        Some(2) => "source file error",
        _ => "",
    }
}

/// An edition of PPJ's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// 2016: handshake only, with `type=validation`.
    Zero,
    /// 2017-03-20: GET; the handshake is signed in the query.
    A,
    /// 2017-03-22: GET; every request is signed in headers.
    B,
    /// 2017-07-28: POST of a form; unsigned.
    C,
    /// 2017-11-16: GET; unsigned.
    D,
}

impl Edition {
    /// Every edition, oldest first.
    pub const ALL: [Edition; 5] = [Edition::Zero, Edition::A, Edition::B, Edition::C, Edition::D];

    /// `0`, `A`, `B`, `C` or `D`.
    pub fn as_str(self) -> &'static str {
        match self {
            Edition::Zero => "0",
            Edition::A => "A",
            Edition::B => "B",
            Edition::C => "C",
            Edition::D => "D",
        }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The handshake request. The response must contain `nonce`. Editions A and B sign it if there is a secret; the others
/// have no signature.
///
/// # Errors
/// [`RenderError`]: the endpoint or the secret is invalid.
pub fn handshake(
    edition: Edition,
    endpoint: &str,
    nonce: &str,
    secret: Option<&Secret>,
    now: Timestamp,
) -> Result<OutgoingRequest, RenderError> {
    let kind = if edition == Edition::Zero { "validation" } else { "verify" };
    let mut pairs = vec![("type", kind.to_owned())];
    let timestamp = now.seconds().to_string();
    if edition == Edition::A {
        pairs.push(("timestamp", timestamp.clone()));
    }
    pairs.push(("nonce", nonce.to_owned()));
    if let (Edition::A, Some(secret)) = (edition, secret) {
        let tag = signature::sign(key(secret)?, timestamp.as_bytes(), &[nonce.as_bytes()]);
        pairs.push(("signature", shared_secret::hex(&tag)));
    }
    request(edition, endpoint, &pairs, secret, now)
}

/// The notification of a final status. Edition B signs it if there is a secret.
///
/// # Errors
/// [`RenderError`]: pending status, edition 0, or an invalid endpoint or secret.
pub fn notify(
    edition: Edition,
    event: &OutgoingEvent,
    endpoint: &str,
    secret: Option<&Secret>,
    now: Timestamp,
) -> Result<OutgoingRequest, RenderError> {
    if edition == Edition::Zero {
        return Err(RenderError::UnsupportedEdition(edition));
    }
    let (kind, code) = match event.update.status {
        Status::Completed => ("complete", "0"),
        // PPJ has two error codes. Errors of other vendors become a server error.
        Status::Error if event.update.error.as_ref().is_some_and(|e| e.code == "2") => ("error", "2"),
        Status::Error => ("error", "1"),
        status @ Status::Pending => return Err(RenderError::UnsupportedStatus { vendor: Vendor::Ppj, status }),
    };
    let mut pairs = vec![("type", kind.to_owned()), ("token", event.update.vendor_id.to_string())];
    let code_required = matches!(edition, Edition::A | Edition::B);
    if code_required || code != "0" {
        pairs.push(("code", code.to_owned()));
    }
    request(edition, endpoint, &pairs, secret, now)
}

fn request(
    edition: Edition,
    endpoint: &str,
    pairs: &[(&str, String)],
    secret: Option<&Secret>,
    now: Timestamp,
) -> Result<OutgoingRequest, RenderError> {
    // Parsed as in the HTTP client, so that the signed path is the requested path.
    let mut url = Url::parse(endpoint).map_err(|_| RenderError::InvalidEndpoint)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(RenderError::InvalidEndpoint);
    }
    url.set_fragment(None);
    let mut headers = Vec::new();
    let (method, body) = if edition == Edition::C {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        (Method::POST, Bytes::from(form))
    } else {
        url.query_pairs_mut().extend_pairs(pairs);
        (Method::GET, Bytes::new())
    };
    let mut request = OutgoingRequest { method, url: url.into(), headers, body };
    if let (Edition::B, Some(secret)) = (edition, secret) {
        request.headers.extend(sign_headers(secret, &request, now)?);
    }
    Ok(request)
}

/// The signature headers of edition B for a GET: over its path and all its parameters, configured ones included.
pub(super) fn sign_headers(
    secret: &Secret,
    request: &OutgoingRequest,
    now: Timestamp,
) -> Result<[(String, String); 2], RenderError> {
    let url = Url::parse(&request.url).map_err(|_| RenderError::InvalidEndpoint)?;
    let timestamp = now.seconds().to_string();
    let params = Params::from_pairs(url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned()))).signed();
    let method = request.method.as_str();
    let tag = signature::sign_request(key(secret)?, timestamp.as_bytes(), method, url.path(), &params);
    Ok([(signature::TIMESTAMP.to_owned(), timestamp), (signature::SIGNATURE.to_owned(), shared_secret::hex(&tag))])
}

fn key(secret: &Secret) -> Result<&[u8], RenderError> {
    shared_secret::secret_bytes(secret).map_err(|_| RenderError::InvalidSecret("it is empty"))
}

#[cfg(test)]
mod tests;
