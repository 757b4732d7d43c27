//! The plain values of the product: clients, hooks, documents, events, notifications and their identifiers. Values are
//! valid by construction; a setting that a reload replaces is a [`Reloadable`]. This module knows nothing of HTTP, SQL
//! or any vendor's format.

mod client;
mod client_limits;
mod delivery;
mod destinations;
mod document;
mod event;
mod hook;
mod notification;
mod ownership;
mod reloadable;
mod time;

pub use client::{Client, ClientId, ClientRef, Secret};
pub use client_limits::{ClientLimit, ClientLimits};
pub use delivery::{Disposition, QueueKey, QueueTarget, Target};
pub use destinations::{Callback, Destinations, MAX_ENDPOINT_CHARS, check_endpoint};
pub use document::{DocumentId, InvalidId, Status, UnknownName, Vendor, VendorId};
pub use event::{Epoch, Event, EventId, EventJson, SharedEvent, Update, VendorError};
pub use hook::{Encoding, Hook, Mapping, PpjEdition, Verify};
pub use notification::{
    Credential, Format, InvalidName, NOTIFICATIONS_PER_CLIENT, Notification, NotificationName, NotificationState,
    RetiredSecret,
};
pub use ownership::OwnershipVersion;
pub use reloadable::Reloadable;
pub use time::Timestamp;
