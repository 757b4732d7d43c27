//! Verifies tokens: signature, claims, expiry and whether their client still exists. Caches verified tokens.
//! `credentials` finds tokens in requests; `issue` issues them.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use dashmap::DashMap;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;

use super::files::KeyError;
use super::grant::{AuthError, Grant, Scope, Scopes, Ticket};
use super::issue::{ISSUER, TICKET_USE};
use super::keys::Keys;
use crate::domain::{ClientId, ClientRef, Timestamp};
use crate::store::Registry;

/// Longer tokens are rejected without parsing. An issued token has about 400 bytes, a ticket with 100 documents 5700.
const MAX_TOKEN_BYTES: usize = 8192;

/// Capacity of the cache of verified tokens: about 2 MiB, or 25 MiB if each is a ticket with 100 documents.
const MAX_CACHED_TOKENS: usize = 10_000;

/// Verifies tokens and caches the valid ones. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    inner: Arc<AuthenticatorState>,
}

/// What the clones of an [`Authenticator`] share.
struct AuthenticatorState {
    keys: Keys,
    registry: Arc<dyn Registry>,
    /// Verified tokens by their SHA-256: verifying an Ed25519 signature takes about 44 µs, a lookup 0.2 µs. At most
    /// [`MAX_CACHED_TOKENS`]. A full cache drops expired tokens, at most once a second; if it stays full, further
    /// tokens are verified on each use.
    verified: DashMap<[u8; 32], Grant>,
    /// Time of the last cleaning, in seconds.
    last_cleaned: AtomicI64,
}

/// The claims of a received token. Unknown claims are ignored; serde rejects repeated ones.
#[derive(Deserialize)]
struct ReceivedClaims {
    iss: String,
    aud: Audience,
    sub: String,
    scope: String,
    exp: NumericDate,
    iat: NumericDate,
    /// Milliseconds. Every token that the relay issues has it.
    #[serde(default)]
    client_created: Option<i64>,
    #[serde(default)]
    nbf: Option<NumericDate>,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    documents: Option<Vec<String>>,
}

