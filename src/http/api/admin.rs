//! The admin address: probes, metrics, clients, followers.

use std::cmp::Reverse;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::{Client, ClientId, ClientLimits, Timestamp};
use crate::http::pagination::{MemoryPage, PageSize, optional_parameter};
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult, Problem};
use crate::http::{Context, ReloadError, content_negotiation};
use crate::manage::{ClientWithSecret, LimitsChange, Nullable};
use crate::metrics::ExpositionFormat;
use crate::stream::hub::FollowerInfo;

/// At most 400 bytes each, so that a page is far below the bound on the bytes of pages.
const CLIENT_PAGE_SIZE: PageSize = PageSize { default: 1000, max: 1000 };

/// A client with its secret: in the response to its creation or rotation only.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientCredentialsJson<'a> {
    client_id: &'a ClientId,
    client_secret: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_valid_until: Option<Timestamp>,
}

impl<'a> From<&'a ClientWithSecret> for ClientCredentialsJson<'a> {
    fn from(with_secret: &'a ClientWithSecret) -> Self {
        let ClientWithSecret { client, previous_valid_until } = with_secret;
        Self {
            client_id: &client.id,
            client_secret: client.secret.expose(),
            previous_valid_until: *previous_valid_until,
        }
    }
}

/// `GET /admin/cluster`: the members with their positions, the leader, and the state of the broker.
pub(in crate::http) async fn show_cluster(context: Arc<Context>, _: Request) -> HandlerResult {
    match &context.cluster {
        Some(cluster) => Ok(response::json(StatusCode::OK, &(cluster.state)().await)),
        None => Err(Problem::new(StatusCode::NOT_FOUND, "this relay is not a node of a cluster")),
    }
}

/// `POST /admin/reload`: reads the configuration again.
pub(in crate::http) async fn reload(context: Arc<Context>, _: Request) -> HandlerResult {
    let reload = context.reload.as_ref().ok_or(ReloadError::Stopping)?;
    Ok(response::json(StatusCode::OK, &reload().await?))
}

impl From<ReloadError> for Problem {
    fn from(error: ReloadError) -> Self {
        let status = match &error {
            ReloadError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ReloadError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

/// `GET /livez`: the process responds.
pub(in crate::http) async fn livez(_: Arc<Context>, _: Request) -> HandlerResult {
    Ok(response::text(StatusCode::OK, "text/plain; charset=utf-8", "ok\n"))
}

/// `GET /readyz`: the store accepts, and in a cluster the broker stores what this node writes. If not, `/livez` still
/// succeeds: a restart would not help. A warning does not make the relay unready, because it accepts webhooks that some
/// vendors send only once.
pub(in crate::http) async fn readyz(context: Arc<Context>, _: Request) -> HandlerResult {
    // Also while the relay stops because of it.
    if let Some(fault) = context.cluster.as_ref().and_then(|cluster| (cluster.fault)()) {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, fault));
    }
    if context.hub.is_stopping() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the relay is stopping"));
    }
    match context.ingest.check_ready().await {
        Ok(()) => {
            if let Some(reason) = context.cluster.as_ref().and_then(|view| (view.unready)()) {
                return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, reason));
            }
            let warning = context.ingest.warning().map(|warning| format!("warning: {warning}\n"));
            let text = format!("ok\n{}", warning.unwrap_or_default());
            Ok(response::text(StatusCode::OK, "text/plain; charset=utf-8", text))
        }
        // On this address the reason is not a secret.
        Err(error) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    }
}

/// `GET /metrics`
pub(in crate::http) async fn metrics(context: Arc<Context>, request: Request) -> HandlerResult {
    context.metrics.follower_lag.set(i64::try_from(context.hub.max_lag()).unwrap_or(i64::MAX));
    context.metrics.ring_bytes.set(i64::try_from(context.hub.ring_bytes()).unwrap_or(i64::MAX));
    // If the store does not respond, the other metrics are still reported.
    if let Ok(backlog) = context.deliveries.backlog().await {
        let late = backlog.oldest_due.map_or(Duration::ZERO, |due| due.until(Timestamp::now()));
        context.metrics.deliveries_pending.set(i64::try_from(backlog.pending).unwrap_or(i64::MAX));
        context.metrics.deliveries_oldest_due.set(i64::try_from(late.as_secs()).unwrap_or(i64::MAX));
    }
    let format = match content_negotiation::prefers_open_metrics(&request.headers) {
        true => ExpositionFormat::OpenMetrics,
        false => ExpositionFormat::Text,
    };
    let mut page = response::text(StatusCode::OK, format.content_type(), context.metrics.render(format));
    page.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(page)
}

/// A client as the administration sees it, without its secret.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientJson<'a> {
    client_id: &'a ClientId,
    create_time: Timestamp,
    hooks: usize,
    /// `null` for a default.
    limits: ClientLimits,
}

impl<'a> ClientJson<'a> {
    fn new(client: &'a Client, context: &Context) -> Self {
        let owner = client.reference();
        let (hooks, limits) = (context.hooks.list(&owner).len(), context.clients.limits(&owner));
        Self { client_id: &client.id, create_time: client.created, hooks, limits }
    }
}

