//! Who may do what: the keys that the relay keeps for itself, the tokens it issues and checks, and the secrets of its
//! clients. Knows nothing of HTTP routes or SQL; `jsonwebtoken` is used here and nowhere else.

mod bce;
mod credentials;
pub mod files;
mod keys;
mod scope;
pub mod seal;
mod secret;
mod ticket;
mod token;

pub use bce::{BceAuthorization, BceRequest, BceSignatureError};
pub use credentials::{Presented, QueryToken, basic, bearer, presented};
pub use files::KeyError;
pub use keys::{Keys, expires_in};
pub use scope::{Scope, Scopes, UnknownScope};
pub use seal::Sealer;
pub use secret::{AdminToken, PREVIOUS_FOR, check_client_secret, fresh_secret, same_secret, with_fresh_secret};
pub use ticket::{Ticket, TooManyDocuments};
pub use token::{AuthError, Authenticator, Grant};
