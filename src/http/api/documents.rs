//! `/documents`: register, list, show, list events.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::auth::Grant;
use crate::domain::{DocumentId, EventId, SharedEvent, Status, Timestamp, Vendor, VendorId};
use crate::http::Context;
use crate::http::pagination::{PageRequest, PageSize, next_text, optional_parameter};
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult, Problem};
use crate::manage::{NewCallback, NewDocument};
use crate::store::{AppendOutcome, Document, DocumentQuery};

const PAGE_SIZE: PageSize = PageSize { default: 100, max: 1000 };

const EVENT_PAGE_SIZE: PageSize = PageSize { default: 1000, max: 1000 };

/// The body of `POST /documents`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RegistrationJson {
    vendor: Vendor,
    vendor_id: String,
    title: Option<String>,
    notification: Option<String>,
    callback: Option<NewCallback>,
}

/// `POST /documents`: `201`, or `200` if the document is known.
pub(in crate::http) async fn register(context: Arc<Context>, mut request: Request, grant: Grant) -> HandlerResult {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Registered<'a> {
        document_id: DocumentId,
        status: Status,
        vendor: Vendor,
        vendor_id: &'a VendorId,
        event_id: EventId,
    }
    context.count_event(&grant.client)?;
    let body: RegistrationJson = request.read_json(context.body_limits()).await?;
    let RegistrationJson { vendor, vendor_id, title, notification, callback } = body;
    let vendor_id: VendorId = vendor_id.parse().map_err(|e| Problem::bad_request(format!("vendorId: {e}")))?;
    let new = NewDocument { vendor, vendor_id: vendor_id.clone(), title, notification, callback };
    let (code, document_id, status, event_id) =
        match context.documents.register(&grant.client, new, Timestamp::now()).await? {
            AppendOutcome::Stored(event) => (StatusCode::CREATED, event.document, event.status, event.id),
            AppendOutcome::Duplicate { id, document, status } => (StatusCode::OK, document, status, id),
        };
    let registered = Registered { document_id, status, vendor, vendor_id: &vendor_id, event_id };
    Ok(response::with_location(response::json(code, &registered), &format!("/documents/{document_id}")))
}

/// `GET /documents`, newest first.
pub(in crate::http) async fn list(context: Arc<Context>, request: Request, grant: Grant) -> HandlerResult {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct DocumentList {
        documents: Vec<Box<RawValue>>,
        next: Option<String>,
        last_event_id: EventId,
    }
    let page = PageRequest::parse(&request, PAGE_SIZE)?;
    let query = DocumentQuery {
        vendor: optional_parameter(&request, "vendor")?,
        vendor_id: optional_parameter(&request, "vendorId")?,
        status: optional_parameter(&request, "status")?,
        limit: page.limit,
        cursor: page.cursor,
    };
    let page = context.documents.list(&grant.client, query).await?;
    let documents = page.documents.iter().map(document_json).collect();
    let next = next_text(page.next);
    Ok(response::json(StatusCode::OK, &DocumentList { documents, next, last_event_id: page.head }))
}

/// `GET /documents/{documentId}`
pub(in crate::http) async fn show(context: Arc<Context>, request: Request, grant: Grant) -> HandlerResult {
    let document = context.documents.get(&grant.client, document_id(&request)?).await?;
    Ok(response::json(StatusCode::OK, &document_json(&document)))
}

/// `GET /documents/{documentId}/events`, oldest first. The next page has earlier events.
pub(in crate::http) async fn events(context: Arc<Context>, request: Request, grant: Grant) -> HandlerResult {
    #[derive(Serialize)]
    struct EventList {
        events: Vec<Box<RawValue>>,
        next: Option<String>,
    }
    let (id, page) = (document_id(&request)?, PageRequest::parse(&request, EVENT_PAGE_SIZE)?);
    let page = context.documents.events(&grant.client, id, page.limit, page.cursor).await?;
    let events = page.items.iter().map(event_json).collect();
    Ok(response::json(StatusCode::OK, &EventList { events, next: next_text(page.next) }))
}

fn document_id(request: &Request) -> Result<DocumentId, Problem> {
    request.path_parameter.parse().map_err(|_| Problem::not_found("document"))
}

/// An event as it is streamed, with its id.
fn event_json(event: &SharedEvent) -> Box<RawValue> {
    with_id(&event.json, event.id)
}

/// A document: its last event, or a summary if the history has dropped that.
fn document_json(document: &Document) -> Box<RawValue> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct DocumentJson<'a> {
        document_id: DocumentId,
        status: Status,
        vendor: Vendor,
        vendor_id: &'a VendorId,
        time: Timestamp,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
    }
    if let Some(json) = &document.json {
        return with_id(json, document.event);
    }
    let known = DocumentJson {
        document_id: document.id,
        status: document.status,
        vendor: document.vendor,
        vendor_id: &document.vendor_id,
        time: document.updated,
        title: document.title.as_deref(),
    };
    with_id(&serde_json::to_vec(&known).unwrap_or_default().into(), document.event)
}

/// Inserts a key before the last `}`, without parsing the rest.
fn with_id(json: &Bytes, id: EventId) -> Box<RawValue> {
    let object = json.strip_suffix(b"}").unwrap_or(b"{\"documentId\":null");
    let text = format!("{},\"eventId\":\"{id}\"}}", String::from_utf8_lossy(object));
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
