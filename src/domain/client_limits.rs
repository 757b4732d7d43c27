//! The limits that an administrator has set for one client. Each takes the place of a default, which is in the
//! configuration or fixed.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize};

/// The limits of one client; `None` for the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClientLimits {
    /// Webhooks per second to all hooks of the client, at each node of a cluster.
    pub events_per_second: Option<NonZeroU32>,
    /// Open streams, at each node of a cluster.
    pub followers: Option<NonZeroU32>,
    /// Bytes of events with their requests, and of titles of documents. The oldest events beyond them are removed.
    pub stored_bytes: Option<NonZeroU64>,
    pub notifications: Option<NonZeroU32>,
}

/// One of the [`ClientLimits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientLimit {
    EventsPerSecond,
    Notifications,
}

impl ClientLimit {
    /// Its key in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventsPerSecond => "eventsPerSecond",
            Self::Notifications => "notifications",
        }
    }
}

impl fmt::Display for ClientLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
