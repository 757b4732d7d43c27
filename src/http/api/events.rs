//! The stream, and the raw request behind an event.

use std::str::FromStr;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use warp::reply::Response;

use crate::auth::{Grant, QueryToken, Scope, presented};
use crate::domain::{EventId, Timestamp};
use crate::http::api::json;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult};
use crate::http::transport::handoff::Offer;
use crate::http::{Context, accept_header, auth};
use crate::metrics::{Disconnect, Label, Refusal};
use crate::stream::hub::{Fields, Filter, Full};
use crate::stream::{FollowRequest, busy, refused};

/// `GET|POST /events/client`: always 200; what is wrong is said in the body, because an EventSource cannot read
/// anything else and gives up for good on any other status.
pub(in crate::http) async fn stream(context: Arc<Context>, request: Request) -> HandlerResult {
    if ![Method::GET, Method::POST, Method::HEAD].contains(&request.method) {
        return Err(Problem::method("GET, POST, HEAD, OPTIONS"));
    }
    let now = Timestamp::now();
    let grant = match admitted(&context, &request, now) {
        Ok(grant) => grant,
        Err(refusal) => {
            context.metrics.stream_refusals.inc(refusal);
            return Ok(sse(refused(refusal.as_str())));
        }
    };
    let follow = FollowRequest {
        client: grant.client.clone(),
        last_event_id: last_event_id(&request),
        filter: filter(&request, &grant),
        fields: fields(&request),
        framing: request.framing,
        expires: grant.expires,
        now,
    };
    if request.method == Method::HEAD {
        return Ok(sse(""));
    }
    match context.streams.follow(follow) {
        // The client was removed before the seat was taken: nobody would tell this follower to go.
        Ok(mut follower) if context.auth.still_good(&grant, now).is_err() => {
            follower.ended(Disconnect::Revoked);
            Ok(sse(refused(Refusal::AuthFailed.as_str())))
        }
        Ok(follower) => {
            let mut response = sse("");
            response.extensions_mut().insert(Offer::new(follower));
            Ok(response)
        }
        Err(full) => {
            context.metrics.stream_refusals.inc(match full {
                Full::Relay => Refusal::Followers,
                Full::Client => Refusal::FollowersPerClient,
                Full::Stopping => Refusal::Stopping,
            });
            tracing::warn!(request_id = %request.id.0, %full, "a follower was sent away");
            Ok(sse(busy(full)))
        }
    }
}

/// The contract's order: a token at all, a good token, an acceptable type.
fn admitted(context: &Context, request: &Request, now: Timestamp) -> Result<Grant, Refusal> {
    let header = request.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let rule = context.options.query_token;
    let query = request.query.as_deref().filter(|_| rule != QueryToken::Off);
    let token = presented(header, query).map_err(|_| Refusal::AuthRequired)?;
    let checked = context.auth.check(token.token(), now).and_then(|grant| {
        grant.require(Scope::Events)?;
        token.allowed(&grant, rule)?;
        Ok(grant)
    });
    let grant = checked.map_err(|denied| {
        tracing::info!(request_id = %request.id.0, %denied, "a follower's token was not accepted");
        Refusal::AuthFailed
    })?;
    if accept_header::allows_event_stream(&request.headers) { Ok(grant) } else { Err(Refusal::NotAccepted) }
}

/// The header wins over the query; an empty one counts as none.
fn last_event_id(request: &Request) -> Option<String> {
    let header = request.headers.get("last-event-id").map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    header
        .filter(|id| !id.is_empty())
        .or_else(|| request.parameter("last_event_id").filter(|id| !id.is_empty()))
        .or_else(|| request.parameter("lastEventId"))
}

/// A value that can never match narrows the stream to what matches the others: a stream answers 200 whatever is asked
/// of it, because any other status would make an EventSource give up for good. A ticket narrows it further.
fn filter(request: &Request, grant: &Grant) -> Filter {
    let asked = wanted(request, "document");
    let documents = match &grant.ticket {
        Some(ticket) => ticket.narrow(asked),
        None => asked,
    };
    Filter { documents, statuses: wanted(request, "status") }
}

/// The values of a parameter that make sense; `None` when it is not there at all.
fn wanted<T: FromStr<Err: std::fmt::Display>, C: FromIterator<T>>(request: &Request, name: &str) -> Option<C> {
    request.parameter(name)?;
    let read = |text: String| match text.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::info!(request_id = %request.id.0, name, %error, "a filter's value can never match");
            None
        }
    };
    Some(request.parameters(name).filter_map(read).collect())
}

fn fields(request: &Request) -> Fields {
    if request.parameter("fields").as_deref() == Some("gini") { Fields::Gini } else { Fields::All }
}

/// An event stream's head: nothing on the way may keep, change or hold back what follows.
fn sse(body: impl Into<bytes::Bytes>) -> Response {
    let mut response = response::text(StatusCode::OK, "text/event-stream", body);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// `GET /events/{id}/raw`: the vendor's request as it came.
pub(in crate::http) async fn raw(context: Arc<Context>, request: Request, id: String) -> HandlerResult {
    if request.method != Method::GET {
        return Err(Problem::method("GET"));
    }
    let grant = auth::require(&context, &request, Scope::Manage, Timestamp::now())?;
    let id: EventId = id.parse().map_err(|_| Problem::not_found("event"))?;
    let raw = context.documents.raw_request(&grant.client, id).await?;
    Ok(response::json(StatusCode::OK, &json::RawRequestJson::new(&raw)))
}
