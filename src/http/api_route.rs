//! An entry of the table of routes: methods, path, the access that a request needs, and the handler. Matches paths, and
//! checks the credentials before it calls the handler, so that the table and the check cannot differ.

use std::fmt;
use std::sync::Arc;

use futures::TryFutureExt;
use futures::future::BoxFuture;
use http::StatusCode;
use warp::reply::Response;

use super::Context;
use super::baidu::{self, BceError};
use super::request::Request;
use super::response::{HandlerResult, Problem};
use crate::auth::{Grant, Scope};
use crate::domain::{ClientRef, EventId, Timestamp};
use crate::stream::StartPosition;

type Handler = Box<dyn Fn(Arc<Context>, Request) -> BoxFuture<'static, Response> + Send + Sync>;

/// The name of the path parameter that is a secret: its value is not logged.
const SECRET_PARAMETER: &str = "{key}";

/// What a request needs to reach the handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Public,
    /// The hook's key in the path. The handler verifies the request.
    Hook,
    /// A token with the scope `events`. The handler checks it, because errors are events of the stream.
    Stream,
    /// Client id and secret, which the handler checks.
    ClientSecret,
    /// A bearer token with one of these scopes.
    Token(&'static [Scope]),
    /// `bce-auth-v1`, or a bearer token with the scope `manage`. Errors have Baidu's format.
    Baidu,
    /// The admin token.
    AdminToken,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::Hook => f.write_str("the key, and credentials or a signature if the hook requires them"),
            Self::Stream => f.write_str("token with scope `events`"),
            Self::ClientSecret => f.write_str("client id and secret"),
            Self::Token(scopes) => {
                let scopes: Vec<String> = scopes.iter().map(|scope| format!("`{}`", scope.as_str())).collect();
                write!(f, "token with scope {}", scopes.join(" or "))
            }
            Self::Baidu => f.write_str("token with scope `manage`, or Baidu's signature"),
            Self::AdminToken => f.write_str("admin token"),
        }
    }
}

/// Methods, path and summary of a route that has no handler yet.
pub(super) struct Operation {
    methods: &'static [&'static str],
    path: &'static str,
    summary: &'static str,
}

/// An operation for these methods.
pub(super) fn on(methods: &'static [&'static str], path: &'static str, summary: &'static str) -> Operation {
    Operation { methods, path, summary }
}

pub(super) fn get(path: &'static str, summary: &'static str) -> Operation {
    on(&["GET"], path, summary)
}

pub(super) fn post(path: &'static str, summary: &'static str) -> Operation {
    on(&["POST"], path, summary)
}

pub(super) fn put(path: &'static str, summary: &'static str) -> Operation {
    on(&["PUT"], path, summary)
}

pub(super) fn patch(path: &'static str, summary: &'static str) -> Operation {
    on(&["PATCH"], path, summary)
}

pub(super) fn delete(path: &'static str, summary: &'static str) -> Operation {
    on(&["DELETE"], path, summary)
}

impl Operation {
    /// The handler needs no checked credentials, or checks them itself.
    pub(super) fn open<H, F>(self, access: Access, handler: H) -> ApiRoute
    where
        H: Fn(Arc<Context>, Request) -> F + Send + Sync + 'static,
        F: Future<Output = HandlerResult> + Send + 'static,
    {
        self.route(access, move |context, request| {
            let id = request.id.clone();
            let outcome = handler(context, request);
            Box::pin(async move { outcome.await.unwrap_or_else(|problem| problem.into_response(&id)) })
        })
    }

    /// The handler gets the grant of a bearer token with one of these scopes.
    pub(super) fn token<H, F>(self, scopes: &'static [Scope], handler: H) -> ApiRoute
    where
        H: Fn(Arc<Context>, Request, Grant) -> F + Send + Sync + 'static,
        F: Future<Output = HandlerResult> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.route(Access::Token(scopes), move |context, request| {
            let handler = handler.clone();
            Box::pin(async move {
                let id = request.id.clone();
                let granted = match context.require_token(&request, scopes, Timestamp::now()).await {
                    Ok(grant) => wait_for_named_event(&context, &request).await.map(|()| grant),
                    Err(problem) => Err(problem),
                };
                match granted {
                    Ok(grant) => {
                        let handle = |context, request| {
                            let outcome = handler(context, request, grant.clone());
                            outcome.unwrap_or_else(|problem: Problem| problem.into_response(&id))
                        };
                        find_or_catch_up(context, request, handle).await
                    }
                    Err(problem) => problem.into_response(&id),
                }
            })
        })
    }

