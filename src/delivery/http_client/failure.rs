//! What went wrong, in the words of notifications: turns the client's errors into [`HttpError`]. Names host and port, or
//! the cause at the root, and never the address as a whole: its path and query may hold tokens.

use std::error::Error;
use std::iter::successors;
use std::time::Duration;

use url::Url;

use super::guard::Closed;
use crate::delivery::HttpError;

/// Says why a request brought no answer.
pub(super) fn of(error: &reqwest::Error, url: &Url, timeout: Duration) -> HttpError {
    match causes(error).find_map(|cause| cause.downcast_ref::<Closed>()) {
        Some(Closed::ForbiddenEndpoint(why)) => HttpError::Forbidden(why.to_string()),
        Some(Closed::Unresolved(host)) => HttpError::Unresolved(host.clone()),
        None if error.is_builder() => HttpError::Forbidden(format!("the request is not valid HTTP: {}", root(error))),
        None if error.is_timeout() => HttpError::Timeout(timeout),
        None if error.is_connect() => HttpError::Connection(at(url, error)),
        None => HttpError::Broken(at(url, error)),
    }
}

fn at(url: &Url, error: &reqwest::Error) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{host}:{port}: {}", root(error))
}

/// The innermost cause. The outer ones only say that a request failed, and the outermost says for which address.
fn root(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| "the request failed".to_owned(), ToString::to_string)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    successors(error.source(), |cause| Error::source(*cause))
}
