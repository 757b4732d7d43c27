//! The use cases of a client's owner and of the administrator. Each part is a handle over the ports of the store, cheap to
//! clone. Knows neither HTTP nor SQL.

mod client_limits;
mod clients;
mod deliveries;
mod documents;
mod hooks;
mod notifications;
mod rejects;

pub use client_limits::{LimitsChange, Nullable};
pub use clients::{ClientError, ClientWithSecret, Clients};
pub use deliveries::Deliveries;
pub use documents::{Documents, NewDocument};
pub use hooks::{HookChange, HookError, Hooks, NewHook};
pub use notifications::{NewCallback, NewNotification, NotificationChange, NotificationError, Notifications, Secrets};
pub use rejects::{Rejects, Replay, ReplayError};

/// Attempts of a change while other requests change the same item.
const MAX_CHANGE_ATTEMPTS: usize = 20;