/// `GET /admin/clients`, by name. The cursor is the name of the last client of the page before. It may be removed
/// meanwhile.
pub(in crate::http) async fn list_clients(context: Arc<Context>, request: Request) -> HandlerResult {
    #[derive(Serialize)]
    struct ClientList<'a> {
        clients: Vec<ClientJson<'a>>,
        next: Option<&'a ClientId>,
    }
    let limit = CLIENT_PAGE_SIZE.requested(&request)?;
    let after: Option<ClientId> = optional_parameter(&request, "cursor")?;
    let page = context.clients.page(after.as_ref(), limit);
    let clients = page.clients.iter().map(|client| ClientJson::new(client, &context)).collect();
    let last = page.clients.last().filter(|_| page.has_more).map(|client| &client.id);
    Ok(response::json(StatusCode::OK, &ClientList { clients, next: last }))
}

/// `GET /admin/clients/{id}`
pub(in crate::http) async fn show_client(context: Arc<Context>, request: Request) -> HandlerResult {
    let client = context.clients.get(&client_id(&request)?).ok_or_else(|| Problem::not_found("client"))?;
    Ok(response::json(StatusCode::OK, &ClientJson::new(&client, &context)))
}

/// `POST /admin/clients`
pub(in crate::http) async fn create_client(context: Arc<Context>, mut request: Request) -> HandlerResult {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct NewClient {
        client_id: String,
    }
    let new: NewClient = request.read_json(context.body_limits()).await?;
    let id: ClientId = new.client_id.parse().map_err(|e| Problem::bad_request(format!("clientId: {e}")))?;
    let added = context.clients.add(id, Timestamp::now()).await?;
    Ok(response::json(StatusCode::CREATED, &ClientCredentialsJson::from(&added)))
}

/// `PATCH /admin/clients/{id}`: changes the given limits. `"limits":null` resets all of them.
pub(in crate::http) async fn change_client(context: Arc<Context>, mut request: Request) -> HandlerResult {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ClientChange {
        #[serde(default)]
        limits: Nullable<LimitsChange>,
    }
    let id = client_id(&request)?;
    let ClientChange { limits } = request.read_json(context.body_limits()).await?;
    let change = match limits {
        Nullable::Absent => LimitsChange::default(),
        Nullable::Null => LimitsChange::RESET,
        Nullable::Value(change) => change,
    };
    let client = context.clients.change_limits(&id, change, context.limits.get().max_body_bytes as u64).await?;
    Ok(response::json(StatusCode::OK, &ClientJson::new(&client, &context)))
}

/// `DELETE /admin/clients/{id}`
pub(in crate::http) async fn delete_client(context: Arc<Context>, request: Request) -> HandlerResult {
    context.clients.remove(&client_id(&request)?).await?;
    Ok(response::no_content())
}

/// `POST /admin/clients/{id}/secret`
pub(in crate::http) async fn rotate_secret(context: Arc<Context>, request: Request) -> HandlerResult {
    let rotated = context.clients.rotate_secret(&client_id(&request)?, Timestamp::now()).await?;
    Ok(response::json(StatusCode::OK, &ClientCredentialsJson::from(&rotated)))
}

fn client_id(request: &Request) -> Result<ClientId, Problem> {
    request.path_parameter.parse().map_err(|_| Problem::not_found("client"))
}

const FOLLOWER_PAGE_SIZE: PageSize = PageSize { default: 1000, max: 1000 };

/// Where a page of followers begins: after this lag, and after this number among followers with that lag.
struct FollowerCursor {
    lag: u64,
    number: u64,
}

impl FromStr for FollowerCursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = |(lag, number): (&str, &str)| Some(Self { lag: lag.parse().ok()?, number: number.parse().ok()? });
        text.split_once('-').and_then(parse).ok_or("the `next` of the previous page")
    }
}

impl FollowerCursor {
    fn is_before(&self, follower: &FollowerInfo) -> bool {
        (Reverse(self.lag), self.number) < (Reverse(follower.lag), follower.number)
    }
}

/// `GET /admin/followers`, the largest lag first. A follower whose lag changes between two pages may be on both of
/// them, or on neither.
pub(in crate::http) async fn list_followers(context: Arc<Context>, request: Request) -> HandlerResult {
    #[derive(Serialize)]
    struct FollowerJson {
        id: String,
        client: ClientId,
        since: Timestamp,
        lag: u64,
        bytes: u64,
    }
    #[derive(Serialize)]
    struct FollowerList {
        followers: Vec<Box<RawValue>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }
    let limit = FOLLOWER_PAGE_SIZE.requested(&request)?;
    let cursor: Option<FollowerCursor> = optional_parameter(&request, "cursor")?;
    let followers = context.hub.list().into_iter();
    let rest = followers.filter(|follower| cursor.as_ref().is_none_or(|cursor| cursor.is_before(follower)));
    let page = MemoryPage::cut(rest, limit, |f| FollowerJson {
        id: f.number.to_string(),
        client: f.client.clone(),
        since: f.since,
        lag: f.lag,
        bytes: f.bytes,
    });
    let next = page.last.map(|last| format!("{}-{}", last.lag, last.number));
    Ok(response::json(StatusCode::OK, &FollowerList { followers: page.items, next }))
}

/// `DELETE /admin/followers/{id}`
pub(in crate::http) async fn end_stream(context: Arc<Context>, request: Request) -> HandlerResult {
    let found = request.path_parameter.parse().is_ok_and(|number| context.hub.disconnect(number));
    if found { Ok(response::no_content()) } else { Err(Problem::not_found("follower")) }
}
