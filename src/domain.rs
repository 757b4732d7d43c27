//! The plain values of the product: clients, hooks, documents, events, notifications and their identifiers.
//! Values are valid by construction. This module knows nothing of HTTP, SQL or any vendor's format.

mod client;
mod delivery;
mod document;
mod event;
mod hook;
mod notification;
mod route;
mod secret;
mod time;
mod update;
mod verification;

pub use client::{Client, ClientId};
pub use delivery::{Disposition, QueueKey};
pub use document::{DocumentId, InvalidId, Status, UnknownName, Vendor, VendorId};
pub use event::{Epoch, Event, EventId, SharedEvent};
pub use hook::{Hook, HookChange, Mapping, NewHook};
pub use notification::{
    Credential, Format, InvalidName, NOTIFICATIONS_PER_CLIENT, Notification, NotificationName, NotificationState,
    RetiredSecret,
};
pub use route::{Callback, MAX_ENDPOINT_CHARS, Route, Target, check_endpoint};
pub use secret::Secret;
pub use time::Timestamp;
pub use update::{EventJson, Update, VendorError};
pub use verification::{Encoding, Verify};
