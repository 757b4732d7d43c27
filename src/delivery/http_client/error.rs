//! Converts errors of reqwest to [`HttpError`]. The message contains host, port and root cause, never the whole URL: its
//! path and query may contain tokens.

use std::error::Error;
use std::iter::successors;
use std::time::Duration;

use url::Url;

use super::guard::AddressError;
use crate::delivery::HttpError;

pub(super) fn from_reqwest(error: &reqwest::Error, url: &Url, timeout: Duration) -> HttpError {
    match causes(error).find_map(|cause| cause.downcast_ref::<AddressError>()) {
        Some(AddressError::Forbidden(why)) => HttpError::Forbidden(why.to_string()),
        Some(AddressError::Unresolved(host)) => HttpError::Unresolved(host.clone()),
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

/// The innermost cause. The outer ones add nothing but the URL.
fn root(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| "the request failed".to_owned(), ToString::to_string)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    successors(error.source(), |cause| Error::source(*cause))
}
