//! Where vendors call in. The order is the defence: which hook, how often, how large, who says so, and only then what
//! it means. `200` goes out when the event is on the disk, and not before.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode};
use warp::reply::Response;

use crate::delivery::{SENDER_HEADER, sender_id};
use crate::domain::{ClientId, EventId, Hook, Timestamp, Vendor};
use crate::http::Context;
use crate::http::body::{self, BodyError};
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult};
use crate::metrics::IngestOutcome as Counted;
use crate::store::{AppendOutcome, RawRequest};
use crate::vendor::{self, HandshakeResponse, ParsedMessage, WebhookError, WebhookRequest};

/// `GET|POST|OPTIONS /in/{key}`
pub(in crate::http) async fn receive(context: Arc<Context>, mut request: Request) -> HandlerResult {
    let Some((client, hook)) = context.ingest.hook(&request.path_parameter) else {
        context.metrics.event_in("unknown", Counted::NotFound);
        return Err(Problem::not_found("hook"));
    };
    let (outcome, answer) = match taken(&context, &mut request, &client, &hook).await {
        Ok((outcome, response)) => (outcome, Ok(response)),
        Err((outcome, problem)) => (outcome, Err(problem)),
    };
    context.metrics.event_in(hook.vendor.as_str(), outcome);
    context.activity.note(&hook.id, Timestamp::now(), answer.as_ref().map(Response::status));
    answer
}

type Taken = Result<(Counted, Response), (Counted, Problem)>;

async fn taken(context: &Context, request: &mut Request, client: &ClientId, hook: &Hook) -> Taken {
    if context.rates.check_key(&hook.id).is_err() {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "this hook is called too often");
        return Err((Counted::RateLimited, problem.with("retry-after", "1")));
    }
    if request.header(SENDER_HEADER).is_some_and(|sent| sent == sender_id(context.ingest.epoch(), client)) {
        let why = "this is an event of this relay and this client: a notification leads back to a hook of its own";
        return Err((Counted::Looped, Problem::new(StatusCode::LOOP_DETECTED, why)));
    }
    let options = &context.options;
    let body = body::read(request, context.body_limits()).await.map_err(|error| {
        let outcome = match error {
            BodyError::TooLarge(_) => Counted::TooLarge,
            BodyError::TooSlow(_) => Counted::Timeout,
            BodyError::Incomplete | BodyError::Malformed(_) | BodyError::Invalid(_) => Counted::Aborted,
        };
        (outcome, error.into())
    })?;
    let now = Timestamp::now();
    let endpoint = format!("{}/in/{}", options.public_url, hook.key.expose());
    let inbound = WebhookRequest {
        method: &request.method,
        path: &request.path,
        query: request.query.as_deref(),
        endpoint: Some(&endpoint),
        headers: &request.headers,
        body: &body,
    };
    let read = vendor::verify_and_parse(hook, &inbound, now);
    let raw = || RawRequest {
        method: request.method.to_string(),
        query: request.query.clone(),
        headers: presentable(&request.headers, &hook.label_cookies),
        body: body.clone(),
    };
    match read {
        Ok(ParsedMessage::Handshake(reply)) => Ok((Counted::Handshake, handshake(reply))),
        Ok(ParsedMessage::Update(update)) => {
            let appended = context.ingest.accept(client, hook, *update, raw(), now).await;
            let appended = appended.map_err(|error| (Counted::Unavailable, error.into()))?;
            Ok(match appended {
                AppendOutcome::Stored(event) => (Counted::Stored, thanks(event.id)),
                AppendOutcome::Duplicate { id, .. } => (Counted::Repeat, thanks(id)),
            })
        }
        Err(WebhookError::MethodNotAllowed(allow)) => Err((Counted::WrongMethod, Problem::method(allow))),
        Err(WebhookError::Unauthorized(why)) => {
            tracing::info!(request_id = %request.id.0, %client, hook = hook.id, why, "a call proved nothing");
            Err((Counted::Unauthorized, Problem::new(StatusCode::UNAUTHORIZED, why)))
        }
        Err(WebhookError::Malformed(why)) => {
            let kept = context.ingest.reject(client, hook, why.clone(), raw(), now).await;
            let id = kept.map_err(|error| (Counted::Unavailable, error.into()))?;
            let vendor: Vendor = hook.vendor;
            tracing::warn!(request_id = %request.id.0, %client, hook = hook.id, %vendor, reject = id, "a call was not understood: it is kept among the rejects");
            let detail = format!("{why} (kept as reject {id})");
            Err((Counted::Rejected, Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)))
        }
    }
}

/// `200 {}`, naming the stored event.
fn thanks(id: EventId) -> Response {
    let mut response = response::json_bytes(StatusCode::OK, &b"{}"[..]);
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert("docrelay-event-id", value);
    }
    response
}

fn handshake(reply: HandshakeResponse) -> Response {
    let mut response = response::json_bytes(StatusCode::OK, reply.body);
    for (name, value) in reply.headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The headers that may be kept: without credentials, but with the cookies that a hook turns into labels, since those
/// are the application's own data.
fn presentable(headers: &HeaderMap, label_cookies: &[String]) -> Vec<(String, String)> {
    let mut kept = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let text = String::from_utf8_lossy(value.as_bytes());
        match name.as_str() {
            "authorization" | "proxy-authorization" => {}
            "cookie" => {
                let wanted = |pair: &&str| {
                    let cookie = pair.split('=').next().unwrap_or_default().trim_end();
                    label_cookies.iter().any(|l| l == cookie)
                };
                let cookies: Vec<&str> = text.split(';').map(str::trim).filter(wanted).collect();
                if !cookies.is_empty() {
                    kept.push(("cookie".to_owned(), cookies.join("; ")));
                }
            }
            other => kept.push((other.to_owned(), text.into_owned())),
        }
    }
    kept
}
