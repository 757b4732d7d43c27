//! `/hooks`: create, list, show, change, delete.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use crate::auth::Grant;
use crate::domain::{Hook, HookChange, Mapping, NewHook, Timestamp, Vendor};
use crate::http::api::hook_activity::LastCalls;
use crate::http::problem::HandlerResult;
use crate::http::request::Request;
use crate::http::response;
use crate::http::{Context, body};

/// A hook without its secrets. The URL is one, and its owner needs it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HookJson<'a> {
    id: &'a str,
    vendor: Vendor,
    name: Option<&'a str>,
    url: String,
    verify: VerifyJson,
    labels: &'a BTreeMap<String, String>,
    label_cookies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    mapping: Option<&'a Mapping>,
    create_time: Timestamp,
    /// Since the start of this relay.
    #[serde(flatten)]
    activity: Option<LastCalls>,
}

#[derive(Serialize)]
struct VerifyJson {
    r#type: &'static str,
}

impl<'a> HookJson<'a> {
    fn new(hook: &'a Hook, context: &Context) -> Self {
        Self {
            id: &hook.id,
            vendor: hook.vendor,
            name: hook.name.as_deref(),
            url: format!("{}/in/{}", context.options.public_url, hook.key.expose()),
            verify: VerifyJson { r#type: hook.verify.kind() },
            labels: &hook.labels,
            label_cookies: &hook.label_cookies,
            mapping: hook.mapping.as_ref(),
            create_time: hook.created,
            activity: context.activity.of(&hook.id),
        }
    }
}

/// `GET /hooks`, oldest first.
pub(in crate::http) async fn list(context: Arc<Context>, _: Request, grant: Grant) -> HandlerResult {
    #[derive(Serialize)]
    struct HookList<'a> {
        hooks: Vec<HookJson<'a>>,
    }
    let hooks = context.hooks.list(&grant.client);
    let hooks = hooks.iter().map(|hook| HookJson::new(hook, &context)).collect();
    Ok(response::json(StatusCode::OK, &HookList { hooks }))
}

/// `POST /hooks`
pub(in crate::http) async fn create(context: Arc<Context>, mut request: Request, grant: Grant) -> HandlerResult {
    let new: NewHook = body::read_json(&mut request, context.body_limits()).await?;
    let hook = context.hooks.add(&grant.client, new, Timestamp::now()).await?;
    let created = response::json(StatusCode::CREATED, &HookJson::new(&hook, &context));
    Ok(response::with_location(created, &format!("/hooks/{}", hook.id)))
}

/// `GET /hooks/{id}`
pub(in crate::http) async fn show(context: Arc<Context>, request: Request, grant: Grant) -> HandlerResult {
    let hook = context.hooks.get(&grant.client, &request.path_parameter)?;
    Ok(response::json(StatusCode::OK, &HookJson::new(&hook, &context)))
}

/// `PATCH /hooks/{id}`
pub(in crate::http) async fn change(context: Arc<Context>, mut request: Request, grant: Grant) -> HandlerResult {
    let change: HookChange = body::read_json(&mut request, context.body_limits()).await?;
    let hook = context.hooks.change(&grant.client, &request.path_parameter, change).await?;
    Ok(response::json(StatusCode::OK, &HookJson::new(&hook, &context)))
}

/// `DELETE /hooks/{id}`
pub(in crate::http) async fn delete(context: Arc<Context>, request: Request, grant: Grant) -> HandlerResult {
    context.hooks.remove(&grant.client, &request.path_parameter).await?;
    Ok(response::no_content())
}
