//! `/events`: open an event stream, get the raw request behind an event, count the events of the last hour.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use warp::reply::Response;

use crate::auth::{Grant, QueryToken, Scope, find_token};
use crate::domain::{EventId, Status, Timestamp};
use crate::http::Context;
use crate::http::api::rejects::RawRequestJson;
use crate::http::content_negotiation::allows_event_stream;
use crate::http::credential_checks::{TOO_MANY_FAILED_TOKENS, TokenRefusal};
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult, Problem};
use crate::metrics::{Disconnect, Label, StreamRefusal};
use crate::stream::hub::{Fields, Filter, HubFull};
use crate::stream::{FollowRequest, StartPosition, control};

/// `/events/counts` counts the present minute and the 59 before it.
const COUNTED_SPAN: Duration = Duration::from_secs(59 * 60);

/// Only the latest events are counted: this bounds the time of one request to some tens of milliseconds.
const MAX_COUNTED_EVENTS: usize = 50_000;

/// `GET|POST /events/client`: opens a stream. Always 200: an EventSource cannot read the body of another status, and
/// gives up for good. Errors are `error` events in the body.
pub(in crate::http) async fn stream(context: Arc<Context>, request: Request) -> HandlerResult {
    let now = Timestamp::now();
    let grant = match authorize(&context, &request, now).await {
        Ok(grant) => grant,
        Err(AuthorizeError { reason, retry_after }) => {
            context.metrics.stream_refusals.inc(reason);
            return Ok(match retry_after {
                None => event_stream(control::refusal(reason.as_str())),
                Some(delay) => limited(control::too_many(TOO_MANY_FAILED_TOKENS, delay)),
            });
        }
    };
    let follow = FollowRequest {
        client: grant.client.clone(),
        start: start_position(&request),
        filter: filter(&request, &grant),
        fields: fields(&request),
        framing: request.framing,
        expires: grant.expires,
        revoked: grant.key.flag(),
        now,
    };
    if request.method == Method::HEAD {
        return Ok(event_stream(""));
    }
    if let Err(error) = context.streams.reach(follow.start).await {
        tracing::warn!(request_id = %request.id.0, address = request.logged_address(), client = %grant.client, %error, "follower rejected: node is behind");
        context.metrics.stream_refusals.inc(StreamRefusal::Behind);
        return Ok(event_stream(control::behind()));
    }
    match context.streams.follow(follow) {
        // The client was removed before the follower subscribed: the hub will not end this stream.
        Ok(mut follower) if context.auth.check_grant(&grant, now).is_err() => {
            follower.set_end_reason(Disconnect::Revoked);
            Ok(event_stream(control::refusal(StreamRefusal::AuthFailed.as_str())))
        }
        Ok(follower) => {
            // The connection replaces the empty body by the opening of the stream.
            request.takeover.offer(follower);
            Ok(event_stream(""))
        }
        Err(reason) => {
            context.metrics.stream_refusals.inc(match reason {
                HubFull::Relay => StreamRefusal::Followers,
                HubFull::Client => StreamRefusal::FollowersPerClient,
                HubFull::Stopping => StreamRefusal::Stopping,
            });
            tracing::warn!(request_id = %request.id.0, address = request.logged_address(), client = %grant.client, %reason, "follower rejected");
            Ok(limited(control::hub_full(reason)))
        }
    }
}

/// Why a stream is not opened.
struct AuthorizeError {
    reason: StreamRefusal,
    /// When to try again, if the client need not change anything.
    retry_after: Option<Duration>,
}

impl From<StreamRefusal> for AuthorizeError {
    fn from(reason: StreamRefusal) -> Self {
        Self { reason, retry_after: None }
    }
}

