//! Issues tokens: access tokens for client credentials at `/oauth/token` (RFC 6749, 4.4), and tickets at
//! `/events/ticket`, which are short-lived tokens for web pages that can follow streams and nothing else. Lists the
//! public keys.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use serde::{Deserialize, Deserializer, Serialize};
use warp::reply::Response;

use crate::auth::{Grant, JWKS_MAX_AGE, NewTicket, Scope, Scopes, Ticket, basic, check_client_secret, expires_in};
use crate::domain::{ClientRef, Timestamp};
use crate::http::Context;
use crate::http::credential_checks::{TOO_MANY_FAILED_TOKENS, TooManyFailures};
use crate::http::request::Request;
use crate::http::response::{self, HandlerResult, Problem};

const MAX_FORM_BYTES: usize = 16 << 10;

/// The body of a ticket request. A hundred documents have some 4 KiB.
const MAX_TICKET_REQUEST_BYTES: usize = 64 << 10;

/// The code for a client that is unknown, or whose secret is wrong.
const INVALID_CLIENT: &str = "invalid_client";

/// An error of RFC 6749, 5.2.
struct OauthError {
    code: &'static str,
    description: &'static str,
}

impl OauthError {
    const fn new(code: &'static str, description: &'static str) -> Self {
        Self { code, description }
    }

    /// `429`. RFC 6749 has no code for it; this one is from its other grants.
    fn too_many_failures(failures: TooManyFailures) -> Response {
        let error = Self::new("temporarily_unavailable", TOO_MANY_FAILED_TOKENS);
        let mut response = error.into_response();
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        if let Ok(seconds) = failures.retry_after_seconds().parse() {
            response.headers_mut().insert("retry-after", seconds);
        }
        response
    }

    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct OauthErrorJson {
            error: &'static str,
            error_description: &'static str,
        }
        let status = match self.code {
            INVALID_CLIENT => StatusCode::UNAUTHORIZED,
            // Section 5.2 lists errors of the caller only.
            "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut response =
            response::json(status, &OauthErrorJson { error: self.code, error_description: self.description });
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"docrelay\"");
            response.headers_mut().insert("www-authenticate", challenge);
        }
        response
    }
}

/// `GET|POST /oauth/token?grant_type=client_credentials`: parameters in the query or, with POST, in a form.
pub(in crate::http) async fn create_token(context: Arc<Context>, mut request: Request) -> HandlerResult {
    // Before the body, which takes memory and time.
    if let Err(failures) = context.check_failures(&request) {
        return Ok(OauthError::too_many_failures(failures));
    }
    let mut pairs: Vec<(String, String)> = match request.method {
        Method::POST => {
            let form = request.read_body(context.body_limits().at_most(MAX_FORM_BYTES)).await?;
            form_urlencoded::parse(&form).into_owned().collect()
        }
        _ => Vec::new(),
    };
    let query: Vec<(String, String)> =
        form_urlencoded::parse(request.query.as_deref().unwrap_or_default().as_bytes()).into_owned().collect();
    // A secret in a URL would appear in the logs of proxies (RFC 6749, 2.3.1).
    let issued = if query.iter().any(|(name, _)| name == "client_secret") {
        Err(OauthError::new("invalid_request", "client_secret belongs into the form, not into the query"))
    } else {
        pairs.extend(query);
        issue(&context, &request, pairs).await
    };
    let mut response = issued.unwrap_or_else(OauthError::into_response);
    response.headers_mut().insert("pragma", HeaderValue::from_static("no-cache"));
    Ok(response)
}

async fn issue(context: &Context, request: &Request, pairs: Vec<(String, String)>) -> Result<Response, OauthError> {
    #[derive(Serialize)]
    struct TokenJson {
        access_token: String,
        token_type: &'static str,
        expires_in: u64,
        scope: String,
    }
    let mut parameters = HashMap::new();
    for (name, value) in pairs {
        if parameters.insert(name, value).is_some() {
            return Err(OauthError::new("invalid_request", "a parameter occurs twice"));
        }
    }
    match parameters.get("grant_type").map(String::as_str) {
        Some("client_credentials") => {}
        None | Some("") => return Err(OauthError::new("invalid_request", "grant_type is missing")),
        Some(_) => return Err(OauthError::new("unsupported_grant_type", "the only grant_type is client_credentials")),
    }
    if let Err(failures) = context.check_failures(request) {
        return Ok(OauthError::too_many_failures(failures));
    }
    let now = Timestamp::now();
    let client = match authenticate(context, request, &parameters, now) {
        Err(error) if error.code == INVALID_CLIENT && context.catch_up().await => {
            authenticate(context, request, &parameters, now)
        }
        authenticated => authenticated,
    };
    let has_credentials = request.header("authorization").is_some() || parameters.contains_key("client_secret");
    if has_credentials && client.as_ref().is_err_and(|error| error.code == INVALID_CLIENT) {
        context.record_failure(request);
    }
    let client = client?;
    let scopes = match parameters.get("scope").map(|s| s.trim()).filter(|s| !s.is_empty()) {
        None => Scopes::ALL,
        Some(text) => {
            text.parse().map_err(|_| OauthError::new("invalid_scope", "scope is one or more of events, manage"))?
        }
    };
    let ttl = context.limits.get().token_ttl;
    let access_token = context.keys.issue(&client, &scopes, ttl, now).map_err(|error| {
        tracing::error!(%error, "token not signed");
        OauthError::new("server_error", "no token can be signed at present")
    })?;
    let token =
        TokenJson { access_token, token_type: "bearer", expires_in: expires_in(ttl), scope: scopes.to_string() };
    Ok(response::json(StatusCode::OK, &token))
}

