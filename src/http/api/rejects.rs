//! `/rejects`: list and replay.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use crate::auth::Grant;
use crate::domain::{DocumentId, EventId, Timestamp};
use crate::http::Context;
use crate::http::api::json::RawRequestJson;
use crate::http::page::{PageRequest, PageSize};
use crate::http::problem::{HandlerResult, Problem};
use crate::http::request::Request;
use crate::http::response;
use crate::store::AppendOutcome;

/// A reject holds its request: up to 256 KiB each.
const PAGE_SIZE: PageSize = PageSize { default: 50, max: 50 };

/// `GET /rejects`, newest first.
pub(in crate::http) async fn list(context: Arc<Context>, request: Request, grant: Grant) -> HandlerResult {
    #[derive(Serialize)]
    struct RejectJson<'a> {
        id: String,
        hook: &'a str,
        time: Timestamp,
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
    let mut rejects = context.rejects.list(&grant.client, page.lookahead(), page.cursor).await?;
    let next = page.cut(&mut rejects, |reject| reject.id);
    let rejects = rejects.iter().map(|reject| RejectJson {
        id: reject.id.to_string(),
        hook: &reject.hook,
        time: reject.time,
        reason: &reject.reason,
        raw: RawRequestJson::new(&reject.raw),
    });
    Ok(response::json(StatusCode::OK, &RejectList { rejects: rejects.collect(), next }))
}

/// `POST /rejects/{id}/replay`: parses the request with its hook as the hook is now, or with the hook `?hook=`, for a reject
/// whose own hook was deleted.
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
    let replayed = match context.rejects.replay(&grant.client, id, hook.as_deref(), Timestamp::now()).await? {
        AppendOutcome::Stored(event) => Replayed { document_id: event.document, event_id: event.id, repeat: false },
        AppendOutcome::Duplicate { id, document, .. } => Replayed { document_id: document, event_id: id, repeat: true },
    };
    Ok(response::json(StatusCode::OK, &replayed))
}
