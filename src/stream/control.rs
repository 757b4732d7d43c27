//! The text of a stream that is not an event: the opening, idle lines, `reset`, and the bodies of refused and ended
//! streams. An EventSource reconnects by itself, so each end says when: `retry:` is in milliseconds and spread, so that
//! clients do not return all at once.

use std::ops::Range;
use std::time::Duration;

use super::hub::HubFull;
use crate::domain::EventId;
use crate::metrics::{Disconnect, Label, Reset};

/// Keeps an idle connection open; an EventSource ignores it.
pub(super) const IDLE_LINE: &str = "\n";

/// The opening of every stream: a first byte for proxies that wait for one, then the delay of reconnects and the start
/// position. With the position an EventSource that is cut before its first event resumes without a gap.
pub(super) fn opening(position: Option<EventId>) -> String {
    let retry = retry_ms(2_000..4_001);
    match position {
        Some(id) => format!("\nretry: {retry}\nid: {id}\n\n"),
        None => format!("\nretry: {retry}\n\n"),
    }
}

/// An idle line that also moves the position of the client, over events that the filter of its stream holds back.
pub(super) fn idle_position(position: EventId) -> String {
    format!("id: {position}\n\n")
}

/// The whole body of a stream that is refused until the client changes something. The client returns after at least 30
/// s.
pub fn refusal(code: &str) -> String {
    format!("retry: {}\nevent: error\ndata: {code}\n\n", retry_ms(30_000..40_000))
}

/// The whole body of a stream that is refused because a limit is reached.
pub fn hub_full(reason: HubFull) -> String {
    format!(": {reason}\nretry: {}\n\n", retry_ms(5_000..20_000))
}

/// The whole body of a stream that is refused because of a bound for some time, at least `delay`. `reason` has no line
/// break.
pub fn too_many(reason: &str, delay: Duration) -> String {
    let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX / 2).max(5_000);
    format!(": {reason}\nretry: {}\n\n", retry_ms(delay..delay.saturating_add(15_000)))
}

/// The whole body of a stream that is refused because this node has not got the events before its start position yet.
/// The client returns with the same position, to this node or to another one.
pub fn behind() -> String {
    format!(": this node is behind\nretry: {}\n\n", retry_ms(1_000..3_000))
}

/// Says that events before `earliest` may be missing.
pub(super) fn reset(reason: Reset, earliest: EventId) -> String {
    let reason = reason.as_str();
    format!("event: reset\ndata: {{\"reason\":\"{reason}\",\"earliest\":\"{earliest}\"}}\n\n")
}

/// The last text of a stream; empty when the peer does not read any more.
pub(super) fn closing(reason: Disconnect) -> String {
    match reason {
        Disconnect::Closed | Disconnect::Stalled => String::new(),
        Disconnect::Expired | Disconnect::Revoked => refusal("auth_failed"),
        Disconnect::Removed => format!(": ended by the administrator\nretry: {}\n\n", retry_ms(5_000..15_000)),
        Disconnect::Stopping => format!("retry: {}\n\n", retry_ms(1_000..8_000)),
        Disconnect::Store => format!(": the log cannot be read\nretry: {}\n\n", retry_ms(3_000..9_000)),
    }
}

fn retry_ms(range: Range<u64>) -> u64 {
    fastrand::u64(range)
}