/// HTTP Basic, or the form's `client_id` and `client_secret`, but not both.
fn authenticate(
    context: &Context,
    request: &Request,
    parameters: &HashMap<String, String>,
    now: Timestamp,
) -> Result<ClientRef, OauthError> {
    let failed = || OauthError::new(INVALID_CLIENT, "the client id or its secret is wrong or missing");
    let (id, secret) = match (request.header("authorization"), parameters.get("client_secret")) {
        (Some(_), Some(_)) => {
            return Err(OauthError::new("invalid_request", "credentials in the header and in the form: use one"));
        }
        (Some(header), None) => {
            let (id, secret) = basic(header).ok_or_else(failed)?;
            (id, secret.expose().to_owned())
        }
        (None, Some(secret)) => (parameters.get("client_id").cloned().ok_or_else(failed)?, secret.clone()),
        (None, None) => return Err(failed()),
    };
    let client = id.parse().ok().and_then(|id| context.clients.get(&id)).ok_or_else(failed)?;
    if check_client_secret(&client, &secret, now) { Ok(client.reference()) } else { Err(failed()) }
}

/// The body of `POST /events/ticket`, which may be empty.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct TicketRequest {
    /// In seconds.
    #[serde(default, deserialize_with = "reject_null")]
    ttl: Option<u64>,
    #[serde(default, deserialize_with = "reject_null")]
    documents: Option<Vec<String>>,
}

/// Refuses `null`: as the value of `documents` it would allow all of them.
fn reject_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

/// `POST /events/ticket`. A ticket cannot create tickets.
pub(in crate::http) async fn create_ticket(context: Arc<Context>, mut request: Request, _: Grant) -> HandlerResult {
    #[derive(Serialize)]
    struct TicketJson {
        token: String,
        expires_in: u64,
    }
    let limits = context.body_limits().at_most(MAX_TICKET_REQUEST_BYTES);
    let ticket_request: TicketRequest = request.read_optional_json(limits).await?.unwrap_or_default();
    let ttl = ticket_ttl(ticket_request.ttl)?;
    let parse = |names: Vec<String>| names.iter().map(|name| name.parse()).collect::<Result<_, _>>();
    let documents =
        ticket_request.documents.map(parse).transpose().map_err(|e| Problem::bad_request(format!("documents: {e}")))?;
    let new = NewTicket { ticket: Ticket::new(documents)?, ttl, position: context.streams.head() };
    // Checked again: the token may have expired while the body was read.
    let now = Timestamp::now();
    let grant = context.require_token(&request, &[Scope::Events], now).await?;
    let (token, lifetime) = context.keys.issue_ticket(&grant, &new, now).map_err(|error| {
        tracing::error!(%error, "ticket not signed");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no ticket can be signed at present: try again later")
    })?;
    Ok(response::json(StatusCode::OK, &TicketJson { token, expires_in: lifetime.as_secs() }))
}

fn ticket_ttl(seconds: Option<u64>) -> Result<Duration, Problem> {
    let max_ttl = Ticket::MAX_TTL.as_secs();
    match seconds {
        None => Ok(Ticket::DEFAULT_TTL),
        Some(seconds) if (1..=max_ttl).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err(Problem::bad_request(format!("ttl: seconds, from 1 to {max_ttl}"))),
    }
}

/// `GET /.well-known/jwks.json`
pub(in crate::http) async fn jwks(context: Arc<Context>, _: Request) -> HandlerResult {
    let mut response = response::json_bytes(StatusCode::OK, context.keys.jwks_json());
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={}", JWKS_MAX_AGE.as_secs())) {
        response.headers_mut().insert("cache-control", value);
    }
    Ok(response)
}
