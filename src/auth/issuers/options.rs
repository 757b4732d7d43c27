//! The settings of a foreign issuer, as the configuration gives them. Opens no file and no connection.

use std::path::PathBuf;
use std::str::FromStr;

use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde_json::Value;

use crate::auth::grant::{Scope, Scopes};

/// One issuer whose tokens are accepted besides the relay's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerOptions {
    /// `iss` of its tokens, compared byte for byte.
    pub issuer: String,
    /// What `aud` of its tokens is or includes.
    pub audience: String,
    pub keys: KeySource,
    /// Of the tokens that are accepted. Empty: all that a key of its type can verify.
    pub algorithms: Vec<SignatureAlgorithm>,
    /// The claim that names the client.
    pub client_claim: ClaimPath,
    /// The claim with the scopes: words separated by spaces, or an array of words.
    pub scope_claim: ClaimPath,
    pub scopes: ScopeMapping,
}

/// Where the keys of an issuer come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// Public keys of one type in PEM.
    PublicKeys(PathBuf),
    /// A secret that issuer and relay share. Only its owner may read the file.
    Secret(PathBuf),
    /// The address of a JWK set.
    KeySet(String),
}

/// An algorithm of RFC 7518 or RFC 8037 that the relay verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureAlgorithm(pub(super) Algorithm);

impl SignatureAlgorithm {
    /// Whether its key is a shared secret.
    pub fn uses_secret(self) -> bool {
        self.0.family() == AlgorithmFamily::Hmac
    }
}

/// The name is not that of a supported algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown algorithm")]
pub struct UnknownAlgorithm;

impl FromStr for SignatureAlgorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        name.parse().map(Self).map_err(|_| UnknownAlgorithm)
    }
}

/// The name of a claim; with a leading `/`, a JSON Pointer into the claims, such as `/realm_access/roles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(String);

impl ClaimPath {
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    pub(super) fn find<'a>(&self, claims: &'a Value) -> Option<&'a Value> {
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
    pub(super) fn granted<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<Scopes> {
        let of = |name: &str| self.0.iter().find(|(known, _)| known == name).map(|(_, scopes)| *scopes);
        names.filter_map(of).reduce(Scopes::union)
    }
}
