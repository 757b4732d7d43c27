//! What the claims of an issuer's tokens mean, and the check of the claims of a token whose signature is verified.
//! Knows no keys.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::auth::claims::{Audience, NumericDate};
use crate::auth::grant::{AuthError, Scope, Scopes};
use crate::domain::{ClientId, Timestamp};

/// How the claims of an issuer's tokens are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRules {
    /// What `aud` of its tokens is or includes.
    pub audience: String,
    /// The claim that names the client.
    pub client_claim: ClaimPath,
    /// The claim with the scopes: words separated by spaces, or an array of words.
    pub scope_claim: ClaimPath,
    pub scopes: ScopeMapping,
}

/// What the claims of a valid token say. Its client may be unknown.
pub(in crate::auth) struct ForeignClaims {
    pub(in crate::auth) client: ClientId,
    /// `iat`, which issuers may omit.
    pub(in crate::auth) issued: Option<Timestamp>,
    pub(in crate::auth) scopes: Scopes,
    pub(in crate::auth) expires: Timestamp,
}

impl ClaimRules {
    /// Checks the claims of a token of this issuer at `now`.
    ///
    /// # Errors
    /// [`AuthError`]: the token gives no access.
    pub(super) fn read(&self, issuer: &str, claims: &Value, now: Timestamp) -> Result<ForeignClaims, AuthError> {
        if required::<String>(claims, "iss")? != issuer {
            return Err(AuthError::Issuer);
        }
        if !required::<Audience>(claims, "aud")?.includes(&self.audience) {
            return Err(AuthError::Audience);
        }
        let NumericDate(expires) = required(claims, "exp")?;
        if now >= expires {
            return Err(AuthError::Expired);
        }
        if optional::<NumericDate>(claims, "nbf")?.is_some_and(|nbf| now < nbf.0) {
            return Err(AuthError::NotYetValid);
        }
        let issued = optional::<NumericDate>(claims, "iat")?.map(|iat| iat.0);
        let client = self.client_claim.find(claims).and_then(Value::as_str).ok_or(AuthError::Malformed)?;
        // Names that cannot be a client's are common: an issuer may have users besides.
        let client = client.parse().map_err(|_| AuthError::UnknownClient)?;
        let scopes = match self.scope_claim.find(claims) {
            None => None,
            Some(Value::String(words)) => self.scopes.granted(words.split(' ')),
            Some(Value::Array(words)) if words.iter().all(Value::is_string) => {
                self.scopes.granted(words.iter().filter_map(Value::as_str))
            }
            Some(_) => return Err(AuthError::Malformed),
        };
        let scopes = scopes.ok_or(AuthError::Scope)?;
        Ok(ForeignClaims { client, issued, scopes, expires })
    }
}

/// The name of a claim; with a leading `/`, a JSON Pointer into the claims, such as `/realm_access/roles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(String);

impl ClaimPath {
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    fn find<'a>(&self, claims: &'a Value) -> Option<&'a Value> {
        if self.0.starts_with('/') { claims.pointer(&self.0) } else { claims.get(&self.0) }
    }
}

/// The scopes that an issuer's names grant. Names that are not listed grant nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeMapping(Vec<(String, Scopes)>);

impl Default for ScopeMapping {
    /// Every scope by its own name.
    fn default() -> Self {
        Self(Scope::ALL.into_iter().map(|scope| (scope.as_str().to_owned(), scope.into())).collect())
    }
}

impl ScopeMapping {
    pub fn new(names: Vec<(String, Scopes)>) -> Self {
        Self(names)
    }

    /// The scopes of these names; `None` if they grant none.
    fn granted<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<Scopes> {
        let of = |name: &str| self.0.iter().find(|(known, _)| known == name).map(|(_, scopes)| *scopes);
        names.filter_map(of).reduce(Scopes::union)
    }
}

fn required<T: DeserializeOwned>(claims: &Value, name: &str) -> Result<T, AuthError> {
    optional(claims, name)?.ok_or(AuthError::Malformed)
}

fn optional<T: DeserializeOwned>(claims: &Value, name: &str) -> Result<Option<T>, AuthError> {
    let claim = claims.get(name).cloned();
    claim.map(serde_json::from_value).transpose().map_err(|_| AuthError::Malformed)
}
