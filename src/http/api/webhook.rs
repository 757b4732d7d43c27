//! `/in/{key}`: receives webhooks. The order protects the relay: find the hook, limit the rate, limit the size, verify,
//! and parse last. `200` is sent when the event is on the disk, not before.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode};
use warp::reply::Response;

use crate::delivery::{MAX_HOPS, SENDER_HEADER, hop_count, sender_id};
use crate::domain::{ClientRef, EventId, Hook, Timestamp, Vendor};
use crate::http::Context;
use crate::http::request::{BodyError, Request};
use crate::http::response::{self, HandlerResult, Problem};
use crate::ingest::Webhook;
use crate::metrics::IngestOutcome;
use crate::store::{AppendOutcome, RawRequest};
use crate::vendor::{self, HandshakeResponse, ParsedMessage, WebhookError, WebhookRequest};

/// `GET|POST|OPTIONS /in/{key}`
pub(in crate::http) async fn receive(context: Arc<Context>, mut request: Request) -> HandlerResult {
    let found = context.ingest.hook(&request.path_parameter).await.inspect_err(|_| {
        context.metrics.event_in("unknown", IngestOutcome::Unavailable);
    })?;
    let Some((client, hook)) = found else {
        context.metrics.event_in("unknown", IngestOutcome::NotFound);
        return Err(Problem::not_found("hook"));
    };
    let (outcome, result) = match process(&context, &mut request, &client, &hook).await {
        Ok((outcome, response)) => (outcome, Ok(response)),
        Err((outcome, problem)) => (outcome, Err(problem)),
    };
    context.metrics.event_in(hook.vendor.as_str(), outcome);
    context.hook_activity.record(&hook.id, Timestamp::now(), result.as_ref().map(Response::status));
    result
}

/// The response or the problem, each with the outcome that the metric of webhooks counts.
type WebhookResult = Result<(IngestOutcome, Response), (IngestOutcome, Problem)>;

