//! The table of routes: one entry for each operation of both addresses. Dispatch, `405` with `Allow`, the redaction of
//! logged paths, the table of the reference and the check of the OpenAPI document come from it.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::api_route::{Access, ApiRoute, delete, get, on, patch, post, put};
use super::baidu::{self, BceError, notifications};
use super::request::{Request, normalize_path, request};
use super::response::{Problem, RESOURCE_METADATA_PATH};
use super::{Context, api, content_negotiation, ui};
use crate::auth::Scope;

const MANAGE: &[Scope] = &[Scope::Manage];
const EVENTS: &[Scope] = &[Scope::Events];
const READ: &[Scope] = &[Scope::Events, Scope::Manage];

/// The methods of pages and other embedded files.
const GET_HEAD: &[&str] = &["GET", "HEAD"];

/// Characters of a path that are logged.
const MAX_LOGGED_PATH_CHARS: usize = 200;

/// The routes of the public address. Paths do not overlap, so the order decides nothing but the time of the match: the
/// routes with the most requests are first.
static PUBLIC: LazyLock<Vec<ApiRoute>> = LazyLock::new(|| {
    vec![
        on(&["GET", "POST", "OPTIONS"], "/in/{key}", "Receive a webhook").open(Access::Hook, api::webhook::receive),
        on(&["GET", "POST", "HEAD", "OPTIONS"], "/events/client", "Follow the event stream")
            .open(Access::Stream, api::events::stream),
        get("/events/counts", "Count events of the last hour by minute and status").token(READ, api::events::counts),
        get("/events/{id}/raw", "Get the webhook request behind an event").token(MANAGE, api::events::raw),
        post("/events/ticket", "Create a ticket, a short-lived token for a web page")
            .token(EVENTS, api::tokens::create_ticket),
        get("/documents", "List documents").token(READ, api::documents::list),
        post("/documents", "Register a document").token(MANAGE, api::documents::register),
        get("/documents/{documentId}", "Get a document").token(READ, api::documents::show),
        get("/documents/{documentId}/events", "List the events of a document").token(READ, api::documents::events),
        get("/hooks", "List hooks").token(MANAGE, api::hooks::list),
        post("/hooks", "Create a hook").token(MANAGE, api::hooks::create),
        get("/hooks/{id}", "Get a hook").token(MANAGE, api::hooks::show),
        patch("/hooks/{id}", "Change a hook").token(MANAGE, api::hooks::change),
        delete("/hooks/{id}", "Delete a hook").token(MANAGE, api::hooks::delete),
        get("/rejects", "List rejects").token(MANAGE, api::rejects::list),
        post("/rejects/{id}/replay", "Parse a reject again").token(MANAGE, api::rejects::replay),
        get("/v1|v2/notification", "List notifications").baidu(notifications::list),
        post("/v1|v2/notification", "Create a notification").baidu(notifications::create),
        get("/v1|v2/notification/{name}", "Get a notification").baidu(notifications::show),
        put("/v1|v2/notification/{name}", "Change a notification").baidu(notifications::change),
        delete("/v1|v2/notification/{name}", "Delete a notification").baidu(notifications::delete),
        post("/v1|v2/notification/{name}/verify", "Verify a notification").baidu(notifications::verify),
        post("/v1|v2/notification/{name}/recover", "Retry what has failed").baidu(notifications::recover),
        post("/v1|v2/notification/{name}/test", "Send a test event").baidu(notifications::test),
        get("/deliveries", "List deliveries").token(MANAGE, api::deliveries::list),
        get("/deliveries/{id}", "Get a delivery").token(MANAGE, api::deliveries::show),
        post("/deliveries/{id}/retry", "Retry a delivery").token(MANAGE, api::deliveries::retry),
        on(&["GET", "POST"], "/oauth/token", "Issue a token").open(Access::ClientSecret, api::tokens::create_token),
        get("/.well-known/jwks.json", "Public keys of the tokens").open(Access::Public, api::tokens::jwks),
        get("/.well-known/oauth-authorization-server|openid-configuration", "Where tokens are issued (RFC 8414)")
            .open(Access::Public, api::metadata::authorization_server),
        get(RESOURCE_METADATA_PATH, "Which tokens are accepted (RFC 9728)")
            .open(Access::Public, api::metadata::protected_resource),
        on(GET_HEAD, "/", "The [dashboard](#dashboard)").open(Access::Public, ui::page),
        on(GET_HEAD, "/dashboard.css|dashboard.js|sse.js|icon.svg", "Files of the dashboard")
            .open(Access::Public, ui::page),
        on(GET_HEAD, "/widget.js|demo.html|demo.css|demo.js", "The [widget](#widget) and its demo")
            .open(Access::Public, ui::page),
        on(GET_HEAD, "/docs", "This reference").open(Access::Public, ui::page),
        on(GET_HEAD, "/docs/guides|cluster|api", "The guides; several nodes; the API").open(Access::Public, ui::page),
        on(GET_HEAD, "/docs.css", "Stylesheet of the documentation").open(Access::Public, ui::page),
        on(GET_HEAD, "/openapi.json|asyncapi.json", "The API as OpenAPI 3.1, the stream as AsyncAPI 3.0")
            .open(Access::Public, ui::page),
    ]
});

