//! What is taken from an answer: its first bytes, and how long it asks to be left alone. Nothing here trusts the other
//! side to come to an end, to be honest about lengths, or to mean its numbers.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::RETRY_AFTER;
use reqwest::Response;

use crate::delivery::MAX_RESPONSE_BODY_BYTES;
use crate::domain::Timestamp;

/// The beginning of the body: what has come when it ended, broke off, reached its bound, or `patience` was over. A body
/// that was read to its end leaves the connection to the next request; else dropping the response closes it.
pub(super) async fn beginning(mut response: Response, patience: Duration) -> Bytes {
    let mut kept = BytesMut::new();
    let reading = async {
        while kept.len() < MAX_RESPONSE_BODY_BYTES
            && let Ok(Some(chunk)) = response.chunk().await
        {
            // Copied, because a slice would keep all of hyper's read buffer, which grows far beyond the bound.
            kept.extend_from_slice(&chunk[..chunk.len().min(MAX_RESPONSE_BODY_BYTES - kept.len())]);
        }
    };
    if tokio::time::timeout(patience, reading).await.is_err() {
        tracing::debug!(bytes = kept.len(), "an answer was cut off at the deadline");
    }
    kept.freeze()
}

/// RFC 9110, 10.2.3: whole seconds or an HTTP date. Anything else is as good as nothing, and so are two of them. A date
/// that has passed is zero; the caller clamps.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let mut values = headers.get_all(RETRY_AFTER).iter();
    let text = values.next()?.to_str().ok()?.trim_ascii();
    if values.next().is_some() || text.is_empty() {
        return None;
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        // Only digits, so what does not parse is a number that is too large.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let date = Timestamp::from_millis(i64::try_from(date.as_millis()).ok()?);
    Some(now.until(date))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn asked(values: &[&[u8]]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(RETRY_AFTER, HeaderValue::from_bytes(value).expect("a header value"));
        }
        // 1994-11-06T08:49:37Z
        retry_after(&headers, Timestamp::from_seconds(784_111_777))
    }

    #[test]
    fn retry_after_is_whole_seconds_or_a_date() {
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
            assert_eq!(asked(&[value.as_bytes()]), Some(Duration::from_secs(seconds)), "{value}");
        }
        assert!(asked(&[b"Fri, 31 Dec 9999 23:59:59 GMT"]).is_some_and(|d| d > Duration::from_secs(1 << 37)));
    }

    #[test]
    fn a_retry_after_that_is_neither_number_nor_date_is_no_wish_at_all() {
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
            assert_eq!(asked(&[value.as_bytes()]), None, "{value}");
        }
        assert_eq!(asked(&[]), None);
        assert_eq!(asked(&[b"5", b"5"]), None);
        assert_eq!(asked(&[b"\xff\xfe"]), None);
    }

    #[test]
    fn the_longest_wish_does_not_overflow_time() {
        let longest = asked(&[b"18446744073709551615"]).expect("a wish");
        assert!(Timestamp::now().plus(longest).to_string().starts_with("9999"));
    }
}
