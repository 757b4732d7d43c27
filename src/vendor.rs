//! The vendors' webhook formats, in both directions: verifying and parsing the requests that hooks receive, and
//! rendering events as the requests that notifications send. Pure functions of bytes, headers and `now`; no I/O.

mod baidu;
mod generic;
mod gini;
mod json;
mod outgoing;
mod ppj;
mod settings;
mod shared_secret;
mod standard;
mod zoffice;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::domain::{Hook, Status, Timestamp, Update, Vendor, Verify};

pub use outgoing::{OriginalRequest, handshake_request, is_handshake_response, render_notification};
pub use ppj::{Edition, handshake as render_ppj_handshake, notify as render_ppj};
pub use settings::{check_secrets, check_settings, check_verify, secret_types, warnings};
pub use standard::{Mode, render as render_standard};

/// A request to a hook. The body is complete and within the size limit.
#[derive(Debug)]
pub struct WebhookRequest<'a> {
    /// GET, POST or OPTIONS.
    pub method: &'a Method,
    /// The path as received, without the query. PPJ signs it.
    pub path: &'a str,
    /// The raw query, without `?`.
    pub query: Option<&'a str>,
    /// The hook's public URL (`url` in the response to `POST /hooks`). Baidu's sibling products sign it; PPJ signed its
    /// path if a proxy strips a prefix. `None` when no public URL is known.
    pub endpoint: Option<&'a str>,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

/// The response to a handshake, instead of the usual `200 {}`.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct HandshakeResponse {
    /// Headers in addition to `Content-Type`.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: Vec<u8>,
}

/// The meaning of a webhook request.
#[derive(Debug)]
pub enum ParsedMessage {
    /// A handshake: answered, not stored.
    Handshake(HandshakeResponse),
    Update(Box<Update>),
}

