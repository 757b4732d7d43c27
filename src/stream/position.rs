//! Where a stream starts, how far it has come, and whether something is missing in between: the one place that decides
//! on a `reset`. Pure: the log and the ring are read elsewhere.

use crate::domain::{Epoch, EventId};
use crate::metrics::Reset;
use crate::store::LogPage;

/// The position that a follower asked for, parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartPosition {
    /// No position: only events from now on.
    Live,
    /// All retained events.
    Earliest,
    /// The events after this one.
    After(EventId),
    /// A position that is not an event id.
    Unknown,
}

impl StartPosition {
    /// Whether this is a position of the log that the log has not reached: in a cluster another node may have.
    pub(super) fn is_ahead(self, epoch: Epoch, head: u64) -> bool {
        matches!(self, Self::After(id) if id.epoch == epoch && id.sequence > head)
    }

    /// The position in the opening of a stream, with which a client that is cut before its first event resumes. `start`
    /// is the resolved sequence. A position that leads to a `reset` is repeated as it was given: a client that is cut
    /// before the `reset` gets it after the reconnect. One that is not an id cannot be repeated, and the client still
    /// has it.
    pub(super) fn opening_id(self, epoch: Epoch, start: u64) -> Option<EventId> {
        match self {
            Self::Live | Self::Earliest => Some(EventId { epoch, sequence: start }),
            Self::After(id) => Some(id),
            Self::Unknown => None,
        }
    }
}

/// How far a follower has come in the log of its client.
#[derive(Debug)]
pub(super) struct Cursor {
    /// Events up to this sequence have been collected, or were not asked for.
    sequence: u64,
    history: History,
}

/// Whether the next page of the log continues what the follower has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum History {
    /// The relay gave out this position: events that were pruned after it are missing.
    Continued,
    /// All retained events were asked for: nothing is missing.
    Earliest,
    /// All retained events, because the position that was asked for cannot be resumed.
    Reset(Reset),
}

impl Cursor {
    /// Resolves a start position. `head` must have been read after the follower subscribed: the ring then holds
    /// whatever is committed later.
    pub(super) fn new(start: StartPosition, epoch: Epoch, head: u64) -> Self {
        let (sequence, history) = match start {
            StartPosition::Live => (head, History::Continued),
            StartPosition::Earliest => (0, History::Earliest),
            StartPosition::Unknown => (0, History::Reset(Reset::Unknown)),
            StartPosition::After(id) if id.epoch != epoch => (0, History::Reset(Reset::Epoch)),
            StartPosition::After(id) if id.sequence > head => (0, History::Reset(Reset::Unknown)),
            StartPosition::After(id) => (id.sequence, History::Continued),
        };
        Self { sequence, history }
    }

    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether the next events have to come from the log, whatever the ring holds.
    pub(super) fn needs_log(&self) -> bool {
        self.history != History::Continued
    }

    /// Moves to a position up to which the ring has been collected, or back to one that was written.
    pub(super) fn move_to(&mut self, sequence: u64) {
        self.sequence = sequence;
    }

    /// Moves over a page of the log. Returns why continuity is not guaranteed before its first event, if so.
    pub(super) fn move_over(&mut self, page: &LogPage) -> Option<Reset> {
        let reset = match self.history {
            History::Continued => (self.sequence < page.pruned_through).then_some(Reset::Expired),
            History::Earliest => None,
            History::Reset(reason) => Some(reason),
        };
        self.history = History::Continued;
        self.sequence = page.through;
        reset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: u64 = 0xab;
    const HEAD: u64 = 9;

    fn after(epoch: u64, sequence: u64) -> StartPosition {
        StartPosition::After(EventId { epoch: Epoch::new(epoch), sequence })
    }

    fn page(through: u64, pruned_through: u64) -> LogPage {
        LogPage { events: Vec::new(), through, pruned_through }
    }

    // Rule 3: a gap is announced in the stream.
    #[test]
    fn start_position_decides_first_sequence_and_reset_reason() {
        let table = [
            // Start, pruned through, first sequence, reads the log first, reset.
            (StartPosition::Live, 0, HEAD, false, None),
            (StartPosition::Earliest, 0, 0, true, None),
            (StartPosition::Earliest, 5, 0, true, None),
            (StartPosition::Unknown, 0, 0, true, Some(Reset::Unknown)),
            (StartPosition::Unknown, 5, 0, true, Some(Reset::Unknown)),
            (after(EPOCH, 4), 4, 4, false, None),
            (after(EPOCH, 4), 5, 4, false, Some(Reset::Expired)),
            (after(EPOCH, HEAD), HEAD, HEAD, false, None),
            (after(EPOCH, HEAD + 1), 0, 0, true, Some(Reset::Unknown)),
            (after(EPOCH + 1, 4), 5, 0, true, Some(Reset::Epoch)),
        ];
        for (start, pruned_through, sequence, needs_log, reset) in table {
            let mut cursor = Cursor::new(start, Epoch::new(EPOCH), HEAD);
            assert_eq!((cursor.sequence(), cursor.needs_log()), (sequence, needs_log), "{start:?}");
            assert_eq!(cursor.move_over(&page(HEAD, pruned_through)), reset, "{start:?}");
            assert_eq!((cursor.sequence(), cursor.needs_log()), (HEAD, false), "{start:?}");
        }
    }

    #[test]
    fn opening_names_given_position_or_head() {
        let id = |epoch: u64, sequence: u64| Some(EventId { epoch: Epoch::new(epoch), sequence });
        let table = [
            (StartPosition::Live, id(EPOCH, HEAD)),
            (StartPosition::Earliest, id(EPOCH, 0)),
            (StartPosition::Unknown, None),
            (after(EPOCH, 4), id(EPOCH, 4)),
            (after(EPOCH, HEAD + 1), id(EPOCH, HEAD + 1)),
            (after(EPOCH + 1, 4), id(EPOCH + 1, 4)),
        ];
        for (start, expected) in table {
            let epoch = Epoch::new(EPOCH);
            let sequence = Cursor::new(start, epoch, HEAD).sequence();
            assert_eq!(start.opening_id(epoch, sequence), expected, "{start:?}");
        }
    }

    #[test]
    fn pruning_past_a_lagging_cursor_resets_it_once() {
        let mut cursor = Cursor::new(StartPosition::Live, Epoch::new(EPOCH), HEAD);
        assert_eq!(cursor.move_over(&page(20, HEAD + 1)), Some(Reset::Expired));
        assert_eq!(cursor.move_over(&page(30, HEAD + 1)), None);
        cursor.move_to(12);
        assert_eq!(cursor.move_over(&page(30, 12)), None);
        assert_eq!(cursor.sequence(), 30);
    }
}
