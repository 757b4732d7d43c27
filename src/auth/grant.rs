//! What the holder of a verified token may do: its client, its scopes and, for tickets, the documents it covers; or why
//! a token gives no access. Independent of how tokens are encoded and signed.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::domain::{ClientRef, DocumentId, Timestamp};

/// One permission, as a word in the `scope` of RFC 6749.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Follow streams; read documents and events.
    Events,
    /// Manage hooks, documents, rejects, notifications and deliveries.
    Manage,
}

impl Scope {
    /// All scopes, in the order in which [`Scopes`] prints them.
    pub const ALL: [Scope; 2] = [Scope::Events, Scope::Manage];

    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Events => "events",
            Scope::Manage => "manage",
        }
    }
}

/// A `scope` value is empty or contains an unknown word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a scope is one or more of events, manage, separated by spaces")]
pub struct UnknownScope;

/// A non-empty set of scopes. Prints as words with single spaces, `events` first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes {
    events: bool,
    manage: bool,
}

impl Scopes {
    /// Every scope; the default for a token.
    pub const ALL: Scopes = Scopes { events: true, manage: true };

    pub fn has(self, scope: Scope) -> bool {
        match scope {
            Scope::Events => self.events,
            Scope::Manage => self.manage,
        }
    }

    /// The scopes of both sets.
    pub(super) fn union(self, other: Self) -> Self {
        Self { events: self.events || other.events, manage: self.manage || other.manage }
    }
}

impl From<Scope> for Scopes {
    fn from(scope: Scope) -> Self {
        Self { events: scope == Scope::Events, manage: scope == Scope::Manage }
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    /// Words separated by spaces, in any order; repeated words count once.
    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let mut scopes = Self { events: false, manage: false };
        for word in text.split(' ').filter(|w| !w.is_empty()) {
            match Scope::ALL.into_iter().find(|s| s.as_str() == word) {
                Some(Scope::Events) => scopes.events = true,
                Some(Scope::Manage) => scopes.manage = true,
                None => return Err(UnknownScope),
            }
        }
        if scopes.events || scopes.manage { Ok(scopes) } else { Err(UnknownScope) }
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = Scope::ALL.into_iter().filter(|s| self.has(*s)).map(Scope::as_str).collect();
        f.write_str(&words.join(" "))
    }
}

/// Maximum number of documents of a ticket. The request head with such a ticket stays below 8 KiB, the smallest limit
/// that `max_header_bytes` accepts.
const MAX_TICKET_DOCUMENTS: usize = 100;

/// Restricts a token to following streams, optionally of some documents only. Tickets are made for URLs, which end up
/// in proxy logs and browser histories. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    documents: Option<Arc<HashSet<DocumentId>>>,
}

/// A ticket names more documents than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a ticket names at most {MAX_TICKET_DOCUMENTS} documents")]
pub struct TooManyDocuments;

impl Ticket {
    /// Lifetime if the request names none.
    pub const DEFAULT_TTL: Duration = Duration::from_secs(300);

    /// Longest lifetime that a request may name.
    pub const MAX_TTL: Duration = Duration::from_secs(3600);

    /// A ticket for these documents, or with `None` for all documents of the client. An empty list covers no document.
    ///
    /// # Errors
    /// [`TooManyDocuments`] above 100 distinct documents.
    pub fn new(documents: Option<Vec<DocumentId>>) -> Result<Self, TooManyDocuments> {
        let documents = documents.map(HashSet::from_iter);
        if documents.as_ref().is_some_and(|named: &HashSet<_>| named.len() > MAX_TICKET_DOCUMENTS) {
            return Err(TooManyDocuments);
        }
        Ok(Self { documents: documents.map(Arc::new) })
    }

    /// The intersection of the ticket's documents with the requested ones. `None` means all documents.
    pub fn narrow(&self, requested: Option<HashSet<DocumentId>>) -> Option<HashSet<DocumentId>> {
        match (&self.documents, requested) {
            (None, requested) => requested,
            (Some(named), None) => Some(named.as_ref().clone()),
            (Some(named), Some(requested)) => Some(named.intersection(&requested).copied().collect()),
        }
    }

    /// The documents in ascending order, so that a ticket has one encoding.
    pub(super) fn documents(&self) -> Option<Vec<DocumentId>> {
        let mut all: Vec<_> = self.documents.as_ref()?.iter().copied().collect();
        all.sort_unstable();
        Some(all)
    }
}

