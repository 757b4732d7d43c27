//! The plain values of the product: clients, hooks, documents, events, notifications and their identifiers.
//! Values are valid by construction. This module knows nothing of HTTP, SQL or any vendor's format.

pub mod delivery;
pub mod event;
pub mod hook;
pub mod id;
pub mod notification;
pub mod time;
pub mod update;

pub use delivery::{Disposition, QueueKey};
pub use event::{Event, SharedEvent, Status, UnknownWord, Vendor};
pub use hook::{Client, Encoding, Hook, HookChange, Mapping, NewHook, Secret, Verify};
pub use id::{ClientId, DocumentId, Epoch, EventId, InvalidId, VendorId};
pub use notification::{
    Callback, Credential, ENDPOINT_LENGTH, Format, NOTIFICATIONS_PER_CLIENT, Notification, NotificationName,
    NotificationState, Retired, Route, Target, check_endpoint,
};
pub use time::Timestamp;
pub use update::{Draft, Failure, Update};

pub(crate) use hook::millis;
