//! Identifiers, each parsed at the edge: whoever holds one holds a value that can be written into a header, an
//! event stream or a log line as it is.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

/// An identifier that breaks its rule; the message says the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(pub &'static str);

/// An application's name: 1 to 64 characters of `A-Za-z0-9._-`, the first a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let good = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            && text.as_bytes()[0].is_ascii_alphanumeric();
        if good {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId("a client id is 1 to 64 characters of A-Z a-z 0-9 . _ - and begins with a letter or digit"))
        }
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A document's UUID: the vendor's own when it has one, otherwise version 1, minted here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentId(Uuid);

impl DocumentId {
    /// Wraps a UUID.
    pub fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl FromStr for DocumentId {
    type Err = InvalidId;

    /// Only the hyphenated form of 36 characters, in any case: other spellings are vendors' identifiers.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match (text.len(), Uuid::try_parse(text)) {
            (36, Ok(uuid)) => Ok(Self(uuid)),
            _ => Err(InvalidId("a document id is a UUID of the form 626626a0-749f-11e2-bfd6-000000000000")),
        }
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// The vendor's own name of a job or document: 1 to 256 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VendorId(Arc<str>);

impl VendorId {
    /// The identifier, verbatim.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VendorId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() || text.chars().count() > 256 || text.chars().any(char::is_control) {
            return Err(InvalidId("a vendor's identifier is 1 to 256 characters without control characters"));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for VendorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names a store: ids of another store's epoch are positions in another log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// From the number the store keeps.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number the store keeps.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    /// Lower-case hexadecimal, at most 16 characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// `<epoch>.<sequence>`: the position of an event in the log of one store. At most 37 characters of `[a-z0-9.]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventId {
    /// Which store.
    pub epoch: Epoch,
    /// Which position; grows by at least one with every event of the store and is never reused.
    pub sequence: u64,
}

impl FromStr for EventId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bad = InvalidId("an event id has the form <epoch>.<sequence>");
        let (epoch, sequence) = text.split_once('.').ok_or_else(|| bad.clone())?;
        let number = u64::from_str_radix(epoch, 16).map_err(|_| bad.clone())?;
        let id = Self { epoch: Epoch(number), sequence: sequence.parse().map_err(|_| bad.clone())? };
        // One spelling only: "+1", "01" and upper case are not ids that we ever wrote.
        if id.to_string() == text { Ok(id) } else { Err(bad) }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.sequence)
    }
}

macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
    )*};
}
as_text!(ClientId, DocumentId, VendorId, EventId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling_and_cannot_hold_a_line_break() {
        let id = EventId { epoch: Epoch(0x1_9ab3), sequence: 42 };
        assert_eq!(id.to_string(), "19ab3.42");
        assert_eq!("19ab3.42".parse(), Ok(id));
        for bad in ["", ".", "1.", ".1", "1.+1", "1.01", "1A.1", "1.1\n", "1.1 ", "1.-1", "1.18446744073709551616"] {
            assert!(bad.parse::<EventId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_longest_id_fits_the_contract() {
        let id = EventId { epoch: Epoch(u64::MAX), sequence: u64::MAX };
        assert!(id.to_string().len() <= 64);
    }

    #[test]
    fn names_with_control_characters_are_refused() {
        assert!("a\nb".parse::<ClientId>().is_err());
        assert!("a\u{0}b".parse::<VendorId>().is_err());
        assert!("é".repeat(256).parse::<VendorId>().is_ok());
        assert!("é".repeat(257).parse::<VendorId>().is_err());
        assert!("{626626a0-749f-11e2-bfd6-00000000000}".parse::<DocumentId>().is_err());
    }
}
