//! Baidu's notification API at `/v1/notification` and `/v2/notification`, which take the same requests, and the relay's
//! additions to it.

use std::sync::Arc;

use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use warp::Reply;
use warp::reply::Response;

use crate::domain::{ClientRef, Credential, Format, Notification, NotificationName, Timestamp};
use crate::http::Context;
use crate::http::api::deliveries::AttemptJson;
use crate::http::baidu::BceError;
use crate::http::request::Request;
use crate::http::response;
use crate::manage::{NewNotification, NotificationChange};

type BaiduResult = Result<Response, BceError>;

/// A notification without its secrets and the value of its token.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NotificationJson<'a> {
    name: &'a str,
    endpoint: &'a str,
    is_default: bool,
    create_time: String,
    format: Format,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
}

impl<'a> NotificationJson<'a> {
    fn new(notification: &'a Notification) -> Self {
        let token_type = notification.credential.as_ref().map(|credential| match credential {
            Credential::Cookie(_) => "cookie",
            Credential::Header(_) => "header",
        });
        Self {
            name: notification.name.as_str(),
            endpoint: &notification.endpoint,
            is_default: notification.is_default,
            create_time: format_time(notification.created),
            format: notification.format,
            state: notification.state.as_str(),
            token_type,
        }
    }
}

/// `YYYY-MM-DDThh:mm:ssZ`: the only format that the SDKs parse.
fn format_time(time: Timestamp) -> String {
    let text = time.to_string();
    format!("{}Z", text.split('.').next().unwrap_or_default())
}

/// `GET /v{n}/notification`, oldest first.
pub(in crate::http) async fn list(context: Arc<Context>, _: Request, client: ClientRef) -> BaiduResult {
    #[derive(Serialize)]
    struct NotificationList<'a> {
        notifications: Vec<NotificationJson<'a>>,
    }
    let notifications = context.notifications.list(&client);
    let list = NotificationList { notifications: notifications.iter().map(|n| NotificationJson::new(n)).collect() };
    Ok(response::json(StatusCode::OK, &list))
}

/// `POST /v{n}/notification`. Baidu's response has no body; SDKs ignore this one, and a person sees what was created.
pub(in crate::http) async fn create(context: Arc<Context>, mut request: Request, client: ClientRef) -> BaiduResult {
    let new: NewNotification = request.read_json(context.body_limits()).await?;
    let created = context.notifications.add(&client, new, Timestamp::now()).await?;
    Ok(notification_response(&created))
}

/// `GET /v{n}/notification/{name}`
pub(in crate::http) async fn show(context: Arc<Context>, request: Request, client: ClientRef) -> BaiduResult {
    let notification = context.notifications.get(&client, &name(&request)?)?;
    Ok(notification_response(&notification))
}

/// `PUT /v{n}/notification/{name}`
pub(in crate::http) async fn change(context: Arc<Context>, mut request: Request, client: ClientRef) -> BaiduResult {
    let name = name(&request)?;
    let change: NotificationChange = request.read_json(context.body_limits()).await?;
    let changed = context.notifications.change(&client, &name, change, Timestamp::now()).await?;
    Ok(notification_response(&changed))
}

/// `DELETE /v{n}/notification/{name}`: `200` without a body like Baidu, not `204`.
pub(in crate::http) async fn delete(context: Arc<Context>, request: Request, client: ClientRef) -> BaiduResult {
    context.notifications.remove(&client, &name(&request)?).await?;
    Ok(StatusCode::OK.into_response())
}

/// `POST /v{n}/notification/{name}/verify`
pub(in crate::http) async fn verify(context: Arc<Context>, request: Request, client: ClientRef) -> BaiduResult {
    let verified = context.notifications.verify(&client, &name(&request)?, Timestamp::now()).await?;
    Ok(notification_response(&verified))
}

/// `POST /v{n}/notification/{name}/recover` `{"since":…}`: retries the deliveries that failed for good since then.
pub(in crate::http) async fn recover(context: Arc<Context>, mut request: Request, client: ClientRef) -> BaiduResult {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Recovery {
        since: String,
    }
    #[derive(Serialize)]
    struct Recovered {
        recovered: u64,
    }
    let name = name(&request)?;
    let Recovery { since } = request.read_json(context.body_limits()).await?;
    let since = Timestamp::parse(&since)
        .ok_or_else(|| BceError::invalid("since", "must be a time as in 2026-11-22T12:43:00Z"))?;
    let recovered = context.notifications.retry_failed(&client, &name, since, Timestamp::now()).await?;
    Ok(response::json(StatusCode::OK, &Recovered { recovered }))
}

/// `POST /v{n}/notification/{name}/test`: sends one test event now. The response is the attempt, failed or not.
pub(in crate::http) async fn test(context: Arc<Context>, request: Request, client: ClientRef) -> BaiduResult {
    let attempt = context.notifications.test(&client, &name(&request)?, Timestamp::now()).await?;
    Ok(response::json(StatusCode::OK, &AttemptJson::new(&attempt)))
}

/// The name in the path. No notification has a name that cannot be parsed.
fn name(request: &Request) -> Result<NotificationName, BceError> {
    let decoded = percent_decode_str(&request.path_parameter).decode_utf8().ok();
    decoded.and_then(|name| name.parse().ok()).ok_or_else(BceError::no_such_notification)
}

fn notification_response(notification: &Notification) -> Response {
    response::json(StatusCode::OK, &NotificationJson::new(notification))
}
