//! The errors of this part: tokens that give no access, and key files that cannot be used.

use std::io;
use std::path::{Path, PathBuf};

/// A token gives no access. Clients see `auth_required` for [`AuthError::Missing`] and `auth_failed` for all others;
/// the variant itself is logged only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("no bearer token")]
    Missing,
    #[error("the token is longer than 8 KiB")]
    TooLong,
    /// Not a JWT, or a claim or header is missing or has the wrong type.
    #[error("the token is malformed")]
    Malformed,
    #[error("the token is not signed with EdDSA")]
    Algorithm,
    /// The key never existed here, or its file was deleted.
    #[error("the token's key is unknown or retired")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    InvalidSignature,
    #[error("the token's issuer is wrong")]
    Issuer,
    #[error("the token's audience is wrong")]
    Audience,
    #[error("the token has expired")]
    Expired,
    /// `nbf` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// The client does not exist, or was created after the token was issued.
    #[error("the token's client is unknown or revoked")]
    UnknownClient,
    #[error("the token lacks the scope")]
    Scope,
    /// A token in the query that is not a ticket, although `query_token` requires one.
    #[error("the token in the query is not a ticket, and query_token requires one")]
    TicketRequired,
}

/// A key, a secret file or a sealed value cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is accessible for group or others.
    #[error("{} is accessible for other users: run chmod 600 {}", .0.display(), .0.display())]
    Exposed(PathBuf),
    #[error("{} is not {expected}: restore it from a backup{}", .path.display(), .otherwise)]
    Malformed {
        path: PathBuf,
        /// What the file should contain, with an article.
        expected: &'static str,
        /// An alternative to the backup, beginning with a comma, or empty.
        otherwise: &'static str,
    },
    #[error("cannot {action} {}: {reason}", .path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        /// Not a `source`, because the message contains it already.
        reason: io::Error,
    },
    /// A sealed value was changed, truncated, moved to another context, or sealed with another key.
    #[error("cannot open a sealed value: it was changed, or the key file was replaced")]
    InvalidSeal,
    /// Generating a key or signing a token failed. Keys are checked when they are read, so this is a defect.
    #[error("cannot sign with the signing key: restart the relay, and report this if it persists")]
    SigningFailed,
    #[error("the system's random source failed: {0}")]
    Random(getrandom::Error),
}

impl KeyError {
    /// Converts an I/O error; `action` is a verb such as `read`.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |reason| KeyError::File { action, path, reason }
    }
}
