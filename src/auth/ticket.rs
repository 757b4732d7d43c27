//! Tickets: short-lived tokens that follow streams and do nothing else, because they are made for addresses, which end
//! up in logs and histories. Knows what a ticket says, not how it is signed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::token::Grant;
use crate::domain::{DocumentId, Timestamp};

/// What the claim `use` says in every ticket, and in nothing else.
pub(super) const USE: &str = "ticket";

/// Documents that one ticket may name: as many as leave room for a head of 8 KiB, the least that is ever accepted.
const MOST_DOCUMENTS: usize = 100;

/// What sets a ticket apart from other tokens: which documents it opens. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    documents: Option<Arc<HashSet<DocumentId>>>,
}

/// More documents than one ticket may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a ticket names at most {MOST_DOCUMENTS} documents")]
pub struct TooManyDocuments;

impl Ticket {
    /// How long one is good when nobody says.
    pub const TTL: Duration = Duration::from_secs(300);

    /// The longest that can be asked for.
    pub const LONGEST: Duration = Duration::from_secs(3600);

    /// For these documents, or for all that the client has. An empty list opens none.
    pub fn new(documents: Option<Vec<DocumentId>>) -> Result<Self, TooManyDocuments> {
        let documents = documents.map(HashSet::from_iter);
        if documents.as_ref().is_some_and(|named: &HashSet<_>| named.len() > MOST_DOCUMENTS) {
            return Err(TooManyDocuments);
        }
        Ok(Self { documents: documents.map(Arc::new) })
    }

    /// What is left of the documents that were asked for, `None` being all of them.
    pub fn narrow(&self, asked: Option<HashSet<DocumentId>>) -> Option<HashSet<DocumentId>> {
        match (&self.documents, asked) {
            (None, asked) => asked,
            (Some(named), None) => Some(named.as_ref().clone()),
            (Some(named), Some(asked)) => Some(named.intersection(&asked).copied().collect()),
        }
    }

    /// Its documents, in one order.
    pub(super) fn documents(&self) -> Option<Vec<DocumentId>> {
        let mut all: Vec<_> = self.documents.as_ref()?.iter().copied().collect();
        all.sort_unstable();
        Some(all)
    }
}

/// The `exp` of a ticket that is asked for at `now` by the holder of `grant`. Tokens have whole seconds: rounded up, so
/// that a ticket of one second is not dead when it arrives, but never beyond the token's own end.
pub(super) fn end(grant: &Grant, ttl: Duration, now: Timestamp) -> i64 {
    let due = now.plus(ttl).plus(Duration::from_millis(999)).seconds();
    due.min(grant.expires.seconds())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> DocumentId {
        DocumentId::new(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn a_ticket_opens_what_it_names_of_what_was_asked_for() {
        let set = |ids: &[u128]| Some(ids.iter().copied().map(id).collect::<HashSet<_>>());
        let all = Ticket::new(None).expect("few");
        let two = Ticket::new(Some(vec![id(1), id(2), id(1)])).expect("few");
        let none = Ticket::new(Some(Vec::new())).expect("few");
        assert_eq!([all.narrow(None), two.narrow(None), none.narrow(None)], [None, set(&[1, 2]), set(&[])]);
        assert_eq!(all.narrow(set(&[3])), set(&[3]));
        assert_eq!(two.narrow(set(&[2, 3])), set(&[2]));
        assert_eq!(two.narrow(set(&[3])), set(&[]), "asking for others opens nothing, and never everything");
        assert_eq!(none.narrow(set(&[1])), set(&[]));
    }

    #[test]
    fn a_hundred_documents_are_the_bound_however_often_each_is_named() {
        let many = |n: u128| Ticket::new(Some((0..n).chain(0..n).map(id).collect()));
        assert_eq!(many(100).expect("few").documents().map(|all| all.len()), Some(100));
        assert_eq!(many(101), Err(TooManyDocuments));
    }
}
