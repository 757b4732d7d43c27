//! Managing hooks: `POST|GET /hooks`, `GET|PATCH|DELETE /hooks/{id}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;

use crate::auth::Scope;
use crate::domain::{Hook, HookChange, Mapping, NewHook, Timestamp, Vendor};
use crate::http::answer::{self, Outcome};
use crate::http::api::calls::LastCalls;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::{Context, access, body};
use crate::manage::{add_hook, change_hook};

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
        Self { calls: context.calls.of(&hook.id), ..Self::new(hook, &context.options.public_url) }
    }
}

/// `/hooks`
pub(in crate::http) async fn collection(context: Arc<Context>, mut request: Request) -> Outcome {
    let now = Timestamp::now();
    if ![Method::GET, Method::POST].contains(&request.method) {
        return Err(Problem::method("GET, POST"));
    }
    let grant = access::grant(&context, &request, Scope::Manage, now)?;
    let registry = &context.store.registry;
    if request.method == Method::GET {
        #[derive(Serialize)]
        struct List<'a> {
            hooks: Vec<HookView<'a>>,
        }
        let hooks = registry.hooks(&grant.client);
        let hooks = hooks.iter().map(|h| HookView::with_calls(h, &context)).collect();
        return Ok(answer::json(StatusCode::OK, &List { hooks }));
    }
    let bytes = body::read(&mut request, context.options.max_body_bytes, context.options.body_timeout).await?;
    body::object(&bytes).map_err(Problem::bad_request)?;
    let new: NewHook = serde_json::from_slice(&bytes).map_err(|e| Problem::bad_request(format!("the body: {e}")))?;
    let hook = add_hook(registry.as_ref(), &grant.client, new, now).await?;
    let mut response = answer::json(StatusCode::CREATED, &HookView::new(&hook, &context.options.public_url));
    if let Ok(location) = format!("/hooks/{}", hook.id).parse() {
        response.headers_mut().insert("location", location);
    }
    Ok(response)
}

/// `/hooks/{id}`
pub(in crate::http) async fn one(context: Arc<Context>, mut request: Request, id: String) -> Outcome {
    if ![Method::GET, Method::PATCH, Method::DELETE].contains(&request.method) {
        return Err(Problem::method("GET, PATCH, DELETE"));
    }
    let grant = access::grant(&context, &request, Scope::Manage, Timestamp::now())?;
    let registry = &context.store.registry;
    if request.method == Method::DELETE {
        registry.remove_hook(&grant.client, &id).await?;
        return Ok(answer::nothing());
    }
    if request.method == Method::PATCH {
        let bytes = body::read(&mut request, context.options.max_body_bytes, context.options.body_timeout).await?;
        body::object(&bytes).map_err(Problem::bad_request)?;
        let change: HookChange =
            serde_json::from_slice(&bytes).map_err(|e| Problem::bad_request(format!("the body: {e}")))?;
        let hook = change_hook(registry.as_ref(), &grant.client, &id, change).await?;
        return Ok(answer::json(StatusCode::OK, &HookView::with_calls(&hook, &context)));
    }
    let hooks = registry.hooks(&grant.client);
    let hook = hooks.iter().find(|h| h.id == id).ok_or_else(|| Problem::not_found("hook"))?;
    Ok(answer::json(StatusCode::OK, &HookView::with_calls(hook, &context)))
}

pub(in crate::http) fn no_random(error: impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "the system gave no random bytes");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no key can be made at present: try again later")
}
