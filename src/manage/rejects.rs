//! Rejects: list the webhooks that could not be parsed or verified, and replay them.

use std::sync::Arc;

use crate::domain::{ClientRef, Hook, Timestamp, Update};
use crate::ingest::{Ingest, Webhook};
use crate::store::{AppendOutcome, ListPage, Registry, Reject, RejectStore, StoreError};
use crate::vendor::{self, ParsedMessage, WebhookError, WebhookRequest};

/// Why a reject could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such reject, or its hook was removed.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// It still cannot be parsed or verified; the text says why.
    #[error("{0}")]
    Malformed(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What to replay, and how.
#[derive(Debug)]
pub struct Replay<'a> {
    /// The reject's id.
    pub id: u64,
    /// The hook that reads it; the one that received it by default.
    pub hook: Option<&'a str>,
    /// Base of the URLs of hooks: some signatures cover the URL.
    pub public_url: &'a str,
    pub now: Timestamp,
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

    /// A client's rejects, newest first; `before` is the cursor of the previous page.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Stopped`].
    pub async fn list(
        &self,
        client: &ClientRef,
        limit: usize,
        before: Option<u64>,
    ) -> Result<ListPage<Reject>, StoreError> {
        self.rejects.list(client, limit, before).await
    }

    /// Reads a reject with its hook as the hook is now, or with another hook of the client. A reject that was not
    /// verified is verified, as of the time of its arrival. If this succeeds, the event is stored and the reject
    /// removed.
    ///
    /// # Errors
    /// [`ReplayError::NotFound`] and [`ReplayError::Malformed`], for which the reject is kept.
    pub async fn replay(&self, client: &ClientRef, replay: Replay<'_>) -> Result<AppendOutcome, ReplayError> {
        let Replay { id, now, .. } = replay;
        let reject = self.rejects.get(client, id).await?.ok_or(ReplayError::NotFound("reject"))?;
        let hooks = self.registry.hooks(client);
        let wanted = replay.hook.unwrap_or(&reject.hook);
        let hook = hooks
            .iter()
            .find(|h| h.id == wanted)
            .ok_or(ReplayError::NotFound("hook: name another of this client's with ?hook="))?;
        // A signature covers the URL that was called, which is that of the hook that received the request.
        let called = hooks.iter().find(|h| h.id == reject.hook).unwrap_or(hook);
        let update = read(hook, &reject, &format!("/in/{}", called.key.expose()), replay.public_url)?;
        let webhook = Webhook { client, hook, request: reject.raw, now };
        let appended = self.ingest.accept(webhook, update).await?;
        // If this fails, the reject is kept, and a second replay finds a repeat. A concurrent replay may have removed
        // it.
        match self.rejects.remove(client, id).await {
            Ok(()) | Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(appended)
    }
}

/// Parses the request. Verification is skipped if the request passed it when it arrived: its credentials were not
/// stored.
fn read(hook: &Hook, reject: &Reject, path: &str, public_url: &str) -> Result<Update, ReplayError> {
    let raw = &reject.raw;
    let bad = |what: &str| ReplayError::Malformed(format!("the kept request has a bad {what}"));
    let method = raw.method.parse().map_err(|_| bad("method"))?;
    let mut headers = http::HeaderMap::new();
    for (name, value) in &raw.headers {
        let name: http::HeaderName = name.parse().map_err(|_| bad("header"))?;
        headers.append(name, http::HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad("header"))?);
    }
    let request = WebhookRequest {
        method: &method,
        path,
        query: raw.query.as_deref(),
        endpoint: Some(&format!("{public_url}{path}")),
        headers: &headers,
        body: &raw.body,
    };
    let parsed = if reject.verified {
        vendor::parse_verified(hook, &request)
    } else {
        vendor::verify_and_parse(hook, &request, reject.time)
    };
    match parsed {
        Ok(ParsedMessage::Update(update)) => Ok(*update),
        Ok(ParsedMessage::Handshake(_)) => Err(ReplayError::Malformed("it is a handshake, not an event".into())),
        Err(WebhookError::MethodNotAllowed(allow)) => {
            Err(ReplayError::Malformed(format!("this hook accepts {allow} requests only")))
        }
        Err(WebhookError::Unauthorized(reason) | WebhookError::UnknownSignature(reason)) => {
            Err(ReplayError::Malformed(format!("not verified: {reason}")))
        }
        Err(WebhookError::Malformed(reason)) => Err(ReplayError::Malformed(reason)),
    }
}