    /// The handler gets the client that `bce-auth-v1` or a bearer token names. Every response names the request like
    /// Baidu's.
    pub(super) fn baidu<H, F>(self, handler: H) -> ApiRoute
    where
        H: Fn(Arc<Context>, Request, ClientRef) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response, BceError>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.route(Access::Baidu, move |context, request| {
            let handler = handler.clone();
            Box::pin(async move {
                let id = request.id.clone();
                let response = match baidu::authenticate(&context, &request, Timestamp::now()).await {
                    Ok(client) => {
                        let handle = |context, request| {
                            let outcome = handler(context, request, client.clone());
                            outcome.unwrap_or_else(|error: BceError| error.into_response(&id))
                        };
                        find_or_catch_up(context, request, handle).await
                    }
                    Err(error) => error.into_response(&id),
                };
                baidu::with_request_id(response, &id)
            })
        })
    }

    /// The handler runs if the request has the admin token.
    pub(super) fn admin<H, F>(self, handler: H) -> ApiRoute
    where
        H: Fn(Arc<Context>, Request) -> F + Send + Sync + 'static,
        F: Future<Output = HandlerResult> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.route(Access::AdminToken, move |context, request| {
            let handler = handler.clone();
            Box::pin(async move {
                let id = request.id.clone();
                if let Err(problem) = context.require_admin_token(&request) {
                    return problem.into_response(&id);
                }
                let handle = |context, request| {
                    let outcome = handler(context, request);
                    outcome.unwrap_or_else(|problem: Problem| problem.into_response(&id))
                };
                find_or_catch_up(context, request, handle).await
            })
        })
    }

    fn route<H>(self, access: Access, handler: H) -> ApiRoute
    where
        H: Fn(Arc<Context>, Request) -> BoxFuture<'static, Response> + Send + Sync + 'static,
    {
        let Self { methods, path, summary } = self;
        let segments = segments(path).map(Segment::parse).collect();
        ApiRoute { methods, path, summary, access, segments, handler: Box::new(handler) }
    }
}

/// Waits until this node has the event that the request names with `Docrelay-Event-Id`, the header of the response to a
/// webhook: then it also finds in lists what another node of the cluster has stored. Another value is ignored.
async fn wait_for_named_event(context: &Context, request: &Request) -> Result<(), Problem> {
    match request.header("docrelay-event-id").and_then(|text| text.parse::<EventId>().ok()) {
        Some(id) => context.streams.reach(StartPosition::After(id)).await.map_err(Problem::from),
        None => Ok(()),
    }
}

/// Calls a handler. When it does not find the item that the path names, this node catches up with the cluster, because
/// another node may have just made the item, and the handler is called once more. A call that is answered `404` has
/// changed nothing.
async fn find_or_catch_up<F>(
    context: Arc<Context>,
    request: Request,
    handle: impl Fn(Arc<Context>, Request) -> F,
) -> Response
where
    F: Future<Output = Response>,
{
    let names_item = !request.path_parameter.is_empty();
    let repeated = (names_item && context.cluster.is_some()).then(|| request.repeat());
    let response = handle(context.clone(), request).await;
    match repeated {
        Some(request) if response.status() == StatusCode::NOT_FOUND && context.catch_up().await => {
            handle(context, request).await
        }
        _ => response,
    }
}

/// One entry of the table.
pub(super) struct ApiRoute {
    pub(super) methods: &'static [&'static str],
    /// `/hooks/{id}`. A segment with `|` stands for each of its alternatives.
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) access: Access,
    segments: Vec<Segment>,
    handler: Handler,
}

