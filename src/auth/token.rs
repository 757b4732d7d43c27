//! Checking tokens: whose they are, what they allow, and until when. Knows the relay's own keys and whether a client
//! exists; where a token comes from is `bearer`'s business.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use dashmap::DashMap;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;

use super::files::KeyError;
use super::keys::{Keys, NAME};
use super::scope::{Scope, Scopes};
use super::ticket::{self, Ticket};
use crate::domain::{ClientId, Timestamp};
use crate::store::Registry;

/// Tokens longer than this are refused unread. Ours have some 400 bytes, a ticket of a hundred documents 5700.
const LONGEST: usize = 8192;

/// So many verified tokens are remembered (about 2 MiB; 25 when each is a ticket of a hundred documents).
const REMEMBERED: usize = 10_000;

/// Why a token gives no access. [`AuthError::Missing`] is `auth_required` outside, all others are `auth_failed`; which one
/// it was is for the log alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No bearer token at all.
    #[error("no bearer token")]
    Missing,
    /// Longer than 8 KiB.
    #[error("the token is longer than 8 KiB")]
    TooLong,
    /// Not a JWT, or a claim or header that is missing or of the wrong type.
    #[error("the token is malformed")]
    Malformed,
    /// Any algorithm but EdDSA.
    #[error("the token is not signed with EdDSA")]
    Algorithm,
    /// No key of this name: never ours, or its file was deleted.
    #[error("the token's key is unknown or retired")]
    UnknownKey,
    /// The signature is not that of the key.
    #[error("the token's signature is wrong")]
    Signature,
    /// Issued by somebody else.
    #[error("the token's issuer is wrong")]
    Issuer,
    /// Issued for somebody else.
    #[error("the token's audience is wrong")]
    Audience,
    /// Its `exp` has come.
    #[error("the token has expired")]
    Expired,
    /// Its `nbf` has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// There is no such client, or only a later one of the same name.
    #[error("the token's client is unknown or revoked")]
    UnknownClient,
    /// It does not allow what was asked.
    #[error("the token lacks the scope")]
    Scope,
    /// It stands in an address, where the configuration wants tickets only.
    #[error("the token stands in the address and is no ticket, and query_token wants one there")]
    TicketRequired,
}

/// What a checked token allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who.
    pub client: ClientId,
    /// What.
    pub scopes: Scopes,
    /// Since when; whole seconds.
    pub issued: Timestamp,
    /// From this instant on, nothing any more.
    pub expires: Timestamp,
    /// Set for a ticket, which allows nothing but to follow, and only what it names.
    pub ticket: Option<Ticket>,
}

impl Grant {
    /// [`AuthError::Scope`] unless this is allowed.
    pub fn require(&self, scope: Scope) -> Result<(), AuthError> {
        if self.scopes.has(scope) { Ok(()) } else { Err(AuthError::Scope) }
    }
}

/// Checks tokens, and remembers those that were good. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    inner: Arc<Inner>,
}

struct Inner {
    keys: Keys,
    registry: Arc<dyn Registry>,
    /// Verified tokens by their SHA-256, because an Ed25519 signature costs some 44 µs and a page sends the same token
    /// each time. At most [`REMEMBERED`]: when it is full, expired ones are dropped, at most once a second; when that
    /// made no room, a new token is verified anew each time it comes.
    verified: DashMap<[u8; 32], Grant>,
    /// The second of the last such cleaning.
    cleaned: AtomicI64,
}

/// The claims that are read. Unknown ones are ignored; one that occurs twice is refused by serde.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    sub: String,
    scope: String,
    exp: NumericDate,
    iat: NumericDate,
    #[serde(default)]
    nbf: Option<NumericDate>,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    documents: Option<Vec<String>>,
}

impl Claims {
    /// What these claims make of the token. A purpose that is unknown, and documents or a further scope where they
    /// have no meaning, are refused: whoever signs such a token means less than everything.
    fn ticket(&self, scopes: Scopes) -> Result<Option<Ticket>, AuthError> {
        match (self.purpose.as_deref(), &self.documents) {
            (None, None) => Ok(None),
            (Some(ticket::USE), documents) if scopes == Scope::Events.into() => {
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

/// Seconds since the epoch, possibly with a fraction (RFC 7519 2). What lies outside 1970 to 9999 is moved to the
/// nearer end, so no value can overflow: `i64::MAX` is the end of time, and −1 has long passed.
struct NumericDate(Timestamp);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(d)?;
        let millis = match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.saturating_mul(1000),
            // A float-to-integer cast saturates. Rounding down to the millisecond ends a token no later than it says.
            (None, Some(fraction)) => (fraction * 1000.0).floor() as i64,
            (None, None) => return Err(serde::de::Error::custom("not a number of seconds")),
        };
        Ok(Self(Timestamp::from_millis(millis)))
    }
}

impl Authenticator {
    /// Checks against these keys, and against the clients of this registry.
    pub fn new(keys: Keys, registry: Arc<dyn Registry>) -> Self {
        let inner = Inner { keys, registry, verified: DashMap::new(), cleaned: AtomicI64::new(0) };
        Self { inner: Arc::new(inner) }
    }