/// The routes of the admin address.
static ADMIN: LazyLock<Vec<ApiRoute>> = LazyLock::new(|| {
    vec![
        get("/livez", "Liveness probe").open(Access::Public, api::admin::livez),
        get("/readyz", "Readiness probe: commits a small transaction").open(Access::Public, api::admin::readyz),
        get("/metrics", "Metrics").open(Access::Public, api::admin::metrics),
        post("/admin/reload", "Reload the configuration").admin(api::admin::reload),
        get("/admin/clients", "List clients").admin(api::admin::list_clients),
        post("/admin/clients", "Create a client").admin(api::admin::create_client),
        get("/admin/clients/{id}", "Get a client").admin(api::admin::show_client),
        patch("/admin/clients/{id}", "Change the limits of a client").admin(api::admin::change_client),
        delete("/admin/clients/{id}", "Delete a client").admin(api::admin::delete_client),
        post("/admin/clients/{id}/secret", "Rotate a client's secret").admin(api::admin::rotate_secret),
        get("/admin/cluster", "Show the state of the cluster").admin(api::admin::show_cluster),
        get("/admin/followers", "List followers, largest lag first").admin(api::admin::list_followers),
        delete("/admin/followers/{id}", "End a stream").admin(api::admin::end_stream),
    ]
});

/// One of the two addresses that the relay listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    Public,
    Admin,
}

impl Address {
    fn routes(self) -> &'static [ApiRoute] {
        match self {
            Self::Public => &PUBLIC,
            Self::Admin => &ADMIN,
        }
    }

    /// Everything that this address answers, as one filter that never rejects.
    pub fn filter(self, context: &Arc<Context>) -> BoxedFilter<(Response,)> {
        let context = context.clone();
        request().then(move |request: Request| self.dispatch(context.clone(), request)).boxed()
    }

    /// Calls the handler of a request's route; `404` and `405` where there is none.
    pub(super) async fn dispatch(self, context: Arc<Context>, mut request: Request) -> Response {
        let mut other_methods: Vec<&ApiRoute> = Vec::new();
        let path = normalize_path(&request.path);
        for route in self.routes() {
            let Some(parameter) = route.match_path(&path) else { continue };
            if route.allows_method(request.method.as_str()) {
                request.path_parameter = parameter.to_owned();
                return route.handle(context, request).await;
            }
            other_methods.push(route);
        }
        match other_methods[..] {
            [] => self.not_found(&request, &path),
            [first, ..] => {
                let methods: Vec<&str> = other_methods.iter().flat_map(|route| route.allowed_methods()).collect();
                first.method_not_allowed(&context, &request, methods.join(", "))
            }
        }
    }

    /// Handles a request in process, without a socket and without the middleware. For commands that open the store
    /// themselves.
    ///
    /// # Errors
    /// The text of a response body that failed. None of the handlers has one.
    pub async fn call(
        self,
        context: &Arc<Context>,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, String> {
        let response = self.dispatch(context.clone(), Request::in_process(request)).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|e| e.to_string())?.to_bytes();
        Ok(http::Response::from_parts(head, body))
    }

    fn not_found(self, request: &Request, path: &str) -> Response {
        let similar = self.routes().iter().find(|route| route.matches_prefix(path));
        if similar.is_some_and(|route| route.access == Access::Baidu) {
            return baidu::with_request_id(BceError::no_such_address().into_response(&request.id), &request.id);
        }
        let is_read = matches!(request.method, Method::GET | Method::HEAD);
        if self == Self::Public && is_read && content_negotiation::asks_for_html(&request.headers) {
            return ui::not_found();
        }
        let what = match self {
            Self::Public => "address",
            Self::Admin => "address: try /livez, /readyz, /metrics, /admin/clients or /admin/followers",
        };
        Problem::not_found(what).into_response(&request.id)
    }
}

