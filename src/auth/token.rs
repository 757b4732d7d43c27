//! Verifies tokens: signature, claims, expiry and whether their client still exists. Caches verified tokens. Those of
//! other issuers are verified by `issuers`. `credentials` finds tokens in requests; `issue` issues the relay's own.

#[cfg(test)]
mod tests;
mod verified;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use dashmap::DashMap;
use jsonwebtoken::{Algorithm, Header};
use serde::Deserialize;

use super::claims::{self, Audience, NumericDate};
use super::files::KeyError;
use super::grant::{AuthError, Grant, IssuerIndex, Scope, Scopes, Ticket};
use super::issue::{ISSUER, TICKET_USE};
use super::issuers::{ForeignClaims, ForeignToken, Issuers};
use super::keys::Keys;
use crate::domain::{ClientId, ClientRef, Timestamp};
use crate::store::Registry;

/// Longer tokens are rejected without parsing. An issued token has about 400 bytes, a ticket with 100 documents 5700.
const MAX_TOKEN_BYTES: usize = 8192;

/// Capacity of the cache of verified tokens: some 200 bytes each, so about 8 MiB, or 100 MiB if each is a ticket with
/// 100 documents. All tokens of a large relay fit, so that its clients go on while their address fails with too many
/// tokens.
const MAX_CACHED_TOKENS: usize = 40_000;

/// Verifies tokens and caches the valid ones. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    inner: Arc<AuthenticatorState>,
}

/// What the clones of an [`Authenticator`] share.
struct AuthenticatorState {
    keys: Keys,
    issuers: Issuers,
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

impl Authenticator {
    pub fn new(keys: Keys, issuers: Issuers, registry: Arc<dyn Registry>) -> Self {
        let (verified, last_cleaned) = (DashMap::new(), AtomicI64::new(0));
        Self { inner: Arc::new(AuthenticatorState { keys, issuers, registry, verified, last_cleaned }) }
    }

    /// Reads the key directory and the key files of foreign issuers again; returns whether a key was retired. Its
    /// tokens and grants are then invalid.
    ///
    /// # Errors
    /// See [`Keys::reload`]. The files of foreign issuers are read nevertheless.
    pub fn reload_keys(&self, now: Timestamp) -> Result<bool, KeyError> {
        let foreign_retired = self.inner.issuers.reload_files();
        let retired = self.inner.keys.reload(now)? || foreign_retired;
        if retired {
            self.inner.verified.clear();
        }
        Ok(retired)
    }

    /// The names of the foreign issuers.
    pub fn issuers(&self) -> Vec<String> {
        self.inner.issuers.names()
    }

    /// To be called after [`AuthError::UnknownIssuerKey`]: fetches the key set of this issuer. Returns whether to check
    /// the token again; false at once if other tokens have caused too many fetches lately.
    pub async fn fetch_keys(&self, issuer: IssuerIndex) -> bool {
        self.inner.issuers.fetch_keys(issuer).await
    }

    /// Whether a refused token counts among the failed tokens of an address. One whose key is unknown does not while
    /// the key server of its issuer fails: it may be valid.
    pub fn counts_as_failure(&self, denied: AuthError) -> bool {
        match denied {
            AuthError::UnknownIssuerKey(issuer) => self.inner.issuers.has_current_keys(issuer),
            denied => denied.counts_as_failure(),
        }
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
            if result.is_ok() {
                return Ok(grant);
            }
            self.inner.verified.remove(&cache_key);
            // A token of a foreign issuer may belong to the present client of its name, or be verified by the key that
            // has taken the place of a retired one.
            if result == Err(AuthError::Expired) {
                return Err(AuthError::Expired);
            }
        }
        let grant = self.verify(token, now)?;
        self.check_grant(&grant, now)?;
        self.cache(cache_key, &grant, now);
        Ok(grant)
    }

    /// Checks whether a grant is still valid at `now`. A stream is checked again after it has subscribed to the hub:
    /// its client may have been removed since [`check`](Self::check).
    ///
    /// # Errors
    /// [`AuthError::Expired`], [`AuthError::UnknownKey`] if its key was retired, or [`AuthError::UnknownClient`] if the
    /// client was removed, even if another client has its name now.
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
        let header = claims::read_header(token)?;
        if let Some(issuer) = self.foreign_issuer(token)? {
            let foreign = self.inner.issuers.verify(issuer, token, &header, now)?;
            return self.grant_of(foreign);
        }
        self.verify_own(token, header, now)
    }

    /// The foreign issuer that a token names. The name only selects the keys that the signature is checked with.
    fn foreign_issuer(&self, token: &str) -> Result<Option<IssuerIndex>, AuthError> {
        let issuers = &self.inner.issuers;
        if issuers.is_empty() { Ok(None) } else { Ok(issuers.find(&claims::unverified_issuer(token)?)) }
    }

    /// A token of a foreign issuer belongs to the present client of its name, if it was not issued before its creation.
    fn grant_of(&self, token: ForeignToken) -> Result<Grant, AuthError> {
        let ForeignToken { claims, key } = token;
        let ForeignClaims { client, issued, scopes, expires } = claims;
        let present = self.inner.registry.client(&client).ok_or(AuthError::UnknownClient)?;
        let is_older = issued.is_some_and(|issued| issued.seconds() < present.created.seconds());
        let client = if is_older { Err(AuthError::UnknownClient) } else { Ok(present.reference()) }?;
        Ok(Grant { client, scopes, key, expires, ticket: None })
    }

    fn verify_own(&self, token: &str, header: Header, now: Timestamp) -> Result<Grant, AuthError> {
        if header.alg != Algorithm::EdDSA {
            return Err(AuthError::Algorithm);
        }
        let kid = header.kid.ok_or(AuthError::UnknownKey)?;
        let (public, key) = self.inner.keys.verification_key(&kid).ok_or(AuthError::UnknownKey)?;
        let claims: ReceivedClaims = claims::verify(token, &public, Algorithm::EdDSA)?;
        if claims.iss != ISSUER {
            return Err(AuthError::Issuer);
        }
        let is_audience = claims.aud.includes(ISSUER);
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

    /// The client that a token was issued to. The relay's own tokens say when it was created. Others, signed with its
    /// key or by an earlier version, belong to the present client of their id, if they were not issued before its
    /// creation; `iat` has whole seconds.
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
