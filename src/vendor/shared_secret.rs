//! What the checks of signatures and credentials with a shared secret have in common: HMAC-SHA256, constant-time
//! comparison, strict decoding, headers that occur once, timestamp windows. The checks themselves are
//! [`super::Dialect::verify`] of each vendor.

use std::time::Duration;

use aws_lc_rs::{constant_time, digest, hmac};
use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use http::HeaderMap;

use super::WebhookError;
use crate::domain::{Encoding, Secret, Timestamp};

/// Maximum difference between a signed timestamp and our clock.
pub(super) const MAX_CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// HMAC-SHA256 of the concatenated parts.
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut tag = [0; 32];
    // An HMAC-SHA256 tag has 32 bytes; `copy_from_slice` panics for other lengths.
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

/// Lower-case hexadecimal.
pub(super) fn hex(tag: &[u8]) -> String {
    HEXLOWER.encode(tag)
}

/// Decodes a tag of exactly 32 bytes, so that an empty or truncated one never compares as equal.
pub(super) fn decode_tag(encoding: Encoding, text: &[u8]) -> Option<[u8; 32]> {
    let bytes = match encoding {
        Encoding::Hex => HEXLOWER_PERMISSIVE.decode(text),
        Encoding::Base64 => BASE64.decode(text),
    };
    bytes.ok()?.try_into().ok()
}

/// Compares two tags in constant time.
pub(super) fn tags_equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Compares a header value with the secret in constant time. Digests are compared, so that the time does not depend on
/// the secret's length either.
pub(super) fn equals_secret(sent: &[u8], secret: &Secret) -> Result<bool, WebhookError> {
    let expected = digest::digest(&digest::SHA256, secret_bytes(secret)?);
    let sent = digest::digest(&digest::SHA256, sent);
    Ok(constant_time::verify_slices_are_equal(sent.as_ref(), expected.as_ref()).is_ok())
}

/// The secret's bytes.
///
/// # Errors
/// [`WebhookError::Unauthorized`] for an empty secret, which must never verify anything.
pub(super) fn secret_bytes(secret: &Secret) -> Result<&[u8], WebhookError> {
    match secret.expose().as_bytes() {
        [] => Err(WebhookError::Unauthorized("this hook's secret is empty: create a new hook")),
        bytes => Ok(bytes),
    }
}

/// The value of the header that holds the signature or the credentials; it must occur exactly once. Otherwise the error
/// has the text `reason`: the signature has an unknown form if only another header holds one.
pub(super) fn signature_header<'a>(
    headers: &'a HeaderMap,
    name: &str,
    reason: &'static str,
) -> Result<&'a [u8], WebhookError> {
    if headers.contains_key(name) { single_header(headers, name, reason) } else { Err(missing(headers, reason)) }
}

/// The error for a request without the header that holds its signature or credentials.
pub(super) fn missing(headers: &HeaderMap, reason: &'static str) -> WebhookError {
    let is_signature =
        |name: &str| ["signature", "hmac"].iter().any(|part| name.contains(part)) || name == "notification-auth-token";
    if headers.keys().any(|name| is_signature(name.as_str())) {
        WebhookError::UnknownSignature(reason)
    } else {
        WebhookError::Unauthorized(reason)
    }
}

/// The error for a signature header whose value is not of the hook's form.
pub(super) fn unknown_form(value: &[u8], reason: &'static str) -> WebhookError {
    if value.trim_ascii().is_empty() {
        WebhookError::Unauthorized(reason)
    } else {
        WebhookError::UnknownSignature(reason)
    }
}

/// The value of a header that must occur exactly once; otherwise the error has the text `reason`.
pub(super) fn single_header<'a>(
    headers: &'a HeaderMap,
    name: &str,
    reason: &'static str,
) -> Result<&'a [u8], WebhookError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.as_bytes()),
        _ => Err(WebhookError::Unauthorized(reason)),
    }
}

/// Checks that `Authorization` occurs once and equals the secret.
pub(super) fn check_authorization(headers: &HeaderMap, secret: &Secret) -> Result<(), WebhookError> {
    const EXPECTED: &str = "the header Authorization must occur once and equal the hook's secret";
    if equals_secret(signature_header(headers, "authorization", EXPECTED)?, secret)? {
        Ok(())
    } else {
        Err(WebhookError::Unauthorized(EXPECTED))
    }
}

/// Whether a timestamp in seconds is within [`MAX_CLOCK_SKEW`] of `now`. Only digits are accepted: no sign, fraction or
/// exponent, and no overflow.
pub(super) fn is_fresh(seconds: &[u8], now: Timestamp) -> bool {
    parse_digits(seconds)
        .and_then(|s| s.checked_sub(now.seconds()))
        .is_some_and(|apart| apart.unsigned_abs() <= MAX_CLOCK_SKEW.as_secs())
}

/// Parses digits only; `None` on overflow.
pub(super) fn parse_digits(digits: &[u8]) -> Option<i64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Rule 19: times do not overflow.
    #[test]
    fn extreme_timestamps_are_stale_and_do_not_panic() {
        let now = Timestamp::from_seconds(1_700_000_000);
        let extremes = [i64::MIN.to_string(), i64::MAX.to_string(), u64::MAX.to_string(), "9".repeat(4000)];
        let odd = ["", "-1", "inf", "NaN", "1e9", "+1700000000", " 1700000000", "1700000000.0", "0", "１７"];
        for text in extremes.iter().map(String::as_str).chain(odd) {
            assert!(!is_fresh(text.as_bytes(), now), "{text}");
        }
    }

    #[test]
    fn timestamps_are_fresh_within_five_minutes_in_both_directions() {
        let now = Timestamp::from_seconds(1_700_000_000);
        for (text, fresh) in [("1700000300", true), ("1700000301", false), ("1699999700", true), ("1699999699", false)]
        {
            assert_eq!(is_fresh(text.as_bytes(), now), fresh, "{text}");
        }
    }

    // Rule 15: signatures are compared whole.
    #[test]
    fn signature_of_wrong_length_or_alphabet_is_rejected() {
        let good = hex(&[7; 32]);
        assert_eq!(decode_tag(Encoding::Hex, good.as_bytes()), Some([7; 32]));
        assert_eq!(
            decode_tag(Encoding::Hex, good.to_uppercase().as_bytes()),
            decode_tag(Encoding::Hex, good.as_bytes())
        );
        for bad in ["", &good[2..], &format!("{good}00"), &format!("{} ", &good[1..]), &"g".repeat(64)] {
            assert_eq!(decode_tag(Encoding::Hex, bad.as_bytes()), None, "{bad}");
        }
        let good = BASE64.encode(&[7; 32]);
        assert_eq!(decode_tag(Encoding::Base64, good.as_bytes()), Some([7; 32]));
        assert_eq!(decode_tag(Encoding::Base64, good.trim_end_matches('=').as_bytes()), None);
    }

    // Rule 16: nothing verifies by being empty, unknown or repeated.
    #[test]
    fn empty_secret_verifies_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", http::HeaderValue::from_static(""));
        assert!(matches!(check_authorization(&headers, &Secret::new("")), Err(WebhookError::Unauthorized(_))));
    }
}