/// Checks in the order of the contract: a token is present, it is valid, the type is acceptable.
async fn authorize(context: &Context, request: &Request, now: Timestamp) -> Result<Grant, AuthorizeError> {
    let header = request.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let rule = context.limits.get().query_token;
    let query = request.query.as_deref().filter(|_| rule != QueryToken::Off);
    let refuse = |reason: StreamRefusal| {
        let address = request.logged_address();
        tracing::info!(request_id = %request.id.0, address, reason = reason.as_str(), "follower rejected");
        AuthorizeError::from(reason)
    };
    let token = find_token(header, query).map_err(|_| refuse(StreamRefusal::AuthRequired))?;
    let checked = context.check_request_token(request, token.token(), now).await.and_then(|grant| {
        grant.require(Scope::Events)?;
        token.check_location(&grant, rule)?;
        Ok(grant)
    });
    let grant = checked.map_err(|error| {
        tracing::info!(request_id = %request.id.0, address = request.logged_address(), %error, "follower rejected: token not accepted");
        match error {
            TokenRefusal::Denied(_) => AuthorizeError::from(StreamRefusal::AuthFailed),
            TokenRefusal::TooManyFailures(failures) => {
                AuthorizeError { reason: StreamRefusal::FailedTokens, retry_after: Some(failures.retry_after) }
            }
        }
    })?;
    if allows_event_stream(&request.headers) { Ok(grant) } else { Err(refuse(StreamRefusal::NotAccepted)) }
}

/// Parses the header `Last-Event-ID`, else the query parameters `last_event_id` and `lastEventId`. An empty value
/// counts as none.
fn start_position(request: &Request) -> StartPosition {
    let header = request.headers.get("last-event-id").map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    let present = |text: &String| !text.is_empty();
    let text = header
        .filter(present)
        .or_else(|| request.parameter("last_event_id").filter(present))
        .or_else(|| request.parameter("lastEventId").filter(present));
    match text.as_deref() {
        None => StartPosition::Live,
        Some("earliest") => StartPosition::Earliest,
        Some(text) => text.parse().map_or(StartPosition::Unknown, StartPosition::After),
    }
}

/// A value that cannot match narrows the stream, because a stream cannot be refused for a bad parameter. A ticket
/// narrows it further.
fn filter(request: &Request, grant: &Grant) -> Filter {
    let requested = parse_all(request, "document");
    let documents = match &grant.ticket {
        Some(ticket) => ticket.narrow(requested),
        None => requested,
    };
    Filter { documents, statuses: parse_all(request, "status") }
}

/// The values of a parameter that can be parsed; `None` when the parameter is missing.
fn parse_all<T: FromStr<Err: std::fmt::Display>, C: FromIterator<T>>(request: &Request, name: &str) -> Option<C> {
    request.parameter(name)?;
    let parse = |text: String| match text.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::info!(request_id = %request.id.0, name, %error, "filter value ignored: it cannot match");
            None
        }
    };
    Some(request.parameters(name).filter_map(parse).collect())
}

fn fields(request: &Request) -> Fields {
    if request.parameter("fields").as_deref() == Some("gini") { Fields::Gini } else { Fields::All }
}

/// The response of an event stream: proxies must not store, change or buffer it.
fn event_stream(body: impl Into<bytes::Bytes>) -> Response {
    let mut response = response::text(StatusCode::OK, "text/event-stream", body);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The response to a stream that is refused because of a limit.
fn limited(body: String) -> Response {
    let mut response = event_stream(body);
    // Otherwise refused followers would hold the connections that are reserved for vendors.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// `GET /events/{id}/raw`: the vendor's request of an event, unchanged.
pub(in crate::http) async fn raw(context: Arc<Context>, request: Request, grant: Grant) -> HandlerResult {
    let id: EventId = request.path_parameter.parse().map_err(|_| Problem::not_found("event"))?;
    let raw = context.documents.raw_request(&grant.client, id).await?;
    Ok(response::json(StatusCode::OK, &RawRequestJson::new(&raw)))
}

/// `GET /events/counts`
pub(in crate::http) async fn counts(context: Arc<Context>, _: Request, grant: Grant) -> HandlerResult {
    #[derive(Serialize)]
    struct MinuteCountJson {
        time: Timestamp,
        status: Status,
        count: u64,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct EventCountsJson {
        /// The counts are complete from this time on.
        since: Timestamp,
        minutes: Vec<MinuteCountJson>,
        /// Events after it are not counted yet.
        last_event_id: EventId,
    }
    let since = Timestamp::now().minute().minus(COUNTED_SPAN);
    let found = context.documents.event_counts(&grant.client, since, MAX_COUNTED_EVENTS).await?;
    let minutes = found.minutes.into_iter();
    let minutes = minutes.map(|m| MinuteCountJson { time: m.minute, status: m.status, count: m.count }).collect();
    Ok(response::json(StatusCode::OK, &EventCountsJson { since: found.since, minutes, last_event_id: found.head }))
}
