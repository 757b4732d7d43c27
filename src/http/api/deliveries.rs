//! What goes out again, as its owner sees it: `GET /deliveries`, `GET /deliveries/{id}`, `POST /deliveries/{id}/retry`.

use std::borrow::Cow;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;

use crate::auth::Scope;
use crate::domain::{DocumentId, EventId, Target, Timestamp};
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult};
use crate::http::{Context, auth};
use crate::store::{Attempt, Delivery, DeliveryQuery, DeliveryState};

/// Deliveries on a page unless asked otherwise, and at most: each may hold a dozen answers of 16 KiB.
const PAGE: usize = 20;
const MOST: usize = 100;

/// A delivery as its owner sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryView<'a> {
    /// As text: a number of 64 bits does not survive JavaScript.
    id: String,
    event_id: EventId,
    document_id: DocumentId,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<&'a str>,
    /// Scheme, host and port: the rest of a callback's address may be a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    callback: Option<&'a str>,
    state: &'static str,
    create_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<Timestamp>,
    attempts: Vec<AttemptView<'a>>,
}

/// An attempt as its owner sees it.
#[derive(Serialize)]
pub struct AttemptView<'a> {
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Milliseconds.
    duration: u64,
    /// What of it is text.
    answer: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> DeliveryView<'a> {
    /// With all its attempts.
    pub fn new(delivery: &'a Delivery) -> Self {
        let (notification, callback) = match &delivery.target {
            Target::Notification(name) => (Some(name.as_str()), None),
            Target::Callback { origin, .. } => (None, Some(origin.as_ref())),
        };
        Self {
            id: delivery.id.to_string(),
            event_id: delivery.event,
            document_id: delivery.document,
            notification,
            callback,
            state: delivery.state.as_str(),
            create_time: delivery.created,
            next_attempt: delivery.due,
            attempts: delivery.attempts.iter().map(AttemptView::new).collect(),
        }
    }
}

impl<'a> AttemptView<'a> {
    /// What of its answer is text, as text.
    pub fn new(attempt: &'a Attempt) -> Self {
        Self {
            time: attempt.time,
            status: attempt.status,
            duration: u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX),
            answer: String::from_utf8_lossy(&attempt.response_body),
            reason: attempt.error.as_deref(),
        }
    }
}

/// `GET /deliveries`, newest first; `?cursor=` goes on.
pub(in crate::http) async fn list(context: Arc<Context>, request: Request) -> HandlerResult {
    #[derive(Serialize)]
    struct List<'a> {
        deliveries: Vec<DeliveryView<'a>>,
        next: Option<String>,
    }
    if request.method != Method::GET {
        return Err(Problem::method("GET"));
    }
    let grant = auth::require(&context, &request, Scope::Manage, Timestamp::now())?;
    let query = query(&request)?;
    let limit = query.limit;
    // One more than wanted tells whether there is another page.
    let more = DeliveryQuery { limit: limit + 1, ..query };
    let mut deliveries = context.deliveries.list(&grant.client, document(&request)?, more).await?;
    let goes_on = deliveries.len() > limit;
    deliveries.truncate(limit);
    let next = deliveries.last().filter(|_| goes_on).map(|last| last.id.to_string());
    Ok(response::json(StatusCode::OK, &List { deliveries: deliveries.iter().map(DeliveryView::new).collect(), next }))
}

fn document(request: &Request) -> Result<Option<DocumentId>, Problem> {
    let given = request.parameter("document").filter(|id| !id.is_empty());
    given.map(|id| id.parse().map_err(|_| Problem::bad_request("document: a UUID"))).transpose()
}

fn query(request: &Request) -> Result<DeliveryQuery, Problem> {
    let bad = |what: &str, why: &dyn std::fmt::Display| Problem::bad_request(format!("{what}: {why}"));
    let given = |name: &str| request.parameter(name).filter(|v| !v.is_empty());
    let number = |name: &str| match given(name) {
        None => Ok(None),
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| bad(name, &"a whole number")),
    };
    let state = |text: String| {
        let known = DeliveryState::ALL.into_iter().find(|state| state.as_str() == text);
        known.ok_or_else(|| bad("state", &"one of pending, delivered, dead"))
    };
    Ok(DeliveryQuery {
        state: given("state").map(state).transpose()?,
        notification: given("notification").map(|n| n.parse().map_err(|e| bad("notification", &e))).transpose()?,
        limit: match number("limit")? {
            None => PAGE,
            Some(0) => return Err(bad("limit", &"at least 1")),
            Some(limit) => usize::try_from(limit).unwrap_or(MOST).min(MOST),
        },
        before: number("cursor")?,
    })
}

/// `GET /deliveries/{id}`
pub(in crate::http) async fn one(context: Arc<Context>, request: Request, id: String) -> HandlerResult {
    if request.method != Method::GET {
        return Err(Problem::method("GET"));
    }
    let grant = auth::require(&context, &request, Scope::Manage, Timestamp::now())?;
    let delivery = context.deliveries.get(&grant.client, number(&id)?).await?;
    Ok(response::json(StatusCode::OK, &DeliveryView::new(&delivery)))
}

/// `POST /deliveries/{id}/retry`: pending again and due now, whatever became of it; what comes of that is seen later.
pub(in crate::http) async fn retry(context: Arc<Context>, request: Request, id: String) -> HandlerResult {
    if request.method != Method::POST {
        return Err(Problem::method("POST"));
    }
    let now = Timestamp::now();
    let grant = auth::require(&context, &request, Scope::Manage, now)?;
    let delivery = context.deliveries.retry(&grant.client, number(&id)?, now).await?;
    Ok(response::json(StatusCode::ACCEPTED, &DeliveryView::new(&delivery)))
}

fn number(id: &str) -> Result<u64, Problem> {
    id.parse().map_err(|_| Problem::not_found("delivery"))
}
