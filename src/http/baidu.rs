//! Authentication and errors of Baidu's API at `/v1` and `/v2`: `bce-auth-v1` or a bearer token, and the error codes
//! that Baidu documents.

pub(in crate::http) mod notifications;

use http::{HeaderMap, StatusCode};
use serde::Serialize;
use warp::reply::Response;

use crate::auth::{BceAuthorization, BceRequest, BceSignatureError, Scope, bearer};
use crate::domain::{ClientId, ClientRef, Timestamp};
use crate::http::Context;
use crate::http::credential_checks::{TokenRefusal, TooManyFailures};
use crate::http::request::{BodyError, Request, RequestId};
use crate::http::response::{self, RETRY_AFTER, resource_metadata};
use crate::manage::NotificationError;
use crate::store::StoreError;

/// Holds the request id in responses of Baidu's API.
const REQUEST_ID: &str = "x-bce-request-id";

/// An error as Baidu's SDKs read it.
#[derive(Debug)]
pub(in crate::http) struct BceError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// The name of the client's own limit that is reached.
    limit: Option<&'static str>,
    headers: Vec<(&'static str, String)>,
}

impl BceError {
    /// An error without headers of its own.
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), limit: None, headers: Vec::new() }
    }

    /// `400` for an invalid field, in the format of Baidu's validation.
    pub(in crate::http) fn invalid(field: &str, reason: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BceValidationException", format!("{field}:{field}={reason}\n"))
    }

    /// `404`
    pub(in crate::http) fn no_such_notification() -> Self {
        let message = "there is no notification of this name";
        Self::new(StatusCode::NOT_FOUND, "DocExceptions.NoSuchNotification", message)
    }

    /// `404`
    pub(in crate::http) fn no_such_address() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NoSuchAddress", "there is nothing at this address")
    }

    /// `405` with `Allow`.
    pub(in crate::http) fn method_not_allowed(allow: String) -> Self {
        let message = format!("this address takes {allow}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message).with_header("allow", allow)
    }

    fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn access_denied(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, "AccessDenied", message)
    }

    /// The response, with the request's id in it.
    pub(in crate::http) fn into_response(self, id: &RequestId) -> Response {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct BceErrorJson<'a> {
            request_id: &'a str,
            code: &'a str,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            limit: Option<&'a str>,
        }
        let body = BceErrorJson { request_id: &id.0, code: self.code, message: &self.message, limit: self.limit };
        let mut response = response::json(self.status, &body);
        for (name, value) in self.headers {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// Adds the request's id, which every response of Baidu's API has. An id that the caller sent is not repeated: only the
/// relay's own is in its log.
pub(in crate::http) fn with_request_id(mut response: Response, id: &RequestId) -> Response {
    if let Ok(value) = id.0.parse() {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The client that a request authenticates as.
pub(in crate::http) async fn authenticate(
    context: &Context,
    request: &Request,
    now: Timestamp,
) -> Result<ClientRef, BceError> {
    let Some(header) = authorization(&request.headers)? else {
        let message = "send Authorization: bce-auth-v1/… signed with client id and secret, or Bearer <token>";
        return Err(BceError::access_denied(StatusCode::FORBIDDEN, message));
    };
    if let Some(token) = bearer(header) {
        return authenticate_token(context, request, token, now).await;
    }
    let authorization = BceAuthorization::parse(header)?;
    context.check_failures(request)?;
    let verified = match verify_signature(context, request, &authorization, now) {
        Err(denied) if denied.depends_on_registry() && context.catch_up().await => {
            verify_signature(context, request, &authorization, now)
        }
        verified => verified,
    };
    verified.map_err(|denied| {
        tracing::info!(request_id = %request.id.0, address = request.logged_address(), %denied, "signature verification failed");
        if denied != BceSignatureError::RequestExpired {
            context.record_failure(request);
        }
        denied.into()
    })
}

fn verify_signature(
    context: &Context,
    request: &Request,
    authorization: &BceAuthorization<'_>,
    now: Timestamp,
) -> Result<ClientRef, BceSignatureError> {
    let key: Option<ClientId> = authorization.access_key().parse().ok();
    let client = key.and_then(|id| context.clients.get(&id));
    let signed = BceRequest {
        method: request.method.as_str(),
        path: &request.path,
        query: request.query.as_deref(),
        headers: &request.headers,
    };
    authorization.verify(&signed, client.as_deref(), now)?;
    client.map(|client| client.reference()).ok_or(BceSignatureError::InvalidAccessKeyId)
}

/// The `Authorization` header as text. Two of them are an error.
fn authorization(headers: &HeaderMap) -> Result<Option<&str>, BceError> {
    let mut all = headers.get_all("authorization").iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(one), None) if one.is_empty() => Ok(None),
        (Some(one), None) => one.to_str().map(Some).map_err(|_| BceSignatureError::InvalidHttpAuthHeader.into()),
        (Some(_), Some(_)) => Err(BceSignatureError::InvalidHttpAuthHeader.into()),
    }
}

async fn authenticate_token(
    context: &Context,
    request: &Request,
    token: &str,
    now: Timestamp,
) -> Result<ClientRef, BceError> {
    let grant = context.check_request_token(request, token, now).await.map_err(|refusal| {
        tracing::info!(request_id = %request.id.0, address = request.logged_address(), denied = %refusal, "token rejected");
        match refusal {
            TokenRefusal::Denied(denied) => {
                BceError::access_denied(StatusCode::UNAUTHORIZED, format!("the token was not accepted: {denied}"))
                    .with_header(
                        "www-authenticate",
                        format!("Bearer error=\"invalid_token\", {}", resource_metadata(&context.public_url)),
                    )
            }
            TokenRefusal::TooManyFailures(failures) => failures.into(),
        }
    })?;
    if grant.scopes.has(Scope::Manage) {
        return Ok(grant.client);
    }
    let scope = Scope::Manage.as_str();
    Err(BceError::access_denied(StatusCode::FORBIDDEN, format!("the token lacks the scope {scope}"))
        .with_header("www-authenticate", format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"")))
}

