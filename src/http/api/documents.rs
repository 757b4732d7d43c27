//! Documents: announced by the application, looked at by everybody who may follow them.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::auth::Scope;
use crate::domain::{DocumentId, EventId, Status, Timestamp, Vendor, VendorId};
use crate::http::api::json;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult};
use crate::http::{Context, auth, body};
use crate::manage::{NewCallback, NewDocument};
use crate::store::{AppendOutcome, DocumentQuery};

/// Documents on a page unless asked otherwise, and at most.
const PAGE: usize = 100;
const MOST: usize = 1000;

/// The body of `POST /documents`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Registration {
    vendor: Vendor,
    vendor_id: String,
    title: Option<String>,
    /// Where its events go instead of to the default notification.
    notification: Option<String>,
    /// And there.
    callback: Option<NewCallback>,
}

/// `/documents`
pub(in crate::http) async fn collection(context: Arc<Context>, request: Request) -> HandlerResult {
    match request.method {
        Method::GET => list(context, request).await,
        Method::POST => register(context, request).await,
        _ => Err(Problem::method("GET, POST")),
    }
}

async fn register(context: Arc<Context>, mut request: Request) -> HandlerResult {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Registered<'a> {
        document_id: DocumentId,
        status: Status,
        vendor: Vendor,
        vendor_id: &'a VendorId,
        event_id: EventId,
    }
    let now = Timestamp::now();
    let grant = auth::require(&context, &request, Scope::Manage, now)?;
    let bytes = body::read(&mut request, context.options.max_body_bytes, context.options.body_timeout).await?;
    body::object(&bytes).map_err(Problem::bad_request)?;
    let body: Registration =
        serde_json::from_slice(&bytes).map_err(|e| Problem::bad_request(format!("the body: {e}")))?;
    let vendor_id: VendorId = body.vendor_id.parse().map_err(|e| Problem::bad_request(format!("vendorId: {e}")))?;
    let Registration { vendor, title, notification, callback, .. } = body;
    let new = NewDocument { vendor, vendor_id: vendor_id.clone(), title, notification, callback };
    let appended = context.documents.register(&grant.client, new, now).await?;
    let (code, document_id, status, event_id) = match appended {
        AppendOutcome::Stored(event) => (StatusCode::CREATED, event.document, event.status, event.id),
        AppendOutcome::Duplicate { id, document, status } => (StatusCode::OK, document, status, id),
    };
    let registered = Registered { document_id, status, vendor, vendor_id: &vendor_id, event_id };
    let mut response = response::json(code, &registered);
    if let Ok(location) = format!("/documents/{document_id}").parse() {
        response.headers_mut().insert("location", location);
    }
    Ok(response)
}

async fn list(context: Arc<Context>, request: Request) -> HandlerResult {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct List {
        documents: Vec<Box<RawValue>>,
        next: Option<String>,
        last_event_id: EventId,
    }
    let grant = auth::require_reader(&context, &request, Timestamp::now())?;
    let page = context.documents.list(&grant.client, query(&request)?).await?;
    let documents = page.documents.iter().map(json::document).collect();
    let next = page.next.map(|cursor| cursor.to_string());
    Ok(response::json(StatusCode::OK, &List { documents, next, last_event_id: page.head }))
}

fn query(request: &Request) -> Result<DocumentQuery, Problem> {
    let bad = |what: &str, why: &dyn std::fmt::Display| Problem::bad_request(format!("{what}: {why}"));
    let given = |name: &str| request.parameter(name).filter(|v| !v.is_empty());
    let number = |name: &str| match given(name) {
        None => Ok(None),
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| bad(name, &"a whole number")),
    };
    Ok(DocumentQuery {
        vendor: given("vendor").map(|v| v.parse().map_err(|e| bad("vendor", &e))).transpose()?,
        vendor_id: given("vendorId"),
        status: given("status").map(|s| s.parse().map_err(|e| bad("status", &e))).transpose()?,
        limit: match number("limit")? {
            None => PAGE,
            Some(0) => return Err(bad("limit", &"at least 1")),
            Some(limit) => usize::try_from(limit).unwrap_or(MOST).min(MOST),
        },
        cursor: number("cursor")?,
    })
}

/// `/documents/{documentId}`
pub(in crate::http) async fn one(context: Arc<Context>, request: Request, id: String) -> HandlerResult {
    if request.method != Method::GET {
        return Err(Problem::method("GET"));
    }
    let grant = auth::require_reader(&context, &request, Timestamp::now())?;
    let id: DocumentId = id.parse().map_err(|_| Problem::not_found("document"))?;
    let document = context.documents.get(&grant.client, id).await?;
    Ok(response::json(StatusCode::OK, &json::document(&document)))
}

/// `/documents/{documentId}/events`
pub(in crate::http) async fn history(context: Arc<Context>, request: Request, id: String) -> HandlerResult {
    #[derive(Serialize)]
    struct History {
        events: Vec<Box<RawValue>>,
    }
    if request.method != Method::GET {
        return Err(Problem::method("GET"));
    }
    let grant = auth::require_reader(&context, &request, Timestamp::now())?;
    let id: DocumentId = id.parse().map_err(|_| Problem::not_found("document"))?;
    let events = context.documents.events(&grant.client, id).await?;
    Ok(response::json(StatusCode::OK, &History { events: events.iter().map(json::event).collect() }))
}