async fn process(context: &Context, request: &mut Request, client: &ClientRef, hook: &Hook) -> WebhookResult {
    let limits = context.limits.get();
    if !context.hook_rates.allows(&hook.id, limits.hook_rate) {
        let problem = Problem::too_many("hook_rate", "this hook is called too often");
        return Err((IngestOutcome::RateLimited, problem.with_header("retry-after", "1")));
    }
    context.count_event(client).map_err(|problem| (IngestOutcome::RateLimited, problem))?;
    if request.header(SENDER_HEADER).is_some_and(|sent| sent == sender_id(context.ingest.epoch(), &client.id)) {
        let reason = "this is an event of this relay and this client: a notification leads back to a hook of its own";
        return Err((IngestOutcome::Looped, Problem::new(StatusCode::LOOP_DETECTED, reason)));
    }
    let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
    if hop_count(headers) > MAX_HOPS {
        let reason =
            format!("this event has been forwarded more than {MAX_HOPS} times: notifications and hooks form a loop");
        return Err((IngestOutcome::Looped, Problem::new(StatusCode::LOOP_DETECTED, reason)));
    }
    let body = request.read_body(limits.body()).await.map_err(|error| {
        let outcome = match error {
            BodyError::TooLarge(_) => IngestOutcome::TooLarge,
            BodyError::TooSlow(_) => IngestOutcome::Timeout,
            BodyError::Incomplete | BodyError::Malformed(_) | BodyError::Invalid(_) => IngestOutcome::Aborted,
        };
        (outcome, error.into())
    })?;
    let now = Timestamp::now();
    let endpoint = format!("{}/in/{}", context.public_url, hook.key.expose());
    let inbound = WebhookRequest {
        method: &request.method,
        path: &request.path,
        query: request.query.as_deref(),
        endpoint: Some(&endpoint),
        headers: &request.headers,
        body: &body,
    };
    let parsed = vendor::verify_and_parse(hook, &inbound, now);
    let webhook = || {
        let request = RawRequest {
            method: request.method.to_string(),
            query: request.query.clone(),
            headers: without_credentials(&request.headers, &hook.label_cookies),
            body: body.clone(),
        };
        Webhook { client, hook, request, now }
    };
    match parsed {
        Ok(ParsedMessage::Handshake(reply)) => Ok((IngestOutcome::Handshake, handshake_response(reply))),
        Ok(ParsedMessage::Update(update)) => {
            let appended = context.ingest.accept(webhook(), *update).await;
            let appended = appended.map_err(|error| (IngestOutcome::Unavailable, error.into()))?;
            Ok(match appended {
                AppendOutcome::Stored(event) => (IngestOutcome::Stored, stored_response(event.id)),
                AppendOutcome::Duplicate { id, .. } => (IngestOutcome::Duplicate, stored_response(id)),
            })
        }
        Err(WebhookError::MethodNotAllowed(allow)) => {
            Err((IngestOutcome::WrongMethod, Problem::method_not_allowed(allow)))
        }
        Err(WebhookError::Unauthorized(reason)) => {
            tracing::info!(request_id = %request.id.0, address = request.logged_address(), %client, hook = hook.id, reason, "webhook signature verification failed");
            Err((IngestOutcome::Unauthorized, Problem::new(StatusCode::UNAUTHORIZED, reason)))
        }
        Err(WebhookError::UnknownSignature(reason)) => {
            let id = if context.unverified_limiter.check_key(&hook.id).is_ok() {
                let stored = context.ingest.reject_unverified(webhook(), format!("not verified: {reason}")).await;
                stored.map_err(|error| (IngestOutcome::Unavailable, error.into()))?
            } else {
                context.metrics.rejects_refused.inc();
                None
            };
            tracing::info!(request_id = %request.id.0, address = request.logged_address(), %client, hook = hook.id, reason, reject = id,
                "webhook signature has an unknown form");
            let detail = match id {
                Some(id) => format!("{reason} (kept as unverified reject {id})"),
                None => reason.to_owned(),
            };
            Err((IngestOutcome::UnknownSignature, Problem::new(StatusCode::UNAUTHORIZED, detail)))
        }
        Err(WebhookError::Malformed(reason)) => {
            let stored = context.ingest.reject(webhook(), reason.clone()).await;
            let id = stored.map_err(|error| (IngestOutcome::Unavailable, error.into()))?;
            let vendor: Vendor = hook.vendor;
            tracing::warn!(request_id = %request.id.0, address = request.logged_address(), %client, hook = hook.id, %vendor, reject = id, "webhook not parsed: kept as a reject");
            let detail = format!("{reason} (kept as reject {id})");
            Err((IngestOutcome::Rejected, Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)))
        }
    }
}

/// `200 {}` with the id of the stored event.
fn stored_response(id: EventId) -> Response {
    let mut response = response::json_bytes(StatusCode::OK, &b"{}"[..]);
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert("docrelay-event-id", value);
    }
    response
}

fn handshake_response(reply: HandshakeResponse) -> Response {
    let mut response = response::json_bytes(StatusCode::OK, reply.body);
    for (name, value) in reply.headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The headers that are stored: without credentials, but with the cookies that become labels, because those are data of
/// the application.
fn without_credentials(headers: &HeaderMap, label_cookies: &[String]) -> Vec<(String, String)> {
    let mut kept = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let text = String::from_utf8_lossy(value.as_bytes());
        match name.as_str() {
            "authorization" | "proxy-authorization" => {}
            "cookie" => {
                let is_label = |pair: &&str| {
                    let cookie = pair.split('=').next().unwrap_or_default().trim_end();
                    label_cookies.iter().any(|l| l == cookie)
                };
                let cookies: Vec<&str> = text.split(';').map(str::trim).filter(is_label).collect();
                if !cookies.is_empty() {
                    kept.push(("cookie".to_owned(), cookies.join("; ")));
                }
            }
            other => kept.push((other.to_owned(), text.into_owned())),
        }
    }
    kept
}