/// Whether a signing key was retired. All clones show the same.
#[derive(Clone, Debug, Default)]
pub struct KeyStatus(Arc<AtomicBool>);

impl KeyStatus {
    pub fn is_retired(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn retire(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The flag itself, for parts that do not know keys.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

impl PartialEq for KeyStatus {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for KeyStatus {}

/// The permissions of a verified token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The client that the token was issued to, not a later one of its id.
    pub client: ClientRef,
    pub scopes: Scopes,
    /// The status of the key that has signed the token.
    pub key: KeyStatus,
    /// The first instant at which the token is invalid.
    pub expires: Timestamp,
    /// Present if the token is a ticket.
    pub ticket: Option<Ticket>,
}

/// Names one of the configured issuers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuerIndex(pub(super) usize);

impl AuthError {
    /// Whether the token may be valid at a node of the cluster that knows more clients than this one. Keys are
    /// published on all nodes long before they sign.
    pub fn depends_on_registry(self) -> bool {
        self == Self::UnknownClient
    }

    /// Whether it counts among the failed tokens of an address, whatever its issuer. A token that the relay has issued
    /// is not a guess, although it has expired or has another purpose: a page gets a new one.
    pub(super) fn counts_as_failure(self) -> bool {
        !matches!(self, Self::Missing | Self::Expired | Self::NotYetValid | Self::Scope | Self::TicketRequired)
    }
}

impl Grant {
    /// # Errors
    /// [`AuthError::Scope`] if the token lacks this scope.
    pub fn require(&self, scope: Scope) -> Result<(), AuthError> {
        if self.scopes.has(scope) { Ok(()) } else { Err(AuthError::Scope) }
    }

    /// The `exp` claim, in seconds, of a ticket issued at `now` to the holder of this token. Rounded up to whole
    /// seconds, so that a ticket of one second is still valid on arrival, but never after the token's own expiry.
    pub(super) fn ticket_expiry(&self, ttl: Duration, now: Timestamp) -> i64 {
        let due = now.plus(ttl).plus(Duration::from_millis(999)).seconds();
        due.min(self.expires.seconds())
    }
}

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
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// The key never existed here, or its file was deleted.
    #[error("the token's key is unknown or retired")]
    UnknownKey,
    /// A foreign issuer's key set, as it was fetched last, has no key of this id. A newer one may have it.
    #[error("the token's key is not in the key set of its issuer")]
    UnknownIssuerKey(IssuerIndex),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> DocumentId {
        DocumentId::new(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn scopes_parse_in_any_order_and_print_in_one() {
        assert_eq!("manage  events events".parse(), Ok(Scopes::ALL));
        assert_eq!(Scopes::ALL.to_string(), "events manage");
        assert_eq!("manage".parse(), Ok(Scopes::from(Scope::Manage)));
    }

    #[test]
    fn unknown_or_empty_scope_is_rejected() {
        for bad in ["", " ", "admin", "events admin", "Events", "events,manage", "events\tmanage"] {
            assert_eq!(bad.parse::<Scopes>(), Err(UnknownScope), "{bad:?}");
        }
    }

    #[test]
    fn ticket_narrows_requested_documents_to_its_own() {
        let set = |ids: &[u128]| Some(ids.iter().copied().map(id).collect::<HashSet<_>>());
        let all = Ticket::new(None).expect("few");
        let two = Ticket::new(Some(vec![id(1), id(2), id(1)])).expect("few");
        let none = Ticket::new(Some(Vec::new())).expect("few");
        assert_eq!([all.narrow(None), two.narrow(None), none.narrow(None)], [None, set(&[1, 2]), set(&[])]);
        assert_eq!(all.narrow(set(&[3])), set(&[3]));
        assert_eq!(two.narrow(set(&[2, 3])), set(&[2]));
        assert_eq!(two.narrow(set(&[3])), set(&[]), "other documents give an empty set, not all documents");
        assert_eq!(none.narrow(set(&[1])), set(&[]));
    }

    #[test]
    fn ticket_is_limited_to_100_distinct_documents() {
        let many = |n: u128| Ticket::new(Some((0..n).chain(0..n).map(id).collect()));
        assert_eq!(many(100).expect("few").documents().map(|all| all.len()), Some(100));
        assert_eq!(many(101), Err(TooManyDocuments));
    }
}
