//! Authentication and authorisation: the relay's key files, the tokens it issues and verifies, the clients' secrets,
//! and Baidu's request signatures. Independent of HTTP routes and SQL; the only user of `jsonwebtoken`.

mod bce;
mod credentials;
pub mod files;
mod grant;
mod issue;
mod keys;
mod seal;
mod secret;
mod token;

pub use bce::{BceAuthorization, BceRequest, BceSignatureError};
pub use credentials::{PresentedToken, QueryToken, basic, bearer, find_token};
pub use files::KeyError;
pub use grant::{AuthError, Grant, KeyStatus, Scope, Scopes, Ticket, TooManyDocuments, UnknownScope};
pub use issue::{NewTicket, expires_in};
pub use keys::{JWKS_MAX_AGE, KeyInfo, Keys};
pub use seal::{RotationStart, Sealer};
pub use secret::{AdminToken, PREVIOUS_SECRET_TTL, check_client_secret, generate_secret, rotate_secret, secrets_equal};
pub use token::Authenticator;
