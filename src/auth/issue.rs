//! Issues tokens and tickets: their claims and their lifetime. Whether a caller may have one is decided by the callers
//! of this module; `keys` signs, and `token` verifies.

use std::time::Duration;

use serde::Serialize;

use super::files::KeyError;
use super::grant::{Grant, Scope, Scopes, Ticket};
use super::keys::Keys;
use super::secret;
use crate::domain::{ClientId, ClientRef, DocumentId, EventId, Timestamp};

/// The claims `iss` and `aud` of the relay's tokens.
pub const ISSUER: &str = "docrelay";

/// The claim `use` of tickets; other tokens have no such claim.
pub(super) const TICKET_USE: &str = "ticket";

/// The claims of RFC 7519 and RFC 9068 in an issued token.
#[derive(Serialize)]
struct IssuedClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a ClientId,
    /// The creation of the client in milliseconds: a later client of the same id does not accept the token.
    client_created: i64,
    scope: String,
    exp: i64,
    iat: i64,
    jti: String,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    purpose: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    documents: Option<Vec<DocumentId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<EventId>,
}

/// A ticket to issue.
#[derive(Debug)]
pub struct NewTicket {
    pub ticket: Ticket,
    pub ttl: Duration,
    /// The head of the log. A page reads the past and the present from one stream: later events are news to it. `iat`
    /// cannot tell, because it has whole seconds.
    pub position: EventId,
}

impl<'a> IssuedClaims<'a> {
    fn new(client: &'a ClientRef, scopes: &Scopes, exp: i64, now: Timestamp) -> Result<Self, KeyError> {
        Ok(Self {
            iss: ISSUER,
            aud: ISSUER,
            sub: &client.id,
            client_created: client.created.millis(),
            scope: scopes.to_string(),
            exp,
            iat: now.seconds(),
            jti: secret::generate_secret()?.expose().to_owned(),
            purpose: None,
            documents: None,
            position: None,
        })
    }
}

impl Keys {
    /// Issues a token that expires `ttl` after `now`, signed with the newest published key.
    ///
    /// # Errors
    /// [`KeyError::SigningFailed`], [`KeyError::Random`].
    pub fn issue(
        &self,
        client: &ClientRef,
        scopes: &Scopes,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<String, KeyError> {
        self.sign(&IssuedClaims::new(client, scopes, now.plus(ttl).seconds(), now)?, now)
    }

    /// Issues a ticket to the holder of `grant`; also returns its guaranteed lifetime. A ticket never outlives the
    /// token of its holder.
    ///
    /// # Errors
    /// [`KeyError::SigningFailed`], [`KeyError::Random`].
    pub fn issue_ticket(&self, grant: &Grant, new: &NewTicket, now: Timestamp) -> Result<(String, Duration), KeyError> {
        let end = grant.ticket_expiry(new.ttl, now);
        let claims = IssuedClaims {
            purpose: Some(TICKET_USE),
            documents: new.ticket.documents(),
            position: Some(new.position),
            ..IssuedClaims::new(&grant.client, &Scope::Events.into(), end, now)?
        };
        Ok((self.sign(&claims, now)?, now.until(Timestamp::from_seconds(end)).min(new.ttl)))
    }
}

/// The guaranteed lifetime of a token issued with this `ttl`, in seconds. `exp` is rounded down to whole seconds, so up
/// to one second is lost: an hour gives 3599.
pub fn expires_in(ttl: Duration) -> u64 {
    ttl.as_secs().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expires_in_of_one_hour_is_3599_seconds() {
        assert_eq!(expires_in(Duration::from_secs(3600)), 3599);
        assert_eq!(expires_in(Duration::ZERO), 0);
    }
}
