//! Authentication and authorisation: the relay's key files, the tokens it issues and verifies, those of foreign
//! issuers, the clients' secrets, and Baidu's request signatures. Independent of HTTP routes and SQL; the only user of
//! `jsonwebtoken`.

mod bce;
mod claims;
mod cluster_key;
mod credentials;
pub mod files;
mod grant;
mod issue;
mod issuers;
mod keys;
mod seal;
mod secret;
mod stream_seal;
mod token;

pub use bce::{BceAuthorization, BceRequest, BceSignatureError};
pub use cluster_key::ClusterKey;
pub use credentials::{PresentedToken, QueryToken, basic, bearer, find_token};
pub use files::KeyError;
pub use grant::{AuthError, Grant, IssuerIndex, KeyStatus, Scope, Scopes, Ticket, TooManyDocuments, UnknownScope};
pub use issue::{ISSUER, NewTicket, expires_in};
pub use issuers::{
    ClaimPath, ClaimRules, IssuerKeyError, IssuerOptions, IssuerReplacement, Issuers, KEY_SET_TIMEOUT, KeySetClient,
    KeySetDocument, KeySetUnavailable, KeySource, MAX_KEY_SET_BYTES, ScopeMapping, SignatureAlgorithm,
    UnknownAlgorithm,
};
pub use keys::{JWKS_MAX_AGE, KeyInfo, Keys};
pub use seal::{RotationStart, Sealer};
pub use secret::{AdminToken, PREVIOUS_SECRET_TTL, check_client_secret, generate_secret, rotate_secret, secrets_equal};
pub use stream_seal::{OpeningReader, SealingWriter, StreamSealer};
pub use token::Authenticator;
