//! Reads the outcome of a request: the first bytes of the response body, `Retry-After`, or why there is no response.
//! The body may be endless, its length wrong, and the header malformed.

use std::error::Error;
use std::iter::successors;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::RETRY_AFTER;
use reqwest::Response;
use url::Url;

use super::guard::AddressError;
use crate::delivery::{HttpError, MAX_RESPONSE_BODY_BYTES};
use crate::domain::Timestamp;

/// Reads up to [`MAX_RESPONSE_BODY_BYTES`]; stops early at the end of the body, on an error, or after `timeout`. If the
/// body was read to its end the connection is reused, otherwise it is closed.
pub(super) async fn read_body(mut response: Response, timeout: Duration) -> Bytes {
    let mut body = BytesMut::new();
    let reading = async {
        while body.len() < MAX_RESPONSE_BODY_BYTES
            && let Ok(Some(chunk)) = response.chunk().await
        {
            // Copied: a slice would keep the whole read buffer of hyper in memory.
            body.extend_from_slice(&chunk[..chunk.len().min(MAX_RESPONSE_BODY_BYTES - body.len())]);
        }
    };
    if tokio::time::timeout(timeout, reading).await.is_err() {
        tracing::debug!(bytes = body.len(), "response body cut off at the deadline");
    }
    body.freeze()
}

/// `Retry-After` (RFC 9110, section 10.2.3): seconds or an HTTP date; zero for a date in the past. `None` if it is
/// malformed or repeated. Not clamped.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let mut values = headers.get_all(RETRY_AFTER).iter();
    let text = values.next()?.to_str().ok()?.trim_ascii();
    if values.next().is_some() || text.is_empty() {
        return None;
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        // Digits only: parsing fails on overflow only.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let date = Timestamp::from_millis(i64::try_from(date.as_millis()).ok()?);
    Some(now.until(date))
}

/// Converts an error of reqwest. The message contains host, port and root cause, never the whole URL: its path and
/// query may contain tokens.
pub(super) fn error(error: &reqwest::Error, url: &Url, timeout: Duration) -> HttpError {
    match causes(error).find_map(|cause| cause.downcast_ref::<AddressError>()) {
        Some(AddressError::Forbidden(reason)) => HttpError::Forbidden(reason.to_string()),
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn retry_after_of(values: &[&[u8]]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(RETRY_AFTER, HeaderValue::from_bytes(value).expect("a header value"));
        }
        // 1994-11-06T08:49:37Z
        retry_after(&headers, Timestamp::from_seconds(784_111_777))
    }

    #[test]
    fn retry_after_is_seconds_or_an_http_date() {
        for (value, seconds) in [
            ("0", 0),
            ("120", 120),
            ("007", 7),
            ("18446744073709551615", u64::MAX),
            ("18446744073709551616", u64::MAX),
            ("Sun, 06 Nov 1994 08:50:07 GMT", 30),
            ("Sunday, 06-Nov-94 08:50:07 GMT", 30),
            ("Sun Nov  6 08:50:07 1994", 30),
            ("Sun, 06 Nov 1994 08:49:07 GMT", 0),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ] {
            assert_eq!(retry_after_of(&[value.as_bytes()]), Some(Duration::from_secs(seconds)), "{value}");
        }
        assert!(retry_after_of(&[b"Fri, 31 Dec 9999 23:59:59 GMT"]).is_some_and(|d| d > Duration::from_secs(1 << 37)));
    }

    // Rule 25: `Retry-After` is parsed strictly and clamped.
    #[test]
    fn malformed_retry_after_is_ignored() {
        for value in [
            "inf",
            "Infinity",
            "NaN",
            "1e300",
            "-5",
            "+5",
            "5.5",
            "5s",
            "5 5",
            "0x10",
            "",
            " ",
            "soon",
            "1,2",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 99 Nov 1994 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(retry_after_of(&[value.as_bytes()]), None, "{value}");
        }
        assert_eq!(retry_after_of(&[]), None);
        assert_eq!(retry_after_of(&[b"5", b"5"]), None);
        assert_eq!(retry_after_of(&[b"\xff\xfe"]), None);
    }

    #[test]
    fn longest_retry_after_does_not_overflow() {
        let longest = retry_after_of(&[b"18446744073709551615"]).expect("a duration");
        assert!(Timestamp::now().plus(longest).to_string().starts_with("9999"));
    }
}