    /// Reads the directory of keys again; tokens of a key that was retired are not taken any more.
    pub fn reload_keys(&self) -> Result<(), KeyError> {
        if self.inner.keys.reload()? {
            self.inner.verified.clear();
        }
        Ok(())
    }

    /// What this token allows at `now`. No leeway: at its `exp` a token is dead.
    pub fn check(&self, token: &str, now: Timestamp) -> Result<Grant, AuthError> {
        if token.is_empty() {
            return Err(AuthError::Missing);
        }
        if token.len() > LONGEST {
            return Err(AuthError::TooLong);
        }
        let mut name = [0; 32];
        name.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        let known = self.inner.verified.get(&name).map(|entry| entry.value().clone());
        if let Some(grant) = known {
            let answer = self.still_good(&grant, now);
            if answer == Err(AuthError::Expired) {
                self.inner.verified.remove(&name);
            }
            return answer.map(|()| grant);
        }
        let grant = self.verify(token, now)?;
        self.still_good(&grant, now)?;
        self.remember(name, &grant, now);
        Ok(grant)
    }

    /// Whether a grant that was good is so at `now`: not expired, and its client neither removed nor made anew since.
    /// An open stream asks this again and again.
    pub fn still_good(&self, grant: &Grant, now: Timestamp) -> Result<(), AuthError> {
        if now >= grant.expires {
            return Err(AuthError::Expired);
        }
        let client = self.inner.registry.client(&grant.client).ok_or(AuthError::UnknownClient)?;
        // `iat` has whole seconds only, so a token of the client's first second must count as issued after it.
        if grant.issued.seconds() < client.created.seconds() {
            return Err(AuthError::UnknownClient);
        }
        Ok(())
    }

    /// Signature, structure and claims, all but the end and the client.
    fn verify(&self, token: &str, now: Timestamp) -> Result<Grant, AuthError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Malformed)?;
        if header.alg != Algorithm::EdDSA {
            return Err(AuthError::Algorithm);
        }
        // RFC 7515 4.1.11: extensions marked as critical must be understood, and we understand none.
        if header.crit.is_some() {
            return Err(AuthError::Malformed);
        }
        let kid = header.kid.ok_or(AuthError::UnknownKey)?;
        let key = self.inner.keys.verifying(&kid).ok_or(AuthError::UnknownKey)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &signature_only()).map_err(denied)?.claims;
        if claims.iss != NAME {
            return Err(AuthError::Issuer);
        }
        let for_us = match &claims.aud {
            Audience::One(one) => one == NAME,
            Audience::Many(many) => many.iter().any(|a| a == NAME),
        };
        if !for_us {
            return Err(AuthError::Audience);
        }
        if claims.nbf.as_ref().is_some_and(|nbf| now < nbf.0) {
            return Err(AuthError::NotYet);
        }
        let client = claims.sub.parse().map_err(|_| AuthError::UnknownClient)?;
        let scopes = claims.scope.parse().map_err(|_| AuthError::Malformed)?;
        let ticket = claims.ticket(scopes)?;
        Ok(Grant { client, scopes, issued: claims.iat.0, expires: claims.exp.0, ticket })
    }

    fn remember(&self, name: [u8; 32], grant: &Grant, now: Timestamp) {
        let Inner { verified, cleaned, .. } = &*self.inner;
        if verified.len() >= REMEMBERED && cleaned.swap(now.seconds(), Ordering::Relaxed) != now.seconds() {
            verified.retain(|_, grant| now < grant.expires);
        }
        // Requests at the same instant may pass this together: a handful more than the bound does no harm.
        if verified.len() < REMEMBERED {
            verified.insert(name, grant.clone());
        }
    }
}

/// `jsonwebtoken` decides on the algorithm and the signature; the claims are ours to check, because it takes the time
/// from the system and an array for an issuer.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn denied(error: jsonwebtoken::errors::Error) -> AuthError {
    match error.kind() {
        jsonwebtoken::errors::ErrorKind::InvalidSignature => AuthError::Signature,
        jsonwebtoken::errors::ErrorKind::InvalidAlgorithm => AuthError::Algorithm,
        _ => AuthError::Malformed,
    }
}
