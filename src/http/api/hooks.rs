//! Managing hooks: `POST|GET /hooks`, `GET|PATCH|DELETE /hooks/{id}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;

use crate::auth::Scope;
use crate::domain::{Hook, HookChange, Mapping, NewHook, Timestamp, Vendor};
use crate::http::api::hook_activity::LastCalls;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult};
use crate::http::{Context, auth, body};

/// A hook as its owner sees it, without secrets. The address is one, and has to be shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HookView<'a> {
    id: &'a str,
    vendor: Vendor,
    name: Option<&'a str>,
    url: String,
    verify: VerifyView,
    labels: &'a BTreeMap<String, String>,
    label_cookies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    mapping: Option<&'a Mapping>,
    create_time: Timestamp,
    /// Since the start of the relay that is asked.
    #[serde(flatten)]
    calls: Option<LastCalls>,
}

#[derive(Serialize)]
struct VerifyView {
    r#type: &'static str,
}

impl<'a> HookView<'a> {
    /// `public_url` without a slash at the end.
    pub fn new(hook: &'a Hook, public_url: &str) -> Self {
        Self {
            id: &hook.id,
            vendor: hook.vendor,
            name: hook.name.as_deref(),
            url: format!("{public_url}/in/{}", hook.key.expose()),
            verify: VerifyView { r#type: hook.verify.kind() },
            labels: &hook.labels,
            label_cookies: &hook.label_cookies,
            mapping: hook.mapping.as_ref(),
            create_time: hook.created,
            calls: None,
        }
    }

    fn with_calls(hook: &'a Hook, context: &Context) -> Self {
        Self { calls: context.activity.of(&hook.id), ..Self::new(hook, &context.options.public_url) }
    }
}

/// `/hooks`
pub(in crate::http) async fn collection(context: Arc<Context>, mut request: Request) -> HandlerResult {
    let now = Timestamp::now();
    if ![Method::GET, Method::POST].contains(&request.method) {
        return Err(Problem::method("GET, POST"));
    }
    let grant = auth::require(&context, &request, Scope::Manage, now)?;
    if request.method == Method::GET {
        #[derive(Serialize)]
        struct List<'a> {
            hooks: Vec<HookView<'a>>,
        }
        let hooks = context.hooks.list(&grant.client);
        let hooks = hooks.iter().map(|h| HookView::with_calls(h, &context)).collect();
        return Ok(response::json(StatusCode::OK, &List { hooks }));
    }
    let bytes = body::read(&mut request, context.options.max_body_bytes, context.options.body_timeout).await?;
    body::object(&bytes).map_err(Problem::bad_request)?;
    let new: NewHook = serde_json::from_slice(&bytes).map_err(|e| Problem::bad_request(format!("the body: {e}")))?;
    let hook = context.hooks.add(&grant.client, new, now).await?;
    let mut response = response::json(StatusCode::CREATED, &HookView::new(&hook, &context.options.public_url));
    if let Ok(location) = format!("/hooks/{}", hook.id).parse() {
        response.headers_mut().insert("location", location);
    }
    Ok(response)
}

/// `/hooks/{id}`
pub(in crate::http) async fn one(context: Arc<Context>, mut request: Request, id: String) -> HandlerResult {
    if ![Method::GET, Method::PATCH, Method::DELETE].contains(&request.method) {
        return Err(Problem::method("GET, PATCH, DELETE"));
    }
    let grant = auth::require(&context, &request, Scope::Manage, Timestamp::now())?;
    if request.method == Method::DELETE {
        context.hooks.remove(&grant.client, &id).await?;
        return Ok(response::no_content());
    }
    if request.method == Method::PATCH {
        let bytes = body::read(&mut request, context.options.max_body_bytes, context.options.body_timeout).await?;
        body::object(&bytes).map_err(Problem::bad_request)?;
        let change: HookChange =
            serde_json::from_slice(&bytes).map_err(|e| Problem::bad_request(format!("the body: {e}")))?;
        let hook = context.hooks.change(&grant.client, &id, change).await?;
        return Ok(response::json(StatusCode::OK, &HookView::with_calls(&hook, &context)));
    }
    let hook = context.hooks.get(&grant.client, &id)?;
    Ok(response::json(StatusCode::OK, &HookView::with_calls(&hook, &context)))
}
