//! `/rejects`: list the webhooks that were not accepted, with their requests, and replay them.

use std::collections::BTreeMap;
use std::sync::Arc;

use data_encoding::BASE64;
use http::StatusCode;
use serde::Serialize;

use crate::auth::Grant;
use crate::domain::{DocumentId, EventId, Timestamp};
use crate::http::Context;
use crate::http::pagination::{PageRequest, PageSize, next_text};
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult, Problem};
use crate::manage::Replay;
use crate::store::{AppendOutcome, RawRequest};

/// A reject holds its request: up to 256 KiB each.
const PAGE_SIZE: PageSize = PageSize { default: 50, max: 50 };

/// A vendor's request: of a reject, or behind an event.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct RawRequestJson<'a> {
    method: &'a str,
    query: Option<&'a str>,
    headers: BTreeMap<&'a str, String>,
    /// The body, when it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    /// The body in base64, when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

impl<'a> RawRequestJson<'a> {
    pub(in crate::http) fn new(raw: &'a RawRequest) -> Self {
        let mut headers: BTreeMap<&str, String> = BTreeMap::new();
        for (name, value) in &raw.headers {
            headers
                .entry(name)
                .and_modify(|joined| {
                    joined.push_str(", ");
                    joined.push_str(value);
                })
                .or_insert_with(|| value.clone());
        }
        let body = std::str::from_utf8(&raw.body).ok();
        Self {
            method: &raw.method,
            query: raw.query.as_deref(),
            headers,
            body,
            body_base64: body.is_none().then(|| BASE64.encode(&raw.body)),
        }
    }
}

/// `GET /rejects`, newest first.
pub(in crate::http) async fn list(context: Arc<Context>, request: Request, grant: Grant) -> HandlerResult {
    #[derive(Serialize)]
    struct RejectJson<'a> {
        id: String,
        hook: &'a str,
        time: Timestamp,
        verified: bool,
        reason: &'a str,
        #[serde(flatten)]
        raw: RawRequestJson<'a>,
    }
    #[derive(Serialize)]
    struct RejectList<'a> {
        rejects: Vec<RejectJson<'a>>,
        next: Option<String>,
    }
    let page = PageRequest::parse(&request, PAGE_SIZE)?;
    let page = context.rejects.list(&grant.client, page.limit, page.cursor).await?;
    let next = next_text(page.next);
    let rejects = page.items.iter().map(|reject| RejectJson {
        id: reject.id.to_string(),
        hook: &reject.hook,
        time: reject.time,
        verified: reject.verified,
        reason: &reject.reason,
        raw: RawRequestJson::new(&reject.raw),
    });
    Ok(response::json(StatusCode::OK, &RejectList { rejects: rejects.collect(), next }))
}

/// `POST /rejects/{id}/replay`: parses, and verifies if it was not verified, the request with its hook as the hook is
/// now, or with the hook `?hook=`, for a reject whose own hook was deleted.
pub(in crate::http) async fn replay(context: Arc<Context>, request: Request, grant: Grant) -> HandlerResult {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Replayed {
        document_id: DocumentId,
        event_id: EventId,
        repeat: bool,
    }
    let id = request.path_parameter.parse().map_err(|_| Problem::not_found("reject"))?;
    let hook = request.parameter("hook").filter(|hook| !hook.is_empty());
    let replay = Replay { id, hook: hook.as_deref(), public_url: &context.public_url, now: Timestamp::now() };
    let replayed = match context.rejects.replay(&grant.client, replay).await? {
        AppendOutcome::Stored(event) => Replayed { document_id: event.document, event_id: event.id, repeat: false },
        AppendOutcome::Duplicate { id, document, .. } => Replayed { document_id: document, event_id: id, repeat: true },
    };
    Ok(response::json(StatusCode::OK, &replayed))
}
