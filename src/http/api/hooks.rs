//! `/hooks`: create, list, show, change, delete. [`HookActivity`] holds the last call and the last refused call of each
//! hook, in memory since the start: it shows an owner whether the vendor calls at all.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::auth::Grant;
use crate::domain::{Hook, Mapping, PpjEdition, Timestamp, Vendor, Verify};
use crate::http::Context;
use crate::http::pagination::{MemoryPage, PageSize, optional_parameter};
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult, Problem};
use crate::manage::{HookChange, NewHook};
use crate::vendor;

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
    /// What the owner should know about the verification.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'static str>,
    /// Since the start of this relay.
    #[serde(flatten)]
    activity: Option<LastCalls>,
}

#[derive(Serialize)]
struct VerifyJson {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    edition: Option<PpjEdition>,
}

impl From<&Verify> for VerifyJson {
    fn from(verify: &Verify) -> Self {
        let edition = if let Verify::Ppj { edition, .. } = verify { *edition } else { None };
        Self { r#type: verify.kind(), edition }
    }
}

impl<'a> HookJson<'a> {
    fn new(hook: &'a Hook, context: &Context) -> Self {
        Self {
            id: &hook.id,
            vendor: hook.vendor,
            name: hook.name.as_deref(),
            url: format!("{}/in/{}", context.public_url, hook.key.expose()),
            verify: VerifyJson::from(&hook.verify),
            labels: &hook.labels,
            label_cookies: &hook.label_cookies,
            mapping: hook.mapping.as_ref(),
            create_time: hook.created,
            warnings: vendor::warnings(&hook.verify),
            activity: context.hook_activity.last_calls(&hook.id),
        }
    }
}

const PAGE_SIZE: PageSize = PageSize { default: 1000, max: 1000 };

/// `GET /hooks`, oldest first. The cursor is the id of the last hook of the page before.
pub(in crate::http) async fn list(context: Arc<Context>, request: Request, grant: Grant) -> HandlerResult {
    #[derive(Serialize)]
    struct HookList<'a> {
        hooks: Vec<Box<RawValue>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<&'a str>,
    }
    let limit = PAGE_SIZE.requested(&request)?;
    let cursor: Option<String> = optional_parameter(&request, "cursor")?;
    let all = context.hooks.list(&grant.client);
    let start = match cursor {
        None => 0,
        Some(id) => {
            let last = all.iter().position(|hook| hook.id == id);
            last.ok_or_else(|| Problem::bad_request("cursor: this hook was removed: begin with the first page"))? + 1
        }
    };
    let page = MemoryPage::cut(all[start..].iter(), limit, |hook| HookJson::new(hook, &context));
    let next = page.last.map(|hook| hook.id.as_str());
    Ok(response::json(StatusCode::OK, &HookList { hooks: page.items, next }))
}

/// `POST /hooks`
pub(in crate::http) async fn create(context: Arc<Context>, mut request: Request, grant: Grant) -> HandlerResult {
    let new: NewHook = request.read_json(context.body_limits()).await?;
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
    let change: HookChange = request.read_json(context.body_limits()).await?;
    let hook = context.hooks.change(&grant.client, &request.path_parameter, change).await?;
    Ok(response::json(StatusCode::OK, &HookJson::new(&hook, &context)))
}

/// `DELETE /hooks/{id}`
pub(in crate::http) async fn delete(context: Arc<Context>, request: Request, grant: Grant) -> HandlerResult {
    context.hooks.remove(&grant.client, &request.path_parameter).await?;
    Ok(response::no_content())
}

/// The last calls of one hook, as part of its JSON.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct LastCalls {
    last_call: Call,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_refusal: Option<RefusedCall>,
}

#[derive(Clone, Copy, Serialize)]
struct Call {
    time: Timestamp,
    status: u16,
}

#[derive(Clone, Serialize)]
struct RefusedCall {
    time: Timestamp,
    status: u16,
    reason: String,
}

/// One entry for each hook that was called. The number of hooks of a client is limited, and [`HookActivity::retain`]
/// removes the entries of deleted ones.
#[derive(Default)]
pub(in crate::http) struct HookActivity(Mutex<HashMap<String, LastCalls>>);

impl HookActivity {
    /// Records a call of the hook with this id.
    pub(in crate::http) fn record(&self, hook: &str, time: Timestamp, response: Result<StatusCode, &Problem>) {
        let call = Call { time, status: response.unwrap_or_else(|problem| problem.status).as_u16() };
        let refusal = response.err().map(|p| RefusedCall { time, status: call.status, reason: p.detail.clone() });
        let mut calls = self.lock();
        // Only the first call of a hook allocates its id.
        match calls.get_mut(hook) {
            Some(last) => {
                last.last_call = call;
                last.last_refusal = refusal.or(last.last_refusal.take());
            }
            None => {
                calls.insert(hook.to_owned(), LastCalls { last_call: call, last_refusal: refusal });
            }
        }
    }

    /// `None` if the hook was not called since the start.
    fn last_calls(&self, hook: &str) -> Option<LastCalls> {
        self.lock().get(hook).cloned()
    }

    /// The number of hooks that were called, deleted ones included.
    pub(in crate::http) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Removes the entries of all other hooks.
    pub(in crate::http) fn retain(&self, hooks: &HashSet<String>) {
        self.lock().retain(|hook, _| hooks.contains(hook));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, LastCalls>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
