//! Accepts webhooks and registers documents. An event is durable when the call returns.

use std::sync::Arc;

use crate::domain::{ClientRef, Destinations, Epoch, Hook, Status, Timestamp, Update, Vendor, VendorId};
use crate::metrics::Metrics;
use crate::store::{AppendOutcome, DuplicateRule, NewEvent, RawRequest, Reject, Store, StoreError};

/// A webhook to a hook of a client. Only [`Ingest::reject_unverified`] takes one that did not pass verification.
pub struct Webhook<'a> {
    pub client: &'a ClientRef,
    pub hook: &'a Hook,
    pub request: RawRequest,
    pub now: Timestamp,
}

/// A document that an application registers before the vendor's first webhook.
#[derive(Debug)]
pub struct Registration {
    pub vendor: Vendor,
    pub vendor_id: VendorId,
    pub title: Option<String>,
    /// Where its events go; `None` for the client's default notification.
    pub destinations: Option<Destinations>,
}

/// Stores what vendors and applications send. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    store: Store,
    metrics: Metrics,
}

impl Ingest {
    pub fn new(store: Store, metrics: Metrics) -> Self {
        Self { store, metrics }
    }

    /// The hook with this key, and its client. Before it returns `None`, this node catches up with the cluster:
    /// another node may have just made the hook.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Stopped`] when this node cannot know whether the hook exists.
    pub async fn hook(&self, key: &str) -> Result<Option<(ClientRef, Arc<Hook>)>, StoreError> {
        if let Some(found) = self.store.registry.hook_by_key(key) {
            return Ok(Some(found));
        }
        self.catch_up().await?;
        Ok(self.store.registry.hook_by_key(key))
    }

    /// Waits until this node has everything that any node of the cluster had stored before the call. Returns at once
    /// without a cluster.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] after at most a few seconds, [`StoreError::Stopped`].
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        self.store.maintenance.catch_up().await.map(drop)
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
        self.store.maintenance.probe().await
    }

    /// What an operator should know although events can be stored, as a sentence.
    pub fn warning(&self) -> Option<&'static str> {
        self.store.maintenance.warning()
    }

    /// Stores the event of a webhook that passed verification.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Stopped`]: nothing is stored.
    pub async fn accept(&self, webhook: Webhook<'_>, mut update: Update) -> Result<AppendOutcome, StoreError> {
        self.metrics.texts_truncated.inc_by(update.truncate_texts());
        let Webhook { client, hook, request, now } = webhook;
        let mut labels = hook.labels.clone();
        labels.extend(update.labels.iter().map(|(k, v)| (k.clone(), v.clone())));
        let duplicate_rule = update.dedup_key.clone().map_or(DuplicateRule::SameStatus, DuplicateRule::SameKey);
        let event = NewEvent {
            client: client.clone(),
            vendor: hook.vendor,
            update,
            labels,
            raw: Some(request),
            duplicate_rule,
            destinations: None,
            now,
        };
        self.store.log.append(event).await
    }

    /// Keeps a webhook that passed verification and could not be parsed, for the given reason. Returns the id of the
    /// reject.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Stopped`]: nothing is stored.
    pub async fn reject(&self, webhook: Webhook<'_>, reason: String) -> Result<u64, StoreError> {
        self.keep(webhook, reason, true).await
    }

    /// Keeps a webhook whose signature has an unknown form. Returns the id of the reject; `None` if the client already
    /// has as many as may be kept, and all of them are verified.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Stopped`]: nothing is stored.
    pub async fn reject_unverified(&self, webhook: Webhook<'_>, reason: String) -> Result<Option<u64>, StoreError> {
        match self.keep(webhook, reason, false).await {
            Ok(id) => Ok(Some(id)),
            Err(StoreError::TooMany(_)) => {
                self.metrics.rejects_refused.inc();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn keep(&self, webhook: Webhook<'_>, reason: String, verified: bool) -> Result<u64, StoreError> {
        let Webhook { client, hook, request, now } = webhook;
        let reject = Reject { id: 0, hook: hook.id.clone(), time: now, verified, reason, raw: request };
        let id = self.store.rejects.add(client, reject).await?;
        self.metrics.rejects.inc();
        Ok(id)
    }

    /// Stores a document that the application registers as `PENDING`; [`AppendOutcome::Duplicate`] if it is known.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Stopped`]: nothing is stored.
    pub async fn register(
        &self,
        client: &ClientRef,
        registration: Registration,
        now: Timestamp,
    ) -> Result<AppendOutcome, StoreError> {
        let mut update = Update::new(registration.vendor_id, Status::Pending);
        update.title = registration.title;
        self.metrics.texts_truncated.inc_by(update.truncate_texts());
        let event = NewEvent {
            client: client.clone(),
            vendor: registration.vendor,
            update,
            labels: std::collections::BTreeMap::new(),
            raw: None,
            duplicate_rule: DuplicateRule::KnownDocument,
            destinations: registration.destinations,
            now,
        };
        self.store.log.append(event).await
    }
}
