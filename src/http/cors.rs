//! Cross-origin headers. The relay uses no cookies, so a response that any origin may read gives no access beyond that
//! of the token.

use http::{HeaderValue, header};
use warp::reply::Response;

/// The origins whose pages may read responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// `*`
    Any,
    /// These only, such as `https://app.example`.
    Only(Vec<String>),
}

impl Origins {
    /// Adds the headers for a request of this origin.
    pub(super) fn add_headers(&self, response: &mut Response, origin: Option<&HeaderValue>, preflight: bool) {
        let headers = response.headers_mut();
        let allowed = match self {
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::Only(names) => {
                headers.append(header::VARY, HeaderValue::from_static("Origin"));
                origin.filter(|o| names.iter().any(|n| n.as_bytes() == o.as_bytes())).cloned()
            }
        };
        let Some(allowed) = allowed else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if preflight {
            for (name, value) in [
                (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, PATCH, DELETE, OPTIONS"),
                (
                    header::ACCESS_CONTROL_ALLOW_HEADERS,
                    "Authorization, Last-Event-ID, Cache-Control, Content-Type, X-Bce-Date, X-Bce-Request-Id",
                ),
                (header::ACCESS_CONTROL_MAX_AGE, "86400"),
            ] {
                headers.insert(name, HeaderValue::from_static(value));
            }
        } else {
            headers.insert(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("X-Request-Id, X-Bce-Request-Id, Location, Retry-After"),
            );
        }
    }
}
