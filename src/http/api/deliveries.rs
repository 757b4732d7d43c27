//! `/deliveries`: list, show, retry.

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use crate::auth::Grant;
use crate::domain::{DocumentId, EventId, Target, Timestamp};
use crate::http::Context;
use crate::http::pagination::{PageRequest, PageSize, next_text, optional_parameter};
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult, Problem};
use crate::store::{Attempt, Delivery, DeliveryQuery, DeliveryState};

/// Each delivery may hold a dozen responses of 16 KiB.
const PAGE_SIZE: PageSize = PageSize { default: 20, max: 100 };

/// A delivery.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct DeliveryJson<'a> {
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
    attempts: Vec<AttemptJson<'a>>,
}

/// An attempt of a delivery.
#[derive(Serialize)]
pub(in crate::http) struct AttemptJson<'a> {
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Milliseconds.
    duration: u64,
    /// Invalid UTF-8 is replaced.
    answer: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> DeliveryJson<'a> {
    pub(in crate::http) fn new(delivery: &'a Delivery) -> Self {
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
            attempts: delivery.attempts.iter().map(AttemptJson::new).collect(),
        }
    }
}

impl<'a> AttemptJson<'a> {
    pub(in crate::http) fn new(attempt: &'a Attempt) -> Self {
        Self {
            time: attempt.time,
            status: attempt.status,
            duration: u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX),
            answer: String::from_utf8_lossy(&attempt.response_body),
            reason: attempt.error.as_deref(),
        }
    }
}

/// `GET /deliveries`, newest first.
pub(in crate::http) async fn list(context: Arc<Context>, request: Request, grant: Grant) -> HandlerResult {
    #[derive(Serialize)]
    struct DeliveryList<'a> {
        deliveries: Vec<DeliveryJson<'a>>,
        next: Option<String>,
    }
    let page = PageRequest::parse(&request, PAGE_SIZE)?;
    let query = DeliveryQuery {
        state: state(&request)?,
        notification: optional_parameter(&request, "notification")?,
        limit: page.limit,
        before: page.cursor,
    };
    let page = context.deliveries.list(&grant.client, document(&request)?, query).await?;
    let deliveries = page.items.iter().map(DeliveryJson::new).collect();
    let list = DeliveryList { deliveries, next: next_text(page.next) };
    Ok(response::json(StatusCode::OK, &list))
}

fn document(request: &Request) -> Result<Option<DocumentId>, Problem> {
    let given = request.parameter("document").filter(|id| !id.is_empty());
    given.map(|id| id.parse().map_err(|_| Problem::bad_request("document: a UUID"))).transpose()
}

fn state(request: &Request) -> Result<Option<DeliveryState>, Problem> {
    let given = request.parameter("state").filter(|state| !state.is_empty());
    let parse = |text: String| {
        let known = DeliveryState::ALL.into_iter().find(|state| state.as_str() == text);
        known.ok_or_else(|| Problem::bad_request("state: one of pending, delivered, dead"))
    };
    given.map(parse).transpose()
}

/// `GET /deliveries/{id}`
pub(in crate::http) async fn show(context: Arc<Context>, request: Request, grant: Grant) -> HandlerResult {
    let delivery = context.deliveries.get(&grant.client, delivery_id(&request)?).await?;
    Ok(response::json(StatusCode::OK, &DeliveryJson::new(&delivery)))
}

/// `POST /deliveries/{id}/retry`: makes it pending and due now. The outcome is recorded later.
pub(in crate::http) async fn retry(context: Arc<Context>, request: Request, grant: Grant) -> HandlerResult {
    let delivery = context.deliveries.retry(&grant.client, delivery_id(&request)?, Timestamp::now()).await?;
    Ok(response::json(StatusCode::ACCEPTED, &DeliveryJson::new(&delivery)))
}

fn delivery_id(request: &Request) -> Result<u64, Problem> {
    request.path_parameter.parse().map_err(|_| Problem::not_found("delivery"))
}
