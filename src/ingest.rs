//! Accepting: what a vendor or an application says becomes an arrival, and is durable when this returns.

use std::sync::Arc;

use crate::domain::{ClientId, Epoch, Hook, Route, Status, Timestamp, Update, Vendor, VendorId};
use crate::metrics::Metrics;
use crate::store::{AppendOutcome, DuplicateRule, NewEvent, RawRequest, Reject, Store, StoreError};

/// A document that an application announces before the vendor calls back.
#[derive(Debug)]
pub struct Registration {
    /// Who will convert it.
    pub vendor: Vendor,
    /// How the vendor calls it.
    pub vendor_id: VendorId,
    /// Its title.
    pub title: Option<String>,
    /// Where its events go, when the application says so.
    pub route: Option<Route>,
}

/// Stores what vendors and applications send. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    store: Store,
    metrics: Metrics,
}

impl Ingest {
    /// Stores into this store.
    pub fn new(store: Store, metrics: Metrics) -> Self {
        Self { store, metrics }
    }

    /// The hook with this key, and its client.
    pub fn hook(&self, key: &str) -> Option<(ClientId, Arc<Hook>)> {
        self.store.registry.hook_by_key(key)
    }

    /// The epoch of the log that events are stored in.
    pub fn epoch(&self) -> Epoch {
        self.store.log.epoch()
    }

    /// Checks that events can be stored, with a small commit.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with the reason, [`StoreError::Stopped`].
    pub async fn check_ready(&self) -> Result<(), StoreError> {
        self.store.log.probe().await
    }

    /// Stores what a vendor said through a hook.
    pub async fn accept(
        &self,
        client: &ClientId,
        hook: &Hook,
        update: Update,
        raw: RawRequest,
        now: Timestamp,
    ) -> Result<AppendOutcome, StoreError> {
        let mut labels = hook.labels.clone();
        labels.extend(update.labels.iter().map(|(k, v)| (k.clone(), v.clone())));
        let duplicate_rule = update.dedup_key.clone().map_or(DuplicateRule::SameStatus, DuplicateRule::SameKey);
        let arrival = NewEvent {
            client: client.clone(),
            vendor: hook.vendor,
            update,
            labels,
            raw: Some(raw),
            duplicate_rule,
            route: None,
            now,
        };
        self.store.log.append(arrival).await
    }

    /// Stores a document that the application has submitted; nothing when it is known already.
    pub async fn register(
        &self,
        client: &ClientId,
        registration: Registration,
        now: Timestamp,
    ) -> Result<AppendOutcome, StoreError> {
        let mut update = Update::new(registration.vendor_id, Status::Pending);
        update.title = registration.title;
        let arrival = NewEvent {
            client: client.clone(),
            vendor: registration.vendor,
            update,
            labels: std::collections::BTreeMap::new(),
            raw: None,
            duplicate_rule: DuplicateRule::KnownDocument,
            route: registration.route,
            now,
        };
        self.store.log.append(arrival).await
    }

    /// Keeps a request that proved its origin but could not be understood.
    pub async fn reject(
        &self,
        client: &ClientId,
        hook: &Hook,
        reason: String,
        raw: RawRequest,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let reject = Reject { id: 0, hook: hook.id.clone(), time: now, reason, raw };
        let id = self.store.rejects.add(client, reject).await?;
        self.metrics.rejects.inc();
        Ok(id)
    }
}