impl ReceivedClaims {
    /// The restriction to a ticket, if any. An unknown `use`, `documents` without it, and a ticket with more than the
    /// scope `events` are rejected, because ignoring them would grant more than the issuer intended.
    fn ticket(&self, scopes: Scopes) -> Result<Option<Ticket>, AuthError> {
        match (self.purpose.as_deref(), &self.documents) {
            (None, None) => Ok(None),
            (Some(TICKET_USE), documents) if scopes == Scope::Events.into() => {
                let read = |names: &Vec<String>| names.iter().map(|name| name.parse()).collect::<Result<_, _>>();
                let documents = documents.as_ref().map(read).transpose().map_err(|_| AuthError::Malformed)?;
                Ticket::new(documents).map(Some).map_err(|_| AuthError::Malformed)
            }
            _ => Err(AuthError::Malformed),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Seconds since the epoch, possibly with a fraction (RFC 7519, 2). Values outside 1970 to 9999 are clamped, so none
/// overflows.
struct NumericDate(Timestamp);

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

impl Authenticator {
    pub fn new(keys: Keys, registry: Arc<dyn Registry>) -> Self {
        let inner = AuthenticatorState { keys, registry, verified: DashMap::new(), last_cleaned: AtomicI64::new(0) };
        Self { inner: Arc::new(inner) }
    }

    /// Reads the key directory again; returns whether a key was retired. Its tokens and grants are then invalid.
    ///
    /// # Errors
    /// See [`Keys::reload`].
    pub fn reload_keys(&self, now: Timestamp) -> Result<bool, KeyError> {
        let retired = self.inner.keys.reload(now)?;
        if retired {
            self.inner.verified.clear();
        }
        Ok(retired)
    }

    /// Verifies a token at `now`, without leeway: a token is invalid from its `exp` on.
    ///
    /// # Errors
    /// [`AuthError`]: the token gives no access.
    pub fn check(&self, token: &str, now: Timestamp) -> Result<Grant, AuthError> {
        if token.is_empty() {
            return Err(AuthError::Missing);
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::TooLong);
        }
        let mut cache_key = [0; 32];
        cache_key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        let cached = self.inner.verified.get(&cache_key).map(|entry| entry.value().clone());
        if let Some(grant) = cached {
            let result = self.check_grant(&grant, now);
            if result == Err(AuthError::Expired) {
                self.inner.verified.remove(&cache_key);
            }
            return result.map(|()| grant);
        }
        let grant = self.verify(token, now)?;
        self.check_grant(&grant, now)?;
        self.cache(cache_key, &grant, now);
        Ok(grant)
    }

    /// Checks whether a grant is still valid at `now`. A stream is checked again after it has subscribed to the hub: its
    /// client may have been removed since [`check`](Self::check).
    ///
    /// # Errors
    /// [`AuthError::Expired`], [`AuthError::UnknownKey`] if its key was retired, or [`AuthError::UnknownClient`] if the client was removed, even if another client has
    /// its name now.
    pub fn check_grant(&self, grant: &Grant, now: Timestamp) -> Result<(), AuthError> {
        if now >= grant.expires {
            return Err(AuthError::Expired);
        }
        if grant.key.is_retired() {
            return Err(AuthError::UnknownKey);
        }
        let present = self.inner.registry.client(&grant.client.id);
        match present {
            Some(client) if client.created == grant.client.created => Ok(()),
            _ => Err(AuthError::UnknownClient),
        }
    }

    /// Checks the signature and the claims, except expiry and client.
    fn verify(&self, token: &str, now: Timestamp) -> Result<Grant, AuthError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Malformed)?;
        if header.alg != Algorithm::EdDSA {
            return Err(AuthError::Algorithm);
        }
        // RFC 7515, 4.1.11: critical extensions must be supported, and none is.
        if header.crit.is_some() {
            return Err(AuthError::Malformed);
        }
        let kid = header.kid.ok_or(AuthError::UnknownKey)?;
        let (public, key) = self.inner.keys.verification_key(&kid).ok_or(AuthError::UnknownKey)?;
        let claims =
            jsonwebtoken::decode::<ReceivedClaims>(token, &public, &signature_only()).map_err(jwt_error)?.claims;
        if claims.iss != ISSUER {
            return Err(AuthError::Issuer);
        }
        let is_audience = match &claims.aud {
            Audience::One(one) => one == ISSUER,
            Audience::Many(many) => many.iter().any(|a| a == ISSUER),
        };
        if !is_audience {
            return Err(AuthError::Audience);
        }
        if claims.nbf.as_ref().is_some_and(|nbf| now < nbf.0) {
            return Err(AuthError::NotYetValid);
        }
        let client = self.client(&claims)?;
        let scopes = claims.scope.parse().map_err(|_| AuthError::Malformed)?;
        let ticket = claims.ticket(scopes)?;
        Ok(Grant { client, scopes, key, expires: claims.exp.0, ticket })
    }

    /// The client that a token was issued to. The relay's own tokens say when it was created. Others, signed with its key or
    /// by an earlier version, belong to the present client of their id, if they were not issued before its creation; `iat`
    /// has whole seconds.
    fn client(&self, claims: &ReceivedClaims) -> Result<ClientRef, AuthError> {
        let id: ClientId = claims.sub.parse().map_err(|_| AuthError::UnknownClient)?;
        if let Some(created) = claims.client_created {
            return Ok(ClientRef { id, created: Timestamp::from_millis(created) });
        }
        let present = self.inner.registry.client(&id).ok_or(AuthError::UnknownClient)?;
        let is_older = claims.iat.0.seconds() < present.created.seconds();
        if is_older { Err(AuthError::UnknownClient) } else { Ok(present.reference()) }
    }

    fn cache(&self, cache_key: [u8; 32], grant: &Grant, now: Timestamp) {
        let AuthenticatorState { verified, last_cleaned, .. } = &*self.inner;
        if verified.len() >= MAX_CACHED_TOKENS && last_cleaned.swap(now.seconds(), Ordering::Relaxed) != now.seconds() {
            verified.retain(|_, grant| now < grant.expires);
        }
        // Concurrent requests may exceed the capacity by a few tokens, which does no harm.
        if verified.len() < MAX_CACHED_TOKENS {
            verified.insert(cache_key, grant.clone());
        }
    }
}

/// `jsonwebtoken` checks algorithm and signature only. The claims are checked here, because it reads the system clock
/// and accepts an array as issuer.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn jwt_error(error: jsonwebtoken::errors::Error) -> AuthError {
    match error.kind() {
        jsonwebtoken::errors::ErrorKind::InvalidSignature => AuthError::InvalidSignature,
        jsonwebtoken::errors::ErrorKind::InvalidAlgorithm => AuthError::Algorithm,
        _ => AuthError::Malformed,
    }
}
