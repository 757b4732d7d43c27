//! The words of the product: clients, vendors, documents, and the events that tell of them.
//! Values here are good by construction; this module knows nothing of HTTP, SQL or any vendor's format.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use super::{ClientId, DocumentId, EventId};

/// Who converts documents and calls hooks; the last two are vendor-neutral formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// PPJ: GET query or POST form, with a verification handshake.
    Ppj,
    /// Baidu DOC: POST JSON with JSON inside a string.
    Baidu,
    /// zOffice: POST JSON, one chance of five seconds.
    Zoffice,
    /// Gini: `documentId` and `status`.
    Gini,
    /// Standard Webhooks and CloudEvents.
    Standard,
    /// Any JSON, mapped by JSON Pointers.
    Generic,
}

impl Vendor {
    /// Every vendor, in the order of the contract.
    pub const ALL: [Vendor; 6] =
        [Vendor::Ppj, Vendor::Baidu, Vendor::Zoffice, Vendor::Gini, Vendor::Standard, Vendor::Generic];

    /// The name used in paths, JSON, flags and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Vendor::Ppj => "ppj",
            Vendor::Baidu => "baidu",
            Vendor::Zoffice => "zoffice",
            Vendor::Gini => "gini",
            Vendor::Standard => "standard",
            Vendor::Generic => "generic",
        }
    }
}

/// Where a document's conversion stands, in Gini's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Submitted or being worked on.
    Pending,
    /// Converted.
    Completed,
    /// Failed for good.
    Error,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 3] = [Status::Pending, Status::Completed, Status::Error];

    /// The name used in JSON and queries.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "PENDING",
            Status::Completed => "COMPLETED",
            Status::Error => "ERROR",
        }
    }
}

/// A word that is not one of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {expected}")]
pub struct UnknownWord {
    expected: String,
}

macro_rules! word {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                $name::ALL
                    .into_iter()
                    .find(|w| w.as_str() == text)
                    .ok_or_else(|| UnknownWord { expected: $name::ALL.map($name::as_str).join(", ") })
            }
        }
    };
}
word!(Vendor);
word!(Status);

/// One stored event. Its JSON is rendered once, when it is stored, and never again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Position in the log; its order is the order of delivery.
    pub id: EventId,
    /// Whose event it is.
    pub client: ClientId,
    /// What it tells of.
    pub document: DocumentId,
    /// What it says.
    pub status: Status,
    /// The `data:` line: one JSON object, `documentId` and `status` first, without a line break.
    pub json: Bytes,
}

/// Events travel through the relay shared, never copied.
pub type SharedEvent = Arc<Event>;