enum Segment {
    Literal(Vec<&'static str>),
    Parameter,
}

impl Segment {
    fn parse(text: &'static str) -> Self {
        if text.starts_with('{') { Self::Parameter } else { Self::Literal(text.split('|').collect()) }
    }
}

impl ApiRoute {
    /// `None` if the path is not this route's; otherwise the value of its parameter, still percent-encoded and not
    /// empty, or the empty text if it has none.
    pub(super) fn match_path<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut given = segments(path);
        let mut parameter = "";
        for segment in &self.segments {
            let value = given.next()?;
            match segment {
                Segment::Literal(names) if names.contains(&value) => {}
                Segment::Parameter if !value.is_empty() => parameter = value,
                Segment::Literal(_) | Segment::Parameter => return None,
            }
        }
        given.next().is_none().then_some(parameter)
    }

    /// A hook's route allows any method: its vendor decides in the handler. Every other route that allows GET allows
    /// HEAD; hyper leaves out the body.
    pub(super) fn allows_method(&self, method: &str) -> bool {
        self.access == Access::Hook || self.allowed_methods().any(|allowed| allowed == method)
    }

    /// The methods for `Allow`.
    pub(super) fn allowed_methods(&self) -> impl Iterator<Item = &'static str> {
        let adds_head = self.methods.contains(&"GET") && !self.methods.contains(&"HEAD");
        self.methods.iter().copied().chain(adds_head.then_some("HEAD"))
    }

    /// Whether the first segment of a path is that of this route.
    pub(super) fn matches_prefix(&self, path: &str) -> bool {
        match (self.segments.first(), segments(path).next()) {
            (Some(Segment::Literal(names)), Some(first)) => names.contains(&first),
            (None, None) => true,
            _ => false,
        }
    }

    pub(super) fn has_secret_parameter(&self) -> bool {
        self.path.contains(SECRET_PARAMETER)
    }

    /// Every path that this entry stands for, with parameters in braces.
    pub(super) fn paths(&self) -> Vec<String> {
        if self.segments.is_empty() {
            return vec!["/".to_owned()];
        }
        segments(self.path).fold(vec![String::new()], |paths, segment| {
            let names = if segment.starts_with('{') { vec![segment] } else { segment.split('|').collect() };
            paths.iter().flat_map(|path| names.iter().map(move |name| format!("{path}/{name}"))).collect()
        })
    }

    pub(super) fn handle(&self, context: Arc<Context>, request: Request) -> BoxFuture<'static, Response> {
        (self.handler)(context, request)
    }

    /// The response to a method that the path does not allow.
    pub(super) fn method_not_allowed(&self, context: &Context, request: &Request, allow: String) -> Response {
        match self.access {
            Access::Baidu => {
                baidu::with_request_id(BceError::method_not_allowed(allow).into_response(&request.id), &request.id)
            }
            // Without the admin token the response is 401, not 405: it discloses no path.
            Access::AdminToken => {
                let problem =
                    context.require_admin_token(request).err().unwrap_or_else(|| Problem::method_not_allowed(allow));
                problem.into_response(&request.id)
            }
            _ => Problem::method_not_allowed(allow).into_response(&request.id),
        }
    }
}

/// The segments of a path; none for `/`. One slash at the end does not count.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    inner.split('/').skip(usize::from(inner.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &'static str) -> ApiRoute {
        get(path, "").open(Access::Public, |_, _| async { Err(Problem::not_found("address")) })
    }

    #[test]
    fn path_matches_segment_by_segment() {
        let hook = route("/hooks/{id}");
        assert_eq!(hook.match_path("/hooks/a%2Fb"), Some("a%2Fb"));
        assert_eq!(hook.match_path("/hooks/a/"), Some("a"));
        for other in ["/hooks", "/hooks/", "/hooks//", "//hooks/a", "/hooks/a/b", "/hook/a", "/", ""] {
            assert_eq!(hook.match_path(other), None, "{other}");
        }
        assert_eq!(route("/").match_path("/"), Some(""));
        assert_eq!(route("/").match_path("/a"), None);
    }

    #[test]
    fn alternatives_match_each_and_expand_to_all() {
        let route = route("/v1|v2/notification/{name}");
        assert_eq!(route.match_path("/v2/notification/main"), Some("main"));
        assert_eq!(route.match_path("/v3/notification/main"), None);
        assert_eq!(route.paths(), ["/v1/notification/{name}", "/v2/notification/{name}"]);
    }
}
