//! The encoding of received tokens: their headers, their claims, and the check of their signature with `jsonwebtoken`.
//! Which keys and which values of claims are accepted is decided by `token` and, for tokens of other issuers, by
//! `issuers`.

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::grant::AuthError;
use crate::domain::Timestamp;

/// `aud`: one name or several.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    pub(super) fn includes(&self, name: &str) -> bool {
        match self {
            Audience::One(one) => one == name,
            Audience::Many(many) => many.iter().any(|a| a == name),
        }
    }
}

/// Seconds since the epoch, possibly with a fraction (RFC 7519, 2). Values outside 1970 to 9999 are clamped, so none
/// overflows.
pub(super) struct NumericDate(pub(super) Timestamp);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(d)?;
        let millis = match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.saturating_mul(1000),
            // The cast saturates. Rounding down ensures that a token never outlives its `exp`.
            (None, Some(fraction)) => (fraction * 1000.0).floor() as i64,
            (None, None) => return Err(serde::de::Error::custom("not a number of seconds")),
        };
        Ok(Self(Timestamp::from_millis(millis)))
    }
}

/// The header of a token, whose signature is not verified yet.
///
/// # Errors
/// [`AuthError::Malformed`], also for `none`, algorithms that no key here has, and critical extensions.
pub(super) fn read_header(token: &str) -> Result<Header, AuthError> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Malformed)?;
    // RFC 7515, 4.1.11: critical extensions must be supported, and none is.
    if header.crit.is_some() { Err(AuthError::Malformed) } else { Ok(header) }
}

/// The `iss` of a token whose signature is not verified. It may select configured keys and nothing else.
///
/// # Errors
/// [`AuthError::Malformed`].
pub(super) fn unverified_issuer(token: &str) -> Result<String, AuthError> {
    /// serde refuses a repeated `iss`.
    #[derive(Deserialize)]
    struct IssuerClaim {
        iss: String,
    }
    let claims = token.split('.').nth(1).and_then(|part| BASE64URL_NOPAD.decode(part.as_bytes()).ok());
    let claims = claims.and_then(|json| serde_json::from_slice::<IssuerClaim>(&json).ok());
    claims.map(|claims| claims.iss).ok_or(AuthError::Malformed)
}

/// The claims of a token that this key has signed with this algorithm. No claim is checked.
///
/// # Errors
/// [`AuthError::InvalidSignature`], [`AuthError::Algorithm`] or [`AuthError::Malformed`].
pub(super) fn verify<T: DeserializeOwned>(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
) -> Result<T, AuthError> {
    let decoded = jsonwebtoken::decode::<T>(token, key, &signature_only(algorithm));
    decoded.map(|data| data.claims).map_err(|error| jwt_error(&error))
}

/// `jsonwebtoken` checks algorithm and signature only. The claims are checked by the callers, because it reads the
/// system clock and accepts an array as issuer.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn jwt_error(error: &Error) -> AuthError {
    match error.kind() {
        ErrorKind::InvalidSignature => AuthError::InvalidSignature,
        ErrorKind::InvalidAlgorithm => AuthError::Algorithm,
        _ => AuthError::Malformed,
    }
}