impl From<TooManyFailures> for BceError {
    fn from(refusal: TooManyFailures) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "RequestLimitExceeded", refusal.to_string())
            .with_header("retry-after", refusal.retry_after_seconds())
    }
}

impl From<BceSignatureError> for BceError {
    fn from(denied: BceSignatureError) -> Self {
        let (status, code) = match denied {
            BceSignatureError::InvalidHttpAuthHeader => (StatusCode::BAD_REQUEST, "InvalidHTTPAuthHeader"),
            BceSignatureError::InvalidAccessKeyId => (StatusCode::FORBIDDEN, "InvalidAccessKeyId"),
            BceSignatureError::SignatureDoesNotMatch => (StatusCode::BAD_REQUEST, "SignatureDoesNotMatch"),
            BceSignatureError::RequestExpired => (StatusCode::BAD_REQUEST, "RequestExpired"),
        };
        Self::new(status, code, denied.to_string())
    }
}

impl From<StoreError> for BceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Stopped => {
                // The reason is for the log, not for the caller.
                tracing::warn!(%error, "request not stored");
                let message = "nothing can be stored at present: try again later";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
                    .with_header("retry-after", RETRY_AFTER.as_secs().to_string())
            }
            StoreError::Inapplicable(_) => {
                tracing::error!(%error, "request cannot be stored");
                let message = "the request cannot be stored: see the log of the relay";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message)
            }
            StoreError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "EntityTooLarge", error.to_string())
            }
            StoreError::Conflict(_) => {
                let message = "there is a notification of this name already";
                Self::new(StatusCode::BAD_REQUEST, "DocExceptions.DuplicateNotification", message)
            }
            StoreError::TooMany(_) => {
                Self::new(StatusCode::BAD_REQUEST, "DocExceptions.NotificationQuotaExceeded", error.to_string())
            }
            StoreError::ClientLimit { limit, .. } => {
                let code = "DocExceptions.NotificationQuotaExceeded";
                Self {
                    limit: Some(limit.as_str()),
                    ..Self::new(StatusCode::TOO_MANY_REQUESTS, code, error.to_string())
                }
            }
            // Removed after its signature was checked.
            StoreError::NotFound("client") => BceSignatureError::InvalidAccessKeyId.into(),
            StoreError::NotFound(_) => Self::no_such_notification(),
        }
    }
}

impl From<NotificationError> for BceError {
    fn from(refusal: NotificationError) -> Self {
        match refusal {
            NotificationError::Invalid { field, reason } => Self::invalid(field, &reason),
            NotificationError::Unverified(reason) => {
                Self::new(StatusCode::BAD_REQUEST, "DocExceptions.NotificationNotVerified", reason)
            }
            NotificationError::Store(error) => error.into(),
        }
    }
}

impl From<BodyError> for BceError {
    fn from(error: BodyError) -> Self {
        let (status, code) = match error {
            BodyError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "EntityTooLarge"),
            BodyError::TooSlow(_) => (StatusCode::REQUEST_TIMEOUT, "RequestTimeout"),
            BodyError::Incomplete => (StatusCode::BAD_REQUEST, "IncompleteBody"),
            BodyError::Malformed(_) => (StatusCode::BAD_REQUEST, "MalformedJSON"),
            BodyError::Invalid(_) => (StatusCode::BAD_REQUEST, "InappropriateJSON"),
        };
        Self::new(status, code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ClientLimit;

    #[test]
    fn store_error_has_the_code_that_baidu_documents() {
        let response = |error: StoreError| {
            let error = BceError::from(error);
            (error.status.as_u16(), error.code)
        };
        assert_eq!(response(StoreError::Conflict("main".into())), (400, "DocExceptions.DuplicateNotification"));
        assert_eq!(
            response(StoreError::TooMany("five notifications")),
            (400, "DocExceptions.NotificationQuotaExceeded")
        );
        let limit = StoreError::ClientLimit { limit: ClientLimit::Notifications, value: 7 };
        assert_eq!(response(limit), (429, "DocExceptions.NotificationQuotaExceeded"));
        assert_eq!(response(StoreError::NotFound("notification")), (404, "DocExceptions.NoSuchNotification"));
        assert_eq!(response(StoreError::NotFound("client")), (403, "InvalidAccessKeyId"));
    }

    #[test]
    fn unavailable_store_gets_503_with_retry_after_and_no_reason() {
        for error in [StoreError::Unavailable("/secret/place: disk full".into()), StoreError::Stopped] {
            let response = BceError::from(error).into_response(&RequestId("r-1".into()));
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers().get("retry-after").map(|v| v.as_bytes()), Some(&b"5"[..]));
        }
        let error = BceError::from(StoreError::Unavailable("/secret/place: disk full".into()));
        assert_eq!(error.code, "ServiceUnavailable");
        assert!(!error.message.contains("secret"), "{error:?}");
    }
}
