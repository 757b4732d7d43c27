//! Plain answers: JSON, text, and nothing.

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use warp::Reply;
use warp::reply::Response;

/// What a handler returns: an answer, or a problem that becomes one.
pub(super) type HandlerResult = Result<Response, super::problem::Problem>;

/// A JSON answer. It is not to be stored: it may belong to one client.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => json_bytes(status, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A JSON answer that is written already.
pub(super) fn json_bytes(status: StatusCode, body: impl Into<bytes::Bytes>) -> Response {
    let mut response = text(status, "application/json", body);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Bytes of some type.
pub(super) fn text(status: StatusCode, content_type: &'static str, body: impl Into<bytes::Bytes>) -> Response {
    let mut response = http::Response::new(body.into()).into_response();
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// `204`
pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
