//! The use cases of a client's owner and of the administrator. Each part is a handle over the ports of the store, cheap
//! to clone. Knows neither HTTP nor SQL.

mod client_limits;
mod clients;
mod deliveries;
mod documents;
mod hooks;
mod notifications;
mod rejects;

use crate::store::StoreError;

pub use client_limits::{LimitsChange, Nullable};
pub use clients::{ClientError, ClientWithSecret, Clients};
pub use deliveries::Deliveries;
pub use documents::{Documents, NewDocument};
pub use hooks::{HookChange, HookError, Hooks, NewHook};
pub use notifications::{NewCallback, NewNotification, NotificationChange, NotificationError, Notifications, Secrets};
pub use rejects::{Rejects, Replay, ReplayError};

/// Attempts of a change while other requests change the same item.
const MAX_CHANGE_ATTEMPTS: usize = 20;

/// How one attempt of a change has ended.
enum ChangeAttempt<T> {
    Stored(T),
    /// Another request has changed the item since the attempt read it.
    Conflict,
}

impl<T> ChangeAttempt<T> {
    /// The attempt that the store has answered so, with the value to return if it was stored.
    fn new(outcome: Result<(), StoreError>, value: T) -> Result<Self, StoreError> {
        match outcome {
            Ok(()) => Ok(Self::Stored(value)),
            Err(StoreError::Conflict(_)) => Ok(Self::Conflict),
            Err(error) => Err(error),
        }
    }
}

/// Changes an item by optimistic concurrency: `attempt` reads the item, and stores it changed if nothing else has
/// changed it since. It is repeated after a conflict. `item` names the item in the error.
///
/// # Errors
/// [`StoreError::Unavailable`] after [`MAX_CHANGE_ATTEMPTS`] conflicts; any error of `attempt`.
async fn change_item<T, E, F>(item: &str, attempt: impl Fn() -> F) -> Result<T, E>
where
    E: From<StoreError>,
    F: Future<Output = Result<ChangeAttempt<T>, E>>,
{
    for _ in 0..MAX_CHANGE_ATTEMPTS {
        if let ChangeAttempt::Stored(value) = attempt().await? {
            return Ok(value);
        }
    }
    Err(StoreError::Unavailable(format!("other requests keep changing the {item}")).into())
}
