//! Events: the stored status changes of documents, and their positions in the log.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use super::client::ClientId;
use super::document::{DocumentId, InvalidId, Status};

/// The epoch of a log. Event ids of another epoch are positions in another log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    pub fn new(number: u64) -> Self {
        Self(number)
    }

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
    pub epoch: Epoch,
    /// Grows by at least one with every event of the log and is never reused.
    pub sequence: u64,
}

impl FromStr for EventId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let bad = InvalidId("an event id has the form <epoch>.<sequence>");
        let (epoch, sequence) = text.split_once('.').ok_or_else(|| bad.clone())?;
        let number = u64::from_str_radix(epoch, 16).map_err(|_| bad.clone())?;
        let id = Self { epoch: Epoch(number), sequence: sequence.parse().map_err(|_| bad.clone())? };
        // Only the canonical form: "+1", "01" and upper case were never issued.
        if id.to_string() == text { Ok(id) } else { Err(bad) }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.sequence)
    }
}

impl serde::Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// One stored event. Its JSON is rendered once, when it is stored, and never again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The position in the log, which is the order of delivery.
    pub id: EventId,
    /// The owner.
    pub client: ClientId,
    pub document: DocumentId,
    pub status: Status,
    /// The `data:` line: one JSON object, `documentId` and `status` first, without a line break.
    pub json: Bytes,
}

/// Events are shared, never copied.
pub type SharedEvent = Arc<Event>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_id_is_canonical_and_has_no_line_break() {
        let id = EventId { epoch: Epoch(0x1_9ab3), sequence: 42 };
        assert_eq!(id.to_string(), "19ab3.42");
        assert_eq!("19ab3.42".parse(), Ok(id));
        for bad in ["", ".", "1.", ".1", "1.+1", "1.01", "1A.1", "1.1\n", "1.1 ", "1.-1", "1.18446744073709551616"] {
            assert!(bad.parse::<EventId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn longest_event_id_fits_into_64_characters() {
        let id = EventId { epoch: Epoch(u64::MAX), sequence: u64::MAX };
        assert!(id.to_string().len() <= 64);
    }
}
