//! Retention limits of the store. Each limit applies per client; the oldest items are removed first.

use std::time::Duration;

/// How long a duplicate is recognized, and the minimum time for which a document without events is kept.
pub const DUPLICATE_WINDOW: Duration = Duration::from_secs(30 * 24 * 3600);

/// How much is kept of each client.
#[derive(Debug, Clone)]
pub struct Retention {
    /// Maximum age of an event.
    pub max_event_age: Duration,
    /// Maximum number of events.
    pub max_events: u64,
    /// Maximum bytes of events with their raw requests.
    pub max_event_bytes: u64,
    /// Maximum age of a reject.
    pub max_reject_age: Duration,
    /// Maximum number of rejects.
    pub max_rejects: u64,
    /// Maximum bytes of rejects.
    pub max_reject_bytes: u64,
    /// Maximum age of a delivered or dead delivery, counted from its last change of state. Pending deliveries are kept.
    pub max_delivery_age: Duration,
    /// Maximum number of delivered and dead deliveries.
    pub max_deliveries: u64,
    /// Maximum bytes of the attempts of delivered and dead deliveries.
    pub max_attempt_bytes: u64,
}
