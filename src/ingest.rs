//! Accepting: what a vendor or an application says becomes an arrival, and is durable when this returns.

use crate::domain::{ClientId, Hook, Route, Status, Timestamp, Update, Vendor, VendorId};
use crate::metrics::Metrics;
use crate::store::{AppendOutcome, DuplicateRule, NewEvent, RawRequest, Reject, Store, StoreError};
use crate::vendor::{self, Message, Refusal};

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

/// Why a reject could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum RejectFailure {
    /// There is none of this number, or its hook is gone.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// It still cannot be understood.
    #[error("{0}")]
    Unintelligible(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
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

    /// Reads a kept request again, with its hook as it is now, or with the client's hook of the id `instead`; what is
    /// understood is stored and no longer a reject.
    pub async fn replay_reject(
        &self,
        client: &ClientId,
        id: u64,
        instead: Option<&str>,
        now: Timestamp,
    ) -> Result<AppendOutcome, RejectFailure> {
        let reject = self.store.rejects.get(client, id).await?.ok_or(RejectFailure::NotFound("reject"))?;
        let hooks = self.store.registry.hooks(client);
        let wanted = instead.unwrap_or(&reject.hook);
        let hook = hooks
            .iter()
            .find(|h| h.id == wanted)
            .ok_or(RejectFailure::NotFound("hook: name another of this client's with ?hook="))?;
        let update = understand(hook, &reject.raw)?;
        let appended = self.accept(client, hook, update, reject.raw, now).await?;
        // When this fails the reject stays, and a second replay finds a repeat. Another replay may have been quicker.
        match self.store.rejects.remove(client, id).await {
            Ok(()) | Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(appended)
    }
}

/// Its origin was proven when it arrived, and the proof may be stale by now: only the meaning is looked at.
fn understand(hook: &Hook, raw: &RawRequest) -> Result<Update, RejectFailure> {
    let bad = |what: &str| RejectFailure::Unintelligible(format!("the kept request has a bad {what}"));
    let method = raw.method.parse().map_err(|_| bad("method"))?;
    let mut headers = http::HeaderMap::new();
    for (name, value) in &raw.headers {
        let name: http::HeaderName = name.parse().map_err(|_| bad("header"))?;
        headers.append(name, http::HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad("header"))?);
    }
    let request = vendor::Inbound {
        method: &method,
        path: "/",
        query: raw.query.as_deref(),
        endpoint: None,
        headers: &headers,
        body: &raw.body,
    };
    match vendor::parse_kept(hook, &request) {
        Ok(Message::Update(update)) => Ok(*update),
        Ok(Message::Handshake(_)) => Err(RejectFailure::Unintelligible("it is a handshake, not news".into())),
        Err(Refusal::Unproven(why) | Refusal::Method(why)) => Err(RejectFailure::Unintelligible(why.into())),
        Err(Refusal::Unintelligible(why)) => Err(RejectFailure::Unintelligible(why)),
    }
}
