//! Responses of handlers: JSON, text, no content, and a [`Problem`] for every error. Errors of Baidu's routes have a
//! format of their own, in `baidu`.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use warp::Reply;
use warp::reply::Response;

use super::request::{BodyError, RequestId};
use crate::auth::{AuthError, KeyError, TooManyDocuments};
use crate::domain::ClientLimit;
use crate::manage::{ClientError, HookError, NotificationError, ReplayError};
use crate::store::StoreError;

/// `Retry-After` while the store does not accept.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The path of the relay's metadata as a protected resource.
pub(super) const RESOURCE_METADATA_PATH: &str = "/.well-known/oauth-protected-resource";

/// The result of a handler.
pub(super) type HandlerResult = Result<Response, Problem>;

/// A JSON response that no cache stores: it may belong to one client.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => json_bytes(status, bytes),
        Err(error) => {
            tracing::error!(%error, "response not serialized");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The same for JSON that is serialized already.
pub(super) fn json_bytes(status: StatusCode, body: impl Into<bytes::Bytes>) -> Response {
    let mut response = text(status, "application/json", body);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A response of any content type.
pub(super) fn text(status: StatusCode, content_type: &'static str, body: impl Into<bytes::Bytes>) -> Response {
    let mut response = http::Response::new(body.into()).into_response();
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Adds `Location`.
pub(super) fn with_location(mut response: Response, location: &str) -> Response {
    if let Ok(value) = location.parse() {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// `204`
pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// An error response: `application/problem+json` (RFC 9457).
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// What is wrong and what the caller can do about it. Holds no internal text.
    pub(super) detail: String,
    /// The name of the limit that is reached.
    limit: Option<&'static str>,
    headers: Vec<(&'static str, String)>,
}

impl Problem {
    /// A problem without headers of its own.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), limit: None, headers: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// `429`; `limit` is the name of what is exceeded.
    pub(super) fn too_many(limit: &'static str, detail: impl Into<String>) -> Self {
        Self { limit: Some(limit), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// `429` for a client with too many webhooks and registrations of documents.
    pub(super) fn event_rate_exceeded() -> Self {
        let limit = ClientLimit::EventsPerSecond.as_str();
        Self::too_many(limit, format!("this client gets webhooks and registers documents too often: {limit}"))
            .with_header("retry-after", "1")
    }

    /// `400`
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// `404`
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("no such {what}"))
    }

    /// `405` with `Allow`.
    pub(super) fn method_not_allowed(allow: impl Into<String>) -> Self {
        let allow = allow.into();
        Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("this address takes {allow}")).with_header("allow", allow)
    }

    /// `403` for a token without the required scope.
    pub(super) fn insufficient_scope(scope: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, format!("the token lacks the scope {scope}"))
            .with_header("www-authenticate", format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""))
    }

    /// `403` for a ticket where a stream is not requested.
    pub(super) fn ticket_not_accepted() -> Self {
        Self::new(StatusCode::FORBIDDEN, "a ticket can follow streams and nothing else")
            .with_header("www-authenticate", "Bearer error=\"insufficient_scope\"")
    }

    /// `401` without any token.
    pub(super) fn token_required() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "send Authorization: Bearer <token>")
            .with_header("www-authenticate", "Bearer")
    }

    /// `401` for a token that is not valid.
    pub(super) fn invalid_token(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail).with_header("www-authenticate", "Bearer error=\"invalid_token\"")
    }

    /// Adds the address of the metadata (RFC 9728, 5.1) to the challenge of a `401`.
    #[must_use]
    pub(super) fn with_resource_metadata(mut self, public_url: &str) -> Self {
        for (_, challenge) in self.headers.iter_mut().filter(|(name, _)| *name == "www-authenticate") {
            let separator = if challenge.contains('=') { ", " } else { " " };
            *challenge += separator;
            *challenge += &resource_metadata(public_url);
        }
        self
    }

    /// The response, with the request's id in it.
    pub(super) fn into_response(self, id: &RequestId) -> Response {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct ProblemJson<'a> {
            title: &'a str,
            status: u16,
            detail: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            limit: Option<&'a str>,
            request_id: &'a str,
        }
        let body = ProblemJson {
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            limit: self.limit,
            request_id: &id.0,
        };
        let mut response = json(self.status, &body);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in self.headers {
            if let Ok(value) = value.parse() {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// The parameter of a challenge that names the metadata (RFC 9728, 5.1).
pub(super) fn resource_metadata(public_url: &str) -> String {
    format!("resource_metadata=\"{public_url}{RESOURCE_METADATA_PATH}\"")
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Stopped => {
                // The reason is for the log, not for the caller. The store itself logs it as an error once.
                tracing::warn!(%error, "request not stored");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "nothing can be stored at present: try again later")
                    .with_header("retry-after", RETRY_AFTER.as_secs().to_string())
            }
            StoreError::Inapplicable(_) => {
                tracing::error!(%error, "request cannot be stored");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the request cannot be stored: see the log of the relay")
            }
            StoreError::TooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
            StoreError::Conflict(_) | StoreError::TooMany(_) => Self::new(StatusCode::CONFLICT, error.to_string()),
            StoreError::ClientLimit { limit, .. } => Self::too_many(limit.as_str(), error.to_string()),
            StoreError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, error.to_string()),
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        tracing::error!(%error, "the system's random source failed");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "no key can be made at present: try again later")
    }
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Key(error) => error.into(),
            ClientError::Invalid(reason) => Self::bad_request(reason),
            ClientError::Store(error) => error.into(),
        }
    }
}

impl From<ReplayError> for Problem {
    fn from(failure: ReplayError) -> Self {
        match failure {
            ReplayError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, failure.to_string()),
            ReplayError::Malformed(reason) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, reason),
            ReplayError::Store(error) => error.into(),
        }
    }
}

impl From<HookError> for Problem {
    fn from(refusal: HookError) -> Self {
        match refusal {
            HookError::Invalid(reason) => Self::bad_request(reason),
            HookError::TooMany(_) => Self::new(StatusCode::CONFLICT, refusal.to_string()),
            HookError::Key(error) => error.into(),
            HookError::Store(error) => error.into(),
        }
    }
}

impl From<NotificationError> for Problem {
    fn from(refusal: NotificationError) -> Self {
        match refusal {
            NotificationError::Invalid { .. } => Self::bad_request(refusal.to_string()),
            NotificationError::Unverified(reason) => Self::new(StatusCode::CONFLICT, reason),
            NotificationError::Store(error) => error.into(),
        }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
            BodyError::TooSlow(_) => Self::new(StatusCode::REQUEST_TIMEOUT, error.to_string()),
            BodyError::Incomplete | BodyError::Malformed(_) | BodyError::Invalid(_) => {
                Self::bad_request(error.to_string())
            }
        }
    }
}

impl From<TooManyDocuments> for Problem {
    fn from(error: TooManyDocuments) -> Self {
        Self::bad_request(format!("documents: {error}"))
    }
}

impl From<AuthError> for Problem {
    fn from(denied: AuthError) -> Self {
        Self::invalid_token(format!("the token was not accepted: {denied}"))
    }
}