/// A webhook request is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The vendor does not use this method. Answered with `405` and these methods in `Allow`.
    #[error("this hook accepts {0} requests only")]
    MethodNotAllowed(&'static str),
    /// Credentials or signature are missing or wrong. Answered with `401`. The text names what is required and never
    /// contains a secret or a received value.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// There is a signature, but not of the form that the hook verifies: it may be right. Answered with `401`; the
    /// request becomes an unverified reject. The text is like that of `Unauthorized`.
    #[error("{0}")]
    UnknownSignature(&'static str),
    /// The sender is verified, but the content cannot be parsed. Answered with `422`; the request becomes a reject.
    #[error("{0}")]
    Malformed(String),
}

/// An event to be rendered in a vendor's format.
#[derive(Debug, Clone)]
pub struct OutgoingEvent {
    /// The same for every attempt: Baidu's `messageId`, Standard Webhooks' `webhook-id`, CloudEvents' `id`.
    pub message_id: String,
    pub update: Update,
    /// Our document id, or any text if the command line plays a vendor.
    pub document_id: String,
    /// The notification's name, part of Baidu's format.
    pub notification: String,
    /// Time of storage; sent if the vendor gave no time. The same for every attempt.
    pub time: Timestamp,
    /// The event's stored JSON, which is the body in Gini's format. `None` if the event is not a stored one.
    pub event: Option<Bytes>,
}

/// An HTTP request to be sent.
#[derive(Debug, Clone)]
pub struct OutgoingRequest {
    /// GET or POST.
    pub method: Method,
    /// Absolute, including the query parameters of the format.
    pub url: String,
    /// All headers of the format, `Content-Type` included.
    pub headers: Vec<(String, String)>,
    /// Empty for GET.
    pub body: Bytes,
}

/// An event cannot be rendered in a vendor's format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    #[error("the format {vendor} does not support the status {status}: it supports final statuses only")]
    UnsupportedStatus { vendor: Vendor, status: Status },
    #[error("the vendor {vendor} does not support verification of type {verify_type}: see the table of hooks")]
    UnsupportedVerify { vendor: Vendor, verify_type: &'static str },
    #[error("invalid secret: {0}")]
    InvalidSecret(&'static str),
    #[error("the endpoint is not an absolute http or https URL")]
    InvalidEndpoint,
    #[error("edition {0} of PPJ's format has no such request: choose another edition")]
    UnsupportedEdition(Edition),
}

/// Both directions of one vendor's format.
trait Dialect: Sync {
    /// The accepted methods, as listed in `Allow`.
    fn methods(&self) -> &'static str;

    /// The supported values of `verify.type`.
    fn verify_types(&self) -> &'static [&'static str];

    /// Answers an `OPTIONS` request, which carries no credentials and changes nothing. Called only if [`Self::methods`]
    /// lists the method.
    fn handshake(&self, _request: &WebhookRequest<'_>) -> Result<HandshakeResponse, WebhookError> {
        Err(WebhookError::MethodNotAllowed(self.methods()))
    }

    /// Checks the signature or the credentials that the hook requires. Not called for `none`.
    fn verify(&self, hook: &Hook, request: &WebhookRequest<'_>, now: Timestamp) -> Result<(), WebhookError>;

    /// Parses a verified request.
    fn parse(&self, hook: &Hook, request: &WebhookRequest<'_>) -> Result<ParsedMessage, WebhookError>;

    /// Renders an event as a request to `endpoint`, signed or with credentials as `verify` describes.
    fn render(
        &self,
        event: &OutgoingEvent,
        endpoint: &str,
        verify: &Verify,
        now: Timestamp,
    ) -> Result<OutgoingRequest, RenderError>;
}

fn dialect(vendor: Vendor) -> &'static dyn Dialect {
    match vendor {
        Vendor::Ppj => &ppj::Ppj,
        Vendor::Baidu => &baidu::Baidu,
        Vendor::Zoffice => &zoffice::Zoffice,
        Vendor::Gini => &gini::Gini,
        Vendor::Standard => &standard::Standard,
        Vendor::Generic => &generic::Generic,
    }
}

/// Checks the method, answers an `OPTIONS` handshake, verifies the sender, and parses the request, in this order.
///
/// # Errors
/// [`WebhookError`]: wrong method, missing, wrong or unknown credentials, or content that cannot be parsed.
pub fn verify_and_parse(
    hook: &Hook,
    request: &WebhookRequest<'_>,
    now: Timestamp,
) -> Result<ParsedMessage, WebhookError> {
    let dialect = dialect(hook.vendor);
    if !dialect.methods().split(", ").any(|m| m == request.method.as_str()) {
        return Err(WebhookError::MethodNotAllowed(dialect.methods()));
    }
    if request.method == Method::OPTIONS {
        return dialect.handshake(request).map(ParsedMessage::Handshake);
    }
    if !matches!(hook.verify, Verify::None {}) {
        dialect.verify(hook, request, now)?;
    }
    dialect.parse(hook, request)
}

/// Parses a request that was verified on arrival: the replay of a verified reject, which is stored without credentials.
///
/// # Errors
/// [`WebhookError::Malformed`] if it still cannot be parsed.
pub fn parse_verified(hook: &Hook, request: &WebhookRequest<'_>) -> Result<ParsedMessage, WebhookError> {
    dialect(hook.vendor).parse(hook, request)
}

/// Renders an event in a vendor's format, signed or with credentials as `verify` describes.
///
/// # Errors
/// [`RenderError`]: the format lacks the status or the kind of verification, or the endpoint or secret is invalid.
pub fn render(
    vendor: Vendor,
    event: &OutgoingEvent,
    endpoint: &str,
    verify: &Verify,
    now: Timestamp,
) -> Result<OutgoingRequest, RenderError> {
    dialect(vendor).render(event, endpoint, verify, now)
}

/// A POST request with a JSON body.
fn post_json(endpoint: &str, headers: Vec<(String, String)>, body: Vec<u8>) -> OutgoingRequest {
    let mut all = vec![("content-type".to_owned(), "application/json".to_owned())];
    all.extend(headers);
    OutgoingRequest { method: Method::POST, url: endpoint.to_owned(), headers: all, body: body.into() }
}

fn malformed(reason: impl Into<String>) -> WebhookError {
    WebhookError::Malformed(reason.into())
}

/// The error for a stored hook whose `verify.type` its vendor does not support. Such a hook accepts no request.
fn unexpected_verify_type() -> WebhookError {
    WebhookError::Unauthorized("this hook's verify.type is not supported by its vendor: create a new hook")
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
