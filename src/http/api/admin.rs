//! The admin address: probes and metrics for machines, clients and followers for whoever holds the admin token.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use crate::auth::bearer;
use crate::domain::{ClientId, Timestamp};
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult};
use crate::http::{Context, body};
use crate::manage::ClientWithSecret;
use crate::metrics::CONTENT_TYPE;

/// A client with its secret: in the response to its creation or rotation only.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Credentials<'a> {
    client_id: &'a ClientId,
    client_secret: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_valid_until: Option<Timestamp>,
}

impl<'a> From<&'a ClientWithSecret> for Credentials<'a> {
    fn from(with_secret: &'a ClientWithSecret) -> Self {
        let ClientWithSecret { client, previous_valid_until } = with_secret;
        Self {
            client_id: &client.id,
            client_secret: client.secret.expose(),
            previous_valid_until: *previous_valid_until,
        }
    }
}

/// `GET /livez`: the process answers.
pub(in crate::http) async fn livez(_: Arc<Context>, request: Request) -> HandlerResult {
    get(&request)?;
    Ok(response::text(StatusCode::OK, "text/plain; charset=utf-8", "ok\n"))
}

/// `GET /readyz`: the store accepts, as a small commit has just shown. A store that is away makes this fail and
/// `/livez` not: restarting would not bring it back.
pub(in crate::http) async fn readyz(context: Arc<Context>, request: Request) -> HandlerResult {
    get(&request)?;
    if context.hub.is_stopping() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the relay is stopping"));
    }
    match context.ingest.check_ready().await {
        Ok(()) => Ok(response::text(StatusCode::OK, "text/plain; charset=utf-8", "ok\n")),
        // The administrator may know what exactly is missing.
        Err(error) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    }
}

/// `GET /metrics`
pub(in crate::http) async fn metrics(context: Arc<Context>, request: Request) -> HandlerResult {
    get(&request)?;
    let slowest = context.hub.list().first().map_or(0, |f| f.lag);
    context.metrics.follower_lag.set(i64::try_from(slowest).unwrap_or(i64::MAX));
    // A store that does not answer is no reason to show nothing.
    if let Ok(backlog) = context.deliveries.backlog().await {
        let late = backlog.oldest_due.map_or(Duration::ZERO, |due| due.until(Timestamp::now()));
        context.metrics.deliveries_pending.set(i64::try_from(backlog.pending).unwrap_or(i64::MAX));
        context.metrics.deliveries_oldest_due.set(i64::try_from(late.as_secs()).unwrap_or(i64::MAX));
    }
    Ok(response::text(StatusCode::OK, CONTENT_TYPE, context.metrics.render()))
}

/// `GET|POST /admin/clients`
pub(in crate::http) async fn clients(context: Arc<Context>, mut request: Request) -> HandlerResult {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct NewClient {
        client_id: String,
    }
    administrator(&context, &request)?;
    match request.method {
        Method::GET => Ok(response::json(StatusCode::OK, &list_clients(&context))),
        Method::POST => {
            let body = body::read(&mut request, 64 << 10, context.options.body_timeout).await?;
            let new: NewClient =
                serde_json::from_slice(&body).map_err(|e| Problem::bad_request(format!("the body: {e}")))?;
            let id: ClientId = new.client_id.parse().map_err(|e| Problem::bad_request(format!("clientId: {e}")))?;
            let added = context.clients.add(id, Timestamp::now()).await?;
            Ok(response::json(StatusCode::CREATED, &Credentials::from(&added)))
        }
        _ => Err(Problem::method("GET, POST")),
    }
}

fn list_clients(context: &Context) -> impl Serialize {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct ClientJson {
        client_id: ClientId,
        create_time: Timestamp,
        hooks: usize,
    }
    #[derive(Serialize)]
    struct List {
        clients: Vec<ClientJson>,
    }
    let clients = context.clients.list();
    let view = clients.iter().map(|client| ClientJson {
        client_id: client.id.clone(),
        create_time: client.created,
        hooks: context.hooks.list(&client.id).len(),
    });
    List { clients: view.collect() }
}

/// `DELETE /admin/clients/{id}`: its streams end, its hooks stop, its data is erased.
pub(in crate::http) async fn client(context: Arc<Context>, request: Request, id: String) -> HandlerResult {
    administrator(&context, &request)?;
    if request.method != Method::DELETE {
        return Err(Problem::method("DELETE"));
    }
    let id: ClientId = id.parse().map_err(|_| Problem::not_found("client"))?;
    context.clients.remove(&id).await?;
    Ok(response::no_content())
}

/// `POST /admin/clients/{id}/secret`
pub(in crate::http) async fn rotate(context: Arc<Context>, request: Request, id: String) -> HandlerResult {
    administrator(&context, &request)?;
    if request.method != Method::POST {
        return Err(Problem::method("POST"));
    }
    let id: ClientId = id.parse().map_err(|_| Problem::not_found("client"))?;
    let rotated = context.clients.rotate_secret(&id, Timestamp::now()).await?;
    Ok(response::json(StatusCode::OK, &Credentials::from(&rotated)))
}

/// `GET /admin/followers`, the slowest first.
pub(in crate::http) async fn followers(context: Arc<Context>, request: Request) -> HandlerResult {
    #[derive(Serialize)]
    struct View {
        id: String,
        client: ClientId,
        since: Timestamp,
        lag: u64,
        bytes: u64,
    }
    #[derive(Serialize)]
    struct List {
        followers: Vec<View>,
    }
    administrator(&context, &request)?;
    get(&request)?;
    let followers = context.hub.list().into_iter();
    let followers = followers
        .map(|f| View { id: f.number.to_string(), client: f.client, since: f.since, lag: f.lag, bytes: f.bytes })
        .collect();
    Ok(response::json(StatusCode::OK, &List { followers }))
}

/// `DELETE /admin/followers/{id}`
pub(in crate::http) async fn follower(context: Arc<Context>, request: Request, id: String) -> HandlerResult {
    administrator(&context, &request)?;
    if request.method != Method::DELETE {
        return Err(Problem::method("DELETE"));
    }
    let found = id.parse().is_ok_and(|number| context.hub.disconnect(number));
    if found { Ok(response::no_content()) } else { Err(Problem::not_found("follower")) }
}

/// Anything else.
pub(in crate::http) async fn elsewhere(_: Arc<Context>, _: Request) -> HandlerResult {
    Err(Problem::not_found("address: try /livez, /readyz, /metrics, /admin/clients or /admin/followers"))
}

fn get(request: &Request) -> Result<(), Problem> {
    if request.method == Method::GET { Ok(()) } else { Err(Problem::method("GET")) }
}

fn administrator(context: &Context, request: &Request) -> Result<(), Problem> {
    let token = request.header("authorization").and_then(bearer).ok_or_else(Problem::token_required)?;
    if context.admin.matches(token) {
        return Ok(());
    }
    tracing::warn!(request_id = %request.id.0, "a wrong admin token was presented");
    Err(Problem::new(StatusCode::UNAUTHORIZED, "this is not the admin token")
        .with("www-authenticate", "Bearer error=\"invalid_token\""))
}
