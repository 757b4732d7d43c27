//! What vendors said and nobody understood: `GET /rejects`, `POST /rejects/{id}/replay`.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;

use crate::auth::Scope;
use crate::domain::{DocumentId, EventId, Timestamp};
use crate::http::api::json::RawRequestJson;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult};
use crate::http::{Context, auth};
use crate::store::AppendOutcome;

/// Rejects on one page.
const PAGE: usize = 50;

/// `GET /rejects`, newest first; `?cursor=` goes on.
pub(in crate::http) async fn list(context: Arc<Context>, request: Request) -> HandlerResult {
    #[derive(Serialize)]
    struct View<'a> {
        id: String,
        hook: &'a str,
        time: Timestamp,
        reason: &'a str,
        #[serde(flatten)]
        raw: RawRequestJson<'a>,
    }
    #[derive(Serialize)]
    struct List<'a> {
        rejects: Vec<View<'a>>,
        next: Option<String>,
    }
    if request.method != Method::GET {
        return Err(Problem::method("GET"));
    }
    let grant = auth::require(&context, &request, Scope::Manage, Timestamp::now())?;
    let before = match request.parameter("cursor").filter(|c| !c.is_empty()) {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Problem::bad_request("cursor: a whole number"))?),
    };
    let rejects = context.rejects.list(&grant.client, PAGE, before).await?;
    let next = (rejects.len() == PAGE).then(|| rejects.last().map(|r| r.id.to_string())).flatten();
    let views = rejects
        .iter()
        .map(|r| View {
            id: r.id.to_string(),
            hook: &r.hook,
            time: r.time,
            reason: &r.reason,
            raw: RawRequestJson::new(&r.raw),
        })
        .collect();
    Ok(response::json(StatusCode::OK, &List { rejects: views, next }))
}

/// `POST /rejects/{id}/replay`: after a fix, of the hook's mapping or of the relay. `?hook=` reads it as if it had come to
/// another hook of the client, for a reject whose own hook is gone.
pub(in crate::http) async fn replay(context: Arc<Context>, request: Request, id: String) -> HandlerResult {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Replayed {
        document_id: DocumentId,
        event_id: EventId,
        repeat: bool,
    }
    if request.method != Method::POST {
        return Err(Problem::method("POST"));
    }
    let now = Timestamp::now();
    let grant = auth::require(&context, &request, Scope::Manage, now)?;
    let id = id.parse().map_err(|_| Problem::not_found("reject"))?;
    let hook = request.parameter("hook").filter(|hook| !hook.is_empty());
    let replayed = match context.rejects.replay(&grant.client, id, hook.as_deref(), now).await? {
        AppendOutcome::Stored(event) => Replayed { document_id: event.document, event_id: event.id, repeat: false },
        AppendOutcome::Duplicate { id, document, .. } => Replayed { document_id: document, event_id: id, repeat: true },
    };
    Ok(response::json(StatusCode::OK, &replayed))
}
