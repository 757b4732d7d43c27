//! What a token may do, as the `scope` of RFC 6749 writes it.

use std::fmt;
use std::str::FromStr;

/// One permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Follow streams and read documents and events.
    Events,
    /// Manage hooks, documents, rejects, notifications and deliveries.
    Manage,
}

impl Scope {
    /// Every scope, in the order in which they are written.
    pub const ALL: [Scope; 2] = [Scope::Events, Scope::Manage];

    /// The word in tokens and requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Events => "events",
            Scope::Manage => "manage",
        }
    }
}

/// A `scope` that is empty or holds a word we do not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a scope is one or more of events, manage, separated by spaces")]
pub struct UnknownScope;

/// One or more permissions; never none. Written with single spaces, `events` first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes {
    events: bool,
    manage: bool,
}

impl Scopes {
    /// Everything a client can be allowed: what a token gets when nobody asks for less.
    pub const ALL: Scopes = Scopes { events: true, manage: true };

    /// Whether this permission is among them.
    pub fn has(self, scope: Scope) -> bool {
        match scope {
            Scope::Events => self.events,
            Scope::Manage => self.manage,
        }
    }
}

impl From<Scope> for Scopes {
    fn from(scope: Scope) -> Self {
        Self { events: scope == Scope::Events, manage: scope == Scope::Manage }
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    /// Words separated by spaces, in any order; a repeated word counts once.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_in_any_order_and_written_in_one() {
        assert_eq!("manage  events events".parse(), Ok(Scopes::ALL));
        assert_eq!(Scopes::ALL.to_string(), "events manage");
        assert_eq!("manage".parse(), Ok(Scopes::from(Scope::Manage)));
    }

    #[test]
    fn an_unknown_or_empty_scope_is_refused() {
        for bad in ["", " ", "admin", "events admin", "Events", "events,manage", "events\tmanage"] {
            assert_eq!(bad.parse::<Scopes>(), Err(UnknownScope), "{bad:?}");
        }
    }
}
