//! The port of the registry: clients with their hooks and notifications. Look-ups are answered from memory, because
//! each webhook and each token needs one.

use std::sync::Arc;

use super::StoreFuture;
use crate::domain::{Client, ClientId, ClientLimits, ClientRef, Hook, Notification, NotificationState};

/// Clients, hooks and notifications. A change is durable, and visible to every look-up, when its future completes.
///
/// A [`ClientRef`] of a removed client finds nothing, even if another client has its id now.
///
/// # Errors
/// Each change fails with `NotFound` when its client, hook or notification does not exist, with `Unavailable` when
/// nothing could be written, and with `Stopped` when the store is closed. Further errors are listed at the methods.
pub trait Registry: Send + Sync {
    /// All clients, ordered by name.
    fn clients(&self) -> Vec<Arc<Client>>;
    /// One client.
    fn client(&self, id: &ClientId) -> Option<Arc<Client>>;
    /// The hook with this key and the client that owns it.
    fn hook_by_key(&self, key: &str) -> Option<(ClientRef, Arc<Hook>)>;
    /// A client's hooks, oldest first; empty for an unknown client.
    fn hooks(&self, client: &ClientRef) -> Vec<Arc<Hook>>;
    /// The number of hooks of all clients.
    fn hook_count(&self) -> usize;
    /// Adds a client.
    ///
    /// # Errors
    /// `Conflict` when the name is taken; `Unavailable`, `Stopped`.
    fn add_client(&self, client: Client) -> StoreFuture<'_, ()>;
    /// Replaces the client `before` by `after` (compare and swap). Its id and `created` stay as they were.
    ///
    /// # Errors
    /// `Conflict` when the stored client differs from `before`; `NotFound`, `Unavailable`, `Stopped`.
    fn update_client(&self, before: &Client, after: Client) -> StoreFuture<'_, ()>;
    /// Removes a client. Its hooks, notifications, events, documents, deliveries and rejects are no longer visible when
    /// the future completes; they are erased in the background.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Stopped`.
    fn remove_client(&self, id: &ClientId) -> StoreFuture<'_, ()>;
    /// The limits of a client; the defaults for an unknown one.
    fn client_limits(&self, client: &ClientRef) -> ClientLimits;
    /// Replaces the limits `before` of a client by `after` (compare and swap). What exceeds lower ones in the history
    /// is removed in the background; streams and notifications stay.
    ///
    /// # Errors
    /// `Conflict` when the stored limits differ from `before`; `NotFound`, `Unavailable`, `Stopped`.
    fn set_client_limits(&self, client: &ClientRef, before: ClientLimits, after: ClientLimits) -> StoreFuture<'_, ()>;
    /// Adds a hook to a client.
    ///
    /// # Errors
    /// `Conflict` when the id or the key is taken; `NotFound`, `Unavailable`, `Stopped`.
    fn add_hook(&self, client: &ClientRef, hook: Hook) -> StoreFuture<'_, ()>;
    /// Replaces the hook `before` by `after` (compare and swap). Its id, its key, which vendors have been given, and
    /// `created` stay as they were.
    ///
    /// # Errors
    /// `Conflict` when the stored hook differs from `before`; `NotFound`, `Unavailable`, `Stopped`.
    fn update_hook(&self, client: &ClientRef, before: &Hook, after: Hook) -> StoreFuture<'_, ()>;
    /// Removes a client's hook.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Stopped`.
    fn remove_hook(&self, client: &ClientRef, id: &str) -> StoreFuture<'_, ()>;
    /// A client's notifications, oldest first; empty for an unknown client.
    fn notifications(&self, client: &ClientRef) -> Vec<Arc<Notification>>;
    /// Adds a notification. A default one clears `is_default` on the client's previous default notification.
    ///
    /// # Errors
    /// `Conflict` when the name or the id is taken; `TooMany` when the client has
    /// [`NOTIFICATIONS_PER_CLIENT`](crate::domain::NOTIFICATIONS_PER_CLIENT), `ClientLimit` when it has as many as its
    /// own limit allows; `NotFound`, `Unavailable`, `Stopped`.
    fn add_notification(&self, client: &ClientRef, notification: Notification) -> StoreFuture<'_, ()>;
    /// Replaces the notification `before` by `after` (compare and swap). Its id, name and `created` stay as they were.
    /// A default one clears `is_default` on the client's previous default notification.
    ///
    /// # Errors
    /// `Conflict` when the stored notification differs from `before`; `NotFound`, `Unavailable`, `Stopped`.
    fn update_notification(
        &self,
        client: &ClientRef,
        before: &Notification,
        after: Notification,
    ) -> StoreFuture<'_, ()>;
    /// Sets the state of a notification if its endpoint and format still equal those of `known`.
    ///
    /// # Errors
    /// `Conflict` when the endpoint or the format differs from that of `known`; `NotFound`, `Unavailable`, `Stopped`.
    fn set_notification_state(
        &self,
        client: &ClientRef,
        known: &Notification,
        state: NotificationState,
    ) -> StoreFuture<'_, ()>;
    /// Removes a client's notification by name. Its pending deliveries are never due again and become dead: the first
    /// slice of them before this completes, the others later, also after a crash.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Stopped`.
    fn remove_notification(&self, client: &ClientRef, name: &str) -> StoreFuture<'_, ()>;
}
