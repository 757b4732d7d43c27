//! The settings of a foreign issuer, as the configuration gives them. Opens no file and no connection.

use std::path::PathBuf;
use std::str::FromStr;

use jsonwebtoken::{Algorithm, AlgorithmFamily};

use super::claim_rules::ClaimRules;

/// One issuer whose tokens are accepted besides the relay's own. The first three fields say which signatures are valid;
/// while they are the same, the keys stay known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerOptions {
    /// `iss` of its tokens, compared byte for byte.
    pub issuer: String,
    pub keys: KeySource,
    /// The algorithms of tokens that are accepted; if empty, all that a key of its type can verify.
    pub algorithms: Vec<SignatureAlgorithm>,
    pub claims: ClaimRules,
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

impl KeySource {
    /// The key of the configuration that gives it, for the log.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::PublicKeys(_) => "key_file",
            Self::Secret(_) => "secret_file",
            Self::KeySet(_) => "jwks_url",
        }
    }
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