/// A path as it is logged. A hook's key is replaced. A path whose first segment is that of no route is not logged at
/// all: a mistyped one may hold a key.
pub(super) fn redact_path(path: &str) -> String {
    let mut routes = [Address::Public, Address::Admin].into_iter().flat_map(Address::routes);
    match routes.find(|route| route.matches_prefix(path)) {
        Some(route) if route.has_secret_parameter() => {
            format!("/{}/…", path.split('/').nth(1).unwrap_or_default())
        }
        Some(_) => path.chars().take(MAX_LOGGED_PATH_CHARS).collect(),
        None => "/…".to_owned(),
    }
}

/// A route as documents show it.
#[derive(Debug)]
pub struct RouteInfo {
    pub address: Address,
    pub methods: &'static [&'static str],
    /// With parameters in braces: `/hooks/{id}`.
    pub path: String,
    pub summary: &'static str,
    pub access: Access,
}

/// Every route of both addresses, in the order of the table.
pub fn routes() -> Vec<RouteInfo> {
    let of = |address: Address| {
        address.routes().iter().flat_map(move |route| {
            let ApiRoute { methods, summary, access, .. } = *route;
            route.paths().into_iter().map(move |path| RouteInfo { address, methods, path, summary, access })
        })
    };
    of(Address::Public).chain(of(Address::Admin)).collect()
}

/// The routes as a Markdown table. Paths that an entry stands for share a line.
pub fn reference() -> String {
    let mut table = String::from("| path | methods | purpose | access |\n|---|---|---|---|\n");
    for address in [Address::Public, Address::Admin] {
        for route in address.routes() {
            let paths: Vec<String> = route.paths().iter().map(|path| format!("`{path}`")).collect();
            let (paths, methods) = (paths.join(", "), route.methods.join(", "));
            let access = match (address, route.access) {
                (Address::Public, access) => access.to_string(),
                (Address::Admin, Access::Public) => "admin address".to_owned(),
                (Address::Admin, access) => format!("admin address, {access}"),
            };
            writeln!(table, "| {paths} | {methods} | {} | {access} |", route.summary).ok();
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_routes_match_the_same_request() {
        for address in [Address::Public, Address::Admin] {
            let routes = address.routes();
            for (at, route) in routes.iter().enumerate() {
                for path in route.paths() {
                    let rivals = routes[at + 1..].iter().filter(|other| other.match_path(&path).is_some());
                    for rival in rivals {
                        let shared = rival.methods.iter().find(|method| route.allows_method(method));
                        assert!(shared.is_none(), "{path}: {shared:?} of {} and {}", route.path, rival.path);
                    }
                }
            }
        }
    }

    #[test]
    fn embedded_files_and_their_routes_are_the_same() {
        let files: Vec<&str> = ui::paths().collect();
        let all = routes();
        let routed: Vec<&str> =
            all.iter().filter(|route| route.methods == GET_HEAD).map(|route| route.path.as_str()).collect();
        for path in routed.iter().chain(&files) {
            assert!(files.contains(path) && routed.contains(path), "{path}");
        }
    }

    // Rule 30: tokens do not leak from URLs.
    #[test]
    fn logged_path_has_no_key_and_no_unknown_text() {
        assert_eq!(redact_path("/in/s3cret"), "/in/…");
        assert_eq!(redact_path("/in"), "/in/…");
        assert_eq!(redact_path("/In/s3cret"), "/…");
        assert_eq!(redact_path("/s3cret"), "/…");
        assert_eq!(redact_path("//in/s3cret"), "/…");
        assert_eq!(redact_path("/hooks/1"), "/hooks/1");
        assert_eq!(redact_path("/v2/notification/main"), "/v2/notification/main");
        assert_eq!(redact_path("/"), "/");
        assert_eq!(redact_path(&format!("/events/{}", "a".repeat(500))).len(), MAX_LOGGED_PATH_CHARS);
    }
}
