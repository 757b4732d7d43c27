//! Clients: add, remove, rotate the secret, change the limits. The caller has checked the admin token.

use std::sync::Arc;
use std::time::Duration;

use super::{ChangeAttempt, LimitsChange, change_item};
use crate::auth::{KeyError, PREVIOUS_SECRET_TTL, generate_secret, rotate_secret};
use crate::delivery::DeliveryHandle;
use crate::domain::{Client, ClientId, ClientLimits, ClientRef, Timestamp};
use crate::store::{Registry, StoreError};
use crate::stream::hub::Hub;

/// Why a client was not added, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The system's random source failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A limit cannot have this value; the text names both.
    #[error("{0}")]
    Invalid(String),
    /// [`StoreError::Conflict`] if the id is taken, [`StoreError::NotFound`] if there is no such client.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A client whose secret was just created: the only time that the secret can be read.
pub struct ClientWithSecret {
    pub client: Client,
    /// Until when the previous secret is accepted, after a rotation.
    pub previous_valid_until: Option<Timestamp>,
}

/// A page of the list of clients.
pub struct ClientPage {
    pub clients: Vec<Arc<Client>>,
    /// Whether further clients follow.
    pub has_more: bool,
}

/// The use cases of clients.
#[derive(Clone)]
pub struct Clients {
    registry: Arc<dyn Registry>,
    hub: Hub,
    delivery: DeliveryHandle,
}

impl Clients {
    /// Takes the hub and the delivery, because both hold state of a client that is removed.
    pub fn new(registry: Arc<dyn Registry>, hub: Hub, delivery: DeliveryHandle) -> Self {
        Self { registry, hub, delivery }
    }

    /// At most `limit` clients by id, after the client `after`.
    pub fn page(&self, after: Option<&ClientId>, limit: usize) -> ClientPage {
        let mut clients = self.registry.clients();
        clients.retain(|client| after.is_none_or(|after| client.id > *after));
        let has_more = clients.len() > limit;
        clients.truncate(limit);
        ClientPage { clients, has_more }
    }

    /// One client.
    pub fn get(&self, id: &ClientId) -> Option<Arc<Client>> {
        self.registry.client(id)
    }

    /// Adds a client with a new secret.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the id is taken.
    pub async fn add(&self, id: ClientId, now: Timestamp) -> Result<ClientWithSecret, ClientError> {
        let mut client = Client { id, created: now, secret: generate_secret()?, previous: None };
        self.registry.add_client(client.clone()).await?;
        // The store may have chosen a later time.
        if let Some(added) = self.registry.client(&client.id) {
            client.created = added.created;
        }
        Ok(ClientWithSecret { client, previous_valid_until: None })
    }

    /// Replaces a client's secret. The previous one is accepted for 24 hours.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such client.
    pub async fn rotate_secret(&self, id: &ClientId, now: Timestamp) -> Result<ClientWithSecret, ClientError> {
        // Of two rotations at the same time, one replaces the secret of the other.
        let client = change_item("client", || async {
            let known = self.registry.client(id).ok_or(StoreError::NotFound("client"))?;
            let client = rotate_secret(&known, generate_secret()?, now);
            let outcome = self.registry.update_client(&known, client.clone()).await;
            Ok::<_, ClientError>(ChangeAttempt::new(outcome, client)?)
        });
        Ok(ClientWithSecret { client: client.await?, previous_valid_until: Some(now.plus(PREVIOUS_SECRET_TTL)) })
    }

    /// The limits of a client; the defaults for an unknown one.
    pub fn limits(&self, client: &ClientRef) -> ClientLimits {
        self.registry.client_limits(client)
    }

    /// Changes the given limits of a client. They apply from the next request, event or notification on, at every node
    /// of a cluster that has applied the change.
    ///
    /// # Errors
    /// [`ClientError::Invalid`]; [`StoreError::NotFound`] if there is no such client.
    pub async fn change_limits(
        &self,
        id: &ClientId,
        change: LimitsChange,
        min_stored_bytes: u64,
    ) -> Result<Arc<Client>, ClientError> {
        let changed = change_item("client", || async {
            let client = self.registry.client(id).ok_or(StoreError::NotFound("client"))?;
            let before = self.registry.client_limits(&client.reference());
            let after = change.applied_to(before, min_stored_bytes).map_err(ClientError::Invalid)?;
            let outcome = self.registry.set_client_limits(&client.reference(), before, after).await;
            Ok::<_, ClientError>(ChangeAttempt::new(outcome, (client, after))?)
        });
        let (client, limits) = changed.await?;
        tracing::info!(client = %id, ?limits, "limits of a client changed");
        Ok(client)
    }

    /// Removes a client with everything it owns. Its streams end, its hooks stop, its deliveries in flight are
    /// cancelled.
    ///
    /// Returns after the millisecond of the removal has ended: a new client of the same id has another time of
    /// creation.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such client.
    pub async fn remove(&self, id: &ClientId) -> Result<(), ClientError> {
        let client = self.registry.client(id);
        self.registry.remove_client(id).await?;
        // The dispatcher does the same, in the order of the log. Here, so that the streams end before the response.
        if let Some(client) = client {
            self.hub.revoke(&client.reference());
        }
        self.delivery.cancel_client(id).await;
        // Tokens, streams and deliveries tell clients of the same id apart by their times of creation, in milliseconds.
        // The store gives no time to a new client that a removed one has whose rows it still erases. It does not
        // remember the time of an erased one, which only a client of the same millisecond could get: the removal is
        // acknowledged in a later one.
        tokio::time::sleep(Duration::from_millis(1)).await;
        tracing::info!(client = %id, "client removed");
        Ok(())
    }
}
