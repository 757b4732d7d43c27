//! Rejects: list the webhooks that passed verification and could not be parsed, and replay them.

use std::sync::Arc;

use crate::domain::{ClientRef, Hook, Timestamp, Update};
use crate::ingest::{Ingest, Webhook};
use crate::store::{AppendOutcome, RawRequest, Registry, Reject, RejectStore, StoreError};
use crate::vendor::{self, ParsedMessage, WebhookError, WebhookRequest};

/// Why a reject could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such reject, or its hook was removed.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// It still cannot be parsed; the text says why.
    #[error("{0}")]
    Malformed(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The use cases of rejects.
#[derive(Clone)]
pub struct Rejects {
    rejects: Arc<dyn RejectStore>,
    registry: Arc<dyn Registry>,
    ingest: Ingest,
}

impl Rejects {
    /// A reject is replayed through `ingest`.
    pub fn new(rejects: Arc<dyn RejectStore>, registry: Arc<dyn Registry>, ingest: Ingest) -> Self {
        Self { rejects, registry, ingest }
    }

    /// A client's rejects, newest first; `before` is the last id of the previous page.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Stopped`].
    pub async fn list(&self, client: &ClientRef, limit: usize, before: Option<u64>) -> Result<Vec<Reject>, StoreError> {
        self.rejects.list(client, limit, before).await
    }

    /// Parses a reject with its hook as the hook is now, or with the client's hook `hook`. If this succeeds, the event is
    /// stored and the reject removed.
    ///
    /// # Errors
    /// [`ReplayError::NotFound`] and [`ReplayError::Malformed`], for which the reject is kept.
    pub async fn replay(
        &self,
        client: &ClientRef,
        id: u64,
        hook: Option<&str>,
        now: Timestamp,
    ) -> Result<AppendOutcome, ReplayError> {
        let reject = self.rejects.get(client, id).await?.ok_or(ReplayError::NotFound("reject"))?;
        let hooks = self.registry.hooks(client);
        let wanted = hook.unwrap_or(&reject.hook);
        let hook = hooks
            .iter()
            .find(|h| h.id == wanted)
            .ok_or(ReplayError::NotFound("hook: name another of this client's with ?hook="))?;
        let update = parse(hook, &reject.raw)?;
        let webhook = Webhook { client, hook, request: reject.raw, now };
        let appended = self.ingest.accept(webhook, update).await?;
        // If this fails, the reject is kept, and a second replay finds a repeat. A concurrent replay may have removed it.
        match self.rejects.remove(client, id).await {
            Ok(()) | Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(appended)
    }
}

/// Verification is skipped: the request passed it when it arrived, and its timestamp may be too old by now.
fn parse(hook: &Hook, raw: &RawRequest) -> Result<Update, ReplayError> {
    let bad = |what: &str| ReplayError::Malformed(format!("the kept request has a bad {what}"));
    let method = raw.method.parse().map_err(|_| bad("method"))?;
    let mut headers = http::HeaderMap::new();
    for (name, value) in &raw.headers {
        let name: http::HeaderName = name.parse().map_err(|_| bad("header"))?;
        headers.append(name, http::HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad("header"))?);
    }
    let request = WebhookRequest {
        method: &method,
        path: "/",
        query: raw.query.as_deref(),
        endpoint: None,
        headers: &headers,
        body: &raw.body,
    };
    match vendor::parse_verified(hook, &request) {
        Ok(ParsedMessage::Update(update)) => Ok(*update),
        Ok(ParsedMessage::Handshake(_)) => Err(ReplayError::Malformed("it is a handshake, not an event".into())),
        Err(WebhookError::Unauthorized(why) | WebhookError::MethodNotAllowed(why)) => {
            Err(ReplayError::Malformed(why.into()))
        }
        Err(WebhookError::Malformed(why)) => Err(ReplayError::Malformed(why)),
    }
}
