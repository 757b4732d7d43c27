//! Baidu's notification API at `/v1/notification` and `/v2/notification`, which take the same requests, with what the
//! relay adds to it. Owns the addresses, the methods and the JSON; the rules are those of `notify`.

use std::sync::Arc;

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use warp::Reply;
use warp::reply::Response;

use crate::domain::{ClientId, Credential, Format, Notification, NotificationName, Timestamp};
use crate::http::api::deliveries::AttemptView;
use crate::http::baidu::bce::{self, BceError};
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult};
use crate::http::{Context, body};
use crate::manage::{NewNotification, NotificationChange};

/// A notification as its owner sees it: never a secret, nor the value of a token.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationView<'a> {
    name: &'a str,
    endpoint: &'a str,
    is_default: bool,
    create_time: String,
    format: Format,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
}

impl<'a> NotificationView<'a> {
    /// Leaves out what must not be shown.
    pub fn new(notification: &'a Notification) -> Self {
        let token_type = notification.credential.as_ref().map(|credential| match credential {
            Credential::Cookie(_) => "cookie",
            Credential::Header(_) => "header",
        });
        Self {
            name: notification.name.as_str(),
            endpoint: &notification.endpoint,
            is_default: notification.is_default,
            create_time: to_the_second(notification.created),
            format: notification.format,
            state: notification.state.as_str(),
            token_type,
        }
    }
}

/// `YYYY-MM-DDThh:mm:ssZ`: SDKs parse exactly that.
fn to_the_second(time: Timestamp) -> String {
    let text = time.to_string();
    format!("{}Z", text.split('.').next().unwrap_or_default())
}

/// Everything below `/v{n}/notification`. Whatever goes wrong has Baidu's shape, so nothing is left to the problems of
/// the other routes.
pub(in crate::http) async fn api(context: Arc<Context>, mut request: Request) -> HandlerResult {
    let answered = route(&context, &mut request).await;
    let response = answered.unwrap_or_else(|error| error.into_response(&request.id));
    Ok(bce::named(response, &request.id))
}

async fn route(context: &Context, request: &mut Request) -> Result<Response, BceError> {
    // `/v1/notification[/{name}[/{action}]]`: cut before it is decoded, so that no name can hold a slash.
    let path = request.path.clone();
    let mut segments = path.split('/').skip(2);
    if segments.next() != Some("notification") {
        return Err(BceError::nowhere());
    }
    let segments: Vec<&str> = segments.collect();
    let (name, action) = match segments[..] {
        [] | [""] => ("", ""),
        [name] | [name, ""] => (name, ""),
        [name, action @ ("verify" | "recover" | "test")] if !name.is_empty() => (name, action),
        _ => return Err(BceError::nowhere()),
    };
    let allow = match (name, action) {
        ("", _) => "GET, POST",
        (_, "") => "GET, PUT, DELETE",
        _ => "POST",
    };
    if !allow.split(", ").any(|method| method == request.method.as_str()) {
        return Err(BceError::method(allow));
    }
    let now = Timestamp::now();
    let client = bce::client(context, request, now)?;
    if name.is_empty() {
        return collection(context, request, &client, now).await;
    }
    // What cannot be a name is nobody's name.
    let name = percent_decode_str(name).decode_utf8().ok().and_then(|name| name.parse().ok());
    let name: NotificationName = name.ok_or_else(BceError::no_such_notification)?;
    match action {
        "verify" => Ok(shown(&context.notifications.verify(&client, &name, now).await?)),
        "recover" => recover(context, request, &client, &name, now).await,
        "test" => test(context, &client, &name, now).await,
        _ => one(context, request, &client, &name, now).await,
    }
}

async fn collection(
    context: &Context,
    request: &mut Request,
    client: &ClientId,
    now: Timestamp,
) -> Result<Response, BceError> {
    if request.method == Method::POST {
        let new: NewNotification = read(context, request).await?;
        // Baidu answers with nothing; every SDK ignores what it does not know, and a person with curl wants to see it.
        return Ok(shown(&context.notifications.add(client, new, now).await?));
    }
    #[derive(Serialize)]
    struct List<'a> {
        notifications: Vec<NotificationView<'a>>,
    }
    let notifications = context.notifications.list(client);
    let list = List { notifications: notifications.iter().map(|n| NotificationView::new(n)).collect() };
    Ok(response::json(StatusCode::OK, &list))
}

async fn one(
    context: &Context,
    request: &mut Request,
    client: &ClientId,
    name: &NotificationName,
    now: Timestamp,
) -> Result<Response, BceError> {
    match request.method {
        Method::DELETE => {
            context.notifications.remove(client, name).await?;
            // Baidu says 200 with nothing, not 204.
            Ok(StatusCode::OK.into_response())
        }
        Method::PUT => {
            let change: NotificationChange = read(context, request).await?;
            Ok(shown(&context.notifications.change(client, name, change, now).await?))
        }
        _ => Ok(shown(context.notifications.get(client, name)?.as_ref())),
    }
}

/// `{"since":…}`: what has failed for good since then is sent again.
async fn recover(
    context: &Context,
    request: &mut Request,
    client: &ClientId,
    name: &NotificationName,
    now: Timestamp,
) -> Result<Response, BceError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Recovery {
        since: String,
    }
    #[derive(Serialize)]
    struct Recovered {
        recovered: u64,
    }
    let asked: Recovery = read(context, request).await?;
    let since = Timestamp::parse(&asked.since)
        .ok_or_else(|| BceError::invalid("since", "must be a time as in 2026-11-22T12:43:00Z"))?;
    let recovered = context.notifications.retry_failed(client, name, since, now).await?;
    Ok(response::json(StatusCode::OK, &Recovered { recovered }))
}

/// Sends one made-up event now. What comes of it is the answer, not an error of this request.
async fn test(
    context: &Context,
    client: &ClientId,
    name: &NotificationName,
    now: Timestamp,
) -> Result<Response, BceError> {
    let attempt = context.notifications.test(client, name, now).await?;
    Ok(response::json(StatusCode::OK, &AttemptView::new(&attempt)))
}

fn shown(notification: &Notification) -> Response {
    response::json(StatusCode::OK, &NotificationView::new(notification))
}

/// The body as JSON, whatever `Content-Type` says: SDKs spell it in three ways, and some leave it out.
async fn read<T: DeserializeOwned>(context: &Context, request: &mut Request) -> Result<T, BceError> {
    let bytes = body::read(request, context.options.max_body_bytes, context.options.body_timeout).await?;
    let malformed =
        |e: serde_json::Error| BceError::new(StatusCode::BAD_REQUEST, "MalformedJSON", format!("the body: {e}"));
    // First whether it is JSON at all: otherwise a key that is not ours would hide what is broken behind it.
    serde_json::from_slice::<IgnoredAny>(&bytes).map_err(malformed)?;
    body::object(&bytes).map_err(|why| BceError::new(StatusCode::BAD_REQUEST, "InappropriateJSON", why))?;
    serde_json::from_slice(&bytes).map_err(|e| match e.classify() {
        serde_json::error::Category::Data => {
            BceError::new(StatusCode::BAD_REQUEST, "InappropriateJSON", format!("the body: {e}"))
        }
        _ => malformed(e),
    })
}
